"""The book of reservations: which are open, how one ends, and that its holder hears of it. No decisions in here."""

from django.db import transaction
from django.db.models import QuerySet

from chargers.events import Notification, publish, user_group, utcnow
from sessions.events import ReservationState, ReservationUpdate
from sessions.models import ChargingSession, Reservation

State = Reservation.State

_TITLES = {
    State.ACTIVE: "Connector reserved",
    State.CANCELLED: "Reservation cancelled",
    State.EXPIRED: "Reservation expired",
    State.ENDED: "Reservation ended",
}


def open_ones() -> QuerySet[Reservation]:
    return Reservation.objects.filter(state__in=Reservation.OPEN).select_related(
        "charger__station", "connector", "command"
    )


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
    reservation.state, reservation.detail = state, detail[:255]
    reservation.session, reservation.ended_at = session, utcnow()
    ended = rows.update(
        state=state, detail=reservation.detail, session=session, ended_at=reservation.ended_at
    )
    if ended:
        announce(reservation)
    return bool(ended)


def note(reservation: Reservation, detail: str) -> None:
    """Nothing has ended, but there is something to know."""
    reservation.detail = detail[:255]
    reservation.save(update_fields=["detail"])
    announce(reservation, is_news=False)


def announce(reservation: Reservation, *, is_news: bool = True) -> None:
    """Tell the holder."""
    if reservation.user_id is None:
        return
    charger, connector = reservation.charger, reservation.connector
    to = [user_group(reservation.user_id)]
    data = ReservationState(
        reservation_id=reservation.pk,
        charger_id=charger.identity,
        connector_id=connector.number if connector else None,
        station_id=charger.station_id,
        status=reservation.state,  # type: ignore[arg-type]  # one of its choices
        expires_at=reservation.expires_at,
        session_id=reservation.session.pk if reservation.session else None,
        message=reservation.detail or None,
    )
    publish(ReservationUpdate(data=data), to=to)
    if is_news and (title := _TITLES.get(State(reservation.state))):
        place = f"Connector {connector.number} of {charger.identity}" if connector else charger.identity
        words = f"{place}: {reservation.detail}." if reservation.detail else f"{place}."
        facts = {"reservation_id": reservation.pk, "charger_id": charger.identity}
        publish(Notification(title=title, message=words, data=facts), to=to)
