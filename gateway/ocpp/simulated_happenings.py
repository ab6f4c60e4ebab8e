"""Lets things go wrong: a connection that spoils messages, and what befalls a charger as time goes by."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import orjson

from gateway.ocpp.simulated_faults import HAPPENINGS, Faults
from gateway.ocpp.simulated_line import CALL, CALLERROR, CALLRESULT, GONE, Connection, decoded
from gateway.ocpp.simulated_quirks import with_habits

if TYPE_CHECKING:
    from gateway.ocpp.simulator import SimulatedCharger

LOOK_S = 1.0
"""How often it is asked whether something happens: rates are per second."""

GARBAGE = (
    "",
    "{",
    "null",
    "[]",
    '[2,"only"]',
    '[9,"x",{}]',
    '[3,"an answer to nothing",{}]',
    '[4,"an error of nothing","InternalError","",{}]',
    '[2,"list","Heartbeat",[]]',
    '[2,"coffee","MakeCoffee",{}]',
    '[2,7,"Heartbeat",{}]',
    "[" * 2_000,
    '[2,"\u0000","Heartbeat",{"\u0000":"\u0000"}]',
    '[2,"fields","StatusNotification",{"connectorId":"none"}]',
)
SLOW_S = [0.5, 1.5, 3.0]
AWAY_S = [1.0, 3.0, 8.0]
CLOCKS_S = [-7_200.0, -40.0, 0.0, 0.0, 20.0, 7_200.0, -1_700_000_000.0]
"""Two hours, some seconds, right, and a clock that was never set."""
JUMPS_WH = [5_000_000.0, 90_000_000.0, -60_000.0, -800_000.0]
"""Further than any car charges in a run: a smaller fall may hide behind what flows after it."""


class FaultyConnection:
    """A connection on which messages are lost, doubled, late, spoilt; `dead` is half-open: nothing goes either way."""

    def __init__(self, connection: Connection, faults: Faults) -> None:
        self._connection = connection
        self._faults = faults
        self._asked: dict[str, str] = {}
        self._slow: set[asyncio.Task[None]] = set()
        self.dead = False
        self.left_open = False
        """Whether the socket is to stay open when the conversation has moved to another."""

    def fall_silent(self) -> None:
        """Half-open from now on; a network connection does not even answer pings."""
        self.dead = self.left_open = True
        if transport := getattr(self._connection, "transport", None):
            transport.pause_reading()

    async def send(self, text: str) -> None:
        if self.dead:
            return
        frame = decoded(text)
        if frame[0] == CALL:
            await self._send_call(frame)
        else:
            await self._send_answer(frame)

    async def recv(self) -> str | bytes:
        while True:
            text = await self._connection.recv()
            frame = decoded(text if isinstance(text, str) else text.decode(errors="replace"))
            match frame:
                case [2, _, str(action), *_]:
                    lost = self._faults.strikes("lost_request", action)
                case [3 | 4, str(message_id), *_]:
                    lost = self._faults.strikes("lost_answer", self._asked.pop(message_id, ""))
                case _:
                    lost = False
            if not lost and not self.dead:
                return text

    async def _send_call(self, frame: list[Any]) -> None:
        faults, action = self._faults, frame[2]
        frame = [*frame[:3], with_habits(faults, action, frame[3])]
        if faults.strikes("garbage", action):
            await self._connection.send(GARBAGE[int(faults.choose("garbage", [*range(len(GARBAGE))]))])
        if faults.strikes("lost_message", action):
            return
        self._asked[frame[1]] = action
        await self._write(frame)
        if faults.strikes("duplicate", action):
            await self._write(frame)
        if faults.strikes("duplicate_new_id", action):
            await self._write([CALL, f"{frame[1]}-again", *frame[2:]])

    async def _send_answer(self, frame: list[Any]) -> None:
        faults = self._faults
        if faults.strikes("lost_reply"):
            return
        if frame[0] == CALLRESULT and faults.strikes("call_error"):
            frame = [CALLERROR, frame[1], "InternalError", "", {}]
        if faults.strikes("slow_reply"):
            task = asyncio.ensure_future(self._write_later(frame, faults.choose("slow_reply", SLOW_S)))
            self._slow.add(task)
            task.add_done_callback(self._slow.discard)
        else:
            await self._write(frame)

    async def _write_later(self, frame: list[Any], delay_s: float) -> None:
        await asyncio.sleep(delay_s)
        with contextlib.suppress(*GONE):
            await self._write(frame)

    async def _write(self, frame: list[Any]) -> None:
        if not self.dead:
            await self._connection.send(orjson.dumps(frame).decode())


async def misfortunes(charger: SimulatedCharger) -> None:
    """Let things happen to a charger, until cancelled."""
    loop, faults = asyncio.get_running_loop(), charger.faults
    started = loop.time()
    while True:
        await asyncio.sleep(LOOK_S)
        for event in faults.due(loop.time() - started):
            await happen(charger, event.fault, float(event.argument) if event.argument else None)
        for name in HAPPENINGS:
            if faults.strikes(name):
                await happen(charger, name)


async def happen(charger: SimulatedCharger, name: str, argument: float | None = None) -> None:
    """One happening; the argument is its seconds (Wh for register_jump), or else one is chosen."""
    choose = charger.faults.choose
    away_s = AWAY_S if argument is None else [argument]
    match name:
        case "reboot" | "power_loss" | "forgotten":
            await charger.lose_power(name, away_s=choose(name, away_s))
        case "offline":
            await charger.drop_connection(away_s=choose(name, away_s))
        case "half_open":
            charger.fall_silent(choose(name, away_s))
        case "second_socket":
            charger.leave_socket_open()
        case "clock_jump":
            charger.set_clock(choose(name, CLOCKS_S if argument is None else [argument]))
        case "register_jump":
            charger.jump_register(int(choose(name, JUMPS_WH if argument is None else [argument])))
