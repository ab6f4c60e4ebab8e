"""The same application under Channels' own server, for those who have it in place: it works, with less comfort.

Daphne has no lifespan, knows no close reasons, and closes with no codes but 1000 and 3000–4999: 1008 is 4008 there.
"""

from collections.abc import Callable, Iterator

import pytest
from django.contrib.auth.models import User
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from gateway.auth import tokens_for
from gateway.server import listening_socket
from sessions.models import ChargingSession
from tests import wire
from tests.charge import at, begin, scene
from tests.conftest import Site
from tests.factories import make_charger, make_user, token_of
from tests.server_process import ServerProcess

pytestmark = pytest.mark.embedded_only  # about the server program only


def free_port() -> int:
    with listening_socket("127.0.0.1", 0) as probe:
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def daphne(committed: None) -> Iterator[ServerProcess]:
    port = free_port()
    command = ("-m", "daphne", "-b", "127.0.0.1", "-p", str(port), "evcharge.asgi:application")
    server = ServerProcess(*command, port=port)
    yield server
    server.stop()


async def a_whole_charge(server: ServerProcess) -> None:
    async with scene(Site(server, server)) as s:
        charge = await begin(s, meter=1000)
        await s.point.meter(transaction=charge.transaction_id, at=at(), energy=2000)
        assert (await s.app.until(event="meter_value"))["data"]["energy_delivered"] == 1.0
        await s.app.send({"action": "stop_charging", "request_id": 1})
        await s.point.accepts("RemoteStopTransaction")
        assert (await s.app.until(request_id=1))["data"]["success"] is True
        await s.point.stop(transaction=charge.transaction_id, meter=3000, at=at(), reason="Remote")
        assert (await s.app.until(event="session_completed"))["data"]["energy_delivered"] == 2.0
    assert ChargingSession.objects.get(pk=charge.session_id).status == "completed"


async def test_a_charge_from_start_to_stop(daphne: ServerProcess) -> None:
    await a_whole_charge(daphne)
    assert "Traceback" not in daphne.log


async def test_refusals_close_with_a_code_of_their_own(daphne: ServerProcess) -> None:
    user = make_user()
    for token in (None, "nonsense", token_of(user, life_s=-1), tokens_for(user)[1]):
        async with wire.app(daphne.ws, token) as app:
            assert await app.closed() == (4008, "")
            assert app.passed == []
    assert "Traceback" not in daphne.log
    assert "eyJ" not in daphne.log


async def test_a_token_that_expires_and_a_disabled_user_are_sent_away(daphne: ServerProcess) -> None:
    """The background work began with the first connection, since there is no lifespan."""
    disabled = make_user()
    async with (
        wire.app(daphne.ws, token_of(make_user(), life_s=3)) as expiring,
        wire.app(daphne.ws, token_of(disabled)) as app,
    ):
        await app.until(type="active_session_update")
        User.objects.filter(pk=disabled.pk).update(is_active=False)
        assert await app.closed(6) == (4008, "")
        assert await expiring.closed(6) == (4008, "")
    assert "Traceback" not in daphne.log


async def test_unreadable_messages_are_answered(daphne: ServerProcess) -> None:
    async with wire.app(daphne.ws, token_of(make_user())) as app:
        await app.until(type="active_session_update")
        for message in ("no JSON", b"\x00", "[1]", '{"action":1}', "x" * 70_000):
            await app.send(message)
            assert (await app.receive())["type"] == "error"
        assert (await app.act("ping"))["success"] is True


async def test_a_newer_socket_of_a_charger_takes_over(daphne: ServerProcess) -> None:
    charger = make_charger()
    async with wire.charger(daphne.ws, charger.identity) as old:
        await old.ready()
        async with wire.charger(daphne.ws, charger.identity) as new:
            await new.call("Heartbeat")
            assert (await old.closed())[0] == 1000
    assert "Traceback" not in daphne.log


async def test_what_is_not_there_is_refused_in_the_handshake(daphne: ServerProcess) -> None:
    """As 403, the only refusal Daphne has."""
    for path in ("/nowhere", "/ocpp/NOBODY"):
        with pytest.raises(InvalidStatus) as error:
            async with connect(daphne.ws + path, subprotocols=["ocpp1.6"], proxy=None):  # type: ignore[list-item]
                pass
        assert error.value.response.status_code == 403
    assert "Traceback" not in daphne.log


def test_pages_and_api_are_served(daphne: ServerProcess) -> None:
    assert daphne.get("/health")[0] == 200
    assert daphne.get("/")[0] == 200
    assert daphne.get("/api/charging/chargers")[0] == 401


async def test_runserver_serves_sockets_too(start_server: Callable[..., ServerProcess]) -> None:
    port = free_port()
    command = ("manage.py", "runserver", "--noreload", f"127.0.0.1:{port}")
    server = start_server(*command, port=port)
    await a_whole_charge(server)
    assert server.get("/admin/login/")[0] == 200
    assert "Daphne" in server.log
    assert "Traceback" not in server.log
