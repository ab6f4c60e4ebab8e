"""Profiles over the wire: set, replaced, cleared, ended with their transaction; what is said and what is stored."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from playwright.async_api import expect

from chargers.models import Charger, Command
from gateway.ocpp.schemas import validator
from gateway.ocpp.simulator import SimulatedCharger, dial
from sessions import smart_charging
from sessions.models import ChargingProfile, ChargingSession
from sessions.operations import perform
from tests import wire
from tests.charge import at
from tests.conftest import Site
from tests.factories import make_charger, make_id_tag, unique
from tests.flows.test_admin_commands import browser_page
from tests.server_here import server_here
from tests.wire import FakeCharger, eventually


@pytest.fixture(scope="module")
async def here(committed: None) -> AsyncIterator[str]:
    async with server_here(COMMAND_TIMEOUT_S=2) as url:
        yield url


@pytest.fixture
async def point(here: str) -> AsyncIterator[FakeCharger]:
    async with wire.charger(here, make_charger().identity) as point:
        yield await point.ready()


def profile(purpose: str = "TxDefaultProfile", limit: float = 16.1, **more: Any) -> dict[str, Any]:
    return {
        "chargingProfileId": 1,
        "stackLevel": 0,
        "chargingProfilePurpose": purpose,
        "chargingProfileKind": "Relative",
        "chargingSchedule": {
            "chargingRateUnit": "A",
            "chargingSchedulePeriod": [{"startPeriod": 0, "limit": limit}],
        },
        **more,
    }


def ask(point: FakeCharger, action: str, **params: Any) -> UUID:
    return perform(charger=Charger.objects.get(identity=point.identity), action=action, params=params).pk


async def asked(point: FakeCharger, action: str) -> tuple[str, dict[str, Any]]:
    """What the charger hears, which must fit the official schema."""
    message_id, payload = await point.asked(action)
    schema = validator("ocpp1.6", action)
    assert schema is not None and schema.is_valid(payload), payload
    return message_id, payload


async def ended(command_id: UUID) -> Command:
    await eventually(lambda: Command.objects.get(pk=command_id).is_finished)
    return Command.objects.get(pk=command_id)


async def set_profile(point: FakeCharger, connector: int = 1, **profiled: Any) -> ChargingProfile:
    command_id = ask(point, "set_charging_profile", connector_id=connector, profile=profile(**profiled))
    message_id, payload = await asked(point, "SetChargingProfile")
    await point.answer(message_id, {"status": "Accepted"})
    await ended(command_id)
    row = ChargingProfile.objects.get(command=command_id)
    assert payload["csChargingProfiles"]["chargingProfileId"] == row.pk
    assert (payload["connectorId"], row.state) == (connector, "active")
    return row


async def test_a_day_of_profiles(point: FakeCharger) -> None:
    """A default, a younger one in its place, one for the transaction; at its end only the default is left."""
    first = await set_profile(point)
    second = await set_profile(point, limit=10)
    transaction = await point.start(id_tag=unique("CARD"), at=at())
    mine = await set_profile(point, purpose="TxProfile", limit=6)
    assert mine.session is not None
    assert mine.session.transaction_id == transaction
    await point.stop(transaction=transaction, meter=5000, at=at())
    rows = [ChargingProfile.objects.get(pk=row.pk).state for row in (first, second, mine)]
    assert rows == ["replaced", "active", "ended"]
    command_id = ask(point, "clear_charging_profile", purpose="TxDefaultProfile", stack_level=0)
    message_id, payload = await asked(point, "ClearChargingProfile")
    assert payload == {"chargingProfilePurpose": "TxDefaultProfile", "stackLevel": 0}
    await point.answer(message_id, {"status": "Accepted"})
    await ended(command_id)
    second.refresh_from_db()
    assert second.state == "cleared"


@pytest.mark.parametrize(
    ("answer", "detail"),
    [
        ([3, {"status": "Rejected"}], "The charger refused it"),
        ([3, {"status": "NotSupported"}], "The charger does not support it"),
        ([4, "NotSupported", "no smart charging here", {}], "NotSupported: no smart charging here"),
        ([3, {"status": ["odd"]}], "The charger refused it"),
    ],
)
async def test_a_charger_that_will_not(point: FakeCharger, answer: list[Any], detail: str) -> None:
    """Errata 3.39: a charger without smart charging answers a CALLERROR."""
    command_id = ask(point, "set_charging_profile", connector_id=0, profile=profile())
    message_id, _ = await asked(point, "SetChargingProfile")
    await point.send([answer[0], message_id, *answer[1:]])
    assert (await ended(command_id)).status == "rejected"
    row = ChargingProfile.objects.get(command=command_id)
    assert (row.state, row.detail) == ("rejected", detail)


async def test_a_charger_that_answers_too_late_has_its_profile_all_the_same(point: FakeCharger) -> None:
    """E13"""
    command_id = ask(point, "set_charging_profile", connector_id=0, profile=profile())
    message_id, _ = await asked(point, "SetChargingProfile")
    assert (await ended(command_id)).status == "timed_out"
    row = ChargingProfile.objects.get(command=command_id)
    assert row.state == "rejected"
    await point.answer(message_id, {"status": "Accepted"})
    await eventually(ChargingProfile.objects.filter(pk=row.pk, state="active").exists)


async def test_profiles_are_still_there_after_a_reboot_and_a_new_connection(here: str) -> None:
    """Errata 3.37"""
    charger = make_charger()
    async with wire.charger(here, charger.identity) as point:
        row = await set_profile(await point.ready())
    async with wire.charger(here, charger.identity) as point:
        await point.ready()
        row.refresh_from_db()
        assert row.state == "active"


async def test_a_start_brings_its_profile_along(point: FakeCharger) -> None:
    """§5.16.2, errata 3.41"""
    tag = unique("CARD")
    command_id = ask(
        point, "remote_start", connector_id=2, id_tag=tag, profile=profile("TxProfile", limit=8.5)
    )
    message_id, payload = await asked(point, "RemoteStartTransaction")
    row = ChargingProfile.objects.get(command=command_id)
    sent = payload["chargingProfile"]
    assert (sent["chargingProfileId"], sent["chargingProfilePurpose"]) == (row.pk, "TxProfile")
    assert "transactionId" not in sent
    await point.answer(message_id, {"status": "Accepted"})
    await ended(command_id)
    transaction = await point.start(connector=2, id_tag=tag, at=at())
    row.refresh_from_db()
    assert row.session is not None
    assert (row.state, row.session.transaction_id) == ("active", transaction)
    await point.stop(transaction=transaction, meter=5000, at=at())
    row.refresh_from_db()
    assert row.state == "ended"


async def test_a_composite_schedule_as_the_charger_tells_it(point: FakeCharger) -> None:
    command_id = ask(point, "get_composite_schedule", connector_id=1, duration_s=600, unit="W")
    message_id, payload = await asked(point, "GetCompositeSchedule")
    assert payload == {"connectorId": 1, "duration": 600, "chargingRateUnit": "W"}
    answer = {
        "status": "Accepted",
        "connectorId": 1,
        "scheduleStart": at(),
        "chargingSchedule": {
            "duration": 600,
            "chargingRateUnit": "W",
            "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 11040.0}],
        },
    }
    await point.answer(message_id, answer)
    command = await ended(command_id)
    assert (command.status, command.answer) == ("accepted", answer)


async def test_a_charger_that_reckons_for_itself_comes_to_what_we_expect(here: str) -> None:
    """The simulated charger has the rules of §3.13 from the book, not from us."""
    charger = make_charger(connectors=1)
    simulated = SimulatedCharger(charger.identity, connectors=1)
    dialling = asyncio.create_task(dial(simulated, here))

    async def set_one(connector: int, wish: dict[str, Any], *limits: float, **schedule: Any) -> None:
        periods = [{"startPeriod": 600 * i, "limit": limit} for i, limit in enumerate(limits)]
        schedule |= {"chargingRateUnit": "A", "chargingSchedulePeriod": periods}
        params = {"connector_id": connector, "profile": profile(**wish, chargingSchedule=schedule)}
        charger.refresh_from_db()
        command = perform(charger=charger, action="set_charging_profile", params=params)
        assert (await ended(command.pk)).status == "accepted"

    await simulated.until(lambda it: it.registration == "Accepted")
    await simulated.plug_in(1)
    await simulated.present_tag(1, make_id_tag().value)
    await simulated.until(lambda it: it.connectors[1].transaction_id)
    start = f"{datetime.now(UTC) - timedelta(days=2, seconds=300):%Y-%m-%dT%H:%M:%SZ}"
    daily = {"chargingProfileKind": "Recurring", "recurrencyKind": "Daily"}
    whole = {"purpose": "ChargePointMaxProfile", **daily}
    await set_one(0, daily, 10, 16, 6, startSchedule=start)
    await set_one(0, whole, 20, 12, 20, startSchedule=start, duration=3 * 86400)
    await set_one(1, {"purpose": "TxProfile", "stackLevel": 2}, 24, 8, duration=1000)
    command = perform(
        charger=charger,
        action="get_composite_schedule",
        params={"connector_id": 1, "duration_s": 5400, "unit": "A"},
    )
    answer: Any = (await ended(command.pk)).answer
    begins_at = datetime.fromisoformat(answer["scheduleStart"])
    expected = smart_charging.expected(
        charger=charger, connector_number=1, unit="A", duration_s=5400, begins_at=begins_at
    )
    told = answer["chargingSchedule"]["chargingSchedulePeriod"]
    assert len(told) > 3
    assert [period.limit and float(period.limit.rate) for period in expected] == [
        period["limit"] for period in told
    ]
    for ours, theirs in zip(expected, told, strict=True):  # it rounds where we go up to the next second
        assert abs(ours.start_s - theirs["startPeriod"]) <= 1
    dialling.cancel()
    with suppress(asyncio.CancelledError):
        await dialling


async def test_an_operator_limits_a_charge_in_a_browser(site: Site) -> None:
    """From the session's page to the profile's, which shows what the charger then has."""
    charger = make_charger(configuration={"ChargeProfileMaxStackLevel": "3"})
    async with wire.charger(site.charger_url, charger.identity) as point, browser_page(site) as page:
        await point.ready()
        transaction = await point.start(id_tag=unique("CARD"), at=at())
        session = ChargingSession.objects.get(transaction_id=transaction)
        await page.goto(f"/admin/charging/chargingsession/{session.pk}/change/")
        await page.click("button:text('Limit power')")
        await page.fill("[name=order-rate]", "7.4")
        await page.select_option("[name=order-unit]", "kW")
        await page.fill("[name=order-ends_at]", f"{datetime.now(UTC) + timedelta(hours=3):%Y-%m-%dT%H:%M}")
        await page.click("#content-main [type=submit]")
        message_id, asked = await point.asked("SetChargingProfile")
        schedule = asked["csChargingProfiles"]["chargingSchedule"]
        assert asked["csChargingProfiles"]["transactionId"] == transaction
        assert asked["csChargingProfiles"]["stackLevel"] == 3
        assert (schedule["chargingRateUnit"], schedule["chargingSchedulePeriod"][0]["limit"]) == ("W", 7400)
        await point.answer(message_id, {"status": "Accepted"})
        await expect(page.locator(".field-badge .ev-badge")).to_have_text("accepted")
        row = ChargingProfile.objects.get(command=UUID(message_id))
        await page.goto(f"/admin/charging/chargingprofile/{row.pk}/change/")
        await expect(page.locator(".field-badge .ev-badge")).to_have_text("active")
        await expect(page.locator("svg.ev-steps")).to_have_count(2)
        await expect(page.locator(".field-expected")).to_contain_text("7.40 kW")
