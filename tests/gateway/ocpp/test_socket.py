"""The charger's handshake, without a wire: identities, and a database that is away."""

import asyncio
from typing import Any

import pytest
from django.db import OperationalError

from chargers.models import Charger
from chargers.quirks import NONE, Quirks
from chargers.security import Admission, Arrival
from gateway.ocpp import handshake, socket


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


async def test_a_socket_that_lost_its_charger_hears_nothing_more() -> None:
    """E2: frames that were on their way when a newer socket took over"""
    heard: list[str] = []

    class Deaf:
        async def receive(self, text: str) -> None:
            heard.append(text)

        def close(self) -> None:
            heard.append("closed")

    old = socket.ChargerSocket()
    old.rpc = Deaf()  # type: ignore[assignment]
    socket._present.add(old)
    await old.receive("before", None)
    await old.socket_superseded({})
    await old.receive("after", None)
    await old.receive(None, b"after")
    assert heard == ["before", "closed"]
