"""The charger's handshake, without a wire: identities, and a database that is away."""

import asyncio
import itertools
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import pytest
from django.db import OperationalError

from chargers.models import Charger
from chargers.quirks import NONE, Quirks
from chargers.security import Admission, Arrival
from gateway import db
from gateway.ocpp import handshake, socket
from gateway.ocpp.rpc import Done, Rpc
from tests.wire import eventually


@pytest.mark.parametrize(
    ("path", "identity"),
    [
        ("/ocpp/CP1", "CP1"),
        ("/ocpp/CP1/", "CP1"),
        ("/ocpp/CP1//", "CP1"),
        ("/ocpp/RDAM%20123", "RDAM 123"),
        ("/ocpp/a%2Fb", "a/b"),
        ("/ocpp/a%2fb%2F", "a/b/"),
        ("/ocpp/a/b", "a/b"),
        ("/ocpp/%2Focpp%2Fx", "/ocpp/x"),
        ("/ocpp/Z%C3%BCrich", "Zürich"),
        ("/ocpp/50%25", "50%"),
        ("/ocpp/%2520", "%20"),  # decoded once
        ("/ocpp/a+b", "a+b"),
        ("/ocpp/" + "x" * 255, "x" * 255),
        ("/ocpp/" + "%C3%BC" * 255, "ü" * 255),
        ("/ocpp/" + "x" * 256, ""),
        ("/ocpp/", ""),
        ("/ocpp/%00", ""),
        ("/ocpp/a%0Ab", ""),
        ("/ocpp/a%7Fb", ""),
        ("/ocpp/%E2%80%AEa", ""),  # turns the writing round
        ("/ocpp/%FF", ""),
        ("/ocpp/%C3", ""),
    ],
)
def test_the_identity_is_the_last_part_of_the_path_decoded_once(path: str, identity: str) -> None:
    """E6"""
    assert handshake._identity({"raw_path": path.encode(), "path": "/not/this"}) == identity


def test_a_server_without_raw_paths_has_decoded_already() -> None:
    assert handshake._identity({"path": "/ocpp/RDAM 123"}) == "RDAM 123"


class Dial:
    """One handshake against the consumer; `sent` is what the server would do."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.events: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.scope = {
            "type": "websocket",
            "asgi": {"spec_version": "2.4"},
            "raw_path": b"/ocpp/CP1",
            "headers": [],
            "subprotocols": ["ocpp1.6"],
            "extensions": {"websocket.http.response": {}},
        }

    async def send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)

    async def run(self) -> None:
        self.events.put_nowait({"type": "websocket.connect"})
        self.events.put_nowait({"type": "websocket.disconnect", "code": 1006})
        async with asyncio.timeout(5):
            await socket.ChargerSocket()(self.scope, self.events.get, self.send)


async def test_a_database_that_is_away_at_the_handshake_is_a_503(monkeypatch: pytest.MonkeyPatch) -> None:
    """The charger backs off and dials again (errata-J 3.3)."""

    async def away(*args: Any, **kwargs: Any) -> None:
        raise OperationalError("away")

    monkeypatch.setattr(handshake, "in_db", away)
    dial = Dial()
    await dial.run()
    assert dial.sent[0]["status"] == 503
    assert socket.present_charger_ids() == []


async def test_a_database_that_goes_away_behind_the_handshake_closes_the_socket(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    arrival = Arrival("CP1", "127.0.0.1")

    async def admit(scope: Any) -> tuple[Admission, Quirks]:
        return Admission(Charger(pk=1, identity="CP1"), arrival, 0), NONE

    async def away(*args: Any, **kwargs: Any) -> Any:
        raise OperationalError("away")

    monkeypatch.setattr(handshake, "admit", admit)
    monkeypatch.setattr(socket, "in_db", away)
    dial = Dial()
    await dial.run()
    assert [message["type"] for message in dial.sent] == ["websocket.accept", "websocket.close"]
    assert dial.sent[1]["code"] == socket.TRY_AGAIN_LATER
    assert socket.present_charger_ids() == []


async def test_a_command_that_is_there_before_the_handshake_is_over_is_run_after_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The database knows the new owner a moment before the owner does."""
    runs: list[tuple[str, int]] = []
    socket_here = socket.ChargerSocket()

    async def admit(scope: Any) -> tuple[Admission, Quirks]:
        return Admission(Charger(pk=1, identity="CP1"), Arrival("CP1", "127.0.0.1"), 0), NONE

    async def enter(service: Any, *args: Any, **kwargs: Any) -> int:
        if service is handshake.enter:
            await socket_here.command_ready({"id": "first"})
            await asyncio.sleep(0.01)
        return 5

    async def run(command_id: str, traceparent: str) -> None:
        runs.append((command_id, socket_here.epoch))

    monkeypatch.setattr(handshake, "admit", admit)
    monkeypatch.setattr(socket, "in_db", enter)
    monkeypatch.setattr(socket_here, "_run", run)
    dial = Dial()
    dial.events.put_nowait({"type": "websocket.connect"})
    living = asyncio.create_task(socket_here(dial.scope, dial.events.get, dial.send))
    await eventually(lambda: runs)
    await socket_here.command_ready({"id": "second"})
    await eventually(lambda: len(runs) == 2)
    dial.events.put_nowait({"type": "websocket.disconnect", "code": 1000})
    await living
    assert runs == [("first", 5), ("second", 5)]


async def test_a_socket_that_lost_its_charger_hears_nothing_more() -> None:
    """E2: frames that were on their way when a newer socket took over"""
    heard: list[str] = []

    class Deaf:
        is_busy = False

        def take(self, text: str) -> bool:
            heard.append(text)
            return True

        async def receive(self, text: str) -> None:
            heard.append(text)

        def close(self) -> None:
            heard.append("closed")

    old = socket.ChargerSocket()
    old.rpc = Deaf()  # type: ignore[assignment]
    old._line = Line()  # type: ignore[assignment]
    old.base_send, old.scope = _nowhere, {}
    old.is_open, old.is_handling = True, False
    socket._present.add(old)
    await old.receive("before", None)
    assert old._take("before, too")
    await old.socket_superseded({})
    assert not old._take("after")
    await old.receive("after", None)
    await old.receive(None, b"after")
    assert heard == ["before", "before, too", "closed"]


class Line:
    """What a socket sees of its line."""

    def __init__(self) -> None:
        self.is_writable = True
        self.sent: list[str] = []

    def takes_more(self) -> bool:
        return self.is_writable

    def try_send(self, text: str) -> bool:
        if self.is_writable:
            self.sent.append(text)
        return self.is_writable


async def _nowhere(message: dict[str, Any]) -> None: ...


@pytest.fixture
def present() -> Iterator[socket.ChargerSocket]:
    """A socket with a line, that takes heartbeats at once."""

    def at_once(action: str, payload: str, done: Done) -> bool:
        done({"currentTime": "now"})
        return True

    here = socket.ChargerSocket()
    here.charger_id, here.epoch, here._line = 7, 1, Line()  # type: ignore[assignment]
    here.base_send, here.scope = _nowhere, {}
    here.rpc = Rpc(version="ocpp1.6", send=here.send_text, send_now=here._answer_now)
    here.rpc.at_once = at_once
    here.is_open, here.is_handling = True, False
    socket._present.add(here)
    yield here
    socket._present.discard(here)


def stored_later(here: socket.ChargerSocket) -> list[Done]:
    """What it says is taken, and waits for its commit: each of these tells it of one."""
    waiting: list[Done] = []

    def at_once(action: str, payload: str, done: Done) -> bool:
        waiting.append(done)
        return True

    here.rpc.at_once = at_once
    return waiting


def test_a_frame_is_taken_where_nothing_is_in_its_way(
    present: socket.ChargerSocket, monkeypatch: pytest.MonkeyPatch
) -> None:
    line: Any = present._line
    numbers = itertools.count()

    def is_taken() -> bool:
        return present._take(f'[2,"{next(numbers)}","Heartbeat",{{}}]')

    assert is_taken() and line.sent == ['[3,"0",{"currentTime":"now"}]']
    present.is_handling = True  # another frame of the charger's
    assert not is_taken()
    present.is_handling = False
    line.is_writable = False  # it does not read our answers: then it is not read either
    assert not is_taken()
    line.is_writable = True
    monkeypatch.setattr(socket, "standstills", lambda: present.standstills + 1)  # whose it is has to be asked
    assert not is_taken()
    monkeypatch.undo()
    present.is_open = False
    assert not is_taken()
    assert len(line.sent) == 1


async def test_an_answer_that_cannot_be_sent_at_once_is_sent_when_it_can(
    present: socket.ChargerSocket, monkeypatch: pytest.MonkeyPatch
) -> None:
    line: Any = present._line
    said: list[str] = []

    async def say(message: dict[str, Any]) -> None:
        said.append(message["text"])

    def is_lost(text: str) -> bool:
        raise RuntimeError("the line is closed")

    present.base_send = say
    line.is_writable = False
    present._answer_now("later")
    await asyncio.gather(*present.tasks)
    assert (line.sent, said) == ([], ["later"])
    monkeypatch.setattr(line, "try_send", is_lost)
    present._answer_now("never")
    assert not present.is_open
    present._answer_now("never")
    assert not present.tasks and said == ["later"]


async def test_a_socket_that_ends_waits_for_what_is_being_stored(
    present: socket.ChargerSocket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the charger said last it said while it was here."""
    happened: list[str] = []

    async def release(*args: Any, **kwargs: Any) -> None:
        happened.append("released")

    monkeypatch.setattr(present, "_release", release)
    waiting = stored_later(present)
    assert present._take('[2,"1","MeterValues",{}]') and present.is_at_work()
    present.is_open = False
    ending = asyncio.create_task(present.disconnect(1006))
    await asyncio.sleep(0.01)
    happened.append("stored")
    waiting[0](None)
    await ending
    assert happened == ["stored", "released"] and not present.is_at_work()
    assert present._line.sent == []  # type: ignore[union-attr]


async def test_who_calls_back_is_about_another_charger_and_the_answer_is_not(
    present: socket.ChargerSocket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """E2: after a standstill it is asked whose this charger is, within no other's guard"""
    asked: list[Any] = []

    async def asks(service: Any, **named: Any) -> bool:
        asked.append((db.guard.get(), named["charger_id"]))
        return True

    monkeypatch.setattr(socket, "in_db", asks)
    waiting = stored_later(present)
    assert present._take('[2,"1","MeterValues",{}]')
    still_since = present.standstills
    monkeypatch.setattr(socket, "standstills", lambda: still_since + 1)
    db.guard.set(nullcontext)  # this task is another charger's
    waiting[0](None)
    assert present._line.sent == []  # type: ignore[union-attr]  # not before it is known
    await asyncio.gather(*present.tasks)
    assert asked == [(None, 7)]


@pytest.mark.parametrize("happens", ["superseded", "standstill"])
async def test_a_frame_behind_one_that_is_stored_is_fenced_when_its_turn_comes(
    present: socket.ChargerSocket, monkeypatch: pytest.MonkeyPatch, happens: str
) -> None:
    """E2"""
    heard: list[str] = []

    async def hear(text: str) -> None:
        heard.append(text)

    async def not_ours(*args: Any, **kwargs: Any) -> bool:
        return False

    waiting = stored_later(present)
    assert present._take('[2,"1","MeterValues",{}]')
    monkeypatch.setattr(present.rpc, "receive", hear)
    behind = asyncio.create_task(present.receive('[2,"2","MeterValues",{}]', None))
    await asyncio.sleep(0.01)
    if happens == "superseded":
        await present.socket_superseded({})
    else:
        still_since = present.standstills
        monkeypatch.setattr(socket, "standstills", lambda: still_since + 1)
        monkeypatch.setattr(socket, "in_db", not_ours)
    waiting[0](None)
    await behind
    assert heard == []
