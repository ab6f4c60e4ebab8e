"""A server that is asked to leave: nobody is cut off in mid-sentence, and nothing that was said is lost."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from django.db import transaction
from websockets.exceptions import InvalidStatus

from chargers.models import Charger, Command
from sessions.models import ChargingSession, MeterReading
from tests import wire
from tests.charge import at, begin, scene
from tests.conftest import Site
from tests.factories import make_charger, make_user, token_of
from tests.server_process import ServerProcess
from tests.wire import eventually

RESTART = (1012, "Service restart")
Start = Callable[..., ServerProcess]


def ask_to_leave(server: ServerProcess) -> None:
    server.process.send_signal(signal.SIGTERM)


async def left(server: ServerProcess) -> int:
    return await asyncio.to_thread(server.process.wait, 30)


async def refused(dial: Any) -> bool:
    """Whether it is told to dial again later."""
    with pytest.raises(InvalidStatus) as refusal:
        async with dial:
            pass
    response = refusal.value.response
    return response.status_code == 503 and "Retry-After" in response.headers


@asynccontextmanager
async def held_up(charger: Charger) -> AsyncIterator[None]:
    """What the charger says is heard, but cannot be written yet."""
    with transaction.atomic():
        Charger.objects.select_for_update().get(pk=charger.pk)
        yield


async def test_what_is_under_way_is_answered_and_committed_before_the_sockets_close(
    start_server: Start,
) -> None:
    server = start_server(DRAIN_S=20)
    site = Site(server, server)
    async with scene(site) as s, scene(site) as other:
        charge = await begin(other)
        await s.app.send({"action": "start_charging", "data": {"charger_id": s.identity}, "request_id": "go"})
        message_id, _ = await s.point.asked("RemoteStartTransaction")
        stop = {"transactionId": charge.transaction_id, "meterStop": 9000, "timestamp": at()}
        async with held_up(other.charger):
            stopping = asyncio.create_task(other.point.request("StopTransaction", stop))
            await asyncio.sleep(0.2)  # so that it is being handled
            ask_to_leave(server)
            assert await other.app.closed() == RESTART  # it has nothing under way
            assert await refused(wire.charger(server.ws, s.identity))
            assert await refused(wire.app(server.ws, token_of(s.user)))
            assert not stopping.done()
        assert (await stopping)[0] == 3
        assert await other.point.closed() == RESTART
        await s.point.answer(message_id, {"status": "Accepted"})
        assert (await s.app.until(request_id="go"))["data"]["success"] is True
        assert await s.app.closed() == RESTART
        assert await s.point.closed() == RESTART
    assert await left(server) == 0
    ended = ChargingSession.objects.get(pk=charge.session_id)
    assert (ended.status, ended.meter_stop_wh) == ("completed", 9000)
    assert Command.objects.get(pk=message_id).status == "accepted"
    assert not Charger.objects.filter(pk__in=[s.charger.pk, other.charger.pk]).exclude(channel_name="")
    assert " ERROR " not in server.log, server.log


async def test_meter_values_that_are_acknowledged_last_are_there(start_server: Start) -> None:
    """And their frames, in the wire log."""
    server = start_server()
    site = Site(server, server)
    async with scene(site) as s:
        charge = await begin(s)
        acknowledged = 0
        ask_to_leave(server)
        try:
            while True:
                await s.point.meter(
                    transaction=charge.transaction_id, at=at(acknowledged), energy=2000 + acknowledged
                )
                acknowledged += 1
        except (ConnectionError, wire.ConnectionClosed):
            pass
        assert await s.point.closed() == RESTART
    assert await left(server) == 0
    assert acknowledged <= MeterReading.objects.filter(session_id=charge.session_id).count()
    assert s.charger.calls.filter(action="MeterValues").count() >= acknowledged


async def test_until_the_load_balancer_has_noticed_sockets_still_come_in(start_server: Start) -> None:
    server = start_server(DRAIN_NOTICE_S=3)
    async with wire.app(server.ws, token_of(make_user())) as app:
        await app.until(type="connected")
        ask_to_leave(server)
        await eventually(lambda: server.get("/health/ready")[0] == 503)
        assert server.get("/health/live")[0] == 200
        async with wire.charger(server.ws, make_charger().identity) as point:
            await point.call("Heartbeat")
            assert await point.closed() == RESTART
    assert await left(server) == 0


async def test_without_sockets_it_leaves_at_once(start_server: Start) -> None:
    server = start_server(DRAIN_NOTICE_S=60, DRAIN_S=60)
    ask_to_leave(server)
    assert await left(server) == 0  # well before those


async def test_a_second_signal_hurries_it(start_server: Start) -> None:
    """What nobody has answered by then has an end all the same."""
    server = start_server(DRAIN_NOTICE_S=40, DRAIN_S=40, COMMAND_TIMEOUT_S=60)
    site = Site(server, server)
    async with scene(site) as s:
        await s.app.send({"action": "start_charging", "data": {"charger_id": s.identity}})
        message_id, _ = await s.point.asked("RemoteStartTransaction")
        ask_to_leave(server)
        await asyncio.sleep(0.3)
        ask_to_leave(server)
        assert await s.app.closed() == RESTART
        assert await s.point.closed() == RESTART
        assert await left(server) == 0
    assert Command.objects.get(pk=message_id).status == "unknown"
