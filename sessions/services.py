"""What drivers and operators ask for: start, stop. Facts are in ledger.py."""

import uuid
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser
from django.db import IntegrityError, transaction

from chargers import commands
from chargers import services as charger_services
from chargers.clock import judged
from chargers.commands import REMOTE_START, REMOTE_STOP, send_command
from chargers.errors import (
    ChargerUnreachable,
    ConnectorBusy,
    NotFound,
)
from chargers.events import utcnow
from chargers.models import Charger, Command, Connector, ConnectorStatus
from chargers.words import Words
from sessions import (
    announce,
    client_refs,
    command_updates,
    id_tags,
    ledger,
    operations,
    queries,
    reservation_starts,
    reservations,
    unheard,
    watching,
)
from sessions.errors import AccountClosed, ActiveSessionExists, NoActiveSession
from sessions.models import ChargingSession
from sessions.readiness import check_ready

Status = ChargingSession.Status


# Kept with the session, and told to its driver in the language of each phone.
_CALLED_OFF = Words("The start was called off before charging began")
_DID_NOT_START = Words("The charger did not start")


class Requested(NamedTuple):
    """A session and the command that is to begin or end it; no command where none was needed."""

    session: ChargingSession
    command: Command | None


@transaction.atomic
def request_start(
    *,
    user: AbstractBaseUser,
    identity: str,
    connector_number: int = 1,
    command_id: uuid.UUID | None = None,
    client_ref: str | None = None,
) -> Requested:
    """Begin to charge: writes the session and the command. A second tap on the same connector gets the first one's,
    and so does one with the same `client_ref`, whatever became of it since.

    Raises NotFound, ChargerOffline, ChargerPending, ConnectorUnavailable, ConnectorBusy, ActiveSessionExists, and
    InvalidParameter for a `client_ref` of another request.
    """
    session, command = client_refs.once(
        user=user,
        ref=client_ref,
        wish=["start", identity, connector_number],
        act=lambda: client_refs.Requested(*_begin(user, identity, connector_number, command_id)),
    )
    assert session is not None  # every start has one
    return Requested(session, command)


def _begin(
    user: AbstractBaseUser, identity: str, connector_number: int, command_id: uuid.UUID | None
) -> Requested:
    charger = (
        Charger.objects.select_for_update(of=("self",), no_key=True)
        .select_related("station")
        .filter(identity=identity)
        .first()
    )
    if charger is None:
        raise NotFound(Words("There is no charger %(charger)s", charger=identity))
    connector = _connector_for_start(charger, connector_number)
    if repeat := _same_wish(user, connector):
        return Requested(repeat, repeat.start_command)
    place = _free_place(user)
    if ChargingSession.objects.filter(connector=connector, status__in=ChargingSession.OPEN).exists():
        values = {"connector": connector_number, "charger": identity}
        raise ConnectorBusy(Words("Connector %(connector)s of %(charger)s is in use", **values))
    check_ready(charger, connector)
    tag = reservation_starts.tag_for(user_id=user.pk, connector=connector) or id_tags.one_time_tag()
    command = send_command(
        charger=charger,
        action=REMOTE_START,
        params={"connector_id": connector_number, "id_tag": tag},
        requested_by=user,
        command_id=command_id,
    )
    try:
        with transaction.atomic():
            session = ChargingSession.objects.create(
                user_id=user.pk,
                user_place=place,
                charger=charger,
                connector=connector,
                id_tag=tag,
                start_command=command,
                requested_at=utcnow(),
            )
    except IntegrityError as error:  # another process was faster at the user's place, at another charger
        raise ActiveSessionExists from error
    # Seen now, with the user's row referred to: an account that is closed meanwhile waits for us, or we for it.
    if not get_user_model().objects.filter(pk=user.pk, is_active=True).exists():
        raise AccountClosed
    announce.state(session)
    command_updates.queued(command, session)
    return Requested(session, command)


def _connector_for_start(charger: Charger, number: int) -> Connector:
    connector = charger.connectors.filter(number=number).first()
    if connector is None:
        if number < 1 or number > charger_services.MAX_CONNECTORS or charger.connectors.exists():
            values = {"charger": charger.identity, "connector": number}
            raise NotFound(Words("%(charger)s has no connector %(connector)s", **values))
        connector = Connector.objects.create(charger=charger, number=number)  # it has not told us of any yet
    return connector


def _same_wish(user: AbstractBaseUser, connector: Connector) -> ChargingSession | None:
    return (
        queries.with_relations(ChargingSession.objects.select_related("start_command"))
        .filter(user_id=user.pk, connector=connector, status=Status.PENDING, start_command__isnull=False)
        .first()
    )


def _free_place(user: AbstractBaseUser) -> int:
    """The lowest place of the user's that is free; ActiveSessionExists if none is, or a card is charging."""
    open_ones = list(
        ChargingSession.objects.filter(user_id=user.pk, status__in=ChargingSession.OPEN).values_list(
            "user_place", flat=True
        )
    )
    limit = settings.MAX_ACTIVE_SESSIONS_PER_USER
    if len(open_ones) >= limit:
        raise ActiveSessionExists
    return next(place for place in range(limit) if place not in open_ones)


@transaction.atomic
def request_stop(
    *,
    user: AbstractBaseUser,
    identity: str | None = None,
    command_id: uuid.UUID | None = None,
    client_ref: str | None = None,
) -> Requested:
    """End the user's session, at the charger named or wherever it is. One that has not begun is called off. With the
    same `client_ref` it is the same session, ended since or not.

    Raises NotFound (no such charger), NoActiveSession, ChargerOffline, ChargerPending, and InvalidParameter for a
    `client_ref` of another request.
    """
    session, command = client_refs.once(
        user=user,
        ref=client_ref,
        wish=["stop", identity],
        act=lambda: client_refs.Requested(*_end(user, identity, command_id)),
    )
    assert session is not None  # every stop has one
    return Requested(session, command)


def _end(user: AbstractBaseUser, identity: str | None, command_id: uuid.UUID | None) -> Requested:
    session = queries.open_session_of(user.pk, identity=identity)
    if session is None:
        if identity is not None and not Charger.objects.filter(identity=identity).exists():
            raise NotFound(Words("There is no charger %(charger)s", charger=identity))
        raise NoActiveSession
    return stop(session=session, requested_by=user, command_id=command_id)


@transaction.atomic
def stop(
    *, session: ChargingSession, requested_by: AbstractBaseUser, command_id: uuid.UUID | None = None
) -> Requested:
    """Ask the charger to end a session; used by its driver's wish and by operators."""
    # Its charger's transactions are decided one after the other, so what we read next stays true.
    ledger.locked_charger(session.charger_id)
    session.refresh_from_db(fields=["status", "transaction_id", "stop_command"])
    if not session.is_open:
        raise NoActiveSession
    if session.status == Status.PENDING:
        if session.start_command_id:
            commands.abandon_command(session.start_command_id, error="cancelled")
        ledger.fail(session, code="cancelled", message=_CALLED_OFF)
        return Requested(session, session.start_command)
    if session.stop_command and _is_under_way(session.stop_command):
        return Requested(session, session.stop_command)  # a second tap
    command = send_command(
        charger=session.charger,
        action=REMOTE_STOP,
        params={"transaction_id": session.transaction_id},
        requested_by=requested_by,
        command_id=command_id,
    )
    session.status, session.stop_command = Status.STOPPING, command
    session.save(update_fields=["status", "stop_command", "updated_at"])
    announce.state(session)
    command_updates.queued(command, session)
    return Requested(session, command)


def _is_under_way(stop_command: Command) -> bool:
    """The charger is being asked, or has just agreed: a transaction takes a moment to end."""
    if stop_command.finished_at is None:
        return True
    moment = timedelta(seconds=settings.COMMAND_TIMEOUT_S)
    return stop_command.status == Command.Status.ACCEPTED and utcnow() - stop_command.finished_at < moment


# --- the ends of commands ---

_START_FAILURES = {
    Command.Status.REJECTED: ("charger_rejected", Words("The charger refused to start")),
    Command.Status.FAILED: ("charger_offline", Words("The charger could not be reached")),
    Command.Status.TIMED_OUT: ("charger_timeout", Words("The charger did not answer")),
}


@transaction.atomic
def claim_command(command_id: uuid.UUID | str, *, channel_name: str) -> Command | None:
    """The command, now its socket's to send; None if it is not to be sent any more."""
    command = commands.claim_command(command_id, channel_name=channel_name)
    if command is not None:
        command_updates.sent(command)
    return command


@transaction.atomic
def finish_command(
    command_id: uuid.UUID | str, *, status: str, answer: Any = None, error: str = ""
) -> Command | None:
    """Write how a command ended, and what that means for its session."""
    command = commands.finish_command(command_id, status=status, answer=answer, error=error)
    if command is not None:
        settle(command)
    return command


def settle(command: Command) -> None:
    """A start that failed frees the connector; a stop that failed leaves the session running, and is looked into.

    An accepted start waits for its transaction; so does one of unknown outcome (E32).
    """
    if command.action == REMOTE_START and command.status in _START_FAILURES:
        sessions = ChargingSession.objects.filter(start_command=command, status=Status.PENDING)
        for session in queries.with_relations(sessions):
            code, message = _START_FAILURES[Command.Status(command.status)]
            if command.error == ChargerUnreachable.code:
                code = command.error
            ledger.fail(session, code=code, message=message)
    elif command.action == REMOTE_STOP and command.status != Command.Status.ACCEPTED:
        stopping = ChargingSession.objects.filter(stop_command=command, status=Status.STOPPING)
        if stopping.update(status=Status.ACTIVE, updated_at=utcnow()):
            sessions = ChargingSession.objects.filter(stop_command=command, status=Status.ACTIVE)
            for session in queries.with_relations(sessions):
                announce.state(session)
        unheard.verify(command)
    operations.settle(command)
    command_updates.ended(command)


@transaction.atomic
def charger_connected(*, charger_id: int, channel_name: str, ocpp_version: str) -> charger_services.Ownership:
    """A charger's socket opened: it owns the charger now, and what an older one had asked has ended."""
    ownership = charger_services.connect(
        charger_id=charger_id, channel_name=channel_name, ocpp_version=ocpp_version
    )
    for command in ownership.ended:
        settle(command)
    return ownership


@transaction.atomic
def charger_disconnected(
    *, charger_id: int, channel_name: str, not_seen_since: datetime | None = None
) -> int:
    """A charger's socket closed, or was not seen since then: release it if it was still the owner, and end what it was
    asked. How many commands."""
    ended = charger_services.disconnect(
        charger_id=charger_id, channel_name=channel_name, not_seen_since=not_seen_since
    )
    for command in ended:
        settle(command)
    return len(ended)


@transaction.atomic
def abandon_command(command_id: uuid.UUID | str, *, error: str = "charger_timeout") -> None:
    """Its caller waits no longer, or nobody could be told of it; if it is still unsent it must stay so."""
    if command := commands.abandon_command(command_id, error=error):
        settle(command)


def awaits_tag(charger_id: int, id_tag: str) -> bool:
    """Whether this is the tag of a start that this charger was asked for, or of a reservation without a card:
    it may ask back about either."""
    starts = ChargingSession.objects.filter(
        charger_id=charger_id, id_tag=id_tag, start_command__isnull=False, status__in=ChargingSession.OPEN
    )
    return starts.exists() or reservation_starts.awaits_tag(charger_id, id_tag)


def connector_reported(
    *, charger_id: int, number: int, status: str, reported_at: datetime | None = None
) -> None:
    """A free connector says that a start of unknown outcome did not happen (E32); not if it was free before it."""
    reservations.connector_reported(
        charger_id=charger_id, number=number, status=status, reported_at=reported_at
    )
    unheard.connector_reported(charger_id=charger_id, number=number, status=status, reported_at=reported_at)
    if status != ConnectorStatus.AVAILABLE:
        return
    free_at = judged(reported_at, received_at=utcnow())
    with transaction.atomic():
        sessions = ChargingSession.objects.filter(
            charger_id=charger_id,
            connector__number=number,
            status=Status.PENDING,
            start_command__status__in=(Command.Status.UNKNOWN, Command.Status.TIMED_OUT),
            requested_at__lte=free_at,
        )
        for session in queries.with_relations(sessions):
            ledger.fail(session, code="charger_timeout", message=_DID_NOT_START)
    watching.connector_reported(charger_id=charger_id, number=number, status=status)
