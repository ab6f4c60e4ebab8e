"""The page of reservations."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils.timezone import localtime

from chargers.events import utcnow
from chargers.models import Charger, Command
from sessions import reservations
from sessions.models import Reservation
from tests.factories import make_charger, make_id_tag, make_online_charger, make_session, make_user
from tests.operators import (
    act,
    assert_no_query_per_row,
    confirm,
    list_of,
    messages_of,
    operator,
    page_of,
    staff,
    text_of,
    walk_through,
)

pytestmark = pytest.mark.django_db


def make_reservation(**fields: Any) -> Reservation:
    charger = fields.pop("charger", None) or make_online_charger()
    values = {"expires_at": utcnow() + timedelta(hours=1), "id_tag": make_id_tag(user=make_user()).value}
    return reservations.reserve(charger=charger, **{"connector_number": 1, **values, **fields})


def fill_in(client: Client, charger: Charger, **fields: Any) -> Any:
    expires_at = localtime(utcnow() + timedelta(hours=1))
    form = {
        "charger": charger.pk,
        "connector_number": "1",
        "id_tag": "",
        "user": "",
        "parent_id_tag": "",
        "expires_at_0": f"{expires_at:%Y-%m-%d}",
        "expires_at_1": f"{expires_at:%H:%M:%S}",
    }
    return client.post(f"{list_of(Reservation)}add/", {**form, **fields}, follow=True)


def test_form_asks_the_charger_and_shows_what_became_of_it() -> None:
    charger, card = make_online_charger(), make_id_tag(user=make_user())
    response = fill_in(operator(), charger, id_tag=card.value.lower())
    reservation = Reservation.objects.get(charger=charger)
    assert response.redirect_chain[-1][0] == page_of(reservation)
    assert (reservation.id_tag, reservation.user, reservation.state) == (card.value, card.user, "requested")
    assert reservation.requested_by is not None
    command = Command.objects.get(charger=charger)
    assert (command.action, command.requested_by) == ("reserve_now", reservation.requested_by)
    page = text_of(response)
    for text in (card.value, "data-refresh", f"{charger} #1", "Cancel reservation"):
        assert text in page


def test_form_for_a_user_without_a_card_and_any_connector() -> None:
    charger = make_online_charger(configuration={"ReserveConnectorZeroSupported": "true"})
    user = make_user()
    fill_in(operator(), charger, user=user.pk, connector_number="")
    reservation = Reservation.objects.get(charger=charger)
    assert (reservation.user, reservation.connector) == (user, None)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"id_tag": ""}, "for an id tag or a user"),
        ({"connector_number": ""}, "ReserveConnectorZeroSupported"),
        ({"connector_number": "9"}, "has no connector 9"),
        ({"expires_at_0": "2020-01-01"}, "expires in the future"),
        ({"expires_at_0": "someday"}, "Enter a valid date"),
    ],
)
def test_form_says_what_cannot_be(fields: dict[str, str], words: str) -> None:
    charger = make_online_charger()
    response = fill_in(operator(), charger, **{"id_tag": "CARD", **fields})
    assert words in text_of(response)
    assert not Reservation.objects.exists() and not Command.objects.exists()


def test_form_says_that_the_charger_is_away_or_the_connector_taken() -> None:
    client = operator()
    assert "is not connected" in text_of(fill_in(client, make_charger(), id_tag="CARD"))
    first = make_reservation()
    response = fill_in(client, first.charger, id_tag="CARD")
    assert f"is reserved already ({first})" in text_of(response)


def test_cancel_asks_whether_it_is_meant_and_then_the_charger() -> None:
    reservation, client = make_reservation(), operator()
    over = make_reservation()
    Reservation.objects.filter(pk=over.pk).update(state="expired")
    assert "the holder is told" in text_of(act(client, "cancel", reservation, over))
    assert not Command.objects.filter(action="cancel_reservation").exists()
    response = confirm(client, "cancel", reservation, over)
    command = Command.objects.get(action="cancel_reservation")
    assert command.params == {"reservation_id": reservation.pk}
    assert messages_of(response) == [f"{over} is over already."]


def test_only_who_may_send_commands_can_reserve_and_cancel() -> None:
    reservation = make_reservation()
    Command.objects.all().delete()
    client = staff("charging.view_reservation", "charging.add_reservation")
    page = text_of(client.get(page_of(reservation)))
    assert reservation.id_tag in page and "Cancel reservation" not in page
    assert client.get(f"{list_of(Reservation)}add/").status_code == 403
    confirm(client, "cancel", reservation)
    assert not Command.objects.exists()
    may = staff("charging.view_reservation", "charging.add_reservation", "chargers.send_command")
    assert may.get(f"{list_of(Reservation)}add/").status_code == 200


def test_nobody_changes_or_deletes_one() -> None:
    reservation, client = make_reservation(), operator()
    assert client.post(page_of(reservation), {"id_tag": "OTHER"}).status_code == 403
    assert client.get(page_of(reservation, "delete")).status_code == 403


def test_list_can_be_sorted_narrowed_and_searched_and_asks_no_query_per_row() -> None:
    client = operator()
    for state in Reservation.State:
        reservation = make_reservation()
        session = make_session(charger=reservation.charger)
        Reservation.objects.filter(pk=reservation.pk).update(state=state, session=session)
    assert "Reservation" in text_of(client.get(page_of(reservation)))
    walk_through(client, Reservation)
    Reservation.objects.all().delete()
    assert_no_query_per_row(client, Reservation, make_reservation, "open=yes")
