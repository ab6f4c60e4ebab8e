"""Reservations: made, refused, cancelled, over; and whose start takes one up or runs against it."""

from datetime import timedelta
from typing import Any

import pytest

from chargers.commands import CANCEL_RESERVATION, REMOTE_START, RESERVE_NOW
from chargers.errors import ChargerOffline, ConnectorBusy, ConnectorUnavailable, NotFound
from chargers.events import user_group, utcnow
from chargers.models import Charger, Command, Connector
from sessions import ledger, operations, reservations, services, sweeping
from sessions.errors import InvalidParameter
from sessions.ledger import Started
from sessions.models import ChargingSession, Reservation
from tests.factories import make_charger, make_id_tag, make_online_charger, make_user, unique

pytestmark = pytest.mark.django_db


def soon(minutes: float = 30) -> Any:
    return utcnow() + timedelta(minutes=minutes)


def make_requested(**fields: Any) -> Reservation:
    charger = fields.pop("charger", None) or make_online_charger()
    fields.setdefault("connector_number", 1)
    if "user" not in fields:
        fields.setdefault("id_tag", make_id_tag(user=make_user()).value)
    return reservations.reserve(charger=charger, **{"expires_at": soon(), **fields})


def make_active(**fields: Any) -> Reservation:
    reservation = make_requested(**fields)
    answers(reservation, "Accepted")
    assert reservation.state == "active"
    return reservation


def finish(command: Command, status: str, **end: Any) -> None:
    services.finish_command(command.pk, status=status, **end)


def answers(reservation: Reservation, word: str) -> None:
    """The charger's answer to ReserveNow."""
    assert reservation.command is not None
    status = "accepted" if word == "Accepted" else "rejected"
    finish(reservation.command, status, answer={"status": word})
    reservation.refresh_from_db()


def reports(charger: Charger, number: int, status: str, **more: Any) -> None:
    if number:
        Connector.objects.filter(charger=charger, number=number).update(status=status)
    services.connector_reported(charger_id=charger.pk, number=number, status=status, **more)


def starts(charger: Charger, id_tag: str, *, connector: int = 1, ago_s: float = 0, **more: Any) -> Started:
    at = utcnow() - timedelta(seconds=ago_s)
    return ledger.start_session(
        charger_id=charger.pk,
        connector_number=connector,
        id_tag=id_tag,
        meter_start_wh=1000,
        reported_at=at,
        reported=at.isoformat(),
        **more,
    )


def now_of(reservation: Reservation) -> Reservation:
    return Reservation.objects.get(pk=reservation.pk)


# --- made ---


def test_it_is_asked_with_the_rows_key() -> None:
    tag = make_id_tag(value="HOLDER", user=make_user())
    expires_at = soon()
    reservation = make_requested(id_tag="holder ", parent_id_tag="group", expires_at=expires_at)
    assert reservation.command is not None
    assert (reservation.command.action, reservation.command.params) == (
        RESERVE_NOW,
        {
            "connector_id": 1,
            "expires_at": expires_at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "id_tag": "HOLDER",
            "parent_id_tag": "GROUP",
            "reservation_id": reservation.pk,
        },
    )
    assert (reservation.state, reservation.user) == ("requested", tag.user)


@pytest.mark.parametrize(
    ("word", "words"),
    [
        ("Occupied", "in use, or reserved already"),
        ("Faulted", "has a fault"),
        ("Unavailable", "out of service"),
        ("Rejected", "takes no such reservations"),
    ],
)
def test_a_refusal_is_in_words(word: str, words: str) -> None:
    reservation = make_requested()
    answers(reservation, word)
    assert reservation.state == "rejected"
    assert word in reservation.detail and words in reservation.detail
    assert reservation.ended_at is not None
    make_requested(charger=reservation.charger)  # the connector can be asked for again


def test_a_charger_that_knows_no_reservations_refuses_in_its_own_words() -> None:
    reservation = make_requested()
    assert reservation.command is not None
    answer = {"errorCode": "NotImplemented", "errorDescription": "what?"}
    finish(reservation.command, "rejected", answer=answer, error="NotImplemented: what?")
    assert (now_of(reservation).state, now_of(reservation).detail) == ("rejected", "NotImplemented: what?")


def test_a_connector_has_one_open_reservation() -> None:
    first = make_active()
    with pytest.raises(ConnectorBusy):
        make_requested(charger=first.charger)
    make_requested(charger=first.charger, connector_number=2)


@pytest.mark.parametrize("number", [0, None])
@pytest.mark.parametrize("configuration", [{}, {"ReserveConnectorZeroSupported": "false"}])
def test_any_connector_only_where_the_charger_says_it_can(number: Any, configuration: dict[str, str]) -> None:
    charger = make_online_charger(configuration=configuration)
    with pytest.raises(InvalidParameter) as refused:
        make_requested(charger=charger, connector_number=number)
    assert "ReserveConnectorZeroSupported" in refused.value.detail
    charger.configuration = {"ReserveConnectorZeroSupported": "True"}
    charger.save()
    reservation = make_active(charger=charger, connector_number=number)
    assert reservation.connector is None
    assert reservation.command and reservation.command.params["connector_id"] == 0


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"connector_number": 7}, NotFound),
        ({"connector_number": -1}, NotFound),
        ({"expires_at": utcnow() - timedelta(seconds=1)}, InvalidParameter),
        ({"id_tag": "X" * 21}, InvalidParameter),
        ({"parent_id_tag": "X" * 21}, InvalidParameter),
        ({"id_tag": "", "user": None}, InvalidParameter),
    ],
)
def test_what_cannot_be_is_not_asked(fields: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        make_requested(**fields)
    assert not Command.objects.filter(action=RESERVE_NOW).exists()
    assert not Reservation.objects.exists()


def test_a_charger_that_is_away_keeps_nothing() -> None:
    with pytest.raises(ChargerOffline):
        make_requested(charger=make_charger())
    assert not Reservation.objects.exists()


def worded(charger: Charger, **params: Any) -> Command:
    values = {"connector_id": 1, "expires_at": soon().isoformat(), "id_tag": "CARD", "reservation_id": 1}
    return operations.perform(charger=charger, action=RESERVE_NOW, params={**values, **params})


def test_by_the_command_api_the_id_is_ours_to_give() -> None:
    charger = make_online_charger()
    command = worded(charger, reservation_id=10**12)
    reservation = Reservation.objects.get(charger=charger)
    assert command.params["reservation_id"] == reservation.pk
    assert reservation.command == command


def test_the_id_of_an_open_one_changes_it() -> None:
    """OCPP 1.6 §5.13"""
    reservation = make_active()
    later = soon(90).isoformat(timespec="milliseconds")
    change: dict[str, Any] = {"id_tag": "OTHER", "expires_at": later, "reservation_id": reservation.pk}
    finish(worded(reservation.charger, **change), "rejected", answer={"status": "Rejected"})
    refused = now_of(reservation)
    assert (refused.state, refused.id_tag) == ("active", reservation.id_tag)
    assert "refused" in refused.detail
    finish(worded(reservation.charger, **change), "accepted", answer={"status": "Accepted"})
    changed = now_of(reservation)
    assert (changed.state, changed.id_tag, changed.detail) == ("active", "OTHER", "")
    assert changed.expires_at > reservation.expires_at
    assert Reservation.objects.count() == 1
    with pytest.raises(InvalidParameter):
        worded(reservation.charger, **change, connector_id=2)


@pytest.mark.parametrize("text", ["tomorrow", "2026-13-45T00:00:00Z", ""])
def test_a_time_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InvalidParameter):
        worded(make_online_charger(), expires_at=text)


# --- unanswered ---


def test_without_an_answer_nobody_knows_until_the_connector_says() -> None:
    kept, free = make_requested(), make_requested()
    for reservation in (kept, free):
        assert reservation.command is not None
        finish(reservation.command, "timed_out", error="charger_timeout")
        assert now_of(reservation).state == "requested"
        assert "did not answer" in now_of(reservation).detail
    reports(kept.charger, 1, "Reserved")
    reports(free.charger, 1, "Available")
    assert now_of(kept).state == "active"
    assert now_of(free).state == "rejected"


def test_what_was_never_sent_was_not_made() -> None:
    reservation = make_requested()
    assert reservation.command is not None
    finish(reservation.command, "failed", error="charger_offline")
    assert now_of(reservation).state == "rejected"


def test_what_a_lost_connection_left_open_is_asked_again_under_the_same_id() -> None:
    reservation = make_requested()
    charger = reservation.charger
    command = reservation.command
    assert command is not None
    finish(command, "timed_out", error="charger_offline")
    Charger.objects.filter(pk=charger.pk).update(channel_name="")
    reservations.sweep()
    assert now_of(reservation).command == command  # it is away
    Charger.objects.filter(pk=charger.pk).update(channel_name="specific.back")
    reservations.sweep()
    again = now_of(reservation).command
    assert again is not None and again != command
    assert again.params == command.params
    reservations.sweep()
    assert now_of(reservation).command == again  # once
    finish(again, "accepted", answer={"status": "Accepted"})
    assert now_of(reservation).state == "active"


# --- cancelled, expired, ended ---


@pytest.mark.parametrize(("word", "words"), [("Accepted", ""), ("Rejected", "did not know it")])
def test_a_cancelled_one_is_over_also_where_the_charger_does_not_know_it(word: str, words: str) -> None:
    reservation = make_active()
    command = reservations.cancel(reservation)
    assert (command.action, command.params) == (CANCEL_RESERVATION, {"reservation_id": reservation.pk})
    assert now_of(reservation).state == "active"
    finish(command, word.lower(), answer={"status": word})
    over = now_of(reservation)
    assert over.state == "cancelled" and words in over.detail


def test_a_cancel_without_an_answer_ends_nothing() -> None:
    reservation = make_active()
    finish(reservations.cancel(reservation), "timed_out", error="charger_timeout")
    assert now_of(reservation).state == "active"
    assert "Not cancelled" in now_of(reservation).detail


def test_a_free_connector_before_the_answer_to_a_cancel_is_that_cancel() -> None:
    reservation = make_active()
    reports(reservation.charger, 1, "Reserved")
    command = reservations.cancel(reservation)
    reports(reservation.charger, 1, "Available")
    assert now_of(reservation).state == "active"
    finish(command, "accepted", answer={"status": "Accepted"})
    assert now_of(reservation).state == "cancelled"


def test_it_expires_by_our_clock_with_the_charger_away_too() -> None:
    reservation, other = make_active(), make_active()
    Reservation.objects.filter(pk=reservation.pk).update(expires_at=utcnow())
    Charger.objects.filter(pk=reservation.charger_id).update(channel_name="")
    assert sweeping.sweep()["reservations"] == 1
    assert sweeping.sweep()["reservations"] == 0
    assert (now_of(reservation).state, now_of(other).state) == ("expired", "active")


@pytest.mark.parametrize(("minutes", "state"), [(0.5, "expired"), (20, "ended")])
def test_a_reserved_connector_that_is_free_is_reserved_no_longer(minutes: float, state: str) -> None:
    """OCPP 1.6 §5.13: the charger ends it by its own clock, and says so"""
    reservation = make_active(expires_at=soon(minutes))
    reports(reservation.charger, 1, "Available")  # it said that before it took note
    assert now_of(reservation).state == "active"
    reports(reservation.charger, 1, "Reserved")
    reports(reservation.charger, 2, "Available")
    assert now_of(reservation).state == "active"
    reports(reservation.charger, 1, "Available")
    assert now_of(reservation).state == state


@pytest.mark.parametrize("status", ["Faulted", "Unavailable"])
@pytest.mark.parametrize("number", [0, 1])
def test_a_connector_out_of_order_ends_it_and_the_holder_is_told(
    status: str,
    number: int,
    published: list[tuple[str, dict[str, Any]]],
    django_capture_on_commit_callbacks: Any,
) -> None:
    """E43"""
    reservation = make_active()
    with django_capture_on_commit_callbacks(execute=True):
        reports(reservation.charger, number, status)
    over = now_of(reservation)
    assert over.state == "ended" and status in over.detail
    told = [event for group, event in published if group == user_group(reservation.user_id or 0)]
    update = next(event for event in told if event["type"] == "reservation_update")
    assert update["data"] == {
        "reservation_id": reservation.pk,
        "charger_id": reservation.charger.identity,
        "connector_id": 1,
        "station_id": reservation.charger.station_id,
        "status": "ended",
        "expires_at": update["data"]["expires_at"],
        "seconds_left": None,
        "session_id": None,
        "message": over.detail,
    }
    note = next(event for event in told if event["type"] == "notification")
    assert note["title"] == "Reservation ended" and status in note["message"]


def test_a_neighbour_out_of_order_ends_nothing() -> None:
    reservation = make_active()
    reports(reservation.charger, 2, "Faulted")
    assert now_of(reservation).state == "active"


def test_any_connector_is_reserved_as_long_as_one_works() -> None:
    """E43"""
    charger = make_online_charger(configuration={"ReserveConnectorZeroSupported": "true"})
    reservation = make_active(charger=charger, connector_number=0)
    reports(charger, 1, "Faulted")
    assert now_of(reservation).state == "active"
    reports(charger, 2, "Unavailable")
    assert now_of(reservation).state == "ended"


def test_news_from_before_it_was_made_does_not_end_it() -> None:
    reservation = make_active()
    reports(reservation.charger, 1, "Faulted", reported_at=utcnow() - timedelta(hours=1))
    assert now_of(reservation).state == "active"


# --- starts by card ---


def test_the_holders_start_uses_it() -> None:
    reservation = make_active()
    started = starts(reservation.charger, reservation.id_tag.lower())
    assert started.id_tag_status == "Accepted"
    used = now_of(reservation)
    assert (used.state, used.session) == ("used", started.session)


def test_a_card_of_the_same_parent_uses_it() -> None:
    parent = make_id_tag()
    reservation = make_active(parent_id_tag=parent.value)
    started = starts(reservation.charger, make_id_tag(parent=parent).value)
    assert started.id_tag_status == "Accepted"
    assert now_of(reservation).session == started.session


def test_another_card_is_stored_and_told_that_it_is_not_accepted() -> None:
    """E43, E24: with the word that leaves the card valid elsewhere"""
    reservation = make_active()
    card = make_id_tag(user=make_user())
    started = starts(reservation.charger, card.value)
    assert started.id_tag_status == "ConcurrentTx"
    session = ChargingSession.objects.get(pk=started.session.pk)
    assert (session.status, session.id_tag_status, session.user) == ("active", "ConcurrentTx", card.user)
    kept = now_of(reservation)
    assert kept.state == "active"
    assert kept.detail == "A charge began there with another tag"  # not which: its holder is told so
    # Told again, it gets the same answer.
    again = ledger.start_session(
        charger_id=session.charger_id,
        connector_number=1,
        id_tag=card.value,
        meter_start_wh=1000,
        reported_at=session.started_at,
        reported=session.start_reported,
    )
    assert (again.is_repeat, again.id_tag_status) == (True, "ConcurrentTx")


def test_a_blocked_card_stays_blocked_at_a_reserved_connector() -> None:
    """E43"""
    reservation = make_active()
    card = make_id_tag(is_blocked=True)
    assert starts(reservation.charger, card.value).id_tag_status == "Blocked"


def test_the_other_connector_is_free_for_all() -> None:
    reservation = make_active()
    assert starts(reservation.charger, make_id_tag().value, connector=2).id_tag_status == "Accepted"
    # The holder's start there leaves it as it is.
    other = make_active()
    starts(other.charger, other.id_tag, connector=2)
    assert now_of(other).state == "active"


@pytest.mark.parametrize("end", ["cancelled", "expired", "ended", "rejected"])
def test_one_that_is_over_keeps_nobody_out(end: str) -> None:
    reservation = make_active()
    Reservation.objects.filter(pk=reservation.pk).update(state=end)
    if end == "expired":
        Reservation.objects.filter(pk=reservation.pk).update(expires_at=utcnow() - timedelta(seconds=5))
    assert starts(reservation.charger, make_id_tag().value).id_tag_status == "Accepted"


def test_what_the_charger_says_of_its_end_counts() -> None:
    """A start tells which reservation it ends; ours may have expired meanwhile"""
    reservation = make_active()
    Reservation.objects.filter(pk=reservation.pk).update(state="expired", expires_at=utcnow())
    started = starts(reservation.charger, make_id_tag().value, reservation_id=reservation.pk)
    assert (now_of(reservation).state, now_of(reservation).session) == ("used", started.session)


@pytest.mark.parametrize("number", [-1, 0, 2**61])
def test_a_reservation_that_nobody_knows_changes_nothing(number: int) -> None:
    reservation = make_active()
    started = starts(make_online_charger(), reservation.id_tag, reservation_id=number)
    elsewhere = starts(make_online_charger(), make_id_tag().value, reservation_id=reservation.pk)
    assert started.id_tag_status == elsewhere.id_tag_status == "Accepted"
    assert now_of(reservation).state == "active"


def test_what_happened_while_the_charger_was_away_is_judged_by_its_time() -> None:
    """E43: a start told later ran against what was reserved then, or before it was"""
    reservation = make_active()
    hour_ago = utcnow() - timedelta(hours=1)
    Reservation.objects.filter(pk=reservation.pk).update(
        created_at=hour_ago, expires_at=utcnow() - timedelta(minutes=10)
    )
    sweeping.sweep()
    assert now_of(reservation).state == "expired"
    charger = reservation.charger
    assert starts(charger, make_id_tag().value, ago_s=7200).id_tag_status == "Accepted"
    assert starts(charger, make_id_tag().value, ago_s=1800).id_tag_status == "ConcurrentTx"
    started = starts(charger, reservation.id_tag, ago_s=1500)
    assert (now_of(reservation).state, now_of(reservation).session) == ("used", started.session)


# --- starts from an app ---


def wants(reservation: Reservation, user: Any) -> Command:
    identity = reservation.charger.identity
    command = services.request_start(user=user, identity=identity, connector_number=1).command
    assert command is not None and command.action == REMOTE_START
    return command


def test_the_holders_app_starts_with_the_reservations_tag() -> None:
    """E43: a charger refuses every other tag there (OCPP 1.6 §5.13)"""
    reservation = make_active()
    reports(reservation.charger, 1, "Reserved")
    command = wants(reservation, reservation.user)
    assert command.params["id_tag"] == reservation.id_tag
    started = starts(reservation.charger, reservation.id_tag, reservation_id=reservation.pk)
    assert (started.session.start_command, started.id_tag_status) == (command, "Accepted")
    assert now_of(reservation).session == started.session


def test_the_app_of_somebody_in_the_group_starts_with_its_own_card() -> None:
    parent = make_id_tag()
    reservation = make_active(parent_id_tag=parent.value)
    user = make_user()
    make_id_tag(parent=parent, user=user, is_blocked=True)
    card = make_id_tag(parent=parent, user=user)
    assert wants(reservation, user).params["id_tag"] == card.value


def test_a_reservation_without_a_card_is_for_the_users_app() -> None:
    reservation = make_active(user=make_user())
    tag = reservation.id_tag
    assert tag.startswith("EV") and len(tag) <= 20
    assert services.awaits_tag(reservation.charger_id, tag)
    assert not services.awaits_tag(make_charger().pk, tag)
    assert wants(reservation, reservation.user).params["id_tag"] == tag
    assert starts(reservation.charger, tag).session.user == reservation.user
    assert now_of(reservation).state == "used"


def test_a_blocked_card_is_not_welcome_for_being_reserved_for() -> None:
    card = make_id_tag(is_blocked=True, user=make_user())
    reservation = make_active(id_tag=card.value)
    assert not services.awaits_tag(reservation.charger_id, card.value)


@pytest.mark.parametrize("status", ["Available", "Reserved"])
def test_everybody_elses_app_is_refused(status: str) -> None:
    """E43"""
    reservation = make_active()
    reports(reservation.charger, 1, status)
    with pytest.raises(ConnectorUnavailable) as refused:
        wants(reservation, make_user())
    assert "reserved" in refused.value.sentence
    assert not Command.objects.filter(action=REMOTE_START).exists()


def test_a_connector_reserved_by_who_knows_whom_is_for_nobody() -> None:
    charger = make_online_charger()
    reports(charger, 1, "Reserved")
    with pytest.raises(ConnectorUnavailable):
        services.request_start(user=make_user(), identity=charger.identity)


def test_the_holder_of_any_connector_starts_at_any() -> None:
    charger = make_online_charger(configuration={"ReserveConnectorZeroSupported": "true"})
    reservation = make_active(charger=charger, connector_number=0)
    assert wants(reservation, reservation.user).params["id_tag"] == reservation.id_tag
    command = services.request_start(user=make_user(), identity=charger.identity, connector_number=2).command
    assert command is not None and command.params["id_tag"] != reservation.id_tag


def test_a_start_that_failed_is_not_begun_by_the_cards_next_visit() -> None:
    """A one-time tag means its start for ever (E31), a card only while it is asked for"""
    reservation = make_active()
    finish(wants(reservation, reservation.user), "rejected", answer={"status": "Rejected"})
    failed = ChargingSession.objects.get(id_tag=reservation.id_tag)
    started = starts(reservation.charger, reservation.id_tag)
    assert started.session != failed
    assert started.session.user == reservation.user


def test_a_start_asked_twice_for_one_reservation_is_the_newer() -> None:
    reservation = make_active(user=make_user())
    finish(wants(reservation, reservation.user), "rejected", answer={"status": "Rejected"})
    command = wants(reservation, reservation.user)
    assert starts(reservation.charger, reservation.id_tag).session.start_command == command


def test_a_holder_without_an_account_is_told_nothing(
    published: list[tuple[str, dict[str, Any]]], django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        reservation = make_active(id_tag=unique("CARD"))
    assert reservation.user is None
    assert not [event for _, event in published if event.get("type") == "reservation_update"]
