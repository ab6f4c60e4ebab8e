"""Which session a start, a stop or meter values mean. A stop that fits none is kept as one of its own, and what is a
guess says so."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db.models import QuerySet

from chargers.models import Charger
from sessions import accounts, id_tags, oddities
from sessions.models import ChargingSession, IdTag
from sessions.queries import newest_reading, with_relations
from sessions.readings import Reading
from sessions.totals import ROUNDING_WH, Register

ABOUT_THEN = timedelta(seconds=10)  # from a start's time to the one its stop's data begin with
MAX_UNHEARD = 50  # the newest sessions of a charger without a stop, in which to look for one's


class Told(NamedTuple):
    """What a stop says of itself."""

    transaction_id: int | None
    id_tag: str
    reported: str
    meter_stop_wh: int | None
    stopped_at: datetime
    frame: str
    begun: Register | None = None  # what the meter showed when its transaction began, where its data say so

    @property
    def named(self) -> str:
        return "no transaction" if self.transaction_id is None else f"transaction {self.transaction_id}"

    @property
    def names_a_transaction(self) -> bool:
        """Where it is none of ours, it is one of before our time."""
        return self.transaction_id is not None and self.transaction_id > 0


def register_at_begin(readings: Iterable[Reading]) -> Register | None:
    """Of a stop's transaction data."""
    for reading in readings:
        if reading.context == "Transaction.Begin" and reading.energy_wh is not None:
            return Register(reading.measured_at, reading.energy_wh)
    return None


def session_to_stop(charger: Charger, told: Told) -> ChargingSession:
    """The session that a stop means; one more where it can mean none of those there are."""
    mine = with_relations(ChargingSession.objects.filter(charger=charger))
    if told.names_a_transaction:
        if session := mine.filter(transaction_id=told.transaction_id).first():
            return session
    # A stop for a transaction we never named (−1, 0, unknown): a repeat, or the open one it must mean, by tag if told.
    if session := _told_before(mine, told):
        return session
    return _guessed(mine, told) or _recovered(charger, told)


def _guessed(mine: QuerySet[ChargingSession], told: Told) -> ChargingSession | None:
    """Of what runs, or was ended without a stop: by how it began, by its tag, or the only one that it can be."""
    running = list(mine.filter(status__in=ChargingSession.RUNNING).order_by("-started_at"))
    unheard = _ended_unheard(mine)
    if begun_so := [each for each in (*running, *unheard) if _began_so(each, told)]:
        session = _soonest(_of_tag(begun_so, told) or begun_so, told)
        return _taken_for(session, told, "for the register it began with")
    running = [each for each in running if _may_end(each, told)]
    unheard = [each for each in unheard if _may_end(each, told) and not _has_next(each, told)]
    if by_tag := _of_tag(running, told):
        return _taken_for(_nearest(by_tag, told.meter_stop_wh), told, "for its id tag")
    if by_tag := _of_tag(unheard, told):
        session = _nearest(by_tag, told.meter_stop_wh)
        return _taken_for(session, told, "ended without one already, for its id tag")
    if told.names_a_transaction and told.id_tag:
        return None  # another's tag, and a number not ours: a transaction of before our time
    if len(running) == 1:
        return _taken_for(running[0], told, "being the only one open")
    if len(unheard) == 1 and not (told.id_tag or told.names_a_transaction or told.meter_stop_wh is None):
        return _taken_for(unheard[0], told, "being the only one that was ended without one")
    return None


def _of_tag(sessions: Iterable[ChargingSession], told: Told) -> list[ChargingSession]:
    return [each for each in sessions if told.id_tag and each.id_tag == told.id_tag]


def _taken_for(session: ChargingSession, told: Told, why: str) -> ChargingSession:
    register = f"its register, {told.meter_stop_wh} Wh"
    reason = f"A stop of {told.named} was taken for its own, {why}, and {register}"
    oddities.note(session, "reconciled", reason, told.frame)
    return session


def _ended_unheard(mine: QuerySet[ChargingSession]) -> list[ChargingSession]:
    """Those we had ended for want of a stop."""
    unheard = mine.filter(status=ChargingSession.Status.COMPLETED, stop_told_at=None)
    unheard = unheard.filter(connector__isnull=False, started_at__isnull=False)
    return list(unheard.order_by("-pk")[:MAX_UNHEARD])


def _has_next(session: ChargingSession, told: Told) -> bool:
    """Whether another began on its connector before this stop."""
    at_connector = ChargingSession.objects.filter(connector=session.connector_id)
    return at_connector.filter(started_at__gt=session.started_at, started_at__lt=told.stopped_at).exists()


def _told_before(mine: QuerySet[ChargingSession], told: Told) -> ChargingSession | None:
    """The session that this very stop has ended already; without a time by the whole message."""
    if told.reported:
        return mine.filter(stop_reported=told.reported, meter_stop_wh=told.meter_stop_wh).first()
    if not told.frame:
        return None
    return mine.filter(oddities__flag__in=("recovered", "reconciled"), oddities__frame=told.frame).first()


def _may_end(session: ChargingSession, told: Told) -> bool:
    """Whether a stop at this time, with this register, can be this session's."""
    if not _is_in_time(session, told):
        return False
    if session.meter_start_wh is None or _may_have_begun_so(session, told):
        return True
    if told.begun is not None and any(_fits_its_end(told.begun, told, factor) for factor, _ in _UNITS):
        return False  # it is another's
    return told.meter_stop_wh is None or told.meter_stop_wh >= session.meter_start_wh


def _is_in_time(session: ChargingSession, told: Told) -> bool:
    """Flagged `clock`, its start has the time of its receipt, which may be after its end."""
    return session.started_at is None or session.started_at <= told.stopped_at or "clock" in session.flags


def _began_so(session: ChargingSession, told: Told) -> bool:
    """Whether the stop's data say that its transaction began with this session's register. Many begin with 0.

    Where it is not quite the same, they may be of the next one, which found the meter little further: tag and time must
    not speak against it. Where they have the time of its start, a clock that was set back since says nothing.
    """
    start_wh, begun = session.meter_start_wh, told.begun
    if begun is None or not start_wh or not _agree(begun, start_wh):
        return False
    if begun.at == session.started_at:
        return True
    may_be = told.id_tag in ("", session.id_tag) and _began_about(session, begun.at)
    return (begun.wh == start_wh or may_be) and _is_in_time(session, told)


# A stop's data may be in kWh that do not say so, and then in whole ones: the factor, and how far it may be off.
_UNITS = ((1, ROUNDING_WH), (1000, 500 + ROUNDING_WH))


def _agree(begun: Register, start_wh: int) -> bool:
    return any(abs(begun.wh * factor - start_wh) <= off_by for factor, off_by in _UNITS)


def _may_have_begun_so(session: ChargingSession, told: Told) -> bool:
    """Less than `_began_so`: where the register is not quite the same, its tag, if told, or its time is enough."""
    start_wh, begun = session.meter_start_wh, told.begun
    if begun is None or start_wh is None or not _agree(begun, start_wh):
        return False
    has_tag = told.id_tag != "" and told.id_tag == session.id_tag
    return begun.wh == start_wh or has_tag or _began_about(session, begun.at)


def _began_about(session: ChargingSession, at: datetime) -> bool:
    """Flagged `clock`, its start has the time of its receipt."""
    return (
        session.started_at is None or "clock" in session.flags or abs(session.started_at - at) <= ABOUT_THEN
    )


def _fits_its_end(begun: Register, told: Told, factor: int) -> bool:
    """Whether what a stop says of its beginning, in this unit, agrees with what it says of its end."""
    if told.meter_stop_wh is None:
        return False
    return accounts.limit().allows(
        Register(begun.at, begun.wh * factor), Register(told.stopped_at, told.meter_stop_wh)
    )


def _soonest(sessions: Sequence[ChargingSession], told: Told) -> ChargingSession:
    """Of several, the one that began nearest to when the stop's data say; a charge of nothing leaves the register as
    the next one finds it."""
    begun = told.begun
    assert begun is not None  # they were found by it
    return min(sessions, key=lambda each: abs((each.started_at or begun.at) - begun.at))


def _nearest(sessions: Sequence[ChargingSession], meter_stop_wh: int | None) -> ChargingSession:
    """Of several, the one whose meter was last seen nearest below: two connectors have meters of their own."""
    if meter_stop_wh is None or len(sessions) == 1:
        return sessions[0]

    def distance(session: ChargingSession) -> tuple[bool, int]:
        newest = newest_reading(session)
        register = newest.energy_wh if newest else None
        register = session.meter_start_wh if register is None else register
        missing = 0 if register is None else meter_stop_wh - register
        return register is None or missing < -ROUNDING_WH, abs(missing)

    return min(sessions, key=distance)


def _recovered(charger: Charger, told: Told) -> ChargingSession:
    """A session of which only the end is known (E26); of a start from an app by its one-time tag, that app's."""
    session = requested_start(charger, told.id_tag)
    if session is None:
        tag = id_tags.judge(told.id_tag).tag if told.id_tag else None
        session = ChargingSession.objects.create(
            charger=charger, user_id=tag.user_id if tag else None, id_tag=told.id_tag
        )
    reason = f"A stop of {told.named} was told, {told.meter_stop_wh} Wh, and no start"
    oddities.note(session, "recovered", reason, told.frame)
    session.transaction_id, session.status = session.pk, ChargingSession.Status.ACTIVE
    session.error_code, session.error_message = "", ""
    session.agree_price(accounts.price_for(charger))
    return session


def requested_start(charger: Charger, id_tag: str) -> ChargingSession | None:
    """The start asked for from an app with this one-time tag that has no transaction yet, given up or not.

    One that took up a reservation carried a card: given up, it is over, and the card's next start is another.
    """
    starts = ChargingSession.objects.filter(
        charger=charger, id_tag=id_tag, transaction_id=None, start_command__isnull=False
    )
    session = starts.first()
    is_over = session is not None and session.status == ChargingSession.Status.FAILED
    return None if is_over and IdTag.objects.filter(value=id_tag).exists() else session


def earliest_at(session: ChargingSession) -> datetime | None:
    """What was measured before this time is not the session's; None where nobody knows. Flagged `clock`, its start has
    the time of its receipt."""
    if session.started_at is None or "clock" in session.flags:
        return None
    return session.started_at - ABOUT_THEN


def session_before(session: ChargingSession, measured_at: datetime) -> ChargingSession | None:
    """The session that ran on its connector at that time, where this one had clearly not begun yet."""
    earliest = earliest_at(session)
    if earliest is None or measured_at >= earliest:
        return None
    at_connector = with_relations(ChargingSession.objects.filter(connector=session.connector_id))
    before = at_connector.filter(started_at__lte=measured_at).order_by("-started_at").first()
    return before if before is not None and _may_have_run(before, measured_at) else None


def _may_have_run(session: ChargingSession, at: datetime) -> bool:
    """Of one whose stop was not told, the end is the last that was heard of it."""
    if session.stopped_at is None or session.stop_told_at is None:
        return True
    return at <= session.stopped_at + ABOUT_THEN
