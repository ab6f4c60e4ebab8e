"""Firmware, diagnostics and logs: asked for over REST or on the pages, done by a charger at its socket."""

from typing import Any

import pytest
from playwright.async_api import expect

from chargers.models import Charger, FirmwareCampaign, FirmwareUpdate, LogUpload
from tests import wire
from tests.conftest import Site
from tests.factories import make_charger, unique
from tests.flows.conformance.stage import Stage, stage
from tests.flows.test_admin_commands import CHARGERS, browser_page, signed_in
from tests.wire import eventually

LOCATION = "https://firmware.example/2.0.bin"
UPDATES, UPLOADS = "/admin/chargers/firmwareupdate/", "/admin/chargers/logupload/"
CAMPAIGNS = "/admin/chargers/firmwarecampaign/"
FIRMWARE = {
    "location": LOCATION,
    "retrieveDateTime": "2026-03-01T12:00:00.000Z",
    "signingCertificate": "-----BEGIN CERTIFICATE-----",
    "signature": "c2ln",
}


async def boots(point: wire.FakeCharger, version: str) -> None:
    await point.call(
        "BootNotification",
        {"chargePointVendor": "Test", "chargePointModel": "Fake", "firmwareVersion": version},
    )


async def firmware(point: wire.FakeCharger, *words: str, **more: Any) -> None:
    """FirmwareStatusNotification, or the signed one where a requestId is given."""
    action = "SignedFirmwareStatusNotification" if more else "FirmwareStatusNotification"
    for word in words:
        assert await point.call(action, {"status": word, **more}) == {}


async def asks_signed(s: Stage, answer: str) -> FirmwareUpdate:
    assert s.post("SignedUpdateFirmware", {"requestId": 1, "firmware": FIRMWARE}) == 202
    message_id, heard = await s.hears("SignedUpdateFirmware")
    await s.point.answer(message_id, {"status": answer})
    await s.ended(message_id)
    return FirmwareUpdate.objects.get(pk=heard["requestId"])


async def test_update_with_a_reboot_in_the_middle(site: Site) -> None:
    """TC_044_1, with a charger that never says Installed but boots with another version."""
    async with stage(site, firmware_version="1.0") as s:
        await s.asks(
            "UpdateFirmware", {"location": LOCATION, "retrieveDate": FIRMWARE["retrieveDateTime"]}, {}
        )
        await firmware(s.point, "Downloading", "Downloading", "Downloaded", "Installing", "Downloaded")
    async with wire.charger(site.charger_url, s.charger.identity) as point:
        await boots(point, "1.0")
        await firmware(point, "Idle", "Installing")
        assert FirmwareUpdate.objects.get(charger=s.charger).state == "running"
        await boots(point, "2.0")
        await firmware(point, "Idle")
    update = FirmwareUpdate.objects.get(charger=s.charger)
    assert (update.state, update.previous_version, update.installed_version) == ("installed", "1.0", "2.0")


async def test_signed_update_cancels_the_one_before(site: Site) -> None:
    """TC_080, L01.FR.26"""
    async with stage(site) as s:
        older = await asks_signed(s, "Accepted")
        await firmware(s.point, "Downloading", requestId=older.pk)
        newer = await asks_signed(s, "AcceptedCanceled")
        await firmware(s.point, "Downloaded", requestId=older.pk)
        await firmware(s.point, "Downloading", "SignatureVerified", "Installed", requestId=newer.pk)
        older.refresh_from_db()
        newer.refresh_from_db()
        assert (older.state, older.status, newer.state) == ("cancelled", "Downloading", "installed")


async def test_log_that_cancels_the_one_before(site: Site) -> None:
    """TC_079"""
    wish = {"logType": "SecurityLog", "requestId": 7, "log": {"remoteLocation": "ftp://logs.example/"}}
    async with stage(site) as s:
        for answer in ("Accepted", "AcceptedCanceled"):
            assert s.post("GetLog", wish) == 202
            message_id, heard = await s.hears("GetLog")
            await s.point.answer(message_id, {"status": answer, "filename": f"{answer}.log"})
            await s.ended(message_id)
            for _ in range(2):
                report = {"status": "Uploading", "requestId": heard["requestId"]}
                assert await s.point.call("LogStatusNotification", report) == {}
        await s.point.call("LogStatusNotification", {"status": "Uploaded", "requestId": heard["requestId"]})
        await s.point.call("LogStatusNotification", {"status": "Idle"})
        newer, older = LogUpload.objects.filter(charger=s.charger)
        assert (newer.status, newer.file_name) == ("Uploaded", "AcceptedCanceled.log")
        assert (older.status, older.file_name, older.finished_at is None) == (
            "Uploading",
            "Accepted.log",
            False,
        )


async def test_notifications_nobody_waits_for_are_answered(site: Site) -> None:
    async with stage(site) as s:
        await firmware(s.point, "Idle", "Installed")
        await firmware(s.point, "Idle", requestId=10**12)
        assert await s.point.call("SignedFirmwareStatusNotification", {"status": "Idle"}) == {}
        assert await s.point.call("LogStatusNotification", {"status": "Idle"}) == {}
        assert await s.point.call("DiagnosticsStatusNotification", {"status": "Uploaded"}) == {}
        stored = s.stored()
        assert (stored.firmware_status, stored.diagnostics_status) == ("Idle", "Uploaded")


async def test_orders_on_the_page_write_what_they_mean(site: Site) -> None:
    charger = make_charger()
    admin = await signed_in(site)
    async with wire.charger(site.charger_url, charger.identity) as point:
        await point.ready()
        form = {"order-location": LOCATION, "order-retries": 2, "order-retrieve_at": "2026-03-01T12:00"}
        await admin.act(CHARGERS, "update_firmware", charger, confirmed="yes", **form)
        message_id, asked = await point.asked("UpdateFirmware")
        assert (asked["location"], asked["retries"]) == (LOCATION, 2)
        await point.answer(message_id, {})
        await firmware(point, "DownloadFailed")
        page = await admin.until(f"{UPDATES}?charger={charger.pk}", ">failed<")
        assert "could not download" in page
        await admin.act(
            CHARGERS,
            "get_log",
            charger,
            confirmed="yes",
            **{"order-log_type": "SecurityLog", "order-location": "sftp://logs.example/in"},
        )
        message_id, asked = await point.asked("GetLog")
        await point.answer(message_id, {"status": "Rejected"})
        page = await admin.until(f"{UPLOADS}?charger={charger.pk}", "The charger refused: Rejected")
        form = {"order-location": "ftp://logs.example/", "order-oldest_at": "2026-03-01T12:00"}
        await admin.act(CHARGERS, "get_diagnostics", charger, confirmed="yes", **form)
        message_id, asked = await point.asked("GetDiagnostics")
        assert asked["startTime"].startswith("2026-03-01T")
        await point.answer(message_id, {"fileName": "diagnostics.zip"})
        await admin.until(f"{UPLOADS}?charger={charger.pk}", "diagnostics.zip")


@pytest.mark.embedded_only  # about the page
async def test_campaign_in_a_browser(site: Site) -> None:
    """Made, filled, started; one charger after the other; the failed one tried again; the page follows by itself."""
    chargers = [make_charger(firmware_version="1.0") for _ in range(2)]
    name = unique("To 2.0 ")
    async with (
        wire.charger(site.charger_url, chargers[0].identity) as one,
        wire.charger(site.charger_url, chargers[1].identity) as two,
        browser_page(site) as page,
    ):
        await one.ready()
        await two.ready()
        await page.goto(f"{CAMPAIGNS}add/")
        for field, value in {"name": name, "at_once": "1", "location": LOCATION, "version": "2.0"}.items():
            await page.fill(f"[name={field}]", value)
        await page.click("[name=_save]")
        campaign = await eventually(FirmwareCampaign.objects.filter(name=name).first)
        Charger.objects.filter(pk__in=[each.pk for each in chargers]).update(serial_number=name[-20:])
        await page.goto(f"{CHARGERS}?q={name[-20:]}")
        await page.check("#action-toggle")
        await page.select_option("select[name=action]", "put_into_campaign")
        await page.click("button[name=index]")
        await page.select_option("select[name=campaign]", label=name)
        await page.click("#content-main [type=submit]")
        await page.goto(f"{CAMPAIGNS}{campaign.pk}/change/")
        await expect(page.locator(".field-progress")).to_contain_text("2 waiting")
        await page.click("button:text('Start')")
        message_id, _ = await one.asked("UpdateFirmware")
        await one.answer(message_id, {})
        await firmware(one, "Downloading")
        await expect(page.locator(".field-progress")).to_contain_text("1 running", timeout=15_000)
        assert two.calls.empty()
        await firmware(one, "InstallationFailed")
        await two.answer((await two.asked("UpdateFirmware"))[0], {})
        await boots(two, "2.0")
        await expect(page.locator(".field-progress")).to_contain_text("1 installed", timeout=15_000)
        await page.reload()
        await page.click("button:text('Try failed chargers again')")
        await one.answer((await one.asked("UpdateFirmware"))[0], {})
        await boots(one, "2.0")
        await firmware(one, "Installed")
        await page.reload()
        await expect(page.locator(".field-progress")).to_contain_text("2 installed")
        await expect(page.locator(".field-standing")).to_contain_text("done")
