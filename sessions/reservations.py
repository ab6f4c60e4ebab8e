"""Connectors kept free for somebody (OCPP 1.6 §5.13): made, cancelled, used, over. Ids are the rows' keys.

The charger keeps the connector, we keep the book (reservation_book). What it says (an answer, a status) is what
happened. What starts have to do with reservations is in reservation_starts.
"""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.utils.dateparse import parse_datetime

from chargers.clock import as_text, is_late, judged
from chargers.commands import CANCEL_RESERVATION, RESERVE_NOW, check_connector, send_command
from chargers.errors import ConnectorBusy, DomainError
from chargers.events import utcnow
from chargers.models import Charger, Command, Connector, ConnectorStatus
from chargers.words import Words
from sessions import command_updates, id_tags
from sessions import reservation_book as book
from sessions.errors import InvalidParameter
from sessions.models import IdTag, Reservation

State = Reservation.State

ANY_CONNECTOR = 0
ANY_CONNECTOR_KEY = "ReserveConnectorZeroSupported"
OUT_OF_ORDER = {ConnectorStatus.FAULTED, ConnectorStatus.UNAVAILABLE}
# A charger whose clock is ahead ends a reservation a little early; it has expired all the same.
EARLY = timedelta(minutes=1)

_REFUSALS = {
    "Occupied": Words("Occupied: the connector is in use, or reserved already"),
    "Faulted": Words("Faulted: the connector has a fault"),
    "Unavailable": Words("Unavailable: the connector is out of service"),
    "Rejected": Words("Rejected: the charger takes no such reservations"),
}
_OUT_OF_ORDER = {
    "Faulted": Words("Out of order: the charger reported Faulted"),
    "Unavailable": Words("Out of order: the charger reported Unavailable"),
}


# --- what is asked for ---


@transaction.atomic
def reserve(
    *,
    charger: Charger,
    connector_number: int | None,
    expires_at: datetime,
    id_tag: str = "",
    parent_id_tag: str = "",
    user: AbstractBaseUser | None = None,
    requested_by: AbstractBaseUser | None = None,
    command_id: uuid.UUID | None = None,
) -> Reservation:
    """Ask the charger to keep a connector, or (None or 0) one of them, for a card; or, without a card, for a
    user's start from an app.

    Raises NotFound, ConnectorBusy, InvalidParameter, ChargerOffline.
    """
    charger = Charger.objects.select_for_update(of=("self",), no_key=True).get(pk=charger.pk)
    card, parent = id_tags.normalised(id_tag), id_tags.normalised(parent_id_tag)
    if not card and user is None:
        raise InvalidParameter(Words("A reservation is for an id tag or a user"))
    if not all(id_tags.may_go_out(tag) for tag in (card, parent) if tag):
        raise InvalidParameter(f"An id tag has at most {id_tags.MAX_SENT} characters")
    if expires_at <= utcnow():
        raise InvalidParameter(Words("A reservation expires in the future"))
    reservation = Reservation(
        charger=charger,
        connector=_connector(charger, connector_number),
        id_tag=card or id_tags.one_time_tag(),
        parent_id_tag=parent,
        user_id=user.pk if user else _user_of(card),
        expires_at=_time(as_text(expires_at)),  # as exactly as the charger hears it
        remind_at=book.next_reminder(expires_at),
        requested_by_id=requested_by.pk if requested_by else None,
    )
    reservation.save()
    _ask(reservation, _params_of(reservation), requested_by=requested_by, command_id=command_id)
    book.announce(reservation)
    return reservation


@transaction.atomic
def cancel(
    reservation: Reservation,
    *,
    requested_by: AbstractBaseUser | None = None,
    command_id: uuid.UUID | None = None,
) -> Command:
    """Ask the charger to keep the connector no longer. Raises ChargerOffline; its answer ends the reservation."""
    command = send_command(
        charger=reservation.charger,
        action=CANCEL_RESERVATION,
        params={"reservation_id": reservation.pk},
        requested_by=requested_by,
        command_id=command_id,
    )
    command_updates.queued(command, reservation)
    return command


def act(
    *,
    charger: Charger,
    params: dict[str, Any],
    requested_by: AbstractBaseUser | None = None,
    command_id: uuid.UUID | None = None,
) -> Command:
    """ReserveNow as somebody worded it. The id of a reservation that is open there changes that one, as §5.13 has
    it; any other is replaced with one of our own.
    """
    expires_at = _time(params["expires_at"])
    number = params["connector_id"]
    changed = book.open_of(charger.pk).filter(pk=params.get("reservation_id", 0)).first()
    if changed is None:
        reservation = reserve(
            charger=charger,
            connector_number=number,
            expires_at=expires_at,
            id_tag=params["id_tag"],
            parent_id_tag=params.get("parent_id_tag", ""),
            requested_by=requested_by,
            command_id=command_id,
        )
        assert reservation.command is not None  # just sent
        return reservation.command
    if number != _number(changed):
        raise InvalidParameter("A reservation stays with its connector")
    return _ask(changed, params, requested_by=requested_by, command_id=command_id)


def _connector(charger: Charger, number: int | None) -> Connector | None:
    if not number:
        if str(charger.configuration.get(ANY_CONNECTOR_KEY, "")).strip().lower() != "true":
            raise InvalidParameter(
                Words("%(charger)s cannot reserve whichever connector is free", charger=charger.identity),
                detail=f"Its configuration does not have {ANY_CONNECTOR_KEY}=true",
            )
        return None
    check_connector(charger, number)
    connector, _ = Connector.objects.get_or_create(charger=charger, number=number)
    if other := Reservation.objects.filter(connector=connector, state__in=Reservation.OPEN).first():
        values = {"connector": number, "charger": charger.identity}
        raise ConnectorBusy(
            Words("Connector %(connector)s of %(charger)s is reserved already", **values), detail=str(other)
        )
    return connector


def _user_of(card: str) -> int | None:
    return IdTag.objects.filter(value=card).values_list("user_id", flat=True).first()


def _number(reservation: Reservation) -> int:
    return reservation.connector.number if reservation.connector else ANY_CONNECTOR


def _params_of(reservation: Reservation) -> dict[str, Any]:
    params = {
        "connector_id": _number(reservation),
        "expires_at": as_text(reservation.expires_at),
        "id_tag": reservation.id_tag,
        "reservation_id": reservation.pk,
    }
    return params | ({"parent_id_tag": reservation.parent_id_tag} if reservation.parent_id_tag else {})


def _ask(
    reservation: Reservation,
    params: dict[str, Any],
    *,
    requested_by: AbstractBaseUser | None = None,
    command_id: uuid.UUID | None = None,
) -> Command:
    command = send_command(
        charger=reservation.charger,
        action=RESERVE_NOW,
        params=params,
        requested_by=requested_by,
        command_id=command_id,
    )
    reservation.command = command
    reservation.save(update_fields=["command"])
    command_updates.queued(command, reservation)
    return command


def _time(text: str) -> datetime:
    try:
        at = parse_datetime(text)
    except ValueError:
        at = None
    if at is None:
        raise InvalidParameter(f"{text[:40]} is no time")
    return at if at.tzinfo else at.replace(tzinfo=UTC)


# --- what the charger answers ---


def settle_reserve(command: Command) -> None:
    reservation = _meant_by(command)
    if reservation is None:
        return
    word = _word(command)
    if command.status == Command.Status.ACCEPTED:
        _keep(reservation, command.params)
    elif reservation.state == State.ACTIVE:
        book.note(reservation, Words("A change of it was refused: %(reason)s", reason=word or command.error))
    elif command.status == Command.Status.REJECTED:
        book.end(reservation, State.REJECTED, _REFUSALS.get(word, word or command.error))
    elif command.status == Command.Status.FAILED:
        book.end(reservation, State.REJECTED, Words("The charger could not be reached"))
    else:
        book.note(reservation, Words("The charger did not answer: it may keep the connector, or not"))


def settle_cancel(command: Command) -> None:
    reservation = _meant_by(command)
    if reservation is None:
        return
    if command.status == Command.Status.ACCEPTED:
        book.end(reservation, State.CANCELLED)
    elif command.status == Command.Status.REJECTED and _word(command):
        book.end(
            reservation, State.CANCELLED, Words("The charger did not know it: it was over there already")
        )
    else:
        book.note(reservation, Words("Not cancelled: %(reason)s", reason=command.error))


def _meant_by(command: Command) -> Reservation | None:
    return book.locked_of(command.charger_id).filter(pk=command.params.get("reservation_id", 0)).first()


def _word(command: Command) -> str:
    word = command.answer.get("status") if isinstance(command.answer, dict) else None
    return word if isinstance(word, str) else ""


def _keep(reservation: Reservation, params: dict[str, Any]) -> None:
    """The charger keeps the connector, on these terms. Its answer and its status both say so, in any order."""
    terms = {
        "id_tag": id_tags.normalised(params["id_tag"]),
        "parent_id_tag": id_tags.normalised(params.get("parent_id_tag", "")),
        "expires_at": _time(params["expires_at"]),
        "state": State.ACTIVE,
        "detail": "",
    }
    changed = [name for name, value in terms.items() if getattr(reservation, name) != value]
    if not changed:
        return
    for name in changed:
        setattr(reservation, name, terms[name])
    reservation.remind_at = book.next_reminder(reservation.expires_at)
    reservation.user_id = reservation.user_id or _user_of(reservation.id_tag)
    reservation.save(update_fields=[*changed, "remind_at", "user"])
    book.announce(reservation, is_news=changed != ["detail"])


# --- what the charger reports ---


def connector_reported(
    *, charger_id: int, number: int, status: str, reported_at: datetime | None = None
) -> None:
    """A connector (0: the charger) changed its status: what that says of the reservations there (E43)."""
    if not book.open_of(charger_id).exists():  # of most reports
        return
    with transaction.atomic():
        _connector_reported(charger_id, number, status, reported_at)


def _connector_reported(charger_id: int, number: int, status: str, reported_at: datetime | None) -> None:
    now = utcnow()
    at = judged(reported_at, received_at=now)
    rows = book.locked_of(charger_id)
    if is_late(at, received_at=now):
        rows = rows.filter(created_at__lte=at)  # old news is about what was reserved then
    here = rows.filter(connector__number=number) if number else rows
    if status in OUT_OF_ORDER:
        for reservation in here if _is_any_usable(charger_id, number) else rows:
            book.end(reservation, State.ENDED, _OUT_OF_ORDER[status])
    elif number and status == ConnectorStatus.RESERVED:
        for reservation in here:
            Reservation.objects.filter(pk=reservation.pk).update(kept_at=now)
            if reservation.state == State.REQUESTED:
                _keep(reservation, _params_of(reservation))
    elif number and status == ConnectorStatus.AVAILABLE:
        for reservation in here:
            _connector_is_free(reservation, now)


def _is_any_usable(charger_id: int, number: int) -> bool:
    """Whether another connector still is; only then whoever may use any of them has one."""
    if not number:
        return False
    connectors = Connector.objects.filter(charger_id=charger_id)
    return connectors.exclude(status__in=OUT_OF_ORDER).exclude(number=number).exists()


def _connector_is_free(reservation: Reservation, now: datetime) -> None:
    """The charger's own end of it, by its own clock; or it never kept the connector, and did not say so."""
    if reservation.kept_at is not None:
        if _is_being_cancelled(reservation):
            return  # the answer says more
        if reservation.expires_at <= now + EARLY:
            book.end(reservation, State.EXPIRED)
        else:
            book.end(reservation, State.ENDED, Words("The charger keeps the connector no longer"))
    elif reservation.state == State.REQUESTED and reservation.command and reservation.command.is_finished:
        reason = Words("The charger did not answer, and keeps the connector for nobody")
        book.end(reservation, State.REJECTED, reason)


def _is_being_cancelled(reservation: Reservation) -> bool:
    return Command.objects.filter(
        charger_id=reservation.charger_id,
        action=CANCEL_RESERVATION,
        params__reservation_id=reservation.pk,
        finished_at=None,
    ).exists()


# --- the sweep ---


def sweep() -> int:
    """End what has expired; ask again what a lost connection left unanswered, since the same id asks for the same.

    Returns how many have expired.
    """
    if not book.are_any_open():
        return 0
    now = utcnow()
    expired = sum(book.end(each, State.EXPIRED) for each in book.open_ones().filter(expires_at__lte=now))
    unanswered = book.open_ones().filter(
        state=State.REQUESTED,
        command__status=Command.Status.TIMED_OUT,
        command__error="charger_offline",
    )
    for reservation in unanswered.exclude(charger__channel_name=""):
        _ask_again(reservation)
    return expired


@transaction.atomic
def _ask_again(reservation: Reservation) -> None:
    asked = Reservation.objects.select_for_update(of=("self",)).get(pk=reservation.pk)
    if asked.command_id != reservation.command_id:
        return  # another process was faster
    try:
        _ask(reservation, _params_of(reservation))
    except DomainError:  # it went away again
        return
