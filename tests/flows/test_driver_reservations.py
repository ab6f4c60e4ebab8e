"""Reservations from the phone: made, refused, counted down, used, cancelled."""

from typing import Any

import pytest

from chargers.models import Charger
from tests import wire
from tests.charge import Scene, at, scene
from tests.conftest import Site
from tests.factories import make_charger, make_user, token_of
from tests.gateway.test_api import call


async def asked(
    s: Scene, data: dict[str, Any], answer: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The charger is asked to keep a connector, and answers so: what it was asked, and what the phone is answered."""
    await s.app.send({"action": "reserve", "data": data, "request_id": "reserve"})
    message_id, heard = await s.point.asked("ReserveNow")
    await s.point.answer(message_id, answer)
    return heard, (await s.app.until(request_id="reserve"))["data"]


async def test_a_driver_reserves_a_connector_is_counted_down_and_charges_there(site: Site) -> None:
    """E43"""
    other, elsewhere = make_user(), make_charger(channel_name="specific.nobody")
    async with scene(site) as s, wire.app(site.app_url, token_of(other)) as stranger:
        wish = {"charger_id": s.identity, "connector_id": 1, "expires_at": at(62)}
        heard, answer = await asked(s, wish, {"status": "Accepted"})
        assert heard["connectorId"] == 1
        reservation = answer["reservation"]
        assert (answer["success"], reservation["status"]) == (True, "active")
        assert (reservation["connector_id"], reservation["reservation_id"]) == (1, heard["reservationId"])
        assert 30 < reservation["seconds_left"] <= 62
        await s.point.status(1, "Reserved")

        again = await s.app.act("reserve", wish)  # a second tap asks the charger nothing
        assert again["reservation"]["reservation_id"] == reservation["reservation_id"]
        second = await s.app.act("reserve", {"charger_id": elsewhere.identity})
        assert second["code"] == "reservation_exists"
        refused = await stranger.act("start_charging", {"charger_id": s.identity})
        assert refused["code"] == "connector_unavailable"
        theirs = {"reservation_id": reservation["reservation_id"]}
        assert (await stranger.act("cancel_reservation", theirs))["code"] == "not_found"
        assert (await stranger.act("get_reservations"))["reservations"] == []
        async with wire.app(site.app_url, token_of(s.user)) as tablet:
            [shown] = (await tablet.until(type="connected"))["reservations"]
            assert shown["reservation_id"] == reservation["reservation_id"]

        countdown = await s.app.until(type="reservation_update", event="countdown")
        assert countdown["data"]["seconds_left"] <= 60
        assert countdown["seq"] > 0
        await s.app.send({"action": "start_charging", "data": {"charger_id": s.identity}, "request_id": 1})
        started = await s.point.accepts("RemoteStartTransaction")
        assert started == {"connectorId": 1, "idTag": heard["idTag"]}
        await s.point.start(id_tag=heard["idTag"], at=at())
        while (used := await s.app.until(type="reservation_update"))["data"]["status"] != "used":
            assert used["event"] == "changed"  # counted down once
        assert (await s.app.act("get_reservations"))["reservations"] == []


async def test_a_driver_cancels_and_may_reserve_whichever_is_free(site: Site) -> None:
    async with scene(site) as s:
        await s.point.status(1, "Charging")
        named = {"charger_id": s.identity, "minutes": 30, "client_ref": "keep"}
        heard, answer = await asked(s, named, {"status": "Accepted"})
        assert heard["connectorId"] == 2
        wish = {"reservation_id": answer["reservation"]["reservation_id"]}
        await s.app.send({"action": "cancel_reservation", "data": wish, "request_id": "cancel"})
        assert await s.point.accepts("CancelReservation") == {"reservationId": wish["reservation_id"]}
        cancelled = (await s.app.until(request_id="cancel"))["data"]
        assert (cancelled["success"], cancelled["reservation"]["status"]) == (True, "cancelled")
        assert cancelled["reservation"]["seconds_left"] is None
        again = await s.app.act("cancel_reservation", wish)  # there is nothing left to cancel
        assert again["reservation"]["status"] == "cancelled"
        assert (await s.app.act("reserve", named))["reservation"] == again["reservation"]  # nor to ask for
        over_rest = {"action": "reserve", "data": {"charger_id": s.identity, "minutes": 30}}
        options: dict[str, Any] = {"token": token_of(s.user), "headers": {"Idempotency-Key": "keep"}}
        told = await call(site, "POST", "/api/websocket/message", body=over_rest, **options)
        assert told.data["reservation"] == again["reservation"]
        await s.point.status(2, "Charging")
        busy = await s.app.act("reserve", {"charger_id": s.identity})
        assert busy["code"] == "connector_busy"


@pytest.mark.embedded_only  # about the words
async def test_why_a_connector_cannot_be_reserved(site: Site) -> None:
    async with scene(site) as s:
        wish = {"charger_id": s.identity, "connector_id": 1}
        for answer, code in (
            ({"status": "Occupied"}, "connector_busy"),
            ({"status": "Faulted"}, "connector_unavailable"),
            ({"status": "Rejected"}, "charger_rejected"),
        ):
            _, told = await asked(s, wish, answer)
            assert (told["success"], told["code"]) == (False, code)
        for data, code in (
            ({**wish, "minutes": 61}, "validation_error"),
            ({**wish, "expires_at": at(-5)}, "validation_error"),
            ({**wish, "expires_at": "2030-01-01T00:00:00"}, "validation_error"),
            ({**wish, "connector_id": 9}, "not_found"),
            ({"charger_id": "NOWHERE"}, "not_found"),
            ({"charger_id": make_charger().identity, "connector_id": 1}, "charger_offline"),
        ):
            assert (await s.app.act("reserve", data))["code"] == code, data
        # What it does not know it is not asked again, before it boots anew.
        await s.app.send({"action": "reserve", "data": wish, "request_id": "unknown"})
        message_id, _ = await s.point.asked("ReserveNow")
        await s.point.send([4, message_id, "NotImplemented", "", {}])
        told = (await s.app.until(request_id="unknown"))["data"]
        assert told["code"] == "reservation_not_supported"
        assert (await s.app.act("reserve", wish))["code"] == "reservation_not_supported"
        await s.point.boot()
        _, told = await asked(s, wish, {"status": "Occupied"})
        assert told["code"] == "connector_busy"
        Charger.objects.filter(pk=s.charger.pk).update(
            configuration={"SupportedFeatureProfiles": "Core,SmartCharging"}
        )
        assert (await s.app.act("reserve", wish))["code"] == "reservation_not_supported"
