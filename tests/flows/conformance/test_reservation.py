"""Reservation: TC_046 to TC_053."""

from typing import Any

import pytest

from sessions.models import Reservation
from tests.charge import at
from tests.conftest import Site
from tests.factories import make_id_tag
from tests.flows.conformance.stage import Stage, stage


async def reserve(s: Stage, status: str = "Accepted", **more: Any) -> Reservation:
    """ReserveNow and the charger's answer; the reservation as it is stored. Its id is ours to give."""
    payload = {"connectorId": 1, "expiryDate": at(600), "idTag": s.card.value, "reservationId": 1, **more}
    posted = s.post("ReserveNow", payload)
    assert posted == 202
    message_id, heard = await s.hears("ReserveNow")
    await s.point.answer(message_id, {"status": status})
    await s.ended(message_id)
    reservation = Reservation.objects.get(charger=s.charger)
    assert (heard["reservationId"], heard["idTag"]) == (reservation.pk, s.card.value)
    return reservation


async def test_a_reserved_connector_is_used(site: Site) -> None:
    """TC_046"""
    async with stage(site) as s:
        reservation = await reserve(s)
        assert reservation.state == "active"
        await s.point.status(1, "Reserved")
        await s.point.status(1, "Preparing")
        assert await s.authorize(s.card.value) == "Accepted"
        transaction = await s.begins(reservationId=reservation.pk)
        reservation.refresh_from_db()
        assert (reservation.state, reservation.session) == ("used", s.session(transaction))


async def test_a_reservation_expires(site: Site) -> None:
    """TC_047"""
    async with stage(site) as s:
        reservation = await reserve(s, expiryDate=at(1))
        await s.point.status(1, "Reserved")
        await s.point.status(1, "Available")

        def over() -> bool:
            reservation.refresh_from_db()
            return reservation.state == "expired"

        from tests.wire import eventually

        await eventually(over)


@pytest.mark.parametrize("status", ["Faulted", "Occupied", "Unavailable", "Rejected"])
async def test_a_reservation_that_is_not_taken(site: Site, status: str) -> None:
    """TC_048_1, TC_048_2, TC_048_3, TC_048_4"""
    async with stage(site) as s:
        reservation = await reserve(s, status)
        assert reservation.state == "rejected"
        assert status.lower() in reservation.detail.lower()


async def test_a_whole_charger_is_reserved(site: Site) -> None:
    """TC_049"""
    async with stage(site, configuration={"ReserveConnectorZeroSupported": "true"}) as s:
        reservation = await reserve(s, connectorId=0)
        await s.point.status(2, "Preparing")
        assert await s.authorize(s.card.value) == "Accepted"
        await s.begins(connector=2, reservationId=reservation.pk)
        reservation.refresh_from_db()
        assert (reservation.state, reservation.connector) == ("used", None)


@pytest.mark.parametrize("status", ["Accepted", "Rejected"])
async def test_cancel_a_reservation(site: Site, status: str) -> None:
    """TC_051, TC_052: one that the charger does not know is over, too."""
    async with stage(site) as s:
        reservation = await reserve(s)
        command = await s.asks("CancelReservation", {"reservationId": reservation.pk}, {"status": status})
        assert command.status == status.lower()
        reservation.refresh_from_db()
        assert reservation.state == "cancelled"


async def test_a_card_of_the_same_parent_uses_the_reservation(site: Site) -> None:
    """TC_053"""
    async with stage(site) as s:
        parent = make_id_tag()
        s.card.parent = parent
        s.card.save()
        other = make_id_tag(parent=parent)
        reservation = await reserve(s, parentIdTag=parent.value)
        await s.point.status(1, "Reserved")
        answer = await s.point.call("Authorize", {"idTag": other.value})
        assert answer["idTagInfo"]["status"] == "Accepted"
        assert answer["idTagInfo"]["parentIdTag"] == parent.value
        await s.point.status(1, "Preparing")
        await s.begins(tag=other.value, reservationId=reservation.pk)
        reservation.refresh_from_db()
        assert reservation.state == "used"
