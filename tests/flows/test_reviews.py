"""From a charger that says something odd to a person who decides about it, on the operators' pages, in a browser."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from playwright.async_api import Page, expect

from sessions.models import ChargingSession
from tests.charge import Scene, at, begin, scene
from tests.conftest import Site
from tests.factories import make_tariff
from tests.flows.test_admin_commands import SESSIONS, browser_page, signed_in
from tests.wire import eventually

QUEUE = "/admin/charging/waitingsession/"
ARTIFACTS = Path(__file__).parents[1] / "artifacts"


@asynccontextmanager
async def odd_session(site: Site) -> AsyncIterator[tuple[Scene, ChargingSession]]:
    """Begun from the app; the meter tells 2 kWh, and once nonsense, and at the stop less than at the start."""
    async with scene(site) as s:
        make_tariff(stations=[s.charger.station], price_per_kwh="0.5")
        charge = await begin(s, meter=50_000)
        await s.point.status(1, "Charging")
        for second, energy in enumerate([51_000, 900_000_000, 52_000]):
            await s.point.meter(transaction=charge.transaction_id, at=at(second), energy=energy)
        await s.point.stop(transaction=charge.transaction_id, meter=7, at=at(5), reason="Local")
        await s.app.until(event="session_completed")
        yield s, ChargingSession.objects.get(transaction_id=charge.transaction_id)


async def choose(page: Page, session: ChargingSession, action: str) -> None:
    await page.check(f"input[name=_selected_action][value='{session.pk}']")
    await page.select_option("select[name=action]", action)
    await page.click("button[name=index]")


async def test_an_odd_session_waits_in_the_queue_and_is_accepted_by_one_click(site: Site) -> None:
    """E38"""
    async with odd_session(site) as (s, session), browser_page(site) as page:
        await page.goto(f"{QUEUE}?charger={s.charger.pk}")
        row = page.locator("#result_list tbody tr")
        await expect(row).to_have_count(1)
        await expect(row).to_contain_text("The register fell from 50.000 kWh at the start to 0.007 kWh")
        await page.screenshot(path=ARTIFACTS / "admin-review-queue.png", full_page=True)
        await row.locator(".field-session_link a").click()
        await page.click("button[value=accept]")
        await expect(page.locator(".messagelist")).to_contain_text("accepted")
        await expect(page.locator(".field-review_badge .ev-badge")).to_have_text("accepted")
        assert (await eventually(session.decisions.first)).verdict == "accepted"
        await page.goto(f"{QUEUE}?charger={s.charger.pk}")
        await expect(row).to_have_count(0)


async def test_a_correction_in_the_browser_reaches_the_drivers_phone(site: Site) -> None:
    async with odd_session(site) as (s, session), browser_page(site) as page:
        await page.goto(f"{SESSIONS}{session.pk}/change/")
        await page.click("button[value=correct]")
        await page.fill("[name=review-energy_kwh]", "3")
        await page.fill("[name=review-reason]", "Read off the meter")
        await page.screenshot(path=ARTIFACTS / "admin-review-correct.png", full_page=True)
        await page.click("#content-main [type=submit]")
        done = await s.app.until(event="session_completed")
        assert (done["data"]["energy_delivered"], done["data"]["cost"]) == (3.0, 1.5)
        decided = page.locator(".field-decisions tbody tr")
        await expect(decided).to_contain_text("Read off the meter")
        await expect(decided).to_contain_text("2.000 kWh")
        await expect(decided).to_contain_text("3.000 kWh")


async def test_a_void_asks_why_first(site: Site) -> None:
    async with odd_session(site) as (s, session), browser_page(site) as page:
        await page.goto(f"{QUEUE}?charger={s.charger.pk}")
        await choose(page, session, "void")
        await page.click("#content-main [type=submit]")
        await expect(page.locator(".errorlist")).to_contain_text("required")
        await page.fill("[name=review-reason]", "A fitter's test")
        await page.click("#content-main [type=submit]")
        done = await s.app.until(event="session_completed")
        assert done["data"]["cost"] == 0


async def test_a_sessions_page_tells_its_whole_course(site: Site) -> None:
    """The app's command, messages, readings with cost, what is odd, decisions: by time, in one list."""
    async with odd_session(site) as (_, session), browser_page(site) as page:
        lines = page.locator(".ev-timeline tbody tr")

        async def told() -> list[str]:
            await page.goto(f"{SESSIONS}{session.pk}/change/")
            return [" ".join(text.split()) for text in await lines.all_inner_texts()]

        # The wire log is written a moment after the answer.
        while "StopTransaction" not in "".join(found := await told()):
            await page.wait_for_timeout(100)
        expected = [
            "Asked for from an app",
            "Remote start",
            "StartTransaction",
            "Began · 50.000 kWh",
            "StatusNotification Charging",
            "1.000 kWh · 0.50 EUR",
            "900000.000 kWh suspect",
            "2.000 kWh · 1.00 EUR",
            "StopTransaction",
            "suspect The register fell",
        ]
        for text in expected:
            assert any(text in line for line in found), (text, found)
        times = [line.split(" ", 2)[:2] for line in found]
        assert times == sorted(times)
        await page.screenshot(path=ARTIFACTS / "admin-session-timeline.png", full_page=True)


async def test_a_stale_transaction_is_closed_by_hand_and_the_driver_hears_of_it(site: Site) -> None:
    admin = await signed_in(site)
    async with scene(site) as s:
        charge = await begin(s)
        session = ChargingSession.objects.get(transaction_id=charge.transaction_id)
        reason = {"review-reason": "The charger was swapped", "confirmed": "yes"}
        await admin.act(SESSIONS, "close_stale", session, **reason)
        done = await s.app.until(event="session_completed")
        assert done["session_id"] == charge.session_id
        session.refresh_from_db()
        assert (session.status, session.flags) == ("completed", ["closed"])
