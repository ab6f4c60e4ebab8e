"""The facts of the field: transactions begin, run and end. Stored first, judged after, safe to hear twice.

Nothing in here refuses what a charger reports about a transaction (correctness rule 1).
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple

from django.db import transaction
from django.utils.timesince import timesince

from chargers import bus
from chargers.clock import is_late, judged
from chargers.commands import REMOTE_STOP, finish_command, send_command
from chargers.errors import DomainError
from chargers.events import utcnow
from chargers.models import Charger, Command, Connector
from chargers.services import MAX_CONNECTORS
from chargers.words import Words
from sessions import (
    accounts,
    announce,
    command_updates,
    id_tags,
    meter_store,
    oddities,
    reservation_starts,
    smart_charging,
)
from sessions.matching import Told, register_at_begin, requested_start, session_to_stop
from sessions.models import ChargingSession
from sessions.queries import with_relations
from sessions.readings import Reading
from sessions.totals import ROUNDING_WH

Status = ChargingSession.Status


# Kept with the session, and told to its driver in the language of each phone.
_ANOTHER_BEGAN = Words("Somebody else began to charge at this connector")


class Started(NamedTuple):
    """`is_repeat`: the charger told this before; nothing was created."""

    session: ChargingSession
    id_tag_status: str
    is_repeat: bool


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
    reservation_id: int | None = None,
    frame: str = "",
) -> Started:
    """A transaction began. `reported` is the charger's own timestamp text, `reported_at` what it means, if anything;
    `frame` its message, kept where something about it is odd.

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
    session = requested_start(charger, id_tag)
    if session is not None:
        command_updates.hold(session.start_command_id)
    started_at = judged(reported_at, received_at=now)
    late = is_late(started_at, received_at=now)
    is_past = late and connector is not None and _has_younger(connector, started_at)
    if connector is not None and not is_past:
        _clear_connector(connector, besides=session, frame=frame)
    if session is not None:
        _begin_requested(session, frame)
    else:
        session = _new_session(charger, id_tag)
    session.charger, session.connector = charger, connector
    session.started_at, session.start_reported = started_at, reported
    session.meter_start_wh = meter_start_wh
    session.agree_price(accounts.price_for(charger))
    claim = reservation_starts.claim_of(
        charger=charger, connector=connector, id_tag=id_tag, named=reservation_id, started_at=started_at
    )
    reservation_starts.record_start(claim, session)
    _note_times(
        session, "start", started_at, now=now, reported_at=reported_at, reported=reported, frame=frame
    )
    was_cancelled = session.status == Status.FAILED and session.error_code == "cancelled"
    session.status, session.error_code, session.error_message = Status.ACTIVE, "", ""
    session.transaction_id = session.pk
    if is_past:
        _keep_as_past(session, frame)
        return Started(session, session.id_tag_status, False)
    session.save()
    smart_charging.session_began(session)
    command_updates.began(session)
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


def _keep_as_past(session: ChargingSession, frame: str) -> None:
    """Stored as ended; its own stop, which follows, sets the totals."""
    oddities.note(session, "superseded", "It was told after a later transaction on its connector", frame)
    _complete(session)


def _note_times(
    session: ChargingSession,
    what: str,
    at: datetime,
    *,
    now: datetime,
    reported_at: datetime | None,
    reported: str,
    frame: str,
) -> None:
    """Say so where a start or stop was told long after it happened, or with a time that cannot be."""
    if is_late(at, received_at=now):
        delay = timesince(at, now, depth=1).replace("\xa0", " ")
        oddities.note(session, "late", f"Its {what} was told {delay} after it happened", frame)
    if reported_at != at:
        told = f"the time {reported!r}" if reported else "no time"
        oddities.note(session, "clock", f"Its {what} was told with {told}; when it came counts", frame)


def _begin_requested(session: ChargingSession, frame: str) -> None:
    """The charger obeyed a start from an app; its answer to the command may still be on its way (E32, E33)."""
    session.id_tag_status = id_tags.ACCEPTED
    command = session.start_command
    if command and command.status in (Command.Status.UNKNOWN, Command.Status.TIMED_OUT):
        finish_command(command.pk, status=Command.Status.ACCEPTED)
    if session.status == Status.FAILED and session.user_id:
        oddities.note(session, "late_start", f"It began after it had failed: {session.error_message}", frame)
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


def _clear_connector(connector: Connector, *, besides: ChargingSession | None, frame: str) -> None:
    """A transaction begins here, so whatever was open here is over."""
    others = with_relations(
        ChargingSession.objects.filter(connector=connector, status__in=ChargingSession.OPEN)
    )
    for other in others:
        if besides is not None and other.pk == besides.pk:
            continue
        if other.status == Status.PENDING:
            fail(other, code="connector_busy", message=_ANOTHER_BEGAN)
        else:
            supersede(other, frame=frame)


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
    command_updates.failed(session)
    announce.failed(session)
    announce.state(session)


def supersede(session: ChargingSession, *, frame: str = "") -> None:
    """Another transaction began on its connector, so it is over; it stays billable (E29)."""
    end_unheard(session, flag="superseded", reason="The next transaction on its connector began", frame=frame)


def end_unheard(
    session: ChargingSession, *, flag: str, reason: str, frame: str = "", stop_reason: str = ""
) -> None:
    """End a running session whose stop was not told, by what was last heard of it. Its stop, told later, amends it.

    The caller holds the charger's lock.
    """
    command_updates.hold(session.stop_command_id)
    oddities.note(session, flag, reason, frame)
    session.stop_reason = stop_reason
    _complete(session)
    command_updates.over(session)
    if channel := session.charger.channel_name:
        bus.send_on_commit([bus.to_channel(channel, {"type": "session.ended"})])
    announce.ended(session, late=True)
    announce.state(session)


def _complete(session: ChargingSession, *, frame: str = "") -> None:
    """Ended, with the totals by its stored facts."""
    session.status = Status.COMPLETED
    accounts.recount(session, frame=frame)
    session.save()
    smart_charging.session_ended(session)


@transaction.atomic
def recount_ended(*, charger_id: int, session_id: int) -> None:
    """More was heard of a session that has ended: its totals again, where that changes them (E30)."""
    locked_charger(charger_id)
    session = with_relations(ChargingSession.objects.filter(pk=session_id)).get()
    if accounts.differences(session):
        before = session.energy_wh, session.cost, session.stopped_at
        oddities.note(session, "amended", "Meter values came after it had ended")
        _look_again(session)
        _complete(session)
        announce_change(session, before)


@transaction.atomic
def recompute(session: ChargingSession, *, write: bool = False) -> dict[str, tuple[Any, Any]]:
    """Where the stored totals are not what the facts give: name → (stored, reckoned). Changed only if told to."""
    locked_charger(session.charger_id)
    session = with_relations(ChargingSession.objects.filter(pk=session.pk)).get()
    found = accounts.differences(session)
    if found and write:
        before = session.energy_wh, session.cost, session.stopped_at
        _complete(session)
        announce_change(session, before)
    return found


def announce_change(session: ChargingSession, before: tuple[object, ...]) -> None:
    """The driver hears of final totals that are not `before`: energy, cost, end."""
    if (session.energy_wh, session.cost, session.stopped_at) != before:
        announce.completed(session)


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
    frame: str = "",
) -> ChargingSession:
    """A transaction ended. Heard again it changes nothing; an unknown one is recovered, never dropped (E25–E27)."""
    now = utcnow()
    charger = locked_charger(charger_id)
    id_tag = id_tags.normalised(id_tag)
    stopped_at = judged(reported_at, received_at=now)
    readings = list(readings)
    told = Told(
        transaction_id, id_tag, reported, meter_stop_wh, stopped_at, frame, register_at_begin(readings)
    )
    session = session_to_stop(charger, told)
    command_updates.hold(session.stop_command_id)
    _store_readings(session, readings, meter_stop_wh)
    amends = session.status == Status.COMPLETED
    if amends and session.stop_reported:
        if not _corrects_guess(session, told):  # told before
            _note_second_stop(session, told)
            return session
        guess = f"Its own stop came; the one taken for it said {session.meter_stop_wh} Wh"
        oddities.note(session, "reconciled", guess, frame)
    before = session.energy_wh, session.cost, session.stopped_at
    session.stop_told_at = stopped_at
    session.stop_reported = reported or now.isoformat()
    session.stop_reason = reason[:40] or session.stop_reason
    session.meter_stop_wh = meter_stop_wh
    _note_times(session, "stop", stopped_at, now=now, reported_at=reported_at, reported=reported, frame=frame)
    if amends:
        _note_amended(session, frame)
    _complete(session, frame=frame)
    if amends:
        announce_change(session, before)
    else:
        command_updates.over(session)
        announce.ended(session, late=is_late(stopped_at, received_at=now))
        announce.state(session)
    return session


def _store_readings(session: ChargingSession, readings: Iterable[Reading], meter_stop_wh: int | None) -> None:
    """Those that came with a stop. A register that lies outside the two ends does not count."""
    ends = session.meter_start_wh, meter_stop_wh

    def is_suspect(wh: int | None) -> bool:
        low, high = ends
        if wh is None or low is None or high is None or high < low:
            return False
        return not low - ROUNDING_WH <= wh <= high + ROUNDING_WH

    meter_store.insert(
        [
            meter_store.row(
                session_id=session.pk,
                charger_id=session.charger_id,
                connector_number=session.connector.number if session.connector else 0,
                reading=reading,
                is_suspect=is_suspect(reading.energy_wh),
            )
            for reading in readings
        ]
    )


def _note_second_stop(session: ChargingSession, told: Told) -> None:
    """The first stop counts (E27). One that says something else of the energy is kept, for a person to compare."""
    if told.meter_stop_wh == session.meter_stop_wh:
        return
    reason = f"A second stop said {told.meter_stop_wh} Wh at {told.reported or 'no time'}"
    if oddities.note(session, "second_stop", reason, told.frame):
        ChargingSession.objects.filter(pk=session.pk).update(flags=session.flags, review=session.review)


def _note_amended(session: ChargingSession, frame: str) -> None:
    """Its own stop settles the doubts of an end without one; where a person has decided, the person looks again."""
    oddities.note(session, "amended", f"Its stop came: {session.meter_stop_wh} Wh", frame)
    oddities.settle(session, "superseded", "power_loss", "lost_stop", "closed")
    _look_again(session)


def _look_again(session: ChargingSession) -> None:
    """Where a person has decided, more has come to light."""
    if session.decisions.exists():
        session.review = ChargingSession.Review.WAITING


def _corrects_guess(session: ChargingSession, told: Told) -> bool:
    """Whether a stop without a known transaction was taken for this one's, and here is its own."""
    is_named = told.transaction_id == session.transaction_id
    return is_named and "reconciled" in session.flags and session.stop_reported != told.reported
