"""The book of reservations: which are open, how one ends, and that its holder hears of it. No decisions in here."""

from datetime import datetime, timedelta
from typing import Any, Literal

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet

from chargers.events import Notification, utcnow
from chargers.words import Words
from sessions.events import ReservationState, ReservationUpdate
from sessions.feed import tell
from sessions.models import ChargingSession, Reservation

State = Reservation.State

_TITLES = {
    State.ACTIVE: Words("Connector reserved"),
    State.CANCELLED: Words("Reservation cancelled"),
    State.EXPIRED: Words("Reservation expired"),
    State.ENDED: Words("Reservation ended"),
}


def with_relations() -> QuerySet[Reservation]:
    return Reservation.objects.select_related("charger__station", "connector", "command", "session")


def open_ones() -> QuerySet[Reservation]:
    return with_relations().filter(state__in=Reservation.OPEN)


def are_any_open() -> bool:
    """Cheaper asked than `open_ones`, for what asks every few seconds."""
    return Reservation.objects.filter(state__in=Reservation.OPEN).exists()


def open_of(charger_id: int) -> QuerySet[Reservation]:
    return open_ones().filter(charger_id=charger_id)


def locked_of(charger_id: int) -> QuerySet[Reservation]:
    """To be decided about: an answer and a status about one reservation often come together."""
    return open_of(charger_id).select_for_update(of=("self",))


@transaction.atomic
def end(
    reservation: Reservation, state: State, detail: str = "", *, session: ChargingSession | None = None
) -> bool:
    """Once; whether it was this. What the charger says was used may have been given up by us before."""
    rows = Reservation.objects.filter(pk=reservation.pk)
    rows = rows.filter(session=None) if session else rows.filter(state__in=Reservation.OPEN)
    reservation.state, reservation.detail = state, _fitting(detail)
    reservation.session, reservation.ended_at = session, utcnow()
    ended = rows.update(
        state=state, detail=reservation.detail, session=session, ended_at=reservation.ended_at
    )
    if ended:
        announce(reservation)
    return bool(ended)


def _fitting(detail: str) -> str:
    """Cut only if it must be: a slice forgets what it was made of."""
    return detail if len(detail) <= 255 else detail[:255]


def _words(text: str) -> Words:
    """What is kept of a sentence is its English, from which one without values can be said in other languages too."""
    return text if isinstance(text, Words) else Words(text)


def note(reservation: Reservation, detail: str) -> None:
    """Nothing has ended, but there is something to know."""
    reservation.detail = _fitting(detail)
    reservation.save(update_fields=["detail"])
    announce(reservation, is_news=False)


def next_reminder(expires_at: datetime) -> datetime | None:
    """When the holder is next told how long it lasts."""
    now = utcnow()
    marks = [expires_at - timedelta(seconds=mark) for mark in settings.RESERVATION_REMINDERS_S]
    return min((mark for mark in marks if mark > now), default=None)


def state_of(reservation: Reservation) -> ReservationState:
    charger, connector = reservation.charger, reservation.connector
    left = round((reservation.expires_at - utcnow()).total_seconds())
    return ReservationState(
        reservation_id=reservation.pk,
        charger_id=charger.identity,
        connector_id=connector.number if connector else None,
        station_id=charger.station_id,
        status=reservation.state,  # type: ignore[arg-type]  # one of its choices
        expires_at=reservation.expires_at,
        seconds_left=max(0, left) if reservation.state in Reservation.OPEN else None,
        session_id=reservation.session.pk if reservation.session else None,
        message=_words(reservation.detail) if reservation.detail else None,
    )


def announce(
    reservation: Reservation, *, is_news: bool = True, event: Literal["changed", "countdown"] = "changed"
) -> None:
    """Tell the holder."""
    if reservation.user_id is None:
        return
    charger, connector = reservation.charger, reservation.connector
    tell(reservation.user_id, ReservationUpdate(event=event, data=state_of(reservation)))
    if is_news and (title := _TITLES.get(State(reservation.state))):
        place: Any = charger.identity
        if connector:
            place = Words("Connector %(connector)s of %(charger)s", connector=connector.number, charger=place)
        words = Words("%(place)s.", place=place)
        if reservation.detail:
            words = Words("%(place)s: %(detail)s.", place=place, detail=_words(reservation.detail))
        facts = {"reservation_id": reservation.pk, "charger_id": charger.identity}
        tell(reservation.user_id, Notification(title=title, message=words, data=facts))
