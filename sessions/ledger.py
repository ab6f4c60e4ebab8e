"""The facts of the field: transactions begin, run and end. Stored first, judged after, safe to hear twice.

Nothing in here refuses what a charger reports about a transaction (correctness rule 1).
"""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from django.db import transaction
from django.db.models import Q

from chargers.clock import is_late, judged
from chargers.commands import REMOTE_STOP, finish_command, send_command
from chargers.errors import DomainError
from chargers.events import utcnow
from chargers.models import Charger, Command, Connector
from chargers.services import MAX_CONNECTORS
from sessions import announce, id_tags, meter_store, pricing
from sessions.models import ChargingSession, Tariff
from sessions.pricing import Price
from sessions.queries import duration_s, newest_reading, with_relations
from sessions.readings import Reading, energy_delivered_wh

Status = ChargingSession.Status


class Started(NamedTuple):
    """`is_repeat`: the charger told this before; nothing was created."""

    session: ChargingSession
    id_tag_status: str
    is_repeat: bool


def price_for(charger: Charger) -> Price | None:
    """The station's tariff, else the default one, else none."""
    tariffs = Tariff.objects.filter(Q(stations=charger.station_id) | Q(is_default=True))
    tariff = tariffs.order_by("is_default", "pk").first()
    if tariff is None:
        return None
    return Price(tariff.currency, tariff.price_per_kwh, tariff.price_per_minute, tariff.price_per_session)


def locked_charger(charger_id: int) -> Charger:
    """The charger's row, locked: what concerns one charger happens one after the other.

    Only our own row: others that point at it (readings, commands) may be written meanwhile.
    """
    chargers = Charger.objects.select_for_update(of=("self",), no_key=True).select_related("station")
    return chargers.get(pk=charger_id)


@transaction.atomic
def start_session(
    *,
    charger_id: int,
    connector_number: int | None,
    id_tag: str,
    meter_start_wh: int | None,
    reported_at: datetime | None,
    reported: str,
) -> Started:
    """A transaction began. `reported` is the charger's own timestamp text, `reported_at` what it means, if anything.

    Finds the start asked for from an app by its one-time tag, even after we had given it up (E31); finds a
    repeat by content (E21); closes what was still open on the connector (E29); stores it whatever the tag (E24).
    """
    now = utcnow()
    charger = locked_charger(charger_id)
    connector = _connector(charger, connector_number)
    id_tag = id_tags.normalised(id_tag)
    told = ChargingSession.objects.filter(
        charger=charger,
        connector=connector,
        id_tag=id_tag,
        start_reported=reported,
        meter_start_wh=meter_start_wh,
        transaction_id__isnull=False,
    )
    if not reported:  # without a time the same content is the same start only while it runs
        told = told.filter(status__in=ChargingSession.RUNNING)
    if repeat := with_relations(told).first():
        return Started(repeat, repeat.id_tag_status, True)
    session = ChargingSession.objects.filter(
        charger=charger, id_tag=id_tag, transaction_id=None, start_command__isnull=False
    ).first()
    started_at = judged(reported_at, received_at=now)
    late = is_late(started_at, received_at=now)
    is_past = late and connector is not None and _has_younger(connector, started_at)
    if connector is not None and not is_past:
        _clear_connector(connector, besides=session, now=now)
    if session is not None:
        _begin_requested(session)
    else:
        session = _new_session(charger, id_tag)
    session.charger, session.connector = charger, connector
    session.started_at, session.start_reported = started_at, reported
    session.meter_start_wh = meter_start_wh
    session.agree_price(price_for(charger))
    if late:
        session.add_flag("late")
    was_cancelled = session.status == Status.FAILED and session.error_code == "cancelled"
    session.status, session.error_code, session.error_message = Status.ACTIVE, "", ""
    session.transaction_id = session.pk
    if is_past:
        _keep_as_past(session)
        return Started(session, session.id_tag_status, False)
    session.save()
    announce.state(session)
    if not late:
        announce.started(session)
    if was_cancelled:
        _stop_cancelled(session)
    return Started(session, session.id_tag_status, False)


def _connector(charger: Charger, number: int | None) -> Connector | None:
    if not number or not 1 <= number <= MAX_CONNECTORS:
        return None
    return Connector.objects.get_or_create(charger=charger, number=number)[0]


def _has_younger(connector: Connector, started_at: datetime) -> bool:
    """Whether a transaction that began later runs there: then this one, told only now, ended before it (E28)."""
    running = ChargingSession.objects.filter(connector=connector, status__in=ChargingSession.RUNNING)
    return running.filter(started_at__gt=started_at).exists()


def _keep_as_past(session: ChargingSession) -> None:
    """Stored as ended; its own stop, which follows, sets the totals."""
    session.stopped_at = session.started_at
    session.add_flag("superseded")
    _complete(session, register_wh=None)


def _begin_requested(session: ChargingSession) -> None:
    """The charger obeyed a start from an app; its answer to the command may still be on its way (E32, E33)."""
    session.id_tag_status = id_tags.ACCEPTED
    command = session.start_command
    if command and command.status in (Command.Status.UNKNOWN, Command.Status.TIMED_OUT):
        finish_command(command.pk, status=Command.Status.ACCEPTED)
    if session.status == Status.FAILED and session.user_id:
        session.add_flag("late_start")
        session.user_place = None  # the user may have begun elsewhere since: this fact stands beside it


def _new_session(charger: Charger, id_tag: str) -> ChargingSession:
    """A start at the charger itself, by card. Of a tag that may not charge too: it did (E24)."""
    status, tag = id_tags.judge(id_tag)
    user_id = tag.user_id if tag else None
    if status == id_tags.ACCEPTED and user_id:
        open_ones = ChargingSession.objects.filter(user_id=user_id, status__in=ChargingSession.OPEN)
        if open_ones.exists():
            status = id_tags.CONCURRENT
    # Pending for a moment: it has no transaction id before it has a key.
    return ChargingSession.objects.create(
        charger=charger, user_id=user_id, id_tag=id_tag, id_tag_status=status
    )


def _clear_connector(connector: Connector, *, besides: ChargingSession | None, now: datetime) -> None:
    """A transaction begins here, so whatever was open here is over."""
    others = with_relations(
        ChargingSession.objects.filter(connector=connector, status__in=ChargingSession.OPEN)
    )
    for other in others:
        if besides is not None and other.pk == besides.pk:
            continue
        if other.status == Status.PENDING:
            fail(other, code="connector_busy", message="Somebody else began to charge at this connector")
        else:
            supersede(other, now=now)


def _stop_cancelled(session: ChargingSession) -> None:
    """The driver had called the start off before the charger began."""
    try:
        session.stop_command = send_command(
            charger=session.charger,
            action=REMOTE_STOP,
            params={"transaction_id": session.transaction_id},
        )
    except DomainError:  # offline again already: it will report its own end
        return
    session.status = Status.STOPPING
    session.save(update_fields=["stop_command", "status", "updated_at"])


def fail(session: ChargingSession, *, code: str, message: str) -> None:
    """A session that was asked for did not come about; its connector and its user are free again.

    Only while it is pending: a transaction that began in the same moment wins.
    """
    session.status, session.error_code, session.error_message = Status.FAILED, code, message[:255]
    failed = ChargingSession.objects.filter(pk=session.pk, status=Status.PENDING).update(
        status=session.status,
        error_code=session.error_code,
        error_message=session.error_message,
        updated_at=utcnow(),
    )
    if not failed:
        return
    announce.failed(session)
    announce.state(session)


def supersede(session: ChargingSession, *, now: datetime) -> None:
    """Close a session whose end never came, with what its meter last said; it stays billable (E29)."""
    last = newest_reading(session)
    session.meter_stop_wh = None
    session.stopped_at = (
        max(last.measured_at, session.started_at or now) if last else session.started_at or now
    )
    session.add_flag("superseded")
    _complete(session, register_wh=last.energy_wh if last else None)
    announce.ended(session, late=True)
    announce.state(session)


def _complete(session: ChargingSession, *, register_wh: int | None) -> None:
    """Totals from the stored facts. Asked again, it gives the same result."""
    session.energy_wh = energy_delivered_wh(meter_start_wh=session.meter_start_wh, register_wh=register_wh)
    session.cost = pricing.cost(session.price, energy_wh=session.energy_wh, duration_s=duration_s(session))
    session.status = Status.COMPLETED
    session.save()


@transaction.atomic
def stop_session(
    *,
    charger_id: int,
    transaction_id: int | None,
    meter_stop_wh: int | None,
    reported_at: datetime | None,
    reported: str,
    reason: str = "",
    id_tag: str = "",
    readings: Iterable[Reading] = (),
) -> ChargingSession:
    """A transaction ended. Heard again it changes nothing; an unknown one is recovered, never dropped (E25–E27)."""
    now = utcnow()
    charger = locked_charger(charger_id)
    id_tag = id_tags.normalised(id_tag)
    stopped_at = judged(reported_at, received_at=now)
    session = _session_to_stop(charger, transaction_id, id_tag, reported, meter_stop_wh, stopped_at)
    connector_number = session.connector.number if session.connector else 0
    meter_store.insert(
        [
            meter_store.row(
                session_id=session.pk,
                charger_id=charger.pk,
                connector_number=connector_number,
                reading=reading,
            )
            for reading in readings
        ]
    )
    amends = session.status == Status.COMPLETED
    if amends and session.stop_reported and not _corrects_guess(session, transaction_id, reported):
        return session  # told before
    session.stopped_at = stopped_at
    if session.started_at and session.stopped_at < session.started_at:
        session.stopped_at = session.started_at
        session.add_flag("clock")
    session.stop_reported = reported or now.isoformat()
    session.stop_reason = reason[:40] or session.stop_reason
    session.meter_stop_wh = meter_stop_wh
    late = is_late(session.stopped_at, received_at=now)
    if late:
        session.add_flag("late")
    _complete(session, register_wh=_final_register(session))
    if not amends:
        announce.ended(session, late=late)
        announce.state(session)
    return session


def _corrects_guess(session: ChargingSession, transaction_id: int | None, reported: str) -> bool:
    """Whether a stop without a known transaction was taken for this one's, and here is its own."""
    is_named = transaction_id == session.transaction_id
    return is_named and "reconciled" in session.flags and session.stop_reported != reported


def _final_register(session: ChargingSession) -> int | None:
    """The register at the end: the stop's own, unless it is missing or runs backwards."""
    stop, start = session.meter_stop_wh, session.meter_start_wh
    if stop is not None and (start is None or stop >= start):
        return stop
    session.add_flag("suspect")
    last = newest_reading(session)
    return last.energy_wh if last else None


def _session_to_stop(
    charger: Charger,
    transaction_id: int | None,
    id_tag: str,
    reported: str,
    meter_stop_wh: int | None,
    stopped_at: datetime,
) -> ChargingSession:
    mine = with_relations(ChargingSession.objects.filter(charger=charger))
    if transaction_id and transaction_id > 0:
        if session := mine.filter(transaction_id=transaction_id).first():
            return session
    # A stop for a transaction we never named (−1, 0, unknown): a repeat, or the open one it must mean, by tag if told.
    if reported and (told := mine.filter(stop_reported=reported, meter_stop_wh=meter_stop_wh).first()):
        return told
    running = mine.filter(status__in=ChargingSession.RUNNING).order_by("-started_at")
    fitting = [session for session in running if _may_end(session, stopped_at, meter_stop_wh)]
    by_tag = [session for session in fitting if id_tag and session.id_tag == id_tag]
    # Another's tag with a number not ours is a transaction of before our time, not the one that runs.
    is_foreign = transaction_id is not None and transaction_id > 0 and id_tag != ""
    if by_tag or (len(fitting) == 1 and not is_foreign):
        session = (by_tag or fitting)[0]
        session.add_flag("reconciled")
        return session
    return _recovered(charger, id_tag)


def _may_end(session: ChargingSession, stopped_at: datetime, meter_stop_wh: int | None) -> bool:
    """Whether a stop at this time, with this register, can be this session's."""
    if session.started_at and session.started_at > stopped_at:
        return False
    if meter_stop_wh is None or session.meter_start_wh is None:
        return True
    return meter_stop_wh >= session.meter_start_wh


def _recovered(charger: Charger, id_tag: str) -> ChargingSession:
    """A session of which only the end is known (E26)."""
    tag = id_tags.judge(id_tag).tag if id_tag else None
    session = ChargingSession(charger=charger, user_id=tag.user_id if tag else None, id_tag=id_tag)
    session.add_flag("recovered")
    session.save()
    session.transaction_id, session.status = session.pk, Status.ACTIVE
    session.save()
    return session
