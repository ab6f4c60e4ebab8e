"""Reservations from the app: what a driver may ask for, and the countdown to their end. The rest is in reservations."""

import uuid
from datetime import datetime, timedelta
from typing import NamedTuple

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction

from chargers.among import Among
from chargers.errors import ConnectorBusy, NotFound
from chargers.events import utcnow
from chargers.models import Charger, Command, Connector
from chargers.words import Words
from sessions import client_refs, ledger, reservations, watching
from sessions import reservation_book as book
from sessions.errors import InvalidParameter, ReservationExists, ReservationNotSupported
from sessions.events import ReservationState
from sessions.models import ChargingSession, Reservation
from sessions.readiness import check_charger, check_ready

DEFAULT_MINUTES = 15
PROFILES_KEY, PROFILE = "SupportedFeatureProfiles", "reservation"
NOT_KNOWN = {"NotSupported", "NotImplemented"}  # CALLERRORs


class Cancelled(NamedTuple):
    """No command where there was nothing left to cancel."""

    reservation: Reservation
    command: Command | None


@transaction.atomic
def reserve(
    *,
    user: AbstractBaseUser,
    identity: str,
    connector_number: int | None = None,
    minutes: int | None = None,
    expires_at: datetime | None = None,
    command_id: uuid.UUID | None = None,
    client_ref: str | None = None,
) -> Reservation:
    """Ask the charger to keep a connector, this or one that is free, for the user's start from the app. Asked for again
    it is the same reservation; with the same `client_ref` also when that is over.

    Raises NotFound, InvalidParameter (a `client_ref` of another request, too), ReservationExists,
    ReservationNotSupported, ChargerOffline, ChargerPending, ConnectorUnavailable, ConnectorBusy.
    """
    made: Reservation | None = None

    def act() -> client_refs.Requested:
        nonlocal made
        made = _reserve(user, identity, connector_number, minutes, expires_at, command_id)
        return client_refs.Requested(None, made.command)

    until = expires_at and expires_at.isoformat()
    wish = ["reserve", identity, connector_number, minutes, until]
    _, command = client_refs.once(user=user, ref=client_ref, wish=wish, act=act)
    if made is not None:
        return made
    if command is None:  # of one so old that its command is forgotten, and open all the same
        return _reserve(user, identity, connector_number, minutes, expires_at, command_id)
    return Reservation.objects.get(pk=command.params["reservation_id"])


def _reserve(
    user: AbstractBaseUser,
    identity: str,
    connector_number: int | None,
    minutes: int | None,
    expires_at: datetime | None,
    command_id: uuid.UUID | None,
) -> Reservation:
    # Two wishes of one user come one after the other: they are counted.
    get_user_model().objects.select_for_update(of=("self",), no_key=True).get(pk=user.pk)
    found = Charger.objects.filter(identity=identity).values_list("pk", flat=True).first()
    if found is None:
        raise NotFound(Words("There is no charger %(charger)s", charger=identity))
    charger = ledger.locked_charger(found)
    mine = book.open_ones().filter(user_id=user.pk).order_by("pk")
    here = mine.filter(charger=charger)
    if connector_number is not None:
        here = here.filter(connector__number=connector_number)
    if repeat := here.first():
        return repeat
    if mine.count() >= settings.MAX_RESERVATIONS_PER_USER:
        raise ReservationExists
    until = _end_of(minutes, expires_at)
    check_charger(charger)
    _check_supported(charger)
    connector = _connector(charger, connector_number, user)
    check_ready(charger, connector)
    if ChargingSession.objects.filter(connector=connector, status__in=ChargingSession.OPEN).exists():
        values = {"connector": connector.number, "charger": identity}
        raise ConnectorBusy(Words("Connector %(connector)s of %(charger)s is in use", **values))
    return reservations.reserve(
        charger=charger,
        connector_number=connector.number,
        expires_at=until,
        user=user,
        requested_by=user,
        command_id=command_id,
    )


def _end_of(minutes: int | None, expires_at: datetime | None) -> datetime:
    longest = settings.MAX_RESERVATION_MINUTES
    now = utcnow()
    if expires_at is None:
        expires_at = now + timedelta(minutes=min(DEFAULT_MINUTES, longest) if minutes is None else minutes)
    if expires_at > now + timedelta(minutes=longest):
        raise InvalidParameter(Words("A reservation lasts at most %(minutes)s min", minutes=longest))
    return expires_at


def _check_supported(charger: Charger) -> None:
    """By what the charger says of itself; or by what it answered since it booted last."""
    profiles = str(charger.configuration.get(PROFILES_KEY) or "")
    if profiles and PROFILE not in profiles.lower():
        raise ReservationNotSupported(detail=f"{PROFILES_KEY}: {profiles}")
    last = Reservation.objects.filter(charger=charger).select_related("command").first()
    command = last.command if last else None
    if command is None or not is_unknown_to(command) or command.finished_at is None:
        return
    if charger.booted_at is None or command.finished_at > charger.booted_at:
        raise ReservationNotSupported(detail=command.error)


def is_unknown_to(command: Command) -> bool:
    """Whether the charger answered that it does not know what it was asked."""
    return isinstance(command.answer, dict) and command.answer.get("errorCode") in NOT_KNOWN


def _connector(charger: Charger, number: int | None, user: AbstractBaseUser) -> Connector:
    if number is None:
        connector = watching.free_for(user.pk).filter(charger=charger).order_by("number").first()
        if connector is None:
            raise ConnectorBusy(Words("No connector of %(charger)s is free", charger=charger.identity))
        return connector
    connector = charger.connectors.filter(number=number).first()
    if connector is None:
        values = {"charger": charger.identity, "connector": number}
        raise NotFound(Words("%(charger)s has no connector %(connector)s", **values))
    return connector


@transaction.atomic
def cancel(*, user: AbstractBaseUser, reservation_id: int, command_id: uuid.UUID | None = None) -> Cancelled:
    """Ask the charger to keep the connector no longer. Raises NotFound, ChargerOffline."""
    mine = Reservation.objects.filter(user_id=user.pk).select_related("charger__station", "connector")
    reservation = mine.filter(pk=reservation_id).first()
    if reservation is None:
        raise NotFound(Words("There is no reservation %(reservation)s", reservation=reservation_id))
    if reservation.state not in Reservation.OPEN:
        return Cancelled(reservation, None)
    command = reservations.cancel(reservation, requested_by=user, command_id=command_id)
    return Cancelled(reservation, command)


def open_states_of(*user_ids: int) -> dict[int, list[ReservationState]]:
    """Each user's open reservations, in one small query for all of them, and one more for those who have any."""
    found: dict[int, list[ReservationState]] = {user_id: [] for user_id in user_ids}
    theirs = Reservation.objects.filter(Among("user_id", user_ids), state__in=Reservation.OPEN).order_by()
    if not (keys := list(theirs.values_list("pk", flat=True))):
        return found
    for reservation in book.open_ones().filter(pk__in=keys).order_by("expires_at"):
        assert reservation.user_id is not None  # it is one of those
        found[reservation.user_id].append(book.state_of(reservation))
    return found


def remind() -> int:
    """Tell the holders of what expires soon, at each of RESERVATION_REMINDERS_S once. How many were told."""
    if not book.are_any_open():
        return 0
    due = book.open_ones().filter(state=Reservation.State.ACTIVE, remind_at__lte=utcnow())
    return sum(_remind(reservation) for reservation in due)


@transaction.atomic
def _remind(reservation: Reservation) -> bool:
    due = Reservation.objects.filter(
        pk=reservation.pk, state=Reservation.State.ACTIVE, remind_at=reservation.remind_at
    )
    if not due.update(remind_at=book.next_reminder(reservation.expires_at)):
        return False  # it is over, or another process was faster
    book.announce(reservation, event="countdown", is_news=False)
    return True
