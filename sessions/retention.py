"""How long readings are kept: all at first, then as many as give the same totals, at last none.

A session and its totals stay for ever. Done by the sweep, in shares that hold nobody up, as often as one likes and by
as many processes; how far it has come is written on each session (`readings_kept`).
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection, transaction
from django.db.models import QuerySet

from chargers.events import utcnow
from chargers.partitions import Part, Partitioned
from sessions import accounts, ledger, thinning
from sessions.models import ChargingSession, MeterReading
from sessions.thinning import Point
from sessions.totals import Register, totals

# By months: a few of them make up the years that readings are kept, and queries that cannot name a time look into all.
READINGS = Partitioned("charging_meterreading", "measured_at", by="month", ahead=2)

SESSIONS, BATCH, BATCHES = 50, 1000, 10  # a sweep's share

Kept = ChargingSession.Kept


def sweep() -> int:
    """A share of all there is to do; how many readings went, those of a part dropped whole not among them."""
    READINGS.make_ahead()
    return forget() + forget_unclaimed() + thin()


def _ago(days: int) -> datetime:
    return utcnow() - timedelta(days=days)


def _ended(*kept: Kept, before: datetime) -> QuerySet[ChargingSession]:
    """Sessions long over of which so much is kept. What a person is to look at stays as it is until then."""
    ended = ChargingSession.objects.filter(readings_kept__in=kept, stopped_at__lt=before)
    ended = ended.filter(status=ChargingSession.Status.COMPLETED)
    return ended.exclude(review=ChargingSession.Review.WAITING).order_by("stopped_at")


def _share(ended: QuerySet[ChargingSession]) -> list[tuple[int, int]]:
    return list(ended.values_list("pk", "charger_id")[:SESSIONS])


# --- thinned ---


def thin() -> int:
    """Of sessions that ended METER_READINGS_FULL_DAYS ago, keep what their totals need and one reading in a while."""
    if not settings.METER_READINGS_FULL_DAYS:
        return 0
    due = _ended(Kept.ALL, before=_ago(settings.METER_READINGS_FULL_DAYS))
    return sum(_thin(due.filter(pk=pk), charger_id) for pk, charger_id in _share(due))


@transaction.atomic
def _thin(due: QuerySet[ChargingSession], charger_id: int) -> int:
    ledger.locked_charger(charger_id)
    session = due.first()
    if session is None:  # another process was faster
        return 0
    spare = _spare(session)
    gone = _delete(session.readings.all(), spare)
    ChargingSession.objects.filter(pk=session.pk).update(readings_kept=Kept.THINNED)
    return gone


def _spare(session: ChargingSession) -> list[Point]:
    """The readings it can do without. None, if without them its totals would not be the same."""
    rows = session.readings.order_by("measured_at", "energy_wh").values_list(
        "pk", "measured_at", "context", "is_suspect", *thinning.QUANTITIES
    )
    points = [Point(*row) for row in rows]
    every = timedelta(minutes=settings.METER_READINGS_THINNED_MINUTES)
    kept = thinning.kept(points, limit=accounts.limit(), every=every)
    facts = accounts.facts_of(session)
    left = [Register(p.measured_at, p.energy_wh) for p in points if p.pk in kept and p.energy_wh is not None]
    if totals(facts) != totals(facts._replace(registers=left)):
        return []
    return [point for point in points if point.pk not in kept]


def _delete(readings: QuerySet[MeterReading], points: Sequence[Point]) -> int:
    """With the times, so that other parts are not looked into."""
    gone = 0
    for first in range(0, len(points), BATCH):
        batch = points[first : first + BATCH]
        span = batch[0].measured_at, batch[-1].measured_at
        gone += readings.filter(pk__in=[point.pk for point in batch], measured_at__range=span).delete()[0]
    return gone


# --- forgotten ---


def forget() -> int:
    """Delete the readings of sessions that ended METER_READINGS_DAYS ago; on PostgreSQL a month at a time."""
    if not settings.METER_READINGS_DAYS:
        return 0
    limit = _ago(settings.METER_READINGS_DAYS)
    if connection.vendor == "postgresql":
        limit = READINGS.begin_of(limit)
    due = _ended(Kept.ALL, Kept.THINNED, before=limit)
    tables = READINGS.remainders(limit)
    share = _share(due)
    gone = sum(_forget(due.filter(pk=pk), charger_id, tables) for pk, charger_id in share)
    if not share:
        for part in READINGS.overdue(limit):
            _drop(part)
    return gone


@transaction.atomic
def _forget(due: QuerySet[ChargingSession], charger_id: int, tables: Sequence[str]) -> int:
    """First it is written on the session that its totals stand by themselves; a part that goes whole goes later."""
    ledger.locked_charger(charger_id)
    gone = 0
    for pk in list(due.values_list("pk", flat=True)):
        ChargingSession.objects.filter(pk=pk).update(readings_kept=Kept.NONE)
        with connection.cursor() as cursor:
            for table in tables:
                cursor.execute(f"DELETE FROM {table} WHERE session_id = %s", [pk])  # noqa: S608
                gone += cursor.rowcount
    return gone


def _drop(part: Part) -> None:
    """But for readings of sessions that are not over, or wait for a person; and what came while we looked for them."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT coalesce(max(id), 0) FROM {part.name}")  # noqa: S608
        newest = cursor.fetchone()[0]
        cursor.execute(
            "SELECT id FROM charging_chargingsession s WHERE readings_kept <> %s"  # noqa: S608
            f" AND EXISTS (SELECT FROM {part.name} r WHERE r.session_id = s.id)",
            [Kept.NONE],
        )
        needed = [pk for (pk,) in cursor.fetchall()]
    READINGS.drop(part, spared=("session_id = ANY(%s) OR id > %s", [needed, newest]))


def forget_unclaimed() -> int:
    """Delete old readings that belong to no session, such as those of main meters: there is nothing to thin them by."""
    days = settings.METER_READINGS_FULL_DAYS or settings.METER_READINGS_DAYS
    if not days:
        return 0
    limit = _ago(days)
    # Long ago by both clocks: what a charger tells late is no older here than its arrival.
    old = MeterReading.objects.filter(session=None, measured_at__lt=limit, received_at__lt=limit)
    gone = 0
    for _ in range(BATCHES):
        rows = list(old.order_by("measured_at").values_list("pk", "measured_at")[:BATCH])
        if not rows:
            break
        span = rows[0][1], rows[-1][1]
        gone += MeterReading.objects.filter(pk__in=[pk for pk, _ in rows], measured_at__range=span).delete()[
            0
        ]
    return gone
