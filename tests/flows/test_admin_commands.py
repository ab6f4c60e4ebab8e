"""An operator at the admin, a charger at its socket: what is asked on the page is answered on the page."""

import asyncio
import re
import urllib.parse
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http.cookiejar import CookieJar
from typing import Any

import pytest
from playwright.async_api import Page, async_playwright, expect
from websockets.exceptions import InvalidStatus

from chargers.models import Charger, Command
from sessions.models import ChargingSession
from tests import wire
from tests.browser import LAUNCH_ARGS, chromium_executable
from tests.conftest import Site
from tests.factories import make_charger, make_operator, make_user, token_of, unique
from tests.flows.test_charge import now

CHARGERS, SESSIONS = "/admin/chargers/charger/", "/admin/charging/chargingsession/"


class Admin:
    """The admin as a browser without scripts sees it: cookies, forms, redirects."""

    def __init__(self, base: str) -> None:
        self.base = base
        self.cookies = CookieJar()
        self.opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(self.cookies)
        )

    async def get(self, path: str) -> tuple[str, str]:
        """Where it ended, and the page."""
        return await asyncio.to_thread(self._open, path, None)

    async def post(self, path: str, **form: Any) -> tuple[str, str]:
        token = next(cookie.value for cookie in self.cookies if cookie.name == "csrftoken")
        fields = {"csrfmiddlewaretoken": token, **form}
        return await asyncio.to_thread(self._open, path, urllib.parse.urlencode(fields, doseq=True).encode())

    def _open(self, path: str, body: bytes | None) -> tuple[str, str]:
        with self.opener.open(urllib.parse.urljoin(self.base, path), body, timeout=10) as response:
            return urllib.parse.urlsplit(response.url).path, response.read().decode()

    async def act(self, path: str, action: str, *rows: Any, **form: Any) -> tuple[str, str]:
        chosen = [row.pk for row in rows]
        return await self.post(path, action=action, _selected_action=chosen, **form)

    async def until(self, path: str, text: str, *, times: int = 1) -> str:
        """The page, as soon as it shows this (so often)."""
        async with asyncio.timeout(wire.TIMEOUT_S):
            while True:
                _, page = await self.get(path)
                if page.count(text) >= times:
                    return page
                await asyncio.sleep(0.05)


async def signed_in(site: Site) -> Admin:
    operator = make_operator()
    admin = Admin(site.http)
    await admin.get("/admin/login/")
    path, _ = await admin.post(
        "/admin/login/?next=/admin/", username=operator.username, password="s3cret-enough"
    )
    assert path == "/admin/"
    return admin


async def test_reset_asked_on_the_page_reaches_the_charger_and_its_answer_the_page(site: Site) -> None:
    charger = make_charger()
    admin = await signed_in(site)
    async with wire.charger(site.charger_url, charger.identity) as point:
        await point.ready()
        _, question = await admin.act(CHARGERS, "hard_reset", charger)
        assert "restarts at once" in question
        path, page = await admin.act(CHARGERS, "hard_reset", charger, confirmed="yes")
        message_id, asked = await point.asked("Reset")
        assert asked == {"type": "Hard"}
        assert path == f"/admin/chargers/command/{message_id}/change/"
        assert re.search(r'data-refresh="1">(queued|sent)<', page)
        await point.answer(message_id, {"status": "Rejected"})
        page = await admin.until(path, ">rejected<")
    assert "&quot;status&quot;: &quot;Rejected&quot;" in page
    assert "data-refresh" not in page


async def test_silent_charger_ends_as_timed_out_on_the_page(site: Site) -> None:
    charger = make_charger()
    admin = await signed_in(site)
    async with wire.charger(site.charger_url, charger.identity) as point:
        await point.ready()
        path, _ = await admin.act(CHARGERS, "clear_cache", charger)
        await point.asked("ClearCache")
        page = await admin.until(path, ">timed out<")
    assert "The charger did not answer in time" in page


async def test_one_order_to_many_chargers_shows_all_answers_and_names_who_is_offline(site: Site) -> None:
    one, two, away = make_charger(), make_charger(), make_charger()
    admin = await signed_in(site)
    async with (
        wire.charger(site.charger_url, one.identity) as first,
        wire.charger(site.charger_url, two.identity) as second,
    ):
        await first.ready()
        await second.ready()
        path, page = await admin.act(CHARGERS, "get_configuration", one, two, away)
        assert f"{away}: The charger is not connected" in page
        assert path == "/admin/chargers/command/"
        for point, key in ((first, "HeartbeatInterval"), (second, "AuthorizeRemoteTxRequests")):
            message_id, _ = await point.asked("GetConfiguration")
            entry = {"key": key, "readonly": False, "value": "1"}
            await point.answer(message_id, {"configurationKey": [entry]})
        ids = ",".join(str(command.pk) for command in Command.objects.filter(charger__in=[one, two]))
        await admin.until(f"{path}?ids={ids}", ">accepted<", times=2)
        assert "HeartbeatInterval" in (await admin.get(f"{CHARGERS}{one.pk}/change/"))[1]


async def test_operator_stops_a_drivers_session(site: Site) -> None:
    charger, driver = make_charger(), make_user()
    admin = await signed_in(site)
    async with (
        wire.charger(site.charger_url, charger.identity) as point,
        wire.app(site.app_url, token_of(driver)) as app,
    ):
        await point.ready()
        await app.send({"action": "start_charging", "data": {"charger_id": charger.identity}})
        asked = await point.accepts("RemoteStartTransaction")
        transaction = await point.start(id_tag=asked["idTag"], at=now())
        await app.until(type="session_update", event="session_started")
        await point.meter(transaction=transaction, at=now(), energy=3500)
        session = ChargingSession.objects.get(transaction_id=transaction)
        await admin.until(f"{SESSIONS}?charger={charger.pk}", "2.500 kWh")
        path, _ = await admin.act(SESSIONS, "remote_stop", session, confirmed="yes")
        assert (await point.accepts("RemoteStopTransaction")) == {"transactionId": transaction}
        await point.stop(transaction=transaction, meter=5000, at=now(), reason="Remote")
        await app.until(type="session_update", event="session_completed")
    await admin.until(path, ">accepted<")
    page = (await admin.get(f"{SESSIONS}{session.pk}/change/"))[1]
    assert "4.000 kWh" in page
    assert ">completed<" in page


async def test_charger_in_the_inbox_is_accepted_and_boots_anew(site: Site) -> None:
    """§4.2: a pending charger waits until it is asked; E44: it is asked before it is accepted."""
    charger = make_charger(registration="Pending")
    admin = await signed_in(site)
    async with wire.charger(site.charger_url, charger.identity) as point:
        assert (await point.boot())["status"] == "Pending"
        path, page = await admin.act(CHARGERS, "accept_selected", charger, from_page="yes")
        assert path == f"{CHARGERS}{charger.pk}/change/"
        assert "asked to boot anew" in page
        assert (await point.accepts("TriggerMessage")) == {"requestedMessage": "BootNotification"}
        assert (await point.boot())["status"] == "Accepted"


async def test_rejected_charger_is_cut_off_and_stays_outside(site: Site) -> None:
    charger = make_charger()
    admin = await signed_in(site)
    async with wire.charger(site.charger_url, charger.identity) as point:
        await point.ready()
        await admin.act(CHARGERS, "reject_selected", charger, confirmed="yes")
        await point.closed()
    with pytest.raises(InvalidStatus):
        await wire.charger(site.charger_url, charger.identity).__aenter__()
    await admin.until(f"{CHARGERS}{charger.pk}/change/", "</span> offline")


async def test_new_charger_is_let_in_with_the_password_it_was_given(site: Site) -> None:
    admin, identity = await signed_in(site), unique("CP")
    await admin.get(f"{CHARGERS}add/")
    await admin.post(
        f"{CHARGERS}add/",
        identity=identity,
        registration="Accepted",
        security_profile="0",
        station="",
        new_password="right: one, long enough",
    )
    async with wire.charger(site.charger_url, identity, password="right: one, long enough") as point:
        assert (await point.boot())["status"] == "Accepted"
    assert Charger.objects.get(identity=identity).password_hash


@asynccontextmanager
async def browser_page(site: Site) -> AsyncIterator[Page]:
    """A browser signed in as an operator; it may ask nobody but the site."""
    operator = make_operator()
    async with (
        async_playwright() as playwright,
        await playwright.chromium.launch(executable_path=chromium_executable(), args=LAUNCH_ARGS) as browser,
    ):
        page = await browser.new_page(base_url=site.http)
        outside: list[str] = []
        page.on("request", lambda request: outside.append(request.url))
        await page.goto("/admin/")
        await page.fill("#id_username", operator.username)
        await page.fill("#id_password", "s3cret-enough")
        await page.click("[type=submit]")
        yield page
        assert [url for url in outside if not url.startswith(site.http)] == []


async def test_page_in_a_browser_takes_the_answer_in_by_itself(site: Site) -> None:
    charger = make_charger()
    async with (
        wire.charger(site.charger_url, charger.identity) as point,
        browser_page(site) as page,
    ):
        await point.ready()
        await page.goto(f"{CHARGERS}{charger.pk}/change/")
        await page.click("button:text('Unlock connector')")
        await page.select_option("select", label="2 – Available")
        await page.click("#content-main [type=submit]")
        await expect(page.locator(".field-badge .ev-badge")).to_have_text(re.compile("queued|sent"))
        message_id, asked = await point.asked("UnlockConnector")
        assert asked == {"connectorId": 2}
        await point.answer(message_id, {"status": "UnlockFailed"})
        await expect(page.locator(".field-badge .ev-badge")).to_have_text("rejected")
        await expect(page.locator(".field-answer_json")).to_contain_text("UnlockFailed")
