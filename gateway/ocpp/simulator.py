"""A simulated OCPP 1.6J charger, and the loop that keeps it connected to a central system.

The `simulated_*` files beside it are its parts; none of them imports anything else of evcharge, or Django.
"""

import asyncio
import itertools
import random
import time
from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from gateway.ocpp.simulated_answers import answer_call
from gateway.ocpp.simulated_books import Books
from gateway.ocpp.simulated_car import SimulatedCar
from gateway.ocpp.simulated_certificates import Certificates
from gateway.ocpp.simulated_connector import Connector
from gateway.ocpp.simulated_dial import dial
from gateway.ocpp.simulated_equipment import Equipment
from gateway.ocpp.simulated_faults import Faults
from gateway.ocpp.simulated_firmware import Maintenance
from gateway.ocpp.simulated_happenings import FaultyConnection
from gateway.ocpp.simulated_line import Connection, Direction
from gateway.ocpp.simulated_outlet import NO_ERROR
from gateway.ocpp.simulated_profiles import Profiles
from gateway.ocpp.simulated_settings import Settings
from gateway.ocpp.simulated_tags import Tags
from gateway.ocpp.simulated_uplink import State, Uplink

__all__ = ["OnFrame", "SimulatedCharger", "dial", "unwatched"]

OnFrame = Callable[[str, Direction, str], None]

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
        maintenance_step_s: float = 2,
        faults: Faults | None = None,
        books: Books | None = None,
        on_frame: OnFrame = unwatched,
    ) -> None:
        self.identity = identity
        self.password = password.encode() if isinstance(password, str) else password
        self.operative = True
        self.error_code = NO_ERROR
        self.faults = faults or Faults(identity)
        self._faulty: FaultyConnection | None = None
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
        self.about = {
            "chargePointVendor": vendor,
            "chargePointModel": model,
            "chargePointSerialNumber": serial_number or f"SIM-{identity}"[:25],
            "firmwareVersion": firmware_version,
        }
        self.uplink: Uplink = Uplink(
            about=self.about,
            settings=self.settings,
            state=self._state,
            numbers=range(connectors + 1),
            answer=partial(answer_call, self),
            on_frame=partial(on_frame, identity),
            on_change=self._changed.set,
            call_timeout_s=call_timeout_s,
            boot_retry_s=boot_retry_s,
            boot_on_reconnect=boot_on_reconnect or self.faults.has("boots_always"),
            clock_skew_s=clock_skew_s,
            faults=self.faults,
        )
        self.tags = Tags(self.settings, self.uplink)
        self.profiles = Profiles()
        self.certificates = Certificates()
        self.maintenance = Maintenance(self, step_s=maintenance_step_s)
        self.max_power_w = max_power_w
        self.phases = 1 if max_power_w <= SINGLE_PHASE_MOST_W else 3
        car_seeds = (f"{seed}:{identity}:{count}" for count in itertools.count(1))
        equipment = Equipment(
            self.settings,
            self.uplink,
            self.tags,
            self.profiles,
            self.faults,
            Books() if books is None else books,
            identity,
            new_car=lambda: SimulatedCar(
                max_power_w=max_power_w, battery_wh=battery_wh, soc_percent=soc_percent, seed=next(car_seeds)
            ),
            spawn=self.spawn,
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
                phases=self.phases,
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
        self._faulty = FaultyConnection(connection, self.faults)
        return await self.uplink.converse(self._faulty)

    @property
    def leaves_socket_open(self) -> bool:
        """Whether the connection that ended is to stay open towards the other side, for a while."""
        return self._faulty is not None and self._faulty.left_open

    async def close(self) -> None:
        """End all timers and tasks. Facts stay, and the next `converse` goes on from them."""
        for connector in self.connectors.values():
            connector.pause()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # What befalls it

    async def lose_power(self, outcome: str, *, away_s: float) -> None:
        """`reboot`: transactions go on after it; `power_loss`: it ended them; `forgotten`: and nobody will say so."""
        now = self.uplink.timestamp()
        for connector in self.connectors.values():
            connector.break_promise()
            if outcome == "power_loss":
                connector.end_if_running("PowerLoss")
            elif outcome == "forgotten":
                connector.forget(now)
        self.uplink.forget_registration()
        await self.drop_connection(away_s=away_s)

    def fall_silent(self, silent_s: float) -> None:
        """Half-open: nothing is read or written, nothing is closed; after that a new socket."""
        if self._faulty is None or not self.online:
            return
        self._faulty.fall_silent()
        asyncio.get_running_loop().call_later(silent_s, self._hang_up_if, self._faulty)

    def _hang_up_if(self, faulty: FaultyConnection) -> None:
        if self._faulty is faulty:
            self.uplink.hang_up()

    def leave_socket_open(self) -> None:
        """Dial anew while the old socket is open and alive; it is closed late."""
        if self._faulty is not None and self.online:
            self._faulty.left_open = True
            self.uplink.hang_up()

    def set_clock(self, skew_s: float) -> None:
        """The charger's clock is so far from the true one from now on."""
        self.uplink.clock_skew = timedelta(seconds=skew_s)

    def jump_register(self, by_wh: int) -> None:
        for connector in self.connectors.values():
            connector.jump_register(by_wh)

    def recover(self) -> None:
        """Nothing goes wrong any more; the clock is right, no car is plugged in, nothing is kept back."""
        self.faults.off()
        self.set_clock(0)
        self.away_until = 0.0
        for connector in self.connectors.values():
            connector.break_promise()
            connector.unplug()
        self.uplink.hold_nothing_back()

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
        self.spawn(self.restart(reason, graceful=graceful))

    async def restart(self, reason: str, *, graceful: bool) -> None:
        """Soft: deliver all, then restart. Hard: restart, then deliver (§5.14, errata 3.36)."""
        if not graceful:
            self.uplink.forget_registration()
        for connector in self.connectors.values():
            connector.restart(reason)
        if graceful:
            await self.uplink.drain()
        self.uplink.forget_registration()
        self.uplink.hang_up()

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    # Smart charging

    def allowed_w(self, number: int, at: datetime) -> float:
        """What a connector, or as 0 all of them together, may draw at a time."""
        if number == 0:
            limit_w = self.profiles.limit_w(0, None, self.phases, at)
            return self.max_power_w * len(self.connectors) if limit_w is None else limit_w
        limit_w = self.profiles.limit_w(number, self.connectors[number].transaction, self.phases, at)
        return self.max_power_w if limit_w is None else min(limit_w, self.max_power_w)

    def count_energy(self) -> None:
        """Before limits change: what flowed so far flowed under the old ones."""
        for connector in self.connectors.values():
            connector.accrue()

    def obey_profiles(self) -> None:
        for connector in self.connectors.values():
            connector.update()

    # Security

    def ask_for_certificate(self) -> None:
        """SignCertificate with a request for a key made just now."""
        organization = self.settings["CpoName"] or self.about["chargePointVendor"]
        self.uplink.post("SignCertificate", {"csr": self.certificates.request(self.identity, organization)})

    def report_security_event(self, kind: str) -> None:
        payload = {"type": kind, "timestamp": self.uplink.timestamp()}
        self.uplink.post("SecurityEventNotification", payload)
