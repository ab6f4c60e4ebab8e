"""A whole charge: phone, server, charger, database."""

from typing import Any

from chargers.events import utcnow
from sessions.models import ChargingSession
from tests import wire
from tests.conftest import Site
from tests.factories import make_charger, make_tariff, make_user, token_of
from tests.redis_servers import Valkey
from tests.server_process import ServerProcess


def now() -> str:
    return utcnow().isoformat()


async def test_a_charge_from_start_to_its_price(site: Site) -> None:
    await charge(site)


async def test_a_charge_over_channels_own_redis_layer(committed: None) -> None:
    """Ours survives more, but who has reasons to take that of channels_redis is served as well."""
    with Valkey() as redis:
        layer: dict[str, Any] = {
            "CHANNEL_LAYER": "channels_redis.pubsub.RedisPubSubChannelLayer",
            "REDIS_URL": redis.url,
        }
        site = Site(ServerProcess(**layer), ServerProcess(**layer))
        try:
            await charge(site)
        finally:
            for server in site:
                server.stop()


async def charge(site: Site) -> None:
    charger, user = make_charger(), make_user()
    make_tariff(stations=[charger.station], price_per_kwh="0.50", price_per_session="1")
    async with (
        wire.charger(site.charger_url, charger.identity) as point,
        wire.app(site.app_url, token_of(user)) as app,
    ):
        await point.ready()
        await app.until(type="connected", userId=user.pk)
        assert (await app.until(type="active_session_update"))["has_active_session"] is False
        await app.send(
            {"action": "start_charging", "data": {"charger_id": charger.identity, "connector_id": 1}}
        )
        asked = await point.accepts("RemoteStartTransaction")
        answer = (await app.until(type="response", action="start_charging"))["data"]
        assert answer["success"] is True
        assert isinstance(answer["session_id"], int)
        transaction = await point.start(id_tag=asked["idTag"], meter=1000, at=now())
        await app.until(type="session_update", event="session_started")
        await point.meter(transaction=transaction, at=now(), energy=3000, Power_Active_Import=7400)
        tick = await app.until(type="session_update", event="meter_value")
        assert tick["data"]["energy_delivered"] == 2.0
        assert tick["data"]["power"] == 7.4
        assert tick["data"]["cost"] == 2.0
        await app.send({"action": "stop_charging", "data": {"charger_id": charger.identity}})
        await point.accepts("RemoteStopTransaction")
        stopped = (await app.until(type="response", action="stop_charging"))["data"]
        assert stopped["session_id"] == answer["session_id"]
        assert stopped["transaction_id"] == transaction
        await point.stop(transaction=transaction, meter=5000, at=now(), reason="Remote")
        done = await app.until(type="session_update", event="session_completed")
        assert done["data"]["energy_delivered"] == 4.0
        assert done["data"]["cost"] == 3.0
    session = ChargingSession.objects.get(pk=answer["session_id"])
    assert (session.status, session.energy_wh, str(session.cost)) == ("completed", 4000, "3.000")
    assert session.readings.count() == 1
