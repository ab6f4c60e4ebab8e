"""Smart charging and remote triggers: TC_054 to TC_059, TC_066, TC_067."""

from typing import Any

import pytest

from sessions.models import ChargingProfile
from tests.charge import at
from tests.conftest import Site
from tests.flows.conformance.stage import stage

MESSAGES: dict[str, dict[str, Any]] = {
    "MeterValues": {
        "connectorId": 1,
        "meterValue": [{"timestamp": at(), "sampledValue": [{"value": "1000"}]}],
    },
    "Heartbeat": {},
    "StatusNotification": {"connectorId": 1, "errorCode": "NoError", "status": "Available"},
    "DiagnosticsStatusNotification": {"status": "Idle"},
    "FirmwareStatusNotification": {"status": "Idle"},
}


@pytest.mark.parametrize("message", MESSAGES)
async def test_trigger(site: Site, message: str) -> None:
    """TC_054"""
    async with stage(site) as s:
        payload: dict[str, Any] = {"requestedMessage": message}
        if "connectorId" in MESSAGES[message]:
            payload["connectorId"] = 1
        assert (await s.asks("TriggerMessage", payload, {"status": "Accepted"})).status == "accepted"
        await s.point.call(message, MESSAGES[message])


@pytest.mark.parametrize("status", ["Rejected", "NotImplemented"])
async def test_trigger_that_is_refused(site: Site, status: str) -> None:
    """TC_055"""
    async with stage(site) as s:
        payload = {"requestedMessage": "MeterValues", "connectorId": 1}
        assert (await s.asks("TriggerMessage", payload, {"status": status})).status == "rejected"


def profile(purpose: str, **more: Any) -> dict[str, Any]:
    return {
        "chargingProfileId": 1,
        "stackLevel": 0,
        "chargingProfilePurpose": purpose,
        "chargingProfileKind": "Relative",
        "chargingSchedule": {
            "chargingRateUnit": "A",
            "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 6.0}],
        },
        **more,
    }


@pytest.mark.parametrize("purpose", ["TxDefaultProfile", "TxProfile"])
async def test_a_profile_is_set(site: Site, purpose: str) -> None:
    """TC_056, TC_057"""
    async with stage(site) as s:
        transaction = await s.begins()
        more = {"transactionId": transaction} if purpose == "TxProfile" else {}
        wanted = profile(purpose, **more)
        assert s.post("SetChargingProfile", {"connectorId": 1, "csChargingProfiles": wanted}) == 202
        message_id, heard = await s.hears("SetChargingProfile")
        await s.point.answer(message_id, {"status": "Accepted"})
        await s.ended(message_id)
        stored = ChargingProfile.objects.get(charger=s.charger)
        sent = heard["csChargingProfiles"]
        assert (stored.state, stored.purpose, stored.pk) == ("active", purpose, sent["chargingProfileId"])
        assert sent["chargingSchedule"] == wanted["chargingSchedule"]
        if purpose == "TxProfile":
            assert sent["transactionId"] == transaction
            await s.ends(transaction)
            stored.refresh_from_db()
            assert stored.state == "ended"


async def test_a_remote_start_with_a_profile(site: Site) -> None:
    """TC_059"""
    async with stage(site) as s:
        payload = {"connectorId": 1, "idTag": s.card.value, "chargingProfile": profile("TxProfile")}
        assert s.post("RemoteStartTransaction", payload) == 202
        message_id, heard = await s.hears("RemoteStartTransaction")
        assert heard["chargingProfile"]["chargingProfilePurpose"] == "TxProfile"
        await s.point.answer(message_id, {"status": "Accepted"})
        await s.begins()


async def test_composite_schedule(site: Site) -> None:
    """TC_066"""
    async with stage(site) as s:
        schedule = {
            "chargingRateUnit": "A",
            "duration": 300,
            "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 6.0}],
        }
        answer = {
            "status": "Accepted",
            "connectorId": 1,
            "scheduleStart": at(),
            "chargingSchedule": schedule,
        }
        command = await s.asks("GetCompositeSchedule", {"connectorId": 1, "duration": 300}, answer)
        assert command.answer == answer


async def test_clear_a_profile(site: Site) -> None:
    """TC_067"""
    async with stage(site) as s:
        s.post("SetChargingProfile", {"connectorId": 1, "csChargingProfiles": profile("TxDefaultProfile")})
        message_id, _ = await s.hears("SetChargingProfile")
        await s.point.answer(message_id, {"status": "Accepted"})
        await s.ended(message_id)
        stored = ChargingProfile.objects.get(charger=s.charger)
        await s.asks("ClearChargingProfile", {"id": stored.pk}, {"status": "Accepted"})
        stored.refresh_from_db()
        assert stored.state == "cleared"
