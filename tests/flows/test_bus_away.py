"""Redis goes away, or hangs, and comes back: nobody is thrown out, what works without it works, what cannot be done is
said at once, and what went lost is seen when it is back (E47). Two processes, each with chargers and phones."""

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import pytest

from chargers.models import Charger, Command
from sessions.models import ChargingSession
from tests import wire
from tests.charge import Scene, at, begin, end, scene
from tests.conftest import Site, stack
from tests.factories import make_charger, make_user, token_of
from tests.figures import record
from tests.flows.test_command_api import RESET, ask
from tests.flows.test_resume import Phone, lose_the_line
from tests.redis_servers import Valkey, until
from tests.server_process import ServerProcess

pytestmark = pytest.mark.skipif(stack() != "real", reason="there is no bus but the process itself")

RESTARTS = 6


class Place(NamedTuple):
    """Phones on one process, chargers on the other, and the bus between them."""

    redis: Valkey
    site: Site


@pytest.fixture(scope="module")
def servers(committed: None) -> Iterator[Place]:
    with Valkey() as redis:
        values: dict[str, Any] = {"REDIS_URL": redis.url, "COMMAND_TIMEOUT_S": 10, "SWEEP_INTERVAL_S": 60}
        site = Site(ServerProcess(**values), ServerProcess(**values))
        yield Place(redis, site)
        for server in site:
            assert "Traceback" not in server.log
            server.stop()


@pytest.fixture
async def place(servers: Place) -> AsyncIterator[Place]:
    """With the bus as it was before, whatever the test did to it."""
    yield servers
    servers.redis.kill()
    servers.redis.start()
    for server in servers.site:
        await asyncio.to_thread(until, partial(_is_ready, server))


def _is_ready(server: ServerProcess) -> bool:
    return json.loads(server.get("/health")[1])["bus"] == "ok"


async def test_without_the_bus_each_process_serves_its_own(place: Place) -> None:
    redis, site = place
    async with scene(site) as s:
        far = make_charger()
        async with wire.charger(site.charger_url, far.identity) as point:
            await point.ready()
            charge = await begin(s)
            epoch = Charger.objects.get(pk=s.charger.pk).epoch
            redis.kill()

            # Commands to the other process are refused at once, and leave nothing behind.
            other = make_user()
            async with wire.app(site.app_url, token_of(other)) as phone:  # phones come in
                await phone.until(type="active_session_update")
                answer = await phone.act("start_charging", {"charger_id": far.identity})
                assert (answer["success"], answer["code"]) == (False, "unavailable"), answer
                assert not ChargingSession.objects.filter(charger=far).exists()
                answer = await s.app.act("stop_charging")
                assert (answer["success"], answer["code"]) == (False, "unavailable"), answer
                assert (await s.app.act("get_active_session"))["session"]["session_id"] == charge.session_id

                # Chargers dial in, and those of the phone's own process charge as ever.
                near = make_charger()
                async with wire.charger(site.app_url, near.identity) as near_point:
                    await near_point.ready()
                    here = Scene(near, other, near_point, phone)
                    await phone.act("subscribe", {"charger_ids": [near.identity, far.identity]})
                    begun = await begin(here)
                    await near_point.status(1, "Charging")
                    await phone.until(type="charger_update", charger_id=near.identity)
                    await near_point.meter(transaction=begun.transaction_id, at=at(), energy=1500)
                    await phone.until(event="meter_value")
                    await phone.send({"action": "stop_charging", "request_id": "stop"})
                    await near_point.accepts("RemoteStopTransaction")
                    assert (await phone.until(request_id="stop"))["data"]["success"] is True
                    await end(here, begun)

                # Facts are stored and acknowledged.
                await s.point.meter(transaction=charge.transaction_id, at=at(), energy=2500)
                assert ChargingSession.objects.get(pk=charge.session_id).readings.count() == 1
                async with wire.charger(site.charger_url, make_charger().identity) as late:
                    await late.ready()
                    redis.start()

                    # Nobody did anything, and what was joined meanwhile is heard, too.
                    async with asyncio.timeout(20):
                        while True:
                            await point.status(1, "Preparing")
                            await point.status(1, "Available")
                            if not await phone.quiet(0.5, type="charger_update", charger_id=far.identity):
                                break
                    await s.app.send({"action": "start_charging", "data": {"charger_id": late.identity}})
                    await s.app.send({"action": "stop_charging", "request_id": "stop"})
                    await s.point.accepts("RemoteStopTransaction")
                    assert (await s.app.until(request_id="stop"))["data"]["success"] is True
                    await end(s, charge)
            assert Charger.objects.get(pk=s.charger.pk).epoch == epoch  # it never had to dial again


async def test_an_ending_that_went_lost_is_seen_when_the_bus_is_back(place: Place) -> None:
    """E46"""
    redis, site = place
    async with scene(site) as s:
        charge = await begin(s)
        redis.kill()
        assert (await s.app.act("stop_charging"))["code"] == "unavailable"
        await s.point.stop(transaction=charge.transaction_id, meter=5000, at=at(), reason="Local")
        assert ChargingSession.objects.get(pk=charge.session_id).status == "completed"
        assert await s.app.quiet(0.5, event="session_completed")
        redis.start()
        back_at = time.monotonic()
        state = await s.app.until(type="active_session_update")  # on the same socket
        assert (state["has_active_session"], state["data"]) == (False, None)
        record(
            "Redis killed and started again, an ending in between",
            heals_s=time.monotonic() - back_at,
            note="after it was back, until the app knew of the ending; no socket was closed",
        )


async def test_a_map_shows_what_changed_while_the_bus_was_away(place: Place) -> None:
    redis, site = place
    async with scene(site) as s, wire.app(site.app_url, token_of(make_user())) as stranger:
        subscribed = await stranger.act("subscribe", {"charger_ids": [s.charger.identity]})
        assert subscribed["chargers"][0]["connectors"][0]["status"] == "Available"
        redis.kill()
        await s.point.status(1, "Faulted", errorCode="GroundFailure")
        redis.start()
        while True:
            told = await stranger.until(type="charger_status_update", charger_id=s.charger.identity)
            if told["data"]["connector_status"][0]["status"] == "Faulted":
                break


@pytest.mark.timeout(180)
async def test_a_phone_on_a_bad_line_misses_nothing_while_redis_dies_again_and_again(place: Place) -> None:
    """E46: killed and begun anew, on its own and while the line is cut, wherever a charge just is"""
    redis, site = place
    dice = random.Random(46)

    async def more_cuts(phone: Phone, most: int) -> None:
        until_then = phone.cuts + dice.randrange(1, most)
        await wire.eventually(lambda: phone.cuts >= until_then)

    async def restarts(phone: Phone) -> None:
        for _ in range(RESTARTS):
            await more_cuts(phone, 20)
            redis.kill()
            await more_cuts(phone, 10)
            await asyncio.to_thread(redis.start)
            for server in site:
                await asyncio.to_thread(until, partial(_is_ready, server))

    assert "completed" in await lose_the_line(site, dice, restarts)


async def test_a_command_that_is_under_way_ends_without_the_bus(place: Place) -> None:
    redis, site = place
    async with scene(site) as s:
        await s.app.send(
            {"action": "start_charging", "data": {"charger_id": s.identity}, "request_id": "start"}
        )
        message_id, _ = await s.point.asked("RemoteStartTransaction")
        redis.kill()
        await s.point.answer(message_id, {"status": "Accepted"})
        answer = (await s.app.until(request_id="start"))["data"]
        assert (answer["success"], answer["message_id"]) == (True, message_id)


async def test_a_bus_that_hangs_holds_up_nobody(place: Place) -> None:
    redis, site = place
    async with scene(site) as s:
        charge = await begin(s)
        redis.pause()
        try:
            await s.app.send({"action": "stop_charging", "request_id": "stop"})
            reset = await ask(site, s.identity, RESET)  # nobody waits for it; the process may not know yet
            assert (await s.app.act("ping"))["success"] is True
            await s.point.meter(
                transaction=charge.transaction_id, at=at(), energy=2500
            )  # committed, answered
            answer = (await s.app.until(request_id="stop"))["data"]
            assert (answer["success"], answer["code"]) == (False, "unavailable"), answer
            if reset.status == 202:
                row = await wire.eventually(
                    lambda: Command.objects.exclude(finished_at=None).filter(pk=reset.body["id"]).first()
                )
                assert (row.status, row.error) == ("failed", "unavailable")
            assert not Command.objects.filter(charger=s.charger, finished_at=None).exists()
        finally:
            redis.resume()
        async with asyncio.timeout(20):
            while True:
                await s.point.meter(transaction=charge.transaction_id, at=at(), energy=3000)
                if not await s.app.quiet(0.5, event="meter_value"):
                    break
        await s.app.send({"action": "stop_charging", "request_id": "again"})
        await s.point.accepts("RemoteStopTransaction")
        assert (await s.app.until(request_id="again"))["data"]["success"] is True
        await end(s, charge)


async def test_logging_in_works_and_is_limited_without_the_bus(
    start_server: Callable[..., ServerProcess],
) -> None:
    server = start_server(REDIS_URL="redis://127.0.0.1:1/0", LOGIN_ATTEMPTS_PER_MINUTE=3)
    wrong = {"username": "nobody", "password": "wrong"}
    answers = [(await asyncio.to_thread(server.post, "/api/token/", wrong))[0] for _ in range(4)]
    assert answers == [401, 401, 401, 429]
