"""The driver's page in a real browser, on a small phone: a charge from the code on the charger to the receipt."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Locator, Page, expect

from chargers.events import utcnow
from chargers.models import Charger
from tests import wire
from tests.conftest import Site
from tests.factories import make_charger, make_station, make_tariff, make_user, unique

pytestmark = pytest.mark.embedded_only

ROOT = Path(__file__).resolve().parents[2]
ARTIFACTS = ROOT / "tests" / "artifacts"
AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
PASSWORD = "s3cret-enough"
SCHEMES: list[Any] = ["light", "dark"]
SMALL_PHONE: Any = {"width": 360, "height": 740}

# The page's own policy keeps axe from its inline script, so it comes by the debugger's door.
FAULTS = """() => axe.run(document, {resultTypes: ["violations"]}).then(({violations}) => violations
    .filter(({impact}) => impact === "serious" || impact === "critical")
    .map(({id, nodes}) => [id, ...nodes.map(({html}) => html)]))"""
# Things to tap that are less than 44 px high or wide, or stand beyond the edge.
HARD_TO_HIT = """() => [...document.querySelectorAll("main :is(button, a, input, .pin), .top button, nav a")]
    .filter((element) => element.checkVisibility() && element.type !== "radio")
    .map((element) => [element.outerHTML, element.getBoundingClientRect()])
    .filter(([_, {width, height, left, right}]) => width < 44 || height < 44 || left < 0 || right > innerWidth)
    .map(([html]) => html)"""


class Phone:
    """The page, by what stands on it."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.title = page.locator("h1:visible")
        self.line = page.locator("#line")
        self.stage = page.locator("#stage")
        self.ring = page.locator("#ring")
        self.chart = page.locator("#chart")
        self.receipt = page.locator("#receipt")

    def button(self, name: str) -> Locator:
        return self.page.get_by_role("button", name=name, exact=True)

    async def log_in(self, username: str) -> None:
        await self.page.locator("#username").fill(username)
        await self.page.locator("#password").fill(PASSWORD)
        await self.page.locator("#password").press("Enter")

    async def looks_well(self, name: str) -> None:
        """Nothing serious by axe, nothing beyond the edge, nothing too small for a thumb; and a picture."""
        ARTIFACTS.mkdir(exist_ok=True)
        if not await self.page.evaluate("'axe' in window"):
            await self.page.evaluate(AXE.read_text())
        for scheme in SCHEMES:
            await self.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            await self.page.screenshot(path=ARTIFACTS / f"drive-{name}-{scheme}.png")
            assert await self.page.evaluate(FAULTS) == []
        assert await self.page.evaluate(HARD_TO_HIT) == []
        assert await self.page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@asynccontextmanager
async def phone(browser: Browser, url: str, *, may_fail: str = "$^") -> AsyncIterator[Phone]:
    """A fresh page. Fails if the browser complained, but for `may_fail`."""
    complaints: list[str] = []
    context = await browser.new_context(viewport=SMALL_PHONE, locale="en-GB")
    page = await context.new_page()
    page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    try:
        await page.goto(url)
        yield Phone(page)
    finally:
        await context.close()
    assert [complaint for complaint in complaints if not re.search(may_fail, complaint)] == []


def make_placed_charger() -> Charger:
    station = make_station(
        name=unique("Harbour "), address="1 Quay", latitude="59.32932", longitude="18.06858"
    )
    make_tariff(stations=[station], price_per_kwh="0.50", price_per_session="1")
    return make_charger(station=station)


def later(seconds: float) -> str:
    return (utcnow() + timedelta(seconds=seconds)).isoformat()


async def test_a_charge_from_the_code_on_the_charger_to_the_receipt(site: Site, browser: Browser) -> None:
    charger, user = make_placed_charger(), make_user()
    async with (
        wire.charger(site.charger_url, charger.identity) as point,
        phone(browser, f"{site.http}/drive/{charger.identity}", may_fail="ERR_INTERNET_DISCONNECTED") as app,
    ):
        await point.ready()
        await app.log_in(user.username)
        await expect(app.title).to_have_text(charger.identity)
        await expect(app.title).to_be_focused()
        await expect(app.page.get_by_label("Connector 2 Free")).to_be_visible()
        await point.status(2, "Preparing")
        await app.page.get_by_label("Connector 2 Plugged in").check()
        await app.button("Start charging").click()
        asked = await point.accepts("RemoteStartTransaction")
        assert asked["connectorId"] == 2
        await expect(app.stage).to_have_text("Plug in your car")

        transaction = await point.start(connector=2, id_tag=asked["idTag"], meter=1000, at=later(0))
        for tick in range(1, 4):
            values = {"energy": 1000 + 500 * tick, "Power_Active_Import": 7400 - 50 * tick, "SoC": 40 + tick}
            await point.meter(transaction=transaction, connector=2, at=later(tick), **values)
        await expect(app.stage).to_have_text("Charging")
        await expect(app.ring).to_have_attribute("aria-label", "1.50 kWh delivered, car at 43 percent")
        await expect(app.chart).to_have_attribute("data-points", "3")
        await expect(app.chart).to_have_attribute("aria-label", re.compile("now 7.3 kW, at most 7.4 kW"))
        await expect(app.page.locator("#cost")).to_have_text("€1.75")

        await app.page.context.set_offline(True)
        await expect(app.line).to_be_visible(timeout=20_000)
        await expect(app.line).to_contain_text("No connection")
        await point.meter(
            transaction=transaction, connector=2, at=later(4), energy=3000, Power_Active_Import=7200
        )
        await app.page.context.set_offline(False)
        await expect(app.line).to_be_hidden(timeout=20_000)
        await expect(app.ring).to_have_attribute("aria-label", re.compile("^2.00 kWh delivered"))
        await expect(app.chart).to_have_attribute("data-points", "4")

        await app.button("Stop charging").click()
        await point.accepts("RemoteStopTransaction")
        await expect(app.stage).to_have_text("Stopping")
        await point.stop(transaction=transaction, meter=3500, at=later(5), reason="Remote")
        await expect(app.receipt).to_contain_text("€2.25")
        await expect(app.receipt).to_contain_text("2.50 kWh × €0.50")
        async with app.page.expect_download() as download:
            await app.button("Save as PDF").click()
        assert (await (await download.value).path()).read_bytes().startswith(b"%PDF")

        await app.page.get_by_role("link", name="History").click()
        await app.page.get_by_role("link", name=re.compile("2.50 kWh")).click()
        await expect(app.receipt).to_contain_text("€2.25")

        await app.page.evaluate("navigator.serviceWorker.ready.then(() => null)")
        await app.page.context.set_offline(True)
        await app.page.reload()
        await expect(app.title).to_have_text("Receipt")  # the page itself, from what the phone kept
        await app.page.context.set_offline(False)
        await app.button("Log out").click()
        await expect(app.title).to_have_text("Log in")
        await app.page.reload()
        await expect(app.title).to_have_text("Log in")


@pytest.mark.parametrize("language", ["en", "ar"])
async def test_page_is_for_everybody_in_either_language_and_light(
    site: Site, browser: Browser, language: str
) -> None:
    charger, user = make_placed_charger(), make_user()
    assert charger.station
    async with (
        wire.charger(site.charger_url, charger.identity) as point,
        phone(browser, f"{site.http}/drive/?lang={language}") as app,
    ):
        await point.ready()
        direction = "rtl" if language == "ar" else "ltr"
        await expect(app.page.locator("html")).to_have_attribute("dir", direction)
        await app.log_in(user.username)
        await app.page.locator("#search").fill(charger.station.name)
        row = app.page.locator(f'[data-charger="{charger.identity}"]')
        await expect(row.locator(".chip")).to_have_text("متاح 2/2" if language == "ar" else "Free 2/2")
        await expect(app.page.locator("#places li")).to_have_count(1)
        await app.looks_well(f"{language}-list")

        await row.click()
        await expect(app.page.locator("#start")).to_be_visible()
        await app.looks_well(f"{language}-charger")
        await app.page.locator("#start-button").click()
        asked = await point.accepts("RemoteStartTransaction")
        transaction = await point.start(id_tag=asked["idTag"], meter=0, at=later(-3600))
        for tick, power in enumerate([3700, 7400, 7400, 7300, 5200, 4100]):
            values = {"energy": 1200 * tick, "Power_Active_Import": power}
            await point.meter(transaction=transaction, at=later(600 * tick - 3600), **values)
        await expect(app.chart).to_have_attribute("data-points", "6")
        await app.looks_well(f"{language}-charging")

        await point.stop(transaction=transaction, meter=6000, at=later(0), reason="Local")
        await expect(app.receipt).to_be_visible()
        await app.looks_well(f"{language}-receipt")
