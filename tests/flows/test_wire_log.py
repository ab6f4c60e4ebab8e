"""What a charger and we say to one another stands in the log, and on the operators' pages."""

import asyncio
import json
import os
from collections.abc import Callable
from typing import Any

from django.db.models import QuerySet
from playwright.async_api import expect

from chargers.models import Breach, Charger, Command, OcppCall, QuirkProfile
from tests import wire
from tests.conftest import Site
from tests.factories import make_charger, unique
from tests.flows.test_admin_commands import CHARGERS, browser_page, signed_in
from tests.flows.test_charge import now
from tests.flows.test_command_api import SECRET, ask
from tests.server_process import ServerProcess
from tests.wire import eventually

CALLS, BREACHES = "/admin/chargers/ocppcall/", "/admin/chargers/breach/"


def calls_of(charger: Charger, **fields: Any) -> QuerySet[OcppCall]:
    return OcppCall.objects.filter(charger=charger, **fields)


async def logged(charger: Charger, **fields: Any) -> OcppCall:
    return await eventually(lambda: calls_of(charger, **fields).first())


async def test_every_call_and_its_answer_are_logged_both_ways(site: Site) -> None:
    charger = make_charger()
    admin = await signed_in(site)
    async with wire.charger(site.charger_url, charger.identity) as point:
        await point.ready(1)
        transaction = await point.start(id_tag="CARD", at=now())
        await point.meter(transaction=transaction, at=now(), energy=1500)
        assert (await point.request("StatusNotification", {"connectorId": 1}, message_id="odd"))[0] == 4
        await admin.act(CHARGERS, "clear_cache", charger)
        await point.accepts("ClearCache")
        command = await eventually(lambda: Command.objects.filter(charger=charger, status="accepted").first())
        out = await logged(charger, direction="out")
    assert (out.message_id, out.action, out.verdict) == (str(command.pk), "ClearCache", "ok")
    assert json.loads(out.request) == [2, str(command.pk), "ClearCache", {}]
    assert json.loads(out.answer) == [3, str(command.pk), {"status": "Accepted"}]
    assert out.latency_ms is not None
    assert out.latency_ms >= 0
    told = list(calls_of(charger, direction="in").order_by("at").values_list("action", "verdict"))
    assert told == [
        ("BootNotification", "ok"),
        ("StatusNotification", "ok"),
        ("StatusNotification", "ok"),
        ("StartTransaction", "ok"),
        ("MeterValues", "ok"),
        ("StatusNotification", "OccurenceConstraintViolation"),
    ]
    start = calls_of(charger, action="StartTransaction").get()
    assert json.loads(start.request)[3]["idTag"] == "CARD"
    assert json.loads(start.answer)[2]["transactionId"] == transaction
    refused = calls_of(charger, message_id="odd").get()
    assert json.loads(refused.answer)[:3] == [4, "odd", "OccurenceConstraintViolation"]


async def test_what_goes_wrong_on_the_wire_is_logged_under_its_name(site: Site) -> None:
    """E13, E14, E15"""
    charger = make_charger()
    admin = await signed_in(site)
    async with wire.charger(site.charger_url, charger.identity) as point:
        await point.boot()
        await point.send("not JSON")
        await point.send([7, "1", "what"])
        await point.send([3, "nobody asked", {}])
        beat = '[2,"same","Heartbeat",{}]'
        await point.send(beat)
        await point.send(beat)
        await admin.act(CHARGERS, "clear_cache", charger)
        message_id, _ = await point.asked("ClearCache")
        timed_out = await logged(charger, verdict="timeout")
        await point.answer(message_id, {"status": "Accepted"})
        late = await logged(charger, verdict="late")
        await admin.act(CHARGERS, "clear_cache", charger)
        await point.asked("ClearCache")
    lost = await logged(charger, verdict="lost")
    assert (timed_out.message_id, timed_out.answer, timed_out.latency_ms) == (message_id, "", None)
    assert json.loads(late.answer) == [3, message_id, {"status": "Accepted"}]
    assert late.request == timed_out.request
    assert lost.direction == "out"
    assert calls_of(charger, verdict="unreadable").get().request == "not JSON"
    assert calls_of(charger, verdict="ignored").get().request == '[7,"1","what"]'
    assert calls_of(charger, verdict="unasked").get().message_id == "nobody asked"
    assert list(calls_of(charger, message_id="same").order_by("pk").values_list("verdict", flat=True)) == [
        "ok",
        "repeat",
    ]
    rules = set(Breach.objects.filter(charger=charger).values_list("rule", flat=True))
    assert rules >= {"unreadable", "unasked"}


async def test_a_password_given_to_a_charger_is_in_no_row(site: Site) -> None:
    charger = make_charger()
    admin = await signed_in(site)
    async with wire.charger(site.charger_url, charger.identity) as point:
        await point.ready()
        wish = {"action": "ChangeConfiguration", "payload": {"key": "AuthorizationKey", "value": SECRET}}
        await ask(site, charger.identity, wish)
        payload = await point.accepts("ChangeConfiguration")
        assert payload["key"] == "AuthorizationKey"
        await admin.act(CHARGERS, "get_configuration", charger)
        message_id, _ = await point.asked("GetConfiguration")
        entry = {"key": "AuthorizationKey", "readonly": False, "value": payload["value"]}
        await point.answer(message_id, {"configurationKey": [entry]})
        await logged(charger, action="GetConfiguration")
    rows = list(calls_of(charger))
    assert len([row for row in rows if "[hidden]" in row.request + row.answer]) == 2
    assert not [row for row in rows if payload["value"] in row.request + row.answer]


async def test_a_clean_stop_of_the_server_keeps_the_last_words(
    start_server: Callable[..., ServerProcess],
) -> None:
    charger = make_charger()
    server = start_server()
    async with wire.charger(server.ws, charger.identity) as point:
        await point.boot()
        await point.call("Heartbeat")
        await asyncio.to_thread(server.stop)
    assert calls_of(charger, action="Heartbeat", verdict="ok").count() == 1


async def test_the_setting_leaves_the_frequent_ones_out(start_server: Callable[..., ServerProcess]) -> None:
    charger = make_charger()
    server = start_server(WIRE_LOG="without_meter_values")
    async with wire.charger(server.ws, charger.identity) as point:
        await point.boot()
        await point.call("Heartbeat")
        await point.status(1)
        await logged(charger, action="StatusNotification")
    assert not calls_of(charger, action="Heartbeat").exists()


async def test_the_sweep_deletes_what_is_beyond_the_limit(start_server: Callable[..., ServerProcess]) -> None:
    charger = make_charger()
    server = start_server(WIRE_LOG_ROWS=3)
    async with wire.charger(server.ws, charger.identity) as point:
        await point.boot()
        for _ in range(8):
            await point.call("Heartbeat")
        await eventually(
            lambda: OcppCall.objects.count() <= 3 and calls_of(charger, action="Heartbeat").exists()
        )


async def test_the_operators_pages_show_messages_and_offer_what_mends_a_breach(site: Site) -> None:
    vendor = unique("Maker")
    charger = make_charger()
    async with wire.charger(site.charger_url, charger.identity) as point:
        await point.call("BootNotification", {"chargePointVendor": vendor, "chargePointModel": "M [1]"})
        odd = {"connectorId": "1", "status": "Available", "errorCode": "NoError"}
        assert (await point.request("StatusNotification", odd))[2] == "TypeConstraintViolation"
        breach = await eventually(lambda: Breach.objects.filter(charger=charger, rule="wrong_type").first())
        await logged(charger, action="StatusNotification")
    os.makedirs("tests/artifacts", exist_ok=True)
    async with browser_page(site) as page:
        await page.goto(f"{CHARGERS}{charger.pk}/change/")
        await page.click("a:text-is('Messages')")
        await expect(page.locator("#result_list tbody tr")).to_have_count(2)
        await page.screenshot(path="tests/artifacts/wire-log.png", full_page=True)
        await page.click("#result_list tbody tr:first-child th a")
        await expect(page.locator(".field-request_frame pre")).to_contain_text('"connectorId": "1"')
        await expect(page.locator(".field-answer_frame pre")).to_contain_text("TypeConstraintViolation")
        await page.screenshot(path="tests/artifacts/wire-log-message.png", full_page=True)
        await page.goto(f"{BREACHES}?charger={charger.pk}")
        await page.screenshot(path="tests/artifacts/breaches.png", full_page=True)
        await page.click(f'a[href$="breach={breach.pk}"]')
        await expect(page.locator("#id_is_lenient")).to_be_checked()
        await expect(page.locator("#id_vendor_pattern")).to_have_value(vendor)
        await page.screenshot(path="tests/artifacts/quirk-profile.png", full_page=True)
        await page.click("[name=_save]")
        await page.goto(f"{BREACHES}{breach.pk}/change/")
        await expect(page.locator(".field-mended")).to_contain_text("mended")
    assert QuirkProfile.objects.get(vendor_pattern=vendor).is_lenient
    async with wire.charger(site.charger_url, charger.identity) as point:  # by what it said when it booted
        assert (await point.request("StatusNotification", odd))[0] == 3
    assert charger.connectors.get(number=1).status == "Available"
