"""A driver's own sessions, page by page, and the course of one as few points for a chart."""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

import msgspec
from django.db import connection
from django.db.models import Count, Max, Min, Q, QuerySet

from chargers.errors import NotFound
from chargers.words import Words
from sessions import queries
from sessions.errors import InvalidParameter
from sessions.models import ChargingSession, MeterReading
from sessions.readings import energy_delivered_wh, kwh

MIN_POINTS, MAX_POINTS = 10, 1000


class ChartPoint(msgspec.Struct, kw_only=True, frozen=True):
    """What was known at one moment: delivered so far (kWh), power (kW), the car's charge (%)."""

    at: datetime
    energy_kwh: float | None
    power_kw: float | None
    soc: float | None


class Wish(NamedTuple):
    """Which of the user's sessions; times are of their start."""

    status: str | None = None
    identity: str | None = None
    started_after: datetime | None = None
    started_before: datetime | None = None


def page(
    user_id: int, wish: Wish, *, limit: int, cursor: str | None = None
) -> tuple[list[ChargingSession], str | None]:
    """The user's sessions, the newest first, and the cursor of the next page: the key of this one's last.

    Raises InvalidParameter for a cursor that is none.
    """
    sessions = _wished(ChargingSession.objects.filter(user_id=user_id), wish)
    if cursor is not None:
        last = _session_at(user_id, cursor)
        earlier = Q(created_at__lt=last.created_at) | Q(created_at=last.created_at, pk__lt=last.pk)
        sessions = sessions.filter(earlier, created_at__lte=last.created_at)
    found = list(queries.with_relations(sessions).order_by("-created_at", "-pk")[: limit + 1])
    return found[:limit], str(found[limit - 1].pk) if len(found) > limit else None


def _wished(sessions: QuerySet[ChargingSession], wish: Wish) -> QuerySet[ChargingSession]:
    if wish.status is not None:
        sessions = sessions.filter(status=wish.status)
    if wish.identity is not None:
        sessions = sessions.filter(charger__identity=wish.identity)
    if wish.started_after is not None:
        sessions = sessions.filter(started_at__gte=wish.started_after)
    if wish.started_before is not None:
        sessions = sessions.filter(started_at__lt=wish.started_before)
    return sessions


def _session_at(user_id: int, cursor: str) -> ChargingSession:
    is_key = cursor.isascii() and cursor.isdigit() and int(cursor) < 2**63
    last = ChargingSession.objects.filter(user_id=user_id, pk=int(cursor)).first() if is_key else None
    if last is None:
        raise InvalidParameter(Words("cursor is not the next_cursor of another page"))
    return last


def session_of(user_id: int, session_id: int) -> ChargingSession:
    """One of the user's. Raises NotFound, also for anybody else's (E48)."""
    sessions = queries.with_relations(ChargingSession.objects.filter(user_id=user_id, pk=session_id))
    session = sessions.first()
    if session is None:
        raise NotFound(Words("There is no session %(session)s", session=session_id))
    return session


# --- charts ---

_COLUMNS = """id, measured_at, power_w, soc_percent AS soc,
    CASE WHEN is_suspect THEN NULL ELSE energy_wh END AS energy"""

_ALL = f"SELECT {_COLUMNS} FROM charging_meterreading WHERE session_id = %s ORDER BY measured_at, id"  # noqa: S608

# The first and the last, and of each stretch of time the readings of its least and its most power, so that no peak is
# lost. With each the most energy and the last charge that were told by then.
_SOME = """
    WITH placed AS (
        SELECT {columns}, {stretch} AS stretch, COUNT(soc_percent) OVER (ORDER BY measured_at, id) AS socs
        FROM charging_meterreading WHERE session_id = %s AND measured_at BETWEEN %s AND %s
    ), ranked AS (
        SELECT id, measured_at, power_w, MAX(energy) OVER so_far AS energy, MAX(soc) OVER (PARTITION BY socs) AS soc,
            ROW_NUMBER() OVER so_far AS place,
            ROW_NUMBER() OVER (ORDER BY measured_at DESC, id DESC) AS place_from_end,
            ROW_NUMBER() OVER (PARTITION BY stretch ORDER BY power_w DESC NULLS LAST, measured_at, id) AS most,
            ROW_NUMBER() OVER (PARTITION BY stretch ORDER BY power_w NULLS LAST, measured_at, id) AS least
        FROM placed WINDOW so_far AS (ORDER BY measured_at, id)
    )
    SELECT * FROM ranked WHERE most = 1 OR least = 1 OR place = 1 OR place_from_end = 1 ORDER BY measured_at, id
"""
_STRETCH = {
    "postgresql": "LEAST(FLOOR(EXTRACT(EPOCH FROM measured_at - %s) / %s), %s)::int",
    "sqlite": "MIN(CAST((julianday(measured_at) - julianday(%s)) * 86400 / %s AS INTEGER), %s)",
}


def chart(session: ChargingSession, *, points: int) -> list[ChartPoint]:
    """At most so many points, in order of time, spread evenly over the session; all its readings if they are fewer.

    The database chooses them: of however many readings, no more than these are loaded.
    """
    ends = session.readings.order_by().aggregate(
        first=Min("measured_at"), last=Max("measured_at"), count=Count("pk")
    )
    if ends["count"] <= points:
        return list(_points(session, MeterReading.objects.raw(_ALL, [session.pk])))
    stretches = (points - 2) // 2
    seconds = (ends["last"] - ends["first"]).total_seconds() / stretches or 1
    query = _SOME.format(columns=_COLUMNS, stretch=_STRETCH[connection.vendor])
    params = [ends["first"], seconds, stretches - 1, session.pk, ends["first"], ends["last"]]
    return list(_points(session, MeterReading.objects.raw(query, params)))


def _points(session: ChargingSession, rows: Iterable[MeterReading]) -> Iterable[ChartPoint]:
    """Readings of one moment make one point; energy and charge that were not told again are as they were."""
    energy: int | None = None
    soc: float | None = None
    point: ChartPoint | None = None
    for row in rows:
        register = row.energy  # type: ignore[attr-defined]  # named in the query
        if register is not None:
            energy = register if energy is None else max(energy, register)
        soc = row.soc if row.soc is not None else soc  # type: ignore[attr-defined]
        power = None if row.power_w is None else row.power_w / 1000
        if point is not None and point.at != row.measured_at:
            yield point
        elif point is not None:
            power = point.power_kw if power is None else power
        delivered = energy_delivered_wh(meter_start_wh=session.meter_start_wh, register_wh=energy)
        point = ChartPoint(at=row.measured_at, energy_kwh=kwh(delivered), power_kw=power, soc=soc)
    if point is not None:
        yield point
