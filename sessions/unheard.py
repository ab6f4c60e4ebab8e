"""Running sessions whose stop was never told, found by what their chargers say otherwise (E35, E36).

Nothing is remembered in the process: what was asked, answered and reported stands in the rows, and the sweep ends
what they leave open.
"""

from datetime import datetime, timedelta
from typing import NamedTuple

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q, QuerySet

from chargers.clock import judged
from chargers.commands import TRIGGER_MESSAGE, send_command
from chargers.errors import DomainError
from chargers.events import utcnow
from chargers.models import Command, ConnectorStatus
from sessions import ledger, oddities
from sessions.models import ChargingSession, MeterReading
from sessions.queries import with_relations

# In these a transaction is going on; in the others it is not, or nobody can say.
CHARGING = (ConnectorStatus.CHARGING, ConnectorStatus.SUSPENDED_EV, ConnectorStatus.SUSPENDED_EVSE)
IDLE = (
    ConnectorStatus.AVAILABLE,
    ConnectorStatus.PREPARING,
    ConnectorStatus.FINISHING,
    ConnectorStatus.RESERVED,
)

# When those that were being written are surely there, and how long a process may have hung with them.
_STRAGGLERS_FROM, _STRAGGLERS_UNTIL = timedelta(seconds=10), timedelta(minutes=2)


class Cause(NamedTuple):
    """Why a session must be over."""

    flag: str
    reason: str
    stop_reason: str = ""


def verify(command: Command) -> None:
    """The charger refused to stop a transaction: it may not know it any more. Ask how the connector is (E35)."""
    transaction_id = command.params.get("transaction_id")
    if command.status != Command.Status.REJECTED or not isinstance(transaction_id, int):
        return
    for session in _running().filter(charger_id=command.charger_id, transaction_id=transaction_id):
        ChargingSession.objects.filter(pk=session.pk).update(stop_command=command)
        where = {"connector_id": session.connector.number} if session.connector else {}
        for message in ("StatusNotification", "MeterValues"):
            try:
                send_command(
                    charger=session.charger, action=TRIGGER_MESSAGE, params={"message": message, **where}
                )
            except DomainError:  # gone meanwhile: when it is back it reports its connectors by itself
                return


def connector_reported(*, charger_id: int, number: int, status: str, reported_at: datetime | None) -> None:
    """What a connector's status says of the session that should be running there."""
    if status not in (*CHARGING, ConnectorStatus.AVAILABLE):
        return
    sessions = _running().filter(charger_id=charger_id, connector__number=number)
    if not sessions.exists():
        return
    seen_at = judged(reported_at, received_at=utcnow())
    with transaction.atomic():
        ledger.locked_charger(charger_id)
        for session in sessions:
            if status != ConnectorStatus.AVAILABLE:
                _note_resumed(session)
            elif cause := _cause(session, seen_at=seen_at):
                _end(session, cause)


def sweep() -> int:
    """End what was refused, or cut off by a restart, and of which nothing was heard since. How many."""
    limit = utcnow() - timedelta(seconds=settings.START_TIMEOUT_S)
    refused = Q(stop_command__status=Command.Status.REJECTED, stop_command__finished_at__lt=limit)
    cut_off = Q(
        charger__booted_at__lt=limit, charger__booted_at__gt=F("created_at"), connector__status__in=IDLE
    )
    silent = _running().exclude(charger__channel_name="").exclude(connector__status__in=CHARGING)
    count = 0
    for pk, charger_id in list(silent.filter(refused | cut_off).values_list("pk", "charger_id")):
        with transaction.atomic():
            ledger.locked_charger(charger_id)
            for session in silent.filter(refused | cut_off, pk=pk):
                if cause := _cause(session, seen_at=None):
                    _end(session, cause)
                    count += 1
    _count_stragglers()
    return count


def _count_stragglers() -> None:
    """Meter values that one process was writing while another ended their session: its end saw none of them, and their
    writer nothing of it (E30). Where the readings tell the energy, each round looks again for a while."""
    now = utcnow()
    ended = ChargingSession.objects.filter(
        review=ChargingSession.Review.WAITING,
        status=ChargingSession.Status.COMPLETED,
        updated_at__range=(now - _STRAGGLERS_UNTIL, now - _STRAGGLERS_FROM),
    )
    for pk, charger_id in list(ended.values_list("pk", "charger_id")):
        ledger.recount_ended(charger_id=charger_id, session_id=pk)


def _running() -> QuerySet[ChargingSession]:
    running = ChargingSession.objects.filter(status__in=ChargingSession.RUNNING)
    return with_relations(running.select_related("stop_command"))


def _cause(session: ChargingSession, *, seen_at: datetime | None) -> Cause | None:
    """Why the session must be over, if its connector is idle. `seen_at`: when it was seen so; None: it stayed so."""
    newest = session.readings.exclude(context="Trigger").order_by("-measured_at", "-pk").first()
    if seen_at is not None and seen_at < (newest.measured_at if newest else session.started_at or seen_at):
        return None  # the connector was free before that
    stop = session.stop_command
    if stop is not None and stop.status == Command.Status.REJECTED:
        was_heard = newest is not None and stop.finished_at and newest.received_at > stop.finished_at
        if seen_at is not None or not was_heard:
            reason = "The charger refused to stop it, and its connector is not charging"
            return Cause("lost_stop", reason)
    if _was_cut_off(session, newest):
        assert session.charger.booted_at is not None  # it was cut off by that
        when = f"{session.charger.booted_at:%Y-%m-%d %H:%M:%S} UTC"
        reason = f"The charger restarted at {when}, and its connector is not charging"
        return Cause("power_loss", reason, "PowerLoss")
    return None


def _was_cut_off(session: ChargingSession, newest: MeterReading | None) -> bool:
    """Whether the charger booted since it told of the start, and nothing says that it went on with it after.

    A start told after the boot, as a replay, is not cut off by it: its stop is still in the charger's queue.
    """
    booted_at = session.charger.booted_at
    if booted_at is None or booted_at < session.created_at:
        return False
    # The charger's clock may be ahead of ours: what we had heard before the boot was before it.
    was_told_before = session.readings.filter(received_at__lt=booted_at).exists()
    if session.started_at is None or (session.started_at > booted_at and not was_told_before):
        return False
    if newest is not None and min(newest.measured_at, newest.received_at) > booted_at:
        return False
    return not session.oddities.filter(flag="resumed", created_at__gte=booted_at).exists()


def _note_resumed(session: ChargingSession) -> None:
    booted_at = session.charger.booted_at
    if booted_at is None or booted_at < session.created_at:
        return
    reason = f"The charger restarted at {booted_at:%Y-%m-%d %H:%M:%S} UTC, and its connector went on charging"
    if oddities.note(session, "resumed", reason):
        session.save(update_fields=["flags", "updated_at"])


def _end(session: ChargingSession, cause: Cause) -> None:
    ledger.end_unheard(session, flag=cause.flag, reason=cause.reason, stop_reason=cause.stop_reason)
