"""Reservations on the wire: the operator makes them, the charger keeps them, the holder's phone hears of them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import pytest
from django.contrib.auth.models import User
from playwright.async_api import expect

from sessions.models import Reservation
from tests import wire
from tests.charge import at
from tests.conftest import Site
from tests.factories import make_id_tag, make_user, token_of
from tests.flows.conformance.stage import Stage, stage
from tests.flows.test_admin_commands import browser_page


class Reserved(NamedTuple):
    """A stage with connector 1 reserved for the card of `holder`, whose phone is `app`."""

    stage: Stage
    reservation: Reservation
    holder: User
    app: wire.App


@asynccontextmanager
async def reserved(site: Site, **more: Any) -> AsyncIterator[Reserved]:
    async with stage(site) as s:
        holder = s.card.user
        assert holder is not None
        async with wire.app(site.app_url, token_of(holder)) as app:
            await app.until(type="active_session_update")
            yield Reserved(s, await reserve(s, app, **more), holder, app)


async def reserve(s: Stage, app: wire.App, **more: Any) -> Reservation:
    """ReserveNow, accepted; the connector says so, and the phone heard of it."""
    payload = {"connectorId": 1, "expiryDate": at(600), "idTag": s.card.value, "reservationId": 1, **more}
    s.post("ReserveNow", payload)
    asked = await s.point.accepts("ReserveNow")
    await s.point.status(1, "Reserved")
    update = await hears(app, "active")
    assert update["reservation_id"] == asked["reservationId"]
    return Reservation.objects.get(pk=asked["reservationId"])


async def hears(app: wire.App, status: str) -> dict[str, Any]:
    while True:
        data = (await app.until(type="reservation_update"))["data"]
        if data["status"] == status:
            return data


async def start(app: wire.App, identity: str) -> None:
    await app.send({"action": "start_charging", "data": {"charger_id": identity}, "request_id": "start"})


async def test_the_holder_charges_where_nobody_else_may(site: Site) -> None:
    """E43: OCPP 1.6 §5.13"""
    async with (
        reserved(site) as (s, reservation, _, app),
        wire.app(site.app_url, token_of(make_user())) as other,
    ):
        refused = await other.act("start_charging", {"charger_id": s.charger.identity})
        assert (refused["success"], refused["code"]) == (False, "connector_unavailable")
        await start(app, s.charger.identity)
        asked = await s.point.accepts("RemoteStartTransaction")
        assert asked == {"connectorId": 1, "idTag": s.card.value}  # a charger refuses every other tag there
        answer = (await app.until(request_id="start"))["data"]
        assert answer["success"] is True
        await s.point.status(1, "Preparing")
        transaction = await s.begins(reservationId=reservation.pk)
        used = await hears(app, "used")
        assert used["session_id"] == answer["session_id"] == s.session(transaction).pk
        await app.until(event="session_started", transaction_id=transaction)
        await s.ends(transaction, meter=3000)
        await app.until(event="session_completed", session_id=answer["session_id"])


async def test_a_reserved_connector_started_by_another_card_is_recorded_and_refused(site: Site) -> None:
    """E43, E24"""
    async with reserved(site) as (s, reservation, _, app):
        other = make_id_tag()
        answer = await s.start(tag=other.value)
        assert answer["idTagInfo"]["status"] == "ConcurrentTx"
        transaction = answer["transactionId"]
        assert transaction > 0
        told = await hears(app, "active")
        assert "another tag" in told["message"] and other.value not in told["message"]
        await s.ends(transaction, meter=1400, reason="DeAuthorized")
        session = s.session(transaction)
        assert (session.status, session.energy_wh) == ("completed", 400)
        # The holder has it still.
        await s.begins()
        assert (await hears(app, "used"))["reservation_id"] == reservation.pk


async def test_a_connector_that_fails_ends_the_reservation_and_the_holder_hears_of_it(site: Site) -> None:
    """E43: OCPP 1.6 §5.13; steve#1398"""
    async with reserved(site) as (s, reservation, _, app):
        await s.point.status(1, "Faulted", errorCode="GroundFailure")
        ended = await hears(app, "ended")
        assert (ended["reservation_id"], ended["connector_id"]) == (reservation.pk, 1)
        assert "Faulted" in ended["message"]
        note = await app.until(type="notification")
        assert note["title"] == "Reservation ended"
        await s.point.status(1, "Available")
        await s.begins(tag=make_id_tag().value)  # it is for everybody again


async def test_what_a_charger_tells_when_it_is_back_is_judged_by_its_time(site: Site) -> None:
    """E43, E28: it expired while the charger was away, and had been used before"""
    async with reserved(site, expiryDate=at(2)) as (s, reservation, _, app):
        started_at = at(-1)
        await s.point.socket.close()
        await hears(app, "expired")
        async with wire.charger(site.charger_url, s.charger.identity) as point:
            await point.boot()
            transaction = await point.start(id_tag=s.card.value, at=started_at)
            await hears(app, "used")
            reservation.refresh_from_db()
            assert (reservation.state, reservation.session) == ("used", s.session(transaction))


async def test_a_card_of_the_group_is_known_by_its_parent(site: Site) -> None:
    """OCPP 1.6 §5.13, errata 4.12: the charger asks whose it is"""
    parent = make_id_tag()
    other = make_id_tag(parent=parent)
    async with reserved(site, parentIdTag=parent.value) as (s, _, _, app):
        answer = await s.point.call("Authorize", {"idTag": other.value.lower()})
        assert answer == {"idTagInfo": {"status": "Accepted", "parentIdTag": parent.value}}
        await s.begins(tag=other.value)
        await hears(app, "used")


@pytest.mark.embedded_only  # about the page
async def test_an_operator_reserves_and_cancels_in_the_browser(site: Site) -> None:
    async with stage(site) as s, browser_page(site) as page:
        badge = page.locator(".field-badge .ev-badge")
        await page.goto(f"/admin/charging/reservation/add/?charger={s.charger.pk}&connector_number=1")
        await page.fill("#id_id_tag", s.card.value)
        await page.click("[name=_save]")
        await expect(badge).to_have_text("requested")
        message_id, asked = await s.point.asked("ReserveNow")
        assert (asked["connectorId"], asked["idTag"]) == (1, s.card.value)
        await s.point.answer(message_id, {"status": "Accepted"})
        await expect(badge).to_have_text("active")  # by itself
        await page.click("button:text('Cancel reservation')")
        await page.click("#content-main [type=submit]")
        message_id, cancelled = await s.point.asked("CancelReservation")
        assert cancelled == {"reservationId": asked["reservationId"]}
        await s.point.answer(message_id, {"status": "Rejected"})
        await expect(badge).to_have_text("rejected")  # the command
        await page.goto(f"/admin/charging/reservation/{asked['reservationId']}/change/")
        await expect(badge).to_have_text("cancelled")
        await expect(page.locator(".field-why")).to_contain_text("did not know it")
