"""The test console in a real browser: what a tester does with it, by mouse and by keyboard."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser, Locator, Page, WebSocketRoute, expect
from rest_framework_simplejwt.tokens import AccessToken

from chargers.events import utcnow
from chargers.models import Charger
from tests import wire
from tests.axe import serious_faults
from tests.conftest import Site
from tests.factories import make_charger, make_tariff, make_user, token_of, unique
from tests.server_process import ServerProcess

pytestmark = pytest.mark.embedded_only

ARTIFACTS = Path(__file__).resolve().parent.parent / "artifacts"
PASSWORD = "s3cret-enough"
WIDE, PHONE = (1280, 900), (390, 844)

expect.set_options(timeout=10_000)


class Console:
    """The page, by what stands on it."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.state = page.locator("#state")
        self.trouble = page.locator("#connection-notice")
        self.session = page.locator("#session")
        self.notice = page.locator("#session-notice")
        self.entries = page.locator(".entry:visible")

    def button(self, name: str) -> Locator:
        return self.page.get_by_role("button", name=name, exact=True)

    def row(self, charger: Charger) -> Locator:
        return self.page.locator(f'.charger[data-charger="{charger.identity}"]')

    def connector(self, charger: Charger, number: int) -> Locator:
        return self.row(charger).locator(f'.connector[data-number="{number}"]')

    def figure(self, name: str) -> Locator:
        return self.page.locator(f"dt:text-is('{name}') + dd")

    async def log_in(self, username: str, password: str = PASSWORD) -> None:
        await self.page.get_by_label("User name").fill(username)
        await self.page.get_by_label("Password").fill(password)
        await self.button("Log in and connect").click()

    async def use_token(self, token: str) -> None:
        await self.page.locator("#paste").evaluate("details => (details.open = true)")
        await self.page.get_by_label("Access token").fill(token)
        await self.button("Use this token and connect").click()

    async def connected(self) -> None:
        await expect(self.state).to_have_text("Connected")

    async def points(self) -> int:
        return int(await self.page.locator("#chart").get_attribute("data-points") or 0)

    async def keep(self, name: str) -> None:
        """A picture for people, and no part of the page beyond its right edge."""
        ARTIFACTS.mkdir(exist_ok=True)
        await self.page.evaluate("scrollTo({top: 0, behavior: 'instant'})")
        await self.page.screenshot(path=ARTIFACTS / f"console-{name}.png", full_page=True)
        assert await self.page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@asynccontextmanager
async def console(
    browser: Browser,
    base: str,
    *,
    size: tuple[int, int] = WIDE,
    scheme: Any = "light",
    may_fail: str = "$^",
    path: str = "/console/",
    before: Callable[[Page], Awaitable[None]] | None = None,
) -> AsyncIterator[Console]:
    """A fresh page. Fails if the browser complained (but for `may_fail`), or asked any other host for anything."""
    width, height = size
    complaints: list[str] = []
    asked: list[str] = []
    context = await browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
    page = await context.new_page()
    page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.on("websocket", lambda socket: asked.append(socket.url))
    try:
        if before:
            await before(page)
        await page.goto(base + path)
        yield Console(page)
    finally:
        await context.close()
    assert [complaint for complaint in complaints if not re.search(may_fail, complaint)] == []
    hosts = {urlsplit(url).netloc for url in asked if not url.startswith("data:")}
    assert hosts == {urlsplit(base).netloc}


def make_first_charger(**fields: Any) -> Charger:
    """One that the list of a shared database begins with."""
    return make_charger(identity=unique("AA"), **fields)


def now() -> str:
    return utcnow().isoformat()


def later(seconds: float) -> str:
    return (utcnow() + timedelta(seconds=seconds)).isoformat()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
async def test_a_charge_by_its_buttons(
    site: Site, browser: Browser, size: tuple[int, int], scheme: str, request: pytest.FixtureRequest
) -> None:
    look = request.node.callspec.id
    charger, user = make_first_charger(), make_user()
    make_tariff(stations=[charger.station], price_per_kwh="0.50", price_per_session="1")
    async with (
        wire.charger(site.charger_url, charger.identity) as point,
        console(browser, site.http, size=size, scheme=scheme) as page,
    ):
        await point.ready()
        await page.keep(f"{look}-0-log-in")
        await page.log_in(user.username)
        await page.connected()
        await expect(page.row(charger)).to_contain_text("2/2 Available")
        await expect(page.session).to_contain_text(f"begins at {charger.identity}, connector 1")
        await point.status(2, "Charging")  # somebody else
        await expect(page.connector(charger, 2)).to_have_text("2 Charging")
        await expect(page.row(charger)).to_contain_text("1/2 Available")
        await page.keep(f"{look}-1-idle")

        await page.button("Start charging").click()
        asked = await point.accepts("RemoteStartTransaction")
        assert asked["connectorId"] == 1
        await expect(page.session).to_contain_text("Waiting for the charger")
        await expect(page.notice).to_contain_text("The charger accepted")
        transaction = await point.start(id_tag=asked["idTag"], meter=1000, at=now())
        await expect(page.session).to_have_attribute("data-status", "active")
        await point.status(1, "Charging")
        for tick in range(1, 4):
            at = (utcnow() + timedelta(seconds=tick)).isoformat()
            values = {"Power_Active_Import": 7400 - 50 * tick, "SoC": 40 + tick}
            await point.meter(transaction=transaction, at=at, energy=1000 + 500 * tick, **values)
        await expect(page.figure("Energy")).to_have_text("1.500 kWh")
        await expect(page.figure("Power")).to_have_text("7.25 kW")
        await expect(page.figure("Cost")).to_have_text("€1.75")
        await expect(page.figure("Charge of the car")).to_have_text("43 %")
        assert await page.points() == 3
        await expect(page.row(charger)).to_contain_text("0/2 In use")
        before = await page.figure("Duration").inner_text()
        await expect(page.figure("Duration")).not_to_have_text(before)  # between events, too
        await page.keep(f"{look}-2-charging")

        await page.button("Stop charging").click()
        await point.accepts("RemoteStopTransaction")
        await point.stop(transaction=transaction, meter=3000, at=now(), reason="Remote")
        await expect(page.session).to_have_attribute("data-status", "completed")
        await expect(page.figure("Energy")).to_have_text("2.000 kWh")
        await expect(page.figure("Cost")).to_have_text("€2.00")
        await expect(page.session).to_contain_text("ended: Remote")
        await page.keep(f"{look}-3-ended")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
async def test_start_page_leads_to_the_console(
    site: Site, browser: Browser, size: tuple[int, int], scheme: str, request: pytest.FixtureRequest
) -> None:
    async with console(browser, site.http, size=size, scheme=scheme, path="/") as page:
        await page.keep(f"{request.node.callspec.id}-home")
        await page.page.get_by_role("link", name="Test console").click()
        await expect(page.state).to_have_text("Not connected")


async def test_by_keyboard_alone(site: Site, browser: Browser) -> None:
    charger, user = make_first_charger(), make_user()
    async with (
        wire.charger(site.charger_url, charger.identity) as point,
        console(browser, site.http) as page,
    ):
        await point.ready()
        keyboard = page.page.keyboard
        await keyboard.press("Tab")
        await expect(page.page.get_by_role("link", name="Skip to the content")).to_be_focused()
        await keyboard.press("Enter")
        await keyboard.press("Tab")
        await keyboard.type(user.username)
        await keyboard.press("Tab")
        await keyboard.type(PASSWORD)
        await keyboard.press("Enter")
        await page.connected()
        await expect(page.button("Disconnect")).to_be_focused()
        await expect(page.connector(charger, 1)).to_be_visible()
        await tab_to(page.page, page.connector(charger, 2))
        await keyboard.press("Space")
        await expect(page.connector(charger, 2)).to_have_attribute("aria-pressed", "true")
        await tab_to(page.page, page.button("Start charging"))
        await keyboard.press("Enter")
        asked = await point.accepts("RemoteStartTransaction")
        assert asked["connectorId"] == 2
        await expect(page.session).to_have_attribute("data-status", "pending")
        await expect(page.notice).to_contain_text("The charger accepted")
        await expect(page.button("Start charging")).to_be_focused()  # though it can do nothing now
        await keyboard.press("Enter")
        await expect(page.notice).to_have_text("A session is under way already. Stop it first.")
        await keyboard.press("Tab")
        await expect(page.button("Call off")).to_be_focused()
        await keyboard.press("Enter")
        await expect(page.session).to_have_attribute("data-status", "failed")


async def tab_to(page: Page, wanted: Locator, most: int = 250) -> None:
    """Every stop on the way shows where the focus is."""
    for _ in range(most):
        await page.keyboard.press("Tab")
        width = await page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert width != "none"
        if await wanted.evaluate("element => element === document.activeElement"):
            return
    raise AssertionError("the keyboard does not get there")


# --- who gets in ---


async def test_wrong_password_is_said_so(site: Site, browser: Browser) -> None:
    user = make_user()
    async with console(browser, site.http, may_fail="401") as page:
        await page.log_in(user.username, "wrong")
        await expect(page.trouble).to_have_text("Wrong user name or password.")
        await expect(page.page.get_by_label("Password")).to_be_focused()
        await page.log_in(user.username)
        await page.connected()
        await expect(page.trouble).to_be_hidden()


async def test_refused_tokens_are_explained(site: Site, browser: Browser) -> None:
    user = make_user()
    expired = AccessToken.for_user(user)
    expired.set_exp(lifetime=-timedelta(hours=1))
    async with console(browser, site.http) as page:
        await page.use_token("no-token-at-all")
        await expect(page.trouble).to_contain_text("(1008: Invalid authentication token)")
        await page.use_token(str(expired))
        await expect(page.trouble).to_have_text(re.compile("^The token has expired.*1008: Token expired"))
        await expect(page.state).to_have_text("Not connected")
        await expect(page.page.get_by_label("User name")).to_be_visible()  # the way on
        assert "no-token" not in await page.page.content()


async def test_token_that_ends_meanwhile_ends_the_session_of_the_page(site: Site, browser: Browser) -> None:
    token = AccessToken.for_user(make_user())
    token.set_exp(lifetime=timedelta(seconds=7))
    async with console(browser, site.http) as page:
        await page.use_token(str(token))
        await page.connected()
        await expect(page.trouble).to_contain_text("The token has expired.")
        await expect(page.page.locator("#log-entries")).to_contain_text("1008: Token expired")


async def test_full_server_is_said_so_and_tried_again(
    start_server: Callable[..., ServerProcess], browser: Browser
) -> None:
    server = start_server(MAX_APP_SOCKETS=1)
    user = make_user()
    async with console(browser, server.http) as page:
        async with wire.app(server.ws, token_of(user)) as first:
            await first.until(type="connected")
            await page.use_token(token_of(user))
            await expect(page.trouble).to_contain_text("(1008: Server at capacity)")
            await expect(page.state).to_contain_text("Reconnecting")
        await page.button("Try now").click()
        await page.connected()


async def test_token_is_kept_for_the_tab_and_forgotten_when_asked(site: Site, browser: Browser) -> None:
    user = make_user()
    async with console(browser, site.http) as page:
        await page.log_in(user.username)
        await page.connected()
        await page.page.reload()
        await page.connected()
        await expect(page.page.locator("#who")).to_have_text(f"{user.username} · user {user.pk}")
        assert await page.page.evaluate("localStorage.length") == 0
        assert await page.page.evaluate("document.cookie") == ""
        await page.button("Forget token").click()
        await expect(page.page.get_by_label("Password")).to_be_focused()
        assert await page.page.evaluate("sessionStorage.length") == 0
        await page.page.reload()
        await expect(page.state).to_have_text("Not connected")


async def test_url_with_a_token_gives_up_the_token(site: Site, browser: Browser) -> None:
    user = make_user()
    async with console(browser, site.http) as page:
        await page.log_in(user.username)
        await page.connected()
        await page.button("Disconnect").click()
        url = page.page.get_by_label("Socket URL")
        await url.fill(f"{site.app_url}/ws/?token={token_of(user)}")
        await page.button("Connect").click()
        await page.connected()
        await expect(url).to_have_value(f"{site.app_url}/ws/")
        await page.button("Disconnect").click()
        await url.fill("http://example.test/")
        await page.button("Connect").click()
        await expect(page.trouble).to_have_text("The socket URL must begin with ws:// or wss://.")
        await expect(page.page.get_by_text("Another host than this page's")).to_be_visible()


# --- the line ---


async def test_lost_line_comes_back_with_the_session(
    start_server: Callable[..., ServerProcess], browser: Browser
) -> None:
    server = start_server()
    charger, user = make_first_charger(), make_user()
    async with console(browser, server.http, may_fail="ERR_CONNECTION_REFUSED|WebSocket connection") as page:
        async with wire.charger(server.ws, charger.identity) as point:
            await point.ready()
            await page.log_in(user.username)
            await page.connected()
            await expect(page.connector(charger, 1)).to_have_attribute("data-word", "available")
            await page.button("Start charging").click()
            asked = await point.accepts("RemoteStartTransaction")
            transaction = await point.start(id_tag=asked["idTag"], meter=0, at=now())
            await point.meter(transaction=transaction, at=now(), energy=700)
            await expect(page.figure("Energy")).to_have_text("0.700 kWh")
            server.kill()
            await expect(page.state).to_contain_text("Reconnecting")
            await expect(page.trouble).to_contain_text("(1006)")
            await expect(page.session).to_contain_text("Not connected: these are the figures of")
        again = start_server("manage.py", "serve", "--port", str(server.port))
        await expect(page.state).to_have_text("Connected", timeout=20_000)
        await expect(page.trouble).to_be_hidden()
        await expect(page.session).to_have_attribute("data-status", "active")
        async with wire.charger(again.ws, charger.identity) as point:
            await point.stop(transaction=transaction, meter=900, at=now())
            await expect(page.session).to_have_attribute("data-status", "completed")
            await expect(page.figure("Energy")).to_have_text("0.900 kWh")


async def test_what_happens_without_a_network_is_caught_up_with(site: Site, browser: Browser) -> None:
    """The session moved on, and was ended from another phone: every message of it comes, once and in order."""
    charger, user = make_first_charger(), make_user()
    offline = "ERR_INTERNET_DISCONNECTED"
    async with (
        wire.charger(site.charger_url, charger.identity) as point,
        wire.app(site.app_url, token_of(user)) as other_phone,
        console(browser, site.http, may_fail=offline) as page,
    ):
        await point.ready()
        await page.log_in(user.username)
        await page.connected()
        await expect(page.session).to_contain_text(f"begins at {charger.identity}, connector 1")
        await page.button("Start charging").click()
        asked = await point.accepts("RemoteStartTransaction")
        transaction = await point.start(id_tag=asked["idTag"], meter=0, at=later(-60))

        async def tick(number: int) -> None:
            values = {"energy": 500 * number, "Power_Active_Import": 7000 + 10 * number}
            await point.meter(transaction=transaction, at=later(number - 60), **values)

        for number in (1, 2):
            await tick(number)
        await expect(page.figure("Energy")).to_have_text("1.000 kWh")
        faults = await serious_faults(page.page)
        assert faults == [], faults

        await page.page.context.set_offline(True)
        await expect(page.state).to_contain_text("Reconnecting", timeout=20_000)
        await tick(3)
        await page.page.context.set_offline(False)
        await page.connected()
        await expect(page.figure("Energy")).to_have_text("1.500 kWh")
        await expect(page.page.locator("#chart")).to_have_attribute("data-points", "3")
        await tick(4)
        await expect(page.page.locator("#chart")).to_have_attribute("data-points", "4")

        await page.page.context.set_offline(True)
        await expect(page.state).to_contain_text("Reconnecting", timeout=20_000)
        stop = {"action": "stop_charging", "data": {"charger_id": charger.identity}}
        await other_phone.send(stop)
        await point.accepts("RemoteStopTransaction")
        await point.stop(transaction=transaction, meter=2500, at=later(-50), reason="Remote")
        await other_phone.until(type="notification", title="Charging stopped")
        await page.page.context.set_offline(False)
        await expect(page.session).to_have_attribute("data-status", "completed")
        await expect(page.figure("Energy")).to_have_text("2.500 kWh")
        steps = page.entries.filter(has_text=re.compile("session_(started|stopped|completed) ·"))
        await expect(steps).to_contain_text(["session_started", "session_stopped", "session_completed"])


async def test_line_gone_silent_is_noticed(site: Site, browser: Browser) -> None:
    """Out of reach, a browser may not hear for minutes that its socket is dead, or that a new one gets nowhere."""
    sockets: list[WebSocketRoute] = []
    is_dead = False

    def carry(socket: WebSocketRoute) -> None:
        """The first goes dead when we say so, the second never says a word, all others work."""
        sockets.append(socket)
        number = len(sockets)
        if number == 2:
            return
        server = socket.connect_to_server()
        socket.on_message(lambda message: None if is_dead and number == 1 else server.send(message))
        server.on_message(lambda message: None if is_dead and number == 1 else socket.send(message))

    async def with_own_clock(page: Page) -> None:
        await page.clock.install()
        await page.route_web_socket(re.compile(".*"), carry)

    async with console(browser, site.http, before=with_own_clock) as page:
        await page.log_in(make_user().username)
        await page.connected()
        await expect(page.entries.filter(has_text="list_chargers · ok")).to_be_visible()
        await page.page.clock.run_for(26_000)
        await expect(page.entries.filter(has_text="ping · ok")).to_be_visible()
        await expect(page.state).to_have_text("Connected")
        is_dead = True
        while len(sockets) < 3:
            await page.page.clock.run_for(1_000)
            await asyncio.sleep(0.02)
        await page.connected()
        await expect(page.entries.filter(has_text="(1006: no answer)")).to_have_count(2)


async def test_without_reconnecting_the_line_stays_down(
    start_server: Callable[..., ServerProcess], browser: Browser
) -> None:
    server = start_server()
    async with console(browser, server.http) as page:
        await page.log_in(make_user().username)
        await page.connected()
        await page.page.get_by_label("Reconnect when the line is lost").uncheck()
        server.stop()
        await expect(page.state).to_have_text("Not connected")
        await expect(page.trouble).to_contain_text("The server is restarting. (1012")


# --- what is refused, and what is wrong ---


async def test_refusal_of_the_charger_is_shown_at_the_session(site: Site, browser: Browser) -> None:
    charger, user = make_first_charger(), make_user()
    async with (
        wire.charger(site.charger_url, charger.identity) as point,
        console(browser, site.http) as page,
    ):
        await point.ready()
        await page.log_in(user.username)
        await page.connector(charger, 1).click()
        await page.button("Start charging").click()
        message_id, _ = await point.asked("RemoteStartTransaction")
        await point.answer(message_id, {"status": "Rejected"})
        await expect(page.notice).to_contain_text("(charger_rejected)")
        await expect(page.session).to_have_attribute("data-status", "failed")
        await expect(page.button("Start charging")).not_to_have_attribute("aria-disabled", "true")


async def test_list_says_when_a_charger_goes_and_why_it_cannot_be_used(site: Site, browser: Browser) -> None:
    charger, user = make_first_charger(connectors=1), make_user()
    async with console(browser, site.http) as page:
        async with wire.charger(site.charger_url, charger.identity) as point:
            await point.ready(connectors=1)
            await page.log_in(user.username)
            await expect(page.connector(charger, 1)).to_have_attribute("data-word", "available")
            await point.status(1, "Faulted", errorCode="GroundFailure")
            await expect(page.row(charger)).to_contain_text("Connector 1: GroundFailure")
            await expect(page.connector(charger, 1)).to_have_attribute("data-word", "unavailable")
        await expect(page.row(charger)).to_contain_text("Offline, last seen")


async def test_list_follows_what_operators_do(site: Site, browser: Browser) -> None:
    """Messages put on the line by hand; the last two are of kinds that the page does not know."""
    charger = make_first_charger(connectors=1)
    connectors = [{"connector_id": 1, "status": "Available", "error_code": None, "updated_at": now()}]
    listed = {"status": "available", "connected": True, "display": "1/1", "connectors": connectors}
    station = {
        "station_id": 1,
        "station_name": "New Station",
        "location": {"latitude": None, "longitude": None, "address": "1 New Road"},
        "chargers": [{"charger_id": charger.identity, **listed}],
    }
    lines: list[WebSocketRoute] = []

    async def with_open_line(page: Page) -> None:
        def carry(socket: WebSocketRoute) -> None:
            socket.connect_to_server()
            lines.append(socket)

        await page.route_web_socket(re.compile(".*"), carry)

    async with console(browser, site.http, before=with_open_line) as page:
        await page.log_in(make_user().username)
        await expect(page.row(charger)).to_contain_text("Has never connected")

        def push(**message: Any) -> None:
            lines[0].send(json.dumps({"timestamp": now(), **message}))

        push(type="charger_list_update", action="removed", data={"chargers": [station]})
        await expect(page.row(charger)).to_have_count(0)
        push(type="charger_list_update", action="added", data={"chargers": [station]})
        await expect(page.row(charger)).to_contain_text("New Station · 1 New Road")
        await expect(page.connector(charger, 1)).to_have_attribute("data-word", "available")
        reason = {"is_under_maintenance": True, "maintenance_reason": "New cable", "timestamp": now()}
        push(type="charger_update", charger_id=charger.identity, event="maintenance_mode", data=reason)
        await expect(page.row(charger)).to_contain_text("Under maintenance: New cable")
        push(type="notification", title="To all", message="We close at eight", data={})
        await expect(page.notice).to_have_text("To all: We close at eight")
        push(type="tomorrow's message", data=[1, 2])
        await expect(page.entries.last).to_contain_text("tomorrow's message")
        lines[0].send("no JSON <b>at all</b>")
        await expect(page.entries.last).to_contain_text("no JSON <b>at all</b>")


# --- actions ---


async def test_every_action_has_a_button_and_is_answered(site: Site, browser: Browser) -> None:
    from gateway.protocol import ACTIONS

    charger, user = make_first_charger(), make_user()
    async with console(browser, site.http) as page:
        await page.log_in(user.username)
        await page.connector(charger, 2).click()
        data = page.page.get_by_label(re.compile("^Data of"))
        for action in ACTIONS:
            await page.button("Clear").click()
            await page.button(action).click()
            if action in ("start_charging", "get_charger_status"):
                assert f'"charger_id": "{charger.identity}"' in await data.input_value()
            await page.button(f"Send {action}").click()
            answer = page.entries.filter(has_text="response").filter(has_text=f"{action} ·")
            await expect(answer).to_have_text(re.compile(r"\d+ ms"))


async def test_edited_data_stays_and_follows_the_charger(site: Site, browser: Browser) -> None:
    charger, user = make_first_charger(), make_user()
    async with console(browser, site.http) as page:
        await page.log_in(user.username)
        await page.connector(charger, 1).click()
        data = page.page.get_by_label(re.compile("^Data of"))
        await data.fill('{"charger_id": "x", "extra": true, "connector_id": 9}')
        await page.connector(charger, 2).click()
        await expect(data).to_have_value(
            re.compile(f'"{charger.identity}".*"extra": true.*"connector_id": 2', re.S)
        )
        await data.fill("{not json")
        await data.press("Control+Enter")
        await expect(page.page.locator("#action-trouble")).to_contain_text("This is not JSON")
        await page.button("Reset").click()
        await expect(data).to_have_value(re.compile('"connector_id": 2'))
        free = page.page.get_by_label("Anything else, sent as it stands")
        await free.fill("{not json")
        await free.press("Control+Enter")
        await expect(page.entries.filter(has_text="invalid_message")).to_be_visible()


# --- the log ---


async def test_log_can_be_searched_paused_opened_and_copied(site: Site, browser: Browser) -> None:
    charger, user = make_first_charger(), make_user()
    token = token_of(user)
    async with (
        wire.charger(site.charger_url, charger.identity) as point,
        console(browser, site.http) as page,
    ):
        await page.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        await point.ready()
        await page.use_token(token)
        await page.connector(charger, 1).click()
        await page.button("Start charging").click()
        asked = await point.accepts("RemoteStartTransaction")
        transaction = await point.start(id_tag=asked["idTag"], meter=0, at=now())
        await point.meter(transaction=transaction, at=now(), energy=500)
        ticks = page.entries.filter(has_text="meter_value")
        await expect(ticks).to_have_count(1)

        await page.page.get_by_label("Hide meter values").check()
        await expect(ticks).to_have_count(0)
        await page.page.get_by_label("Filter by type").select_option("session_update")
        await expect(page.entries).to_have_count(1)
        await expect(page.entries).to_contain_text("session_started")
        await page.page.get_by_label("Hide meter values").uncheck()
        await page.page.get_by_label("Filter by text").fill('"energy_delivered":0.5')
        await expect(page.entries).to_have_count(1)
        await ticks.locator("summary").click()
        await expect(ticks.locator("pre")).to_contain_text('"energy_delivered": 0.5')
        await ticks.get_by_role("button", name="Copy").click()
        copied = await page.page.evaluate("navigator.clipboard.readText()")
        assert '"event":"meter_value"' in copied
        await page.page.get_by_label("Filter by text").fill("nothing says this")
        await expect(page.page.get_by_text("Nothing passes the filters.")).to_be_visible()

        await page.page.get_by_label("Filter by text").fill("")
        await page.page.get_by_label("Filter by type").select_option("")
        await page.button("Copy all").click()
        await expect(page.page.locator("#log-copy")).to_have_text("Copied")
        everything = await page.page.evaluate("navigator.clipboard.readText()")
        assert "→" in everything
        assert '"type":"connected"' in everything
        assert token not in everything + await page.page.content()

        await page.button("Pause").click()
        shown = await page.entries.count()
        await point.meter(transaction=transaction, at=now(), energy=600)
        await expect(page.page.locator("#log-count")).to_contain_text("1 waiting")
        assert await page.entries.count() == shown
        await page.button("Go on").click()
        await expect(page.entries).to_have_count(shown + 1)
        await page.button("Clear").click()
        await expect(page.entries).to_have_count(0)


async def test_token_that_is_sent_by_hand_is_not_shown(site: Site, browser: Browser) -> None:
    user = make_user()
    token = token_of(user)
    async with console(browser, site.http) as page:
        await page.use_token(token)
        await page.connected()
        await page.page.get_by_label("Anything else, sent as it stands").fill(f'{{"action": "{token}"}}')
        await page.button("Send the text").click()
        await expect(page.entries.filter(has_text="‹token›")).not_to_have_count(0)
        await page.page.get_by_label("Anything else, sent as it stands").fill("")
        assert token not in await page.page.locator("#log").inner_html()


async def test_log_is_bounded(site: Site, browser: Browser) -> None:
    async with console(browser, site.http) as page:
        await page.log_in(make_user().username)
        await page.connected()
        free = page.page.get_by_label("Anything else, sent as it stands")
        await free.fill('{"action": "ping"}')
        await page.page.evaluate("for (let i = 0; i < 700; i++) document.getElementById('send-free').click()")
        await expect(page.page.locator("#log-count")).to_have_text("1000")
        await expect(page.page.locator(".entry")).to_have_count(1000)
        await expect(page.entries.filter(has_text="ping · ok").last).to_be_visible()


async def test_theme_is_chosen_and_kept(site: Site, browser: Browser) -> None:
    async with console(browser, site.http, scheme="dark") as page:
        back = "getComputedStyle(document.body).backgroundColor"
        dark = await page.page.evaluate(back)
        await page.button("Theme: auto").click()
        assert await page.page.evaluate(back) != dark
        await page.page.reload()
        await page.button("Theme: light").click()
        assert await page.page.evaluate(back) == dark
