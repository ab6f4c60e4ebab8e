"""What starts have to do with reservations: whose a start takes up, whose it runs against, and with which tag (E43)."""

from datetime import datetime
from typing import NamedTuple

from django.db.models import F, Q, QuerySet

from chargers.clock import is_late
from chargers.errors import ConnectorUnavailable
from chargers.events import utcnow
from chargers.models import Charger, Connector, ConnectorStatus
from chargers.words import Words
from sessions import id_tags
from sessions import reservation_book as book
from sessions.models import ChargingSession, IdTag, Reservation

State = Reservation.State


class Claim(NamedTuple):
    """What a start means for the book: it takes up `used`, or runs against `broken` (E43), or neither."""

    used: Reservation | None = None
    broken: Reservation | None = None


def claim_of(
    *,
    charger: Charger,
    connector: Connector | None,
    id_tag: str,
    named: int | None,
    started_at: datetime,
) -> Claim:
    """Judged by what was reserved when it began, which may be long ago (a start told after an offline time).

    `named` is the reservation that the charger says has ended with this start: it knows best.
    """
    mine = Reservation.objects.filter(charger=charger, session=None).select_related("charger", "connector")
    if named is not None and (reservation := mine.filter(pk=named).first()):
        return Claim(used=reservation)
    then = mine.filter(state__in=(*Reservation.OPEN, State.EXPIRED), expires_at__gt=started_at)
    if is_late(started_at, received_at=utcnow()):
        then = then.filter(created_at__lte=started_at)
    tags = _group_of(id_tag)
    # The connector's own reservation counts before one for any connector.
    for reservation in _at(then, connector):
        if tags & {reservation.id_tag, reservation.parent_id_tag}:
            return Claim(used=reservation)
        if reservation.connector_id and reservation.state != State.REQUESTED:
            return Claim(broken=reservation)
    return Claim()


def record_start(claim: Claim, session: ChargingSession) -> None:
    """Write down what a start does to reservations. One against a reservation is stored like any other (E24), but
    its tag is told not to be accepted: with the word that leaves the card valid elsewhere (OCPP 1.6 §3.5.2).

    The caller saves the session.
    """
    if claim.broken is not None and session.id_tag_status == id_tags.ACCEPTED:
        session.id_tag_status = id_tags.CONCURRENT
    if claim.used is not None:
        book.end(claim.used, State.USED, session=session)
    elif claim.broken is not None and claim.broken.state in Reservation.OPEN:
        book.note(claim.broken, Words("A charge began there with another tag"))


def tag_for(*, user_id: int, connector: Connector) -> str | None:
    """The tag with which a start of this user's takes up a reservation, None if there is none to take up.

    A charger refuses every other tag on a reserved connector, ours of one use too, so the start carries the
    reservation's. Raises ConnectorUnavailable where the connector is kept for somebody else.
    """
    rows = book.open_of(connector.charger_id).filter(expires_at__gt=utcnow())
    for reservation in _at(rows, connector):
        if tag := _tag_of(user_id, reservation):
            return tag
        if reservation.connector_id:
            raise ConnectorUnavailable(
                Words("Connector %(connector)s is reserved", connector=connector.number)
            )
    if connector.status == ConnectorStatus.RESERVED:
        raise ConnectorUnavailable(Words("Connector %(connector)s is reserved", connector=connector.number))
    return None


def awaits_tag(charger_id: int, id_tag: str) -> bool:
    """Whether this is the tag of a reservation without a card: a charger may ask about it (§5.13)."""
    is_reserved = Reservation.objects.filter(
        charger_id=charger_id, id_tag=id_tag, user__isnull=False, state__in=Reservation.OPEN
    ).exists()
    return is_reserved and not IdTag.objects.filter(value=id_tag).exists()


def _at(rows: QuerySet[Reservation], connector: Connector | None) -> QuerySet[Reservation]:
    here = Q(connector=None) | Q(connector=connector) if connector else Q(connector=None)
    return rows.filter(here).order_by(F("connector").asc(nulls_last=True), "expires_at")


def _group_of(id_tag: str) -> set[str]:
    """The tag and its parent: either may match the reservation's tag or its parent (OCPP 1.6 §5.13)."""
    parent = IdTag.objects.filter(value=id_tag).values_list("parent__value", flat=True).first()
    return {tag for tag in (id_tag, parent) if tag}


def _tag_of(user_id: int, reservation: Reservation) -> str | None:
    if reservation.user_id == user_id:
        return reservation.id_tag
    if not reservation.parent_id_tag:
        return None
    group = Q(parent__value=reservation.parent_id_tag) | Q(value=reservation.parent_id_tag)
    now = utcnow()
    for tag in IdTag.objects.filter(group, user_id=user_id).select_related("parent"):
        if id_tags.status_of(tag, now=now) == id_tags.ACCEPTED:
            return tag.value
    return None
