"""A central system in a few lines, for tests of the simulated charger: it answers by a table and checks every frame."""

import asyncio
import contextlib
import itertools
import json
from collections.abc import AsyncIterator, Callable
from functools import cache
from importlib.resources import files
from typing import Any

import jsonschema_rs

from gateway.ocpp.simulator import SimulatedCharger

Payload = dict[str, Any]
CallError = tuple[str, str]
Reply = Payload | CallError | None
"""A result, the code and description of a CALLERROR, or None for silence."""

NOW = "2030-01-01T00:00:00Z"

# OCPP 1.6 §4.9 with errata 3.20 (B6); B8 is not in that table, but what else can a waiting car's connector become?
MOVES = {
    "Available": "Preparing Charging SuspendedEV SuspendedEVSE Reserved Unavailable Faulted",
    "Preparing": "Available Charging SuspendedEV SuspendedEVSE Finishing Unavailable Faulted",
    "Charging": "Available SuspendedEV SuspendedEVSE Finishing Unavailable Faulted",
    "SuspendedEV": "Available Charging SuspendedEVSE Finishing Unavailable Faulted",
    "SuspendedEVSE": "Available Charging SuspendedEV Finishing Unavailable Faulted",
    "Finishing": "Available Preparing Unavailable Faulted",
    "Reserved": "Available Preparing Unavailable Faulted",
    "Unavailable": "Available Preparing Charging SuspendedEV SuspendedEVSE Faulted",
    "Faulted": "Available Preparing Charging SuspendedEV SuspendedEVSE Finishing Reserved Unavailable",
}


@cache
def schema(name: str) -> jsonschema_rs.Validator:
    text = (files("ocpp") / "v16" / "schemas" / f"{name}.json").read_text(encoding="utf-8-sig")
    return jsonschema_rs.validator_for(json.loads(text), validate_formats=True)


class Pipe:
    """The charger's end of an in-memory connection."""

    def __init__(self, take: Callable[[str], None]) -> None:
        self._take = take
        self._inbox: asyncio.Queue[str | None] = asyncio.Queue()
        self.cut = False

    async def send(self, text: str) -> None:
        if self.cut:
            raise ConnectionResetError
        self._take(text)

    async def recv(self) -> str:
        text = await self._inbox.get()
        if text is None:
            raise EOFError
        return text

    def deliver(self, text: str | None) -> None:
        self._inbox.put_nowait(text)
        self.cut = text is None


class ScriptedCentral:
    """Answers CALLs from `replies` (a payload, or a function of the request), and keeps what it heard.

    Every frame of the charger is checked against the official schemas, every status against the legal moves.
    """

    def __init__(self) -> None:
        transaction_ids = itertools.count(1)
        self.replies: dict[str, Reply | Callable[[Payload], Reply]] = {
            "BootNotification": {"status": "Accepted", "currentTime": NOW, "interval": 300},
            "Heartbeat": {"currentTime": NOW},
            "Authorize": {"idTagInfo": {"status": "Accepted"}},
            "StartTransaction": lambda request: {
                "transactionId": next(transaction_ids),
                "idTagInfo": {"status": "Accepted"},
            },
        }
        self.heard: list[tuple[str, Payload]] = []
        self.open_calls: list[str] = []
        self.most_open_calls = 0
        self.pipe: Pipe | None = None
        self._unread = 0
        self._news = asyncio.Event()
        self._asked: dict[str, tuple[str, asyncio.Future[Any]]] = {}
        self._message_ids = itertools.count(1)
        self._statuses: dict[int, str] = {}
        self._transmit: Callable[[str], None] = lambda text: None

    # The wire

    def connect(self) -> Pipe:
        self.pipe = Pipe(self.take)
        self.attach(self.pipe.deliver)
        return self.pipe

    def attach(self, transmit: Callable[[str], None]) -> None:
        self._transmit = transmit
        self._statuses.clear()
        self.open_calls.clear()

    def cut(self) -> None:
        assert self.pipe is not None
        self.pipe.deliver(None)

    def take(self, text: str) -> None:
        """One frame of the charger."""
        assert ", " not in text.split('"', 1)[0], "compact JSON"
        frame = json.loads(text)
        if frame[0] == 2:
            self._take_call(*frame[1:])
        else:
            self._take_answer(frame)

    def _take_call(self, message_id: str, action: str, payload: Payload) -> None:
        schema(action).validate(payload)
        if action == "StatusNotification":
            self._check_move(payload["connectorId"], payload["status"])
        self.open_calls.append(message_id)
        self.most_open_calls = max(self.most_open_calls, len(self.open_calls))
        self.heard.append((action, payload))
        self._news.set()
        reply = self.replies.get(action, {})
        self.reply(message_id, reply(payload) if callable(reply) else reply)

    def _take_answer(self, frame: list[Any]) -> None:
        action, answer = self._asked.pop(frame[1])
        if frame[0] == 3:
            schema(f"{action}Response").validate(frame[2])
            answer.set_result(frame[2])
        else:
            assert len(frame) == 5
            answer.set_result(frame[2])

    def _check_move(self, number: int, status: str) -> None:
        before = self._statuses.get(number)
        self._statuses[number] = status
        if before is not None and before != status:
            assert status in MOVES[before].split(), f"connector {number} from {before} to {status}"

    # What a test does

    def reply(self, message_id: str, reply: Reply) -> None:
        if reply is None:
            return
        self.open_calls.remove(message_id)
        self.send([3, message_id, reply] if isinstance(reply, dict) else [4, message_id, *reply, {}])

    def send(self, frame: list[Any]) -> None:
        self._transmit(json.dumps(frame))

    async def ask(self, action: str, payload: Payload | None = None) -> Any:
        """CALL the charger; returns the payload of its result, or the code of its CALLERROR."""
        message_id = f"central-{next(self._message_ids)}"
        return await self.ask_frame([2, message_id, action, {} if payload is None else payload], action)

    async def ask_frame(self, frame: list[Any], action: str) -> Any:
        """Like `ask`, for a CALL that need not be well-formed."""
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._asked[frame[1]] = action, answer
        self.send(frame)
        return await asyncio.wait_for(answer, 2)

    async def next(self, *actions: str, timeout_s: float = 2) -> Payload:
        """The payload of the next CALL of one of these actions; what came before it is skipped."""
        async with asyncio.timeout(timeout_s):
            while True:
                while self._unread < len(self.heard):
                    action, payload = self.heard[self._unread]
                    self._unread += 1
                    if action in actions:
                        return payload
                self._news.clear()
                await self._news.wait()

    async def next_status(self, number: int, status: str, *, timeout_s: float = 2) -> Payload:
        """The next StatusNotification of a connector, which has to be this one."""
        async with asyncio.timeout(timeout_s):
            while (payload := await self.next("StatusNotification"))["connectorId"] != number:
                pass
        assert payload["status"] == status
        return payload

    def skip(self) -> None:
        """Forget what was heard so far."""
        self._unread = len(self.heard)

    def unread(self, *actions: str) -> list[Payload]:
        """What was heard since the last `next` or `skip`."""
        return [payload for action, payload in self.heard[self._unread :] if action in actions]


@contextlib.asynccontextmanager
async def conversation(
    charger: SimulatedCharger, central: ScriptedCentral
) -> AsyncIterator[asyncio.Task[bool]]:
    """One connection between the two; yields the charger's side of it, and cuts it at the end."""
    talk = asyncio.create_task(charger.converse(central.connect()))
    try:
        yield talk
    finally:
        central.cut()
        await asyncio.wait_for(talk, 2)


def sampled(meter_value: Payload) -> dict[str, str]:
    """Measurand (with phase) to value."""
    return {each["measurand"] + each.get("phase", ""): each["value"] for each in meter_value["sampledValue"]}
