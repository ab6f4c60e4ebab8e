"""Chargers that others wrote: PyPI's `ocpp` and npm's `ocpp-rpc`, which hold both sides to the official schemas."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from chargers.models import Charger, Command, FirmwareUpdate
from sessions.models import ChargingProfile, ChargingSession, LocalList, Reservation
from tests.charge import at
from tests.conftest import Site
from tests.factories import make_charger
from tests.flows.conformance.stage import Stage
from tests.wire import eventually

CLIENTS = Path(__file__).with_name("clients")
PROGRAMS = {
    "ocpp (PyPI)": [sys.executable, str(CLIENTS / "charger.py")],
    "ocpp-rpc (npm)": ["node", str(CLIENTS / "charger.cjs")],
}
PROFILE = {
    "chargingProfileId": 1,
    "stackLevel": 0,
    "chargingProfilePurpose": "TxDefaultProfile",
    "chargingProfileKind": "Relative",
    "chargingSchedule": {
        "chargingRateUnit": "A",
        "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 10.0}],
    },
}


@asynccontextmanager
async def running(*program: str) -> AsyncIterator[None]:
    """The client, until the block ends; it must not have complained of anything."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*program, stdin=pipe, stdout=pipe, stderr=pipe)
    try:
        yield
    finally:
        assert process.stdin
        process.stdin.close()
        _, errors = await asyncio.wait_for(process.communicate(), 20)
    assert (process.returncode, errors.decode()) == (0, "")


async def sent(s: Stage, action: str, word: str, payload: dict[str, Any]) -> Command:
    """Send a command by the API; the row once the charger has accepted it."""
    await asyncio.to_thread(s.post, action, payload)

    def accepted() -> Command | None:
        return Command.objects.filter(charger=s.charger, action=word, status="accepted").first()

    return await eventually(accepted)


def sessions(charger: Charger, status: str) -> Any:
    return ChargingSession.objects.filter(charger=charger, status=status)


@pytest.mark.parametrize("name", PROGRAMS)
async def test_a_charger_that_others_wrote(site: Site, name: str) -> None:
    charger = make_charger(connectors=0)
    s = Stage(site, charger, None)  # type: ignore[arg-type]  # the charger is the program
    url = f"{site.charger_url}/ocpp"
    async with running(*PROGRAMS[name], url, charger.identity, s.card.value):
        # boot, authorise, start, meter values, stop
        session = await eventually(lambda: sessions(charger, "completed").first(), 20)
        assert (session.energy_wh, session.user, session.stop_reason) == (1500, s.card.user, "Local")
        charger.refresh_from_db()
        assert charger.vendor in ("npm", "PyPI")

        await sent(s, "RemoteStartTransaction", "remote_start", {"connectorId": 1, "idTag": s.card.value})
        session = await eventually(lambda: sessions(charger, "active").filter(readings__isnull=False).first())
        await sent(s, "RemoteStopTransaction", "remote_stop", {"transactionId": session.transaction_id})
        await eventually(sessions(charger, "completed").filter(stop_reason="Remote").exists)

        await sent(s, "GetConfiguration", "get_configuration", {})
        await sent(s, "ChangeConfiguration", "change_configuration", {"key": "Key", "value": "1"})
        charger.refresh_from_db()
        assert charger.configuration == {"HeartbeatInterval": "300", "Key": "1"}

        booted_at = charger.booted_at
        await sent(s, "Reset", "reset", {"type": "Soft"})
        await eventually(lambda: Charger.objects.get(pk=charger.pk).booted_at != booted_at)

        firmware = {"location": "https://firmware.example/2.bin", "retrieveDate": at()}
        await sent(s, "UpdateFirmware", "update_firmware", firmware)
        await eventually(FirmwareUpdate.objects.filter(charger=charger, state="installed").exists)

        entries = [{"idTag": s.card.value, "idTagInfo": {"status": "Accepted"}}]
        local_list = {"listVersion": 1, "updateType": "Full", "localAuthorizationList": entries}
        await sent(s, "SendLocalList", "send_local_list", local_list)
        assert LocalList.objects.get(charger=charger).version >= 1

        wish = {"connectorId": 1, "expiryDate": at(600), "idTag": s.card.value, "reservationId": 1}
        await sent(s, "ReserveNow", "reserve_now", wish)
        reservation = Reservation.objects.get(charger=charger)
        assert reservation.state == "active"
        await sent(s, "CancelReservation", "cancel_reservation", {"reservationId": reservation.pk})
        reservation.refresh_from_db()
        assert reservation.state == "cancelled"

        await sent(
            s, "SetChargingProfile", "set_charging_profile", {"connectorId": 1, "csChargingProfiles": PROFILE}
        )
        profile = ChargingProfile.objects.get(charger=charger)
        assert profile.state == "active"
        await sent(s, "ClearChargingProfile", "clear_charging_profile", {"id": profile.pk})
        profile.refresh_from_db()
        assert profile.state == "cleared"
