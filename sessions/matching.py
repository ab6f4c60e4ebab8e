"""Which session a start or a stop means. What fits none is kept as one of its own, and what is a guess says so."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from django.db.models import QuerySet

from chargers.models import Charger
from sessions import accounts, id_tags, oddities
from sessions.models import ChargingSession, IdTag
from sessions.queries import newest_reading, with_relations
from sessions.readings import Reading
from sessions.totals import ROUNDING_WH, Register


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
    running = mine.filter(status__in=ChargingSession.RUNNING).order_by("-started_at")
    fitting = [session for session in running if _may_end(session, told)]
    by_tag = [session for session in fitting if told.id_tag and session.id_tag == told.id_tag]
    if not by_tag and told.id_tag and (unheard := _ended_unheard(mine.filter(id_tag=told.id_tag), told)):
        return _taken_for(
            _nearest(unheard, told.meter_stop_wh), told, "ended without one already, for its id tag"
        )
    # Another's tag with a number not ours is a transaction of before our time, not the one that runs.
    is_foreign = told.names_a_transaction and told.id_tag != ""
    if by_tag or (len(fitting) == 1 and not is_foreign):
        session = _nearest(by_tag or fitting, told.meter_stop_wh)
        return _taken_for(session, told, "for its id tag" if by_tag else "being the only one open")
    if not told.id_tag and not told.names_a_transaction and told.meter_stop_wh is not None:
        unheard = _ended_unheard(mine, told)
        if len(unheard) == 1:
            return _taken_for(unheard[0], told, "being the only one that was ended without one")
    return _recovered(charger, told)


def _taken_for(session: ChargingSession, told: Told, why: str) -> ChargingSession:
    register = f"its register, {told.meter_stop_wh} Wh"
    reason = f"A stop of {told.named} was taken for its own, {why}, and {register}"
    oddities.note(session, "reconciled", reason, told.frame)
    return session


def _ended_unheard(mine: QuerySet[ChargingSession], told: Told) -> list[ChargingSession]:
    """Those we had ended for want of a stop, unless another began on their connector before this one."""
    unheard = mine.filter(
        status=ChargingSession.Status.COMPLETED,
        stop_told_at=None,
        connector__isnull=False,
        started_at__isnull=False,
    )
    return [session for session in unheard if _may_end(session, told) and not _has_next(session, told)]


def _has_next(session: ChargingSession, told: Told) -> bool:
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
    """Whether a stop at this time, with this register, can be this session's. Flagged `clock`, its start has the time
    of its receipt, which may be after its end."""
    if session.started_at and session.started_at > told.stopped_at and "clock" not in session.flags:
        return False
    if session.meter_start_wh is None:
        return True
    if told.begun is not None:
        if abs(told.begun.wh - session.meter_start_wh) <= ROUNDING_WH:
            return True
        if _fits_its_end(told.begun, told):
            return False
    return told.meter_stop_wh is None or told.meter_stop_wh >= session.meter_start_wh


def _fits_its_end(begun: Register, told: Told) -> bool:
    """Whether what a stop says of its beginning agrees with what it says of its end; else it may be in another unit."""
    if told.meter_stop_wh is None:
        return False
    return accounts.limit().allows(begun, Register(told.stopped_at, told.meter_stop_wh))


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
