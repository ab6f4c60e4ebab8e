"""Tells drivers what becomes of what they asked of a charger: each state once, in order, in the transaction that makes
it so.

Told is who asked, about a session or reservation of their own. `effective` is the fact itself: charging began, or has
ended. The charger may tell it before it answers the command; then that answer is no news any more.
"""

import uuid

from chargers.commands import CANCEL_RESERVATION, REMOTE_START, REMOTE_STOP, RESERVE_NOW
from chargers.errors import ChargerOffline, ChargerUnreachable
from chargers.models import Command, ConnectorStatus
from chargers.words import Words
from sessions.events import CommandUpdate
from sessions.feed import tell
from sessions.models import ChargingSession, Reservation

Status = Command.Status
Subject = ChargingSession | Reservation

_ACTIONS = {
    REMOTE_START: "start_charging",
    REMOTE_STOP: "stop_charging",
    RESERVE_NOW: "reserve",
    CANCEL_RESERVATION: "cancel_reservation",
}
_REFUSED = (Status.REJECTED, Status.FAILED)

_WAITING = Words("Waiting for the charger")
_REJECTED = Words("The charger refused")
_SILENT = Words("The charger did not answer")
_SENTENCES: dict[tuple[str, str], Words] = {
    (REMOTE_START, "accepted"): Words("Plug in your car"),
    (REMOTE_START, "effective"): Words("Charging"),
    (REMOTE_START, "unknown"): Words("The charger has not answered; charging may still begin"),
    (REMOTE_STOP, "accepted"): Words("The charger is ending the session"),
    (REMOTE_STOP, "effective"): Words("Charging has ended"),
    (REMOTE_STOP, "rejected"): Words("The charger refused to stop"),
    (REMOTE_STOP, "timed_out"): Words("The charger did not answer; charging may go on"),
    (RESERVE_NOW, "accepted"): Words("The charger keeps a connector for you"),
    (RESERVE_NOW, "rejected"): Words("The charger refused the reservation"),
    (CANCEL_RESERVATION, "accepted"): Words("The reservation is cancelled"),
}
_PLUGGED_IN = Words("Charging is about to begin")
# Why a command failed, by the code it failed with.
_FAILURES = {
    ChargerOffline.code: Words("The charger could not be reached"),
    ChargerUnreachable.code: Words(ChargerUnreachable.sentence),
    "charger_timeout": _SILENT,
}


def queued(command: Command, subject: Subject) -> None:
    _tell(command, subject, "queued", _WAITING)


def sent(command: Command) -> None:
    if subject := _subject_of(command):
        _tell(command, subject, "sent", _WAITING)


def ended(command: Command) -> None:
    """What the charger answered, or that it did not. A start that failed is told with its session, by `failed`."""
    subject = _subject_of(command)
    if subject is None:
        return
    if isinstance(subject, ChargingSession) and not _awaits(command, subject):
        return
    state = command.status
    code = _code_of(command)
    message = _SENTENCES.get((command.action, state)) or _FAILURES.get(code or "") or _REJECTED
    if command.action == REMOTE_START and state == Status.ACCEPTED and _is_plugged_in(subject):
        message = _PLUGGED_IN
    _tell(command, subject, state, message, code)


def failed(session: ChargingSession) -> None:
    """A start that comes to nothing, whether the charger answered it or not: the session says why."""
    command = _command(session.start_command_id)
    if command is not None:
        state = command.status if command.status in (*_REFUSED, Status.TIMED_OUT) else "failed"
        _tell(command, session, state, Words(session.error_message), session.error_code)


def hold(command_id: uuid.UUID | None) -> None:
    """Let the answer to this command wait until the fact that is about to be written is told, or the other way round.

    Before the session is written: who ends a command has its row first, too.
    """
    if command_id is not None:
        list(Command.objects.select_for_update(no_key=True).filter(pk=command_id).values_list("pk"))


def began(session: ChargingSession) -> None:
    """What was asked for has happened: the transaction began."""
    command = _command(session.start_command_id)
    if command is not None:
        _tell(command, session, "effective", _SENTENCES[REMOTE_START, "effective"])


def over(session: ChargingSession) -> None:
    """The transaction ended; by the driver's command, unless that was refused."""
    command = _command(session.stop_command_id)
    if command is not None and command.action == REMOTE_STOP and command.status not in _REFUSED:
        _tell(command, session, "effective", _SENTENCES[REMOTE_STOP, "effective"])


def _command(command_id: uuid.UUID | None) -> Command | None:
    """As it is now: a session may hold it as it was."""
    return Command.objects.filter(pk=command_id).first() if command_id else None


def _subject_of(command: Command) -> Subject | None:
    """The asker's own session or reservation that the command is about."""
    if command.requested_by_id is None or command.action not in _ACTIONS:
        return None
    if command.action in (REMOTE_START, REMOTE_STOP):
        sessions = ChargingSession.objects.filter(
            user_id=command.requested_by_id, charger_id=command.charger_id
        )
        if command.action == REMOTE_START:
            sessions = sessions.filter(start_command=command)
        else:
            sessions = sessions.filter(transaction_id=command.params.get("transaction_id"))
        return sessions.select_related("charger", "connector").first()
    mine = Reservation.objects.filter(user_id=command.requested_by_id, charger_id=command.charger_id)
    return (
        mine.filter(pk=command.params.get("reservation_id", 0)).select_related("charger", "connector").first()
    )


def _awaits(command: Command, session: ChargingSession) -> bool:
    """Whether the fact is still to come. A start that was given up is told as failed already."""
    if command.action == REMOTE_START:
        return session.status == ChargingSession.Status.PENDING
    return session.is_open


def _is_plugged_in(subject: Subject) -> bool:
    return subject.connector is not None and subject.connector.status == ConnectorStatus.PREPARING


def _code_of(command: Command) -> str | None:
    if command.status == Status.ACCEPTED:
        return None
    if command.status == Status.REJECTED:
        return "charger_rejected"
    return command.error if command.error in _FAILURES else ChargerUnreachable.code


def _tell(command: Command, subject: Subject, state: str, message: Words, code: str | None = None) -> None:
    if command.requested_by_id is None or command.requested_by_id != subject.user_id:
        return
    tell(
        subject.user_id,
        CommandUpdate(
            command_id=str(command.pk),
            session_id=subject.pk if isinstance(subject, ChargingSession) else None,
            charger_id=subject.charger.identity,
            connector_id=subject.connector.number if subject.connector else None,
            command=_ACTIONS[command.action],  # type: ignore[arg-type]  # one of its words
            state=state,  # type: ignore[arg-type]  # as above
            code=code,
            message=message,
        ),
    )
