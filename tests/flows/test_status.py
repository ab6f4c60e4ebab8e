"""StatusNotification over the wire (E39): connectors, the charger as a whole, order."""

from datetime import timedelta
from typing import Any

import pytest

from chargers.events import utcnow
from chargers.models import Charger, ConnectorStatus
from tests import wire
from tests.charge import at, scene
from tests.conftest import Site
from tests.factories import make_charger


def status_of(charger: Charger, number: int = 1) -> str:
    return charger.connectors.get(number=number).status


async def test_connector_zero_is_the_charger_and_no_connector(site: Site) -> None:
    """E39: OCPP 1.6 §4.9"""
    async with scene(site) as s:
        await s.app.act("subscribe", {"charger_ids": [s.identity]})
        await s.point.status(0, "Unavailable")
        heard = await s.app.until(type="charger_update", event="status_changed")
        assert (heard["data"]["connector_id"], heard["data"]["status"]) == (None, "Unavailable")
        assert (await s.app.until(type="charger_status_update"))["status"] == "unavailable"
        s.charger.refresh_from_db()
        assert s.charger.status == "Unavailable"
        assert [c.status for c in s.charger.connectors.all()] == ["Available"] * 2
        answer = await s.app.act("start_charging", {"charger_id": s.identity})
        assert answer["code"] == "connector_unavailable"
        await s.point.status(0, "Available")
        assert (await s.app.until(type="charger_status_update"))["data"]["display"] == "2/2"
        assert s.charger.connectors.count() == 2


@pytest.mark.parametrize("numbers", [(1, 1), (0, 0)], ids=["connector", "charger"])
async def test_an_older_report_does_not_overwrite_a_newer_one(site: Site, numbers: tuple[int, int]) -> None:
    """E39, E28"""
    async with scene(site) as s:
        await s.app.act("subscribe", {"charger_ids": [s.identity]})
        await s.point.status(numbers[0], "Faulted", timestamp=at())
        await s.app.until(type="charger_status_update")
        await s.point.status(numbers[1], "Available", timestamp=at(-600))
        await s.point.status(2, "Preparing", timestamp=at())
        heard = await s.app.until(type="charger_update", event="connector_status_changed")
        assert heard["data"]["connector_id"] == 2
        s.charger.refresh_from_db()
        assert (status_of(s.charger) if numbers[0] else s.charger.status) == "Faulted"


async def test_every_status_may_follow_every_other(site: Site) -> None:
    """E39: Preparing → Finishing is legal (errata 3.20); what is reported is what it is"""
    charger = make_charger()
    async with wire.charger(site.charger_url, charger.identity) as point:
        for before in ("Preparing", "Charging", "Finishing"):
            for after in ConnectorStatus.values:
                await point.status(1, before)
                await point.status(1, after)
                assert status_of(charger) == after


async def test_reports_without_a_time_or_with_an_impossible_one_count_as_of_now(site: Site) -> None:
    """E39, E41"""
    charger = make_charger()
    async with wire.charger(site.charger_url, charger.identity) as point:
        stamps: list[dict[str, Any]] = [
            {},
            {"timestamp": "1970-01-01T00:00:00Z"},
            {"timestamp": "never"},
            {"timestamp": "2099-01-01T00:00:00Z"},
        ]
        for number, more in enumerate(stamps):
            status = ("Charging", "SuspendedEV")[number % 2]
            await point.status(1, status, **more)
            connector = charger.connectors.get(number=1)
            assert connector.status == status, more
            assert connector.status_at and abs(utcnow() - connector.status_at) < timedelta(seconds=5)
        moment = utcnow()
        await point.status(1, "Finishing", timestamp=moment.replace(tzinfo=None).isoformat())  # no zone
        assert charger.connectors.get(number=1).status_at == moment


async def test_a_clock_that_was_ahead_and_is_put_right_does_not_keep_out_what_comes_next(site: Site) -> None:
    """E39, E41: as a charger does on the answer to its BootNotification"""
    charger = make_charger()
    async with wire.charger(site.charger_url, charger.identity) as point:
        await point.status(1, "Preparing", timestamp=at(200))
        await point.status(1, "Charging", timestamp=at())
        assert status_of(charger) == "Charging"


async def test_an_error_is_told_with_its_codes(site: Site) -> None:
    async with scene(site) as s:
        await s.app.act("subscribe", {"charger_ids": [s.identity]})
        await s.point.status(
            1, "Faulted", errorCode="GroundFailure", info="wet", vendorId="V", vendorErrorCode="E7"
        )
        heard = await s.app.until(type="charger_update", event="error")
        assert (heard["data"]["error_code"], heard["data"]["status"]) == ("GroundFailure", "Faulted")
        connector = s.charger.connectors.get(number=1)
        assert (connector.error_code, connector.info, connector.vendor_error_code) == (
            "GroundFailure",
            "wet",
            "E7",
        )
        await s.point.status(1, "Available")
        assert s.charger.connectors.get(number=1).error_code == ""


async def test_a_connector_nobody_knew_appears_and_absurd_ones_do_not(site: Site) -> None:
    charger = make_charger(connectors=1)
    async with wire.charger(site.charger_url, charger.identity) as point:
        await point.status(7, "Available")
        for absurd in (-1, 101, 10**9, 10**30):
            frame = await point.request(
                "StatusNotification",
                {"connectorId": absurd, "status": "Faulted", "errorCode": "NoError"},
            )
            assert frame[0] in (3, 4)
        charger.refresh_from_db()
        assert charger.status == ""
        assert [connector.number for connector in charger.connectors.all()] == [1, 7]
        await point.call("Heartbeat")


async def test_the_same_status_again_is_no_news(site: Site) -> None:
    async with scene(site) as s:
        await s.app.act("subscribe", {"charger_ids": [s.identity]})
        for _ in range(3):
            await s.point.status(1, "Available")
        await s.point.status(2, "Preparing")
        heard = await s.app.until(type="charger_update")
        assert heard["data"]["connector_id"] == 2
