"""Core profile: TC_001 to TC_040, TC_061, TC_064."""

from typing import Any

import pytest

from chargers.models import Command
from sessions.models import MeterReading
from tests import wire
from tests.charge import at
from tests.conftest import Site
from tests.flows.conformance.stage import Stage, card_that_is, stage
from tests.wire import eventually


async def test_cold_boot(site: Site) -> None:
    """TC_001"""
    async with stage(site) as s:
        answer = await s.point.boot()
        assert answer["status"] == "Accepted"
        assert answer["interval"] > 0
        assert answer["currentTime"].endswith("Z")
        await s.point.status(0)
        await s.point.status(1)
        assert (await s.point.call("Heartbeat"))["currentTime"].endswith("Z")
        assert (s.stored().vendor, s.connector().status) == ("Test", "Available")


async def regular_session(s: Stage) -> None:
    """What every regular session goes on with once it is authorised and plugged in."""
    transaction = await s.begins()
    await s.point.meter(transaction=transaction, at=at(), energy=2000)
    await s.authorize(s.card.value)
    assert (await s.ends(transaction, idTag=s.card.value))["idTagInfo"]["status"] == "Accepted"
    await s.point.status(1, "Finishing")
    await s.point.status(1, "Available")
    session = s.session(transaction)
    assert (session.status, session.energy_wh, session.user) == ("completed", 4000, s.card.user)
    assert MeterReading.objects.filter(session=session).count() == 1


async def test_regular_session_plugged_in_first(site: Site) -> None:
    """TC_003"""
    async with stage(site) as s:
        await s.point.status(1, "Preparing")
        assert await s.authorize(s.card.value) == "Accepted"
        await regular_session(s)


async def test_regular_session_identified_first(site: Site) -> None:
    """TC_004_1"""
    async with stage(site) as s:
        assert await s.authorize(s.card.value) == "Accepted"
        await s.point.status(1, "Preparing")
        await regular_session(s)


async def test_identified_and_never_plugged_in(site: Site) -> None:
    """TC_004_2"""
    async with stage(site) as s:
        assert await s.authorize(s.card.value) == "Accepted"
        await s.point.status(1, "Preparing")
        await s.point.status(1, "Available")
        assert not s.charger.sessions.exists()
        await regular_session(s)


async def test_unplugged_at_the_car(site: Site) -> None:
    """TC_005_1"""
    async with stage(site) as s:
        transaction = await s.begins()
        await s.point.status(1, "SuspendedEV")
        await s.ends(transaction, reason="EVDisconnected")
        await s.point.status(1, "Finishing")
        await s.point.status(1, "Available")
        session = s.session(transaction)
        assert (session.status, session.stop_reason) == ("completed", "EVDisconnected")


async def test_session_by_a_cached_card(site: Site) -> None:
    """TC_007: it does not ask, since it remembers the answer."""
    async with stage(site) as s:
        await s.point.status(1, "Preparing")
        await regular_session(s)


async def remote_start(s: Stage, *, plugged_in: bool) -> None:
    if plugged_in:
        await s.point.status(1, "Preparing")
    payload = {"connectorId": 1, "idTag": s.card.value}
    command = await s.asks("RemoteStartTransaction", payload, {"status": "Accepted"})
    assert command.status == "accepted"
    if not plugged_in:
        await s.point.status(1, "Preparing")
    assert await s.authorize(s.card.value) == "Accepted"
    transaction = await s.begins()
    assert s.session(transaction).status == "active"


@pytest.mark.parametrize("plugged_in", [True, False])
async def test_remote_start(site: Site, plugged_in: bool) -> None:
    """TC_010, TC_011_1"""
    async with stage(site) as s:
        await remote_start(s, plugged_in=plugged_in)


async def test_remote_start_that_nobody_plugs_in_for(site: Site) -> None:
    """TC_011_2"""
    async with stage(site) as s:
        payload = {"connectorId": 1, "idTag": s.card.value}
        await s.asks("RemoteStartTransaction", payload, {"status": "Accepted"})
        await s.point.status(1, "Preparing")
        assert await s.authorize(s.card.value) == "Accepted"
        await s.point.status(1, "Available")
        assert not s.charger.sessions.filter(transaction_id__isnull=False).exists()


async def test_remote_stop(site: Site) -> None:
    """TC_012"""
    async with stage(site) as s:
        transaction = await s.begins()
        await s.asks("RemoteStopTransaction", {"transactionId": transaction}, {"status": "Accepted"})
        await s.ends(transaction, reason="Remote")
        await s.point.status(1, "Finishing")
        await s.point.status(1, "Available")
        assert (s.session(transaction).status, s.session(transaction).stop_reason) == ("completed", "Remote")


@pytest.mark.parametrize(("kind", "reason"), [("Hard", "HardReset"), ("Soft", "SoftReset")])
async def test_reset_in_a_session(site: Site, kind: str, reason: str) -> None:
    """TC_013, TC_014"""
    async with stage(site) as s:
        transaction = await s.begins()
        assert (await s.asks("Reset", {"type": kind}, {"status": "Accepted"})).status == "accepted"
        await s.ends(transaction, reason=reason)
        await s.point.socket.close()
        async with wire.charger(site.charger_url, s.charger.identity) as again:
            assert (await again.boot())["status"] == "Accepted"
            await again.status(0)
            await again.status(1)
            assert s.session(transaction).stop_reason == reason


@pytest.mark.parametrize("status", ["Unlocked", "NotSupported", "UnlockFailed"])
async def test_unlock(site: Site, status: str) -> None:
    """TC_017_1, TC_017_2 (a fixed cable answers NotSupported), TC_030"""
    async with stage(site) as s:
        command = await s.asks("UnlockConnector", {"connectorId": 1}, {"status": status})
        assert command.status == ("accepted" if status == "Unlocked" else "rejected")
        assert command.answer == {"status": status}


async def test_unlock_in_a_session(site: Site) -> None:
    """TC_018_1"""
    async with stage(site) as s:
        transaction = await s.begins()
        await s.asks("UnlockConnector", {"connectorId": 1}, {"status": "Unlocked"})
        await s.ends(transaction, reason="UnlockCommand")
        await s.point.status(1, "Finishing")
        assert s.session(transaction).stop_reason == "UnlockCommand"


async def test_unlock_a_connector_that_is_not_there(site: Site) -> None:
    """TC_031"""
    async with stage(site) as s:
        command = await s.asks("UnlockConnector", {"connectorId": 9}, {"status": "NotSupported"})
        assert command.status == "rejected"


KEYS = [
    {"key": "HeartbeatInterval", "readonly": False, "value": "300"},
    {"key": "NumberOfConnectors", "readonly": True, "value": "2"},
]


async def test_all_configuration_keys(site: Site) -> None:
    """TC_019_1"""
    async with stage(site) as s:
        await s.asks("GetConfiguration", {}, {"configurationKey": KEYS})
        assert s.stored().configuration == {"HeartbeatInterval": "300", "NumberOfConnectors": "2"}


async def test_one_configuration_key(site: Site) -> None:
    """TC_019_2"""
    async with stage(site) as s:
        payload = {"key": ["HeartbeatInterval"]}
        command = await s.asks("GetConfiguration", payload, {"configurationKey": KEYS[:1]})
        assert command.answer == {"configurationKey": KEYS[:1]}
        assert s.stored().configuration["HeartbeatInterval"] == "300"


async def test_change_configuration(site: Site) -> None:
    """TC_021"""
    async with stage(site) as s:
        payload = {"key": "MeterValueSampleInterval", "value": "10"}
        await s.asks("ChangeConfiguration", payload, {"status": "Accepted"})
        assert s.stored().configuration["MeterValueSampleInterval"] == "10"


@pytest.mark.parametrize("status", ["Invalid", "Expired", "Blocked"])
async def test_a_card_that_may_not_charge(site: Site, status: str) -> None:
    """TC_023_1, TC_023_2, TC_023_3"""
    async with stage(site) as s:
        await s.point.status(1, "Preparing")
        assert await s.authorize(card_that_is(status)) == status
        await s.point.status(1, "Available")


async def test_a_plug_that_does_not_lock(site: Site) -> None:
    """TC_024"""
    async with stage(site) as s:
        await s.point.status(1, "Preparing")
        assert await s.authorize(s.card.value) == "Accepted"
        await s.point.status(1, "Faulted", errorCode="ConnectorLockFailure")
        assert (s.connector().status, s.connector().error_code) == ("Faulted", "ConnectorLockFailure")
        assert not s.charger.sessions.exists()


async def test_remote_start_rejected(site: Site) -> None:
    """TC_026"""
    async with stage(site) as s:
        payload = {"connectorId": 1, "idTag": s.card.value}
        command = await s.asks("RemoteStartTransaction", payload, {"status": "Rejected"})
        assert command.status == "rejected"


async def test_remote_stop_rejected(site: Site) -> None:
    """TC_028: of a transaction that the charger does not have."""
    async with stage(site) as s:
        command = await s.asks("RemoteStopTransaction", {"transactionId": 987654321}, {"status": "Rejected"})
        assert command.status == "rejected"


async def test_power_failure_ends_the_transactions(site: Site) -> None:
    """TC_032_1"""
    async with stage(site) as s:
        one, two = await s.begins(connector=1), await s.begins(connector=2, tag=card_that_is("Accepted"))
        await s.point.socket.close()
        async with wire.charger(site.charger_url, s.charger.identity) as again:
            await again.boot()
            for number, transaction in ((1, one), (2, two)):
                await again.status(number, "Finishing")
                await again.stop(transaction=transaction, meter=4000, at=at(), reason="PowerLoss")
                await again.status(number, "Available")
        for transaction in (one, two):
            session = s.session(transaction)
            assert (session.status, session.stop_reason, session.energy_wh) == (
                "completed",
                "PowerLoss",
                3000,
            )


async def test_a_start_while_offline(site: Site) -> None:
    """TC_037_1"""
    async with stage(site) as s:
        await s.point.socket.close()
        async with wire.charger(site.charger_url, s.charger.identity) as again:
            transaction = await again.start(id_tag=s.card.value, at=at(-120))
            await again.status(1, "Charging")
            session = s.session(transaction)
            assert session.status == "active"
            assert session.started_at is not None
            assert (session.created_at - session.started_at).total_seconds() > 100


async def test_a_start_while_offline_by_a_card_that_may_not(site: Site) -> None:
    """TC_037_3: it happened, so it is kept; the charger ends it when it learns of the card."""
    async with stage(site) as s:
        await s.point.socket.close()
        async with wire.charger(site.charger_url, s.charger.identity) as again:
            payload = {"connectorId": 1, "idTag": "NOBODY-KNOWS-IT", "meterStart": 0, "timestamp": at(-120)}
            answer = await again.call("StartTransaction", payload)
            assert answer["idTagInfo"]["status"] == "Invalid"
            await again.stop(transaction=answer["transactionId"], meter=400, at=at(), reason="DeAuthorized")
        session = s.session(answer["transactionId"])
        assert (session.status, session.energy_wh, session.stop_reason) == ("completed", 400, "DeAuthorized")


async def test_a_whole_transaction_while_offline(site: Site) -> None:
    """TC_039"""
    async with stage(site) as s:
        await s.point.socket.close()
        async with wire.charger(site.charger_url, s.charger.identity) as again:
            transaction = await again.start(id_tag=s.card.value, at=at(-600), meter=1000)
            await again.stop(transaction=transaction, meter=2500, at=at(-300))
        session = s.session(transaction)
        assert (session.status, session.energy_wh) == ("completed", 1500)
        assert session.stopped_at and session.started_at
        assert round((session.stopped_at - session.started_at).total_seconds()) == 300


@pytest.mark.parametrize("status", ["NotSupported", "Rejected"])
async def test_a_configuration_key_that_is_refused(site: Site, status: str) -> None:
    """TC_040_1, TC_040_2"""
    async with stage(site) as s:
        payload = {"key": "MeterValueSampleInterval", "value": "-1"}
        command = await s.asks("ChangeConfiguration", payload, {"status": status})
        assert command.status == "rejected"
        assert "MeterValueSampleInterval" not in s.stored().configuration


async def test_clear_cache(site: Site) -> None:
    """TC_061"""
    async with stage(site) as s:
        assert (await s.asks("ClearCache", {}, {"status": "Accepted"})).status == "accepted"


@pytest.mark.parametrize(
    "payload",
    [{"vendorId": "com.unknown"}, {"vendorId": "com.unknown", "messageId": "M", "data": "anything"}],
)
async def test_data_transfer_to_us(site: Site, payload: dict[str, Any]) -> None:
    """TC_064"""
    async with stage(site) as s:
        assert (await s.point.call("DataTransfer", payload))["status"] == "UnknownVendorId"


async def test_one_at_a_time(site: Site) -> None:
    """The next command goes out when the charger has answered the one before."""
    async with stage(site) as s:
        await eventually(lambda: s.post("ClearCache", {}) == 202)
        s.post("Reset", {"type": "Soft"})
        first, _ = await s.hears("ClearCache")
        assert s.point.calls.empty()
        await s.point.answer(first, {"status": "Accepted"})
        second, _ = await s.hears("Reset")
        await s.point.answer(second, {"status": "Accepted"})
        assert (await s.ended(second)).status == Command.Status.ACCEPTED
