"""A simulated OCPP 1.6J charger, and the loop that keeps it connected to a central system.

The `simulated_*` files beside it are its parts; none of them imports anything else of evcharge, or Django.
"""

import asyncio
import base64
import itertools
import logging
import random
import time
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any
from urllib.parse import quote

from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException
from websockets.typing import Subprotocol

from gateway.ocpp.simulated_answers import answer_call
from gateway.ocpp.simulated_car import SimulatedCar
from gateway.ocpp.simulated_connector import Connector, Equipment
from gateway.ocpp.simulated_line import Connection, Direction
from gateway.ocpp.simulated_outlet import NO_ERROR
from gateway.ocpp.simulated_settings import Settings
from gateway.ocpp.simulated_tags import Tags
from gateway.ocpp.simulated_uplink import State, Uplink

log = logging.getLogger(__name__)

OnFrame = Callable[[str, Direction, str], None]

SUBPROTOCOL = Subprotocol("ocpp1.6")
SINGLE_PHASE_MOST_W = 7_400


def unwatched(identity: str, direction: Direction, text: str) -> None:
    """The `on_frame` of a charger nobody watches."""


class SimulatedCharger:
    """A charger with its connectors, meters, settings and memory; it lives on between connections.

    The public coroutines are what a driver or a fitter does at the charger. `speed` multiplies the energy
    that flows per second; time stamps stay the wall clock's (plus `clock_skew_s`). `auto_plug_s` and
    `auto_unplug_s` make an obedient driver: how long after an accepted start the car is plugged in, and how
    long after the end it is pulled out.
    """

    def __init__(
        self,
        identity: str,
        *,
        connectors: int = 2,
        meter_interval_s: float = 10,
        connection_timeout_s: float = 60,
        speed: float = 1,
        seed: int = 1,
        max_power_w: float = SINGLE_PHASE_MOST_W,
        battery_wh: float = 60_000,
        soc_percent: float = 30,
        auto_plug_s: float | None = None,
        auto_unplug_s: float | None = None,
        password: str | bytes | None = None,
        vendor: str = "evcharge",
        model: str = "Simulator",
        serial_number: str | None = None,
        firmware_version: str = "1.0.0",
        call_timeout_s: float = 30,
        boot_retry_s: float = 10,
        retry_interval_s: float = 10,
        boot_on_reconnect: bool = False,
        clock_skew_s: float = 0,
        on_frame: OnFrame = unwatched,
    ) -> None:
        self.identity = identity
        self.password = password.encode() if isinstance(password, str) else password
        self.operative = True
        self.error_code = NO_ERROR
        self.away_until = 0.0
        """Time of the event loop before which `dial` does not dial again."""
        self._tasks: set[asyncio.Task[Any]] = set()
        self._changed = asyncio.Event()
        self.settings = Settings(
            ConnectionTimeOut=f"{connection_timeout_s:g}",
            MeterValueSampleInterval=f"{meter_interval_s:g}",
            NumberOfConnectors=str(connectors),
            TransactionMessageRetryInterval=f"{retry_interval_s:g}",
        )
        self.uplink: Uplink = Uplink(
            about={
                "chargePointVendor": vendor,
                "chargePointModel": model,
                "chargePointSerialNumber": serial_number or f"SIM-{identity}"[:25],
                "firmwareVersion": firmware_version,
            },
            settings=self.settings,
            state=self._state,
            numbers=range(connectors + 1),
            answer=partial(answer_call, self),
            on_frame=partial(on_frame, identity),
            on_change=self._changed.set,
            call_timeout_s=call_timeout_s,
            boot_retry_s=boot_retry_s,
            boot_on_reconnect=boot_on_reconnect,
            clock_skew_s=clock_skew_s,
        )
        self.tags = Tags(self.settings, self.uplink)
        car_seeds = (f"{seed}:{identity}:{count}" for count in itertools.count(1))
        equipment = Equipment(
            self.settings,
            self.uplink,
            self.tags,
            new_car=lambda: SimulatedCar(
                max_power_w=max_power_w, battery_wh=battery_wh, soc_percent=soc_percent, seed=next(car_seeds)
            ),
            spawn=self._spawn,
            auto_plug_s=auto_plug_s,
            auto_unplug_s=auto_unplug_s,
        )
        chance = random.Random(f"{seed}:{identity}")
        self.connectors: dict[int, Connector] = {
            number: Connector(
                number,
                equipment,
                clock=time.monotonic,
                speed=speed,
                phases=1 if max_power_w <= SINGLE_PHASE_MOST_W else 3,
                counted_wh=float(chance.randrange(10_000, 10_000_000)),
            )
            for number in range(1, connectors + 1)
        }

    # What can be seen from outside

    @property
    def online(self) -> bool:
        return self.uplink.online

    @property
    def registration(self) -> str | None:
        """Accepted, Pending or Rejected; None if no BootNotification was answered since the last boot."""
        return self.uplink.registration

    @property
    def kept_messages(self) -> int:
        """How many transaction-related messages still wait to be delivered."""
        return self.uplink.kept

    def status(self, number: int) -> str:
        """The status of a connector; of the charger as a whole for 0, which knows only three (§4.9)."""
        if number:
            return self.connectors[number].status
        if self.error_code != NO_ERROR:
            return "Faulted"
        busy = any(connector.busy for connector in self.connectors.values())
        return "Available" if self.operative or busy else "Unavailable"

    async def until(
        self, condition: Callable[["SimulatedCharger"], object], *, timeout_s: float | None = 5
    ) -> None:
        """Wait for a state; raises TimeoutError. For tests and scripts."""
        async with asyncio.timeout(timeout_s):
            while not condition(self):
                self._changed.clear()
                await self._changed.wait()

    def _state(self, number: int) -> State:
        if number == 0:
            return self.status(0), self.error_code, None
        connector = self.connectors[number]
        return connector.status, connector.error_code, connector.info

    # What a driver or a fitter does

    async def plug_in(self, connector: int, car: SimulatedCar | None = None) -> None:
        """Put the cable into a car, by default one as the charger was told to bring."""
        self.connectors[connector].plug_in(car)

    async def unplug(self, connector: int) -> None:
        """Pull the cable out of the car; ends a running transaction unless the settings say otherwise."""
        self.connectors[connector].unplug()

    async def present_tag(self, connector: int, id_tag: str) -> bool:
        """Hold a tag to the reader, to start or to stop; True if it was accepted."""
        return await self.connectors[connector].present_tag(id_tag)

    async def stop_locally(self, connector: int, reason: str = "Local") -> bool:
        """Stop at the charger without a tag, as with a button; False if nothing runs."""
        return self.connectors[connector].end_if_running(reason)

    async def set_fault(
        self, connector: int, code: str = "GroundFailure", *, ends_transaction: bool = True
    ) -> None:
        """Break a connector, or the charger's controller (0). A transaction that goes on gets no power."""
        self._set_error_code(connector, code)
        if connector and ends_transaction:
            self.connectors[connector].end_if_running("Other")

    async def clear_fault(self, connector: int) -> None:
        """Mend what `set_fault` broke."""
        self._set_error_code(connector, NO_ERROR)

    async def drop_connection(self, *, away_s: float = 0) -> None:
        """Lose the connection, and do not dial again before `away_s` seconds have passed."""
        self.away_until = asyncio.get_running_loop().time() + away_s
        self.uplink.hang_up()

    async def converse(self, connection: Connection) -> bool:
        """Talk over one connection until it ends; True if the other side ever said a word."""
        for connector in self.connectors.values():
            connector.resume()
        return await self.uplink.converse(connection)

    async def close(self) -> None:
        """End all timers and tasks. Facts stay, and the next `converse` goes on from them."""
        for connector in self.connectors.values():
            connector.pause()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _set_error_code(self, number: int, code: str) -> None:
        if number:
            self.connectors[number].set_error_code(code)
        else:
            self.error_code = code
            self.uplink.report(0)

    # What the answers set off

    def set_operative(self, number: int, operative: bool) -> None:
        """Connector 0 speaks for the charger and all its connectors (§5.2)."""
        if number == 0:
            self.operative = operative
        for connector in self.connectors.values():
            if number in (0, connector.number):
                connector.set_operative(operative)

    def change_password(self, hexadecimal: str) -> bool:
        """Set the key for the next connection: at most 40 digits (OCPP-J §6.2.2, errata 3.10)."""
        try:
            key = bytes.fromhex(hexadecimal)
        except ValueError:
            return False
        if not 0 < len(key) <= 20:
            return False
        self.password = key
        return True

    def restart_later(self, reason: str, *, graceful: bool) -> None:
        self._spawn(self._restart(reason, graceful=graceful))

    async def _restart(self, reason: str, *, graceful: bool) -> None:
        """Soft: deliver all, then restart. Hard: restart, then deliver (§5.14, errata 3.36)."""
        if not graceful:
            self.uplink.forget_registration()
        for connector in self.connectors.values():
            connector.restart(reason)
        if graceful:
            await self.uplink.drain()
        self.uplink.forget_registration()
        self.uplink.hang_up()

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def dial(
    charger: SimulatedCharger, url: str, *, redial_s: float = 1.0, redial_most_s: float = 30.0
) -> None:
    """Keep a charger connected to `<url>/ocpp/<identity>` until cancelled.

    After a connection on which the server spoke it redials after about `redial_s`; after one that came to
    nothing the pause doubles up to `redial_most_s`. Pauses are jittered: a fleet shall not come back at once.
    """
    chance, loop = random.Random(charger.identity), asyncio.get_running_loop()
    pause_s = redial_s
    try:
        while True:
            heard = await _dial_once(charger, f"{url.rstrip('/')}/ocpp/{quote(charger.identity, safe='')}")
            pause_s = redial_s if heard else min(pause_s * 2, redial_most_s)
            await asyncio.sleep(max(pause_s * chance.uniform(0.5, 1.5), charger.away_until - loop.time()))
    finally:
        await charger.close()


async def _dial_once(charger: SimulatedCharger, url: str) -> bool:
    """One connection from handshake to end; True if the server said anything on it."""
    try:
        connection = await connect(
            url,
            subprotocols=[SUBPROTOCOL],
            additional_headers=basic_auth(charger),
            ping_interval=charger.settings.seconds("WebSocketPingInterval") or None,
            compression=None,
            close_timeout=1,
            proxy=None,
        )
    except (OSError, WebSocketException) as error:
        log.info("%s: no connection: %s", charger.identity, error)
        return False
    try:
        if connection.subprotocol != SUBPROTOCOL:
            log.warning("%s: the server does not speak %s", charger.identity, SUBPROTOCOL)
            return False
        return await charger.converse(connection)
    finally:
        await connection.close()


def basic_auth(charger: SimulatedCharger) -> dict[str, str]:
    """The header of OCPP-J §6.2.2; the password is bytes, for a charger's key need not be text."""
    if charger.password is None:
        return {}
    credentials = charger.identity.encode() + b":" + charger.password
    return {"Authorization": f"Basic {base64.b64encode(credentials).decode()}"}
