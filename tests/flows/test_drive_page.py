"""The driver's page in a real browser, on a small phone: a charge from the code on the charger to the receipt."""

import json
import random
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Locator, Page, Route, expect

from chargers.events import utcnow
from chargers.models import Charger, Connector, Station
from gateway.models import LogIn
from tests import wire
from tests.axe import serious_faults
from tests.conftest import Site
from tests.factories import make_charger, make_station, make_tariff, make_user, unique
from tests.server_process import ServerProcess

pytestmark = pytest.mark.embedded_only

ROOT = Path(__file__).resolve().parents[2]
ARTIFACTS = ROOT / "tests" / "artifacts"
PASSWORD = "s3cret-enough"
SCHEMES: list[Any] = ["light", "dark"]
SMALL_PHONE: Any = {"width": 360, "height": 740}

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
        for scheme in SCHEMES:
            await self.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            await self.page.screenshot(path=ARTIFACTS / f"drive-{name}-{scheme}.png")
            assert await serious_faults(self.page) == []
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
        async with app.page.expect_navigation():
            await app.button("Log out").click()
        await expect(app.title).to_have_text("Log in")
        await wire.eventually(LogIn.objects.filter(user=user, end=LogIn.End.LOGGED_OUT).exists)
        await app.page.reload()
        await expect(app.title).to_have_text("Log in")


async def test_one_of_many_is_found_by_its_name_on_the_map_and_nearby(
    start_server: Callable[..., ServerProcess], browser: Browser
) -> None:
    """However many chargers there are, the page asks for a page of them, and is told of those alone."""
    town = f"A{unique('TOWN')}-"  # a number at its end would be one with the chargers' numbers
    at = 20 + random.random()  # in the sea, apart from what other tests have
    there: Any = {"latitude": at, "longitude": -40}
    chargers = make_town(town, 230, there)
    server = start_server(
        MAP_TILES_URL="https://tiles.example/{z}/{x}/{y}.png",
        MAP_ATTRIBUTION="The tests' map",
        MAP_ATTRIBUTION_URL="https://map.example/",
    )
    tiles: list[Any] = []

    async def tile(route: Route) -> None:
        tiles.append(route.request.headers.get("referer"))
        await route.fulfill(content_type="image/svg+xml", body='<svg xmlns="http://www.w3.org/2000/svg"/>')

    async with (
        wire.charger(server.ws, chargers[-1]) as point,
        phone(browser, f"{server.http}/health/live") as app,
    ):
        await point.ready()
        rows, found = app.page.locator("#places li"), app.page.locator("#found")
        nearest = rows.first.locator("a")
        asked: list[dict[str, Any]] = []
        app.page.on(
            "websocket", lambda line: line.on("framesent", lambda sent: asked.append(json.loads(sent)))
        )
        await app.page.context.route("https://tiles.example/**", tile)
        await app.page.context.grant_permissions(["geolocation"])
        await app.page.context.set_geolocation(there)
        await app.page.goto(f"{server.http}/drive/")
        assert await installability(app.page) == []
        await app.log_in(make_user().username)
        await expect(found).to_have_text("The first 50 chargers. Search, or look closer on the map.")
        assert len([each for each in asked if each["action"] == "list_chargers"]) == 1
        await expect(rows).to_have_count(40)
        await app.button("Show more").click()
        await expect(rows).to_have_count(50)
        await app.button("Show more").click()
        await expect(rows).to_have_count(90)

        await app.page.locator("#search").fill(f"{town} {chargers[7][-4:].lower()}")
        await expect(found).to_have_text("Chargers: 1")
        await expect(nearest).to_have_attribute("data-charger", chargers[7])
        await app.page.locator("#search").fill("")
        await expect(found).to_contain_text("The first 50 chargers")

        await app.button("Near me").click()  # the last of them is
        await expect(found).to_contain_text("Chargers in this area")
        await expect(nearest).to_have_attribute("data-charger", chargers[-1])
        await expect(nearest).to_contain_text("0.0 km")
        await expect(nearest.locator(".chip")).to_have_text("Free 2/2")
        await point.status(1, "Charging")
        await expect(nearest.locator(".chip")).to_have_text("Free 1/2")
        assert tiles
        assert set(tiles) == {f"{server.http}/"}
        assert await app.page.locator("#pins image").count() > 1
        await expect(app.page.get_by_role("link", name="The tests' map")).to_be_visible()

        pins, before = app.page.locator(".pin"), await app.page.locator("#scale").text_content()
        await app.button("Zoom out").click()
        await expect(app.page.locator("#scale")).not_to_have_text(before or "")
        await app.button("Zoom in").click()
        await expect(app.page.locator("#scale")).to_have_text(before or "")
        box = await app.page.locator("#pins").bounding_box()
        assert box
        await app.page.mouse.move(box["x"] + 20, box["y"] + 20)
        await app.page.mouse.down()
        await app.page.mouse.move(box["x"] + 310, box["y"] + 200, steps=3)
        await app.page.mouse.up()
        await app.page.locator("#pins").press("ArrowLeft")
        await app.page.locator("#pins").press("ArrowLeft")
        await expect(app.page.locator(f'[data-charger="{chargers[-1]}"]')).to_have_count(0)
        await app.button("Show all places").click()
        await expect(found).to_contain_text("The first 50 chargers")

        await app.page.locator("#search").fill(chargers[-1])
        await expect(found).to_have_text("Chargers: 1")
        await expect(pins).to_have_count(1)
        await pins.focus()
        await pins.press("Enter")
        await expect(app.title).to_have_text(chargers[-1])
        await point.status(2, "Charging")
        await expect(app.page.get_by_label("Connector 2 In use")).to_be_visible()


def make_town(name: str, count: int, there: dict[str, Any]) -> list[str]:
    """So many chargers with a place, the last of them just there and the others to the south of it."""
    stations = Station.objects.bulk_create(
        Station(
            name=f"{name} {number}",
            latitude=f"{there['latitude'] - 0.02 * (count - 1 - number):.5f}",
            longitude=there["longitude"],
        )
        for number in range(count)
    )
    chargers = Charger.objects.bulk_create(
        Charger(identity=f"{name}{number:04}", station=station) for number, station in enumerate(stations)
    )
    Connector.objects.bulk_create(
        Connector(charger=chargers[-1], number=number, status="Available") for number in (1, 2)
    )
    return [charger.identity for charger in chargers]


async def installability(page: Page) -> list[str]:
    """What Chrome has against putting the page on a home screen; but for profiles such as this one, which cannot."""
    await page.evaluate("navigator.serviceWorker.ready.then(() => null)")
    session = await page.context.new_cdp_session(page)
    found = (await session.send("Page.getInstallabilityErrors"))["installabilityErrors"]
    manifest = await session.send("Page.getAppManifest")
    ids = [each["errorId"] for each in found if each["errorId"] != "in-incognito"]
    return ids + [each["message"] for each in manifest["errors"]]


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
