"""What a user or an operator may see of sessions."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

import msgspec
from django.db import connection
from django.db.models import Count, QuerySet

from chargers.among import Among
from chargers.events import utcnow
from chargers.words import Words
from sessions import pricing
from sessions.events import SessionState
from sessions.models import ChargingSession, MeterReading
from sessions.readings import Reading, energy_delivered_wh, kwh, newest, seconds_to_full

# Chargers spread energy, power and SoC over a few readings; the newest of each is within these.
_RECENT = 6
_NEWEST_OF_EACH = """
    SELECT reading.id, session_id, measured_at, received_at, context, energy_wh, power_w, current_a, voltage_v,
        soc_percent, is_suspect FROM unnest(%s::bigint[]) AS wanted(id) CROSS JOIN LATERAL (
        SELECT * FROM charging_meterreading WHERE session_id = wanted.id ORDER BY measured_at DESC, id DESC LIMIT %s
    ) AS reading
"""
_FIRST_SOC_OF_EACH = """
    SELECT wanted.id, soc_percent, measured_at FROM unnest(%s::bigint[]) AS wanted(id) CROSS JOIN LATERAL (
        SELECT soc_percent, measured_at FROM charging_meterreading
        WHERE session_id = wanted.id AND soc_percent IS NOT NULL ORDER BY measured_at LIMIT 1
    ) AS first
"""


# What `_state` shows. Half of a row's cost is its columns, and three rows are one session.
_SHOWN = (
    *("user_id", "status", "transaction_id", "start_command_id", "id_tag", "requested_at", "started_at"),
    *("stopped_at", "stop_reason", "meter_start_wh", "meter_stop_wh", "energy_wh", "currency"),
    *("price_per_kwh", "price_per_minute", "price_per_session", "tax_percent", "cost"),
    *("error_code", "error_message"),
    *("charger__identity", "charger__channel_name", "charger__station__name", "charger__station__address"),
    "connector__number",
)


def with_relations(sessions: QuerySet[ChargingSession]) -> QuerySet[ChargingSession]:
    return sessions.select_related("charger__station", "connector")


def open_sessions_of(*user_ids: int) -> QuerySet[ChargingSession]:
    """These users' open sessions, the newest first."""
    sessions = ChargingSession.objects.filter(user_id__in=user_ids, status__in=ChargingSession.OPEN)
    return with_relations(sessions).order_by("-pk")


def situations_of(user_ids: Collection[int]) -> dict[int, tuple[SessionState | None, list[int]]]:
    """For each user, in as many queries as for one: the state of the newest open session, and the chargers of all.

    Most users have none, and are not worth the large query.
    """
    sessions: dict[int, list[ChargingSession]] = {user_id: [] for user_id in user_ids}
    open_ones = ChargingSession.objects.filter(status__in=ChargingSession.OPEN)
    keys = list(open_ones.filter(Among("user_id", user_ids)).values_list("pk", flat=True).order_by())
    theirs = with_relations(open_ones.filter(Among("pk", keys))).order_by("-pk")  # open still
    for session in theirs.only(*_SHOWN) if keys else ():
        assert session.user_id is not None  # it is one of those
        sessions[session.user_id].append(session)
    states = states_of([each[0] for each in sessions.values() if each])
    return {
        user_id: (states[each[0].pk] if each else None, [session.charger_id for session in each])
        for user_id, each in sessions.items()
    }


def open_session_of(user_id: int, *, identity: str | None = None) -> ChargingSession | None:
    """The user's open session: the newest, or the one at the charger named."""
    sessions = open_sessions_of(user_id)
    if identity is not None:
        sessions = sessions.filter(charger__identity=identity)
    return sessions.first()


def as_reading(row: MeterReading) -> Reading:
    """Without its register where that does not count."""
    return Reading(
        measured_at=row.measured_at,
        received_at=row.received_at,
        context=row.context,
        energy_wh=None if row.is_suspect else row.energy_wh,
        power_w=row.power_w,
        current_a=row.current_a,
        voltage_v=row.voltage_v,
        soc_percent=row.soc_percent,
    )


def newest_reading(session: ChargingSession) -> Reading | None:
    readings = session.readings.defer("sampled_values")
    return newest_of(session, readings.order_by("-measured_at", "-pk")[:_RECENT])


def newest_readings(sessions: Sequence[ChargingSession]) -> dict[int, Reading | None]:
    """The same of any number, in one query where the database can; it is the cheaper one of a single session, too."""
    if not sessions or connection.vendor != "postgresql":
        return {session.pk: newest_reading(session) for session in sessions}
    rows: dict[int, list[MeterReading]] = {session.pk: [] for session in sessions}
    for row in MeterReading.objects.raw(_NEWEST_OF_EACH, [list(rows), _RECENT]):
        assert row.session_id is not None  # it was asked for by it
        rows[row.session_id].append(row)
    return {session.pk: newest_of(session, rows[session.pk]) for session in sessions}


def newest_of(session: ChargingSession, rows: Iterable[MeterReading]) -> Reading | None:
    """One reading with the newest known value of each quantity; of registers that do not count the last that does."""
    rows = list(rows)
    reading = newest(as_reading(row) for row in rows)
    if reading is not None and reading.energy_wh is None and any(row.is_suspect for row in rows):
        reading = msgspec.structs.replace(reading, energy_wh=last_good_register(session)[0])
    return reading


def last_good_register(session: ChargingSession) -> tuple[int | None, datetime | None]:
    """The newest register that can be right, of its readings or else at its start, and when it was so."""
    good = session.readings.filter(energy_wh__isnull=False, is_suspect=False).order_by("-measured_at", "-pk")
    row = good.values_list("energy_wh", "measured_at").first()
    return row or (session.meter_start_wh, session.started_at)


def first_soc(session: ChargingSession) -> tuple[float | None, datetime | None]:
    """The car's state of charge when it first told, and when."""
    told = session.readings.filter(soc_percent__isnull=False).order_by("measured_at")
    return told.values_list("soc_percent", "measured_at").first() or (None, None)


def first_socs(sessions: Sequence[ChargingSession]) -> dict[int, tuple[float | None, datetime | None]]:
    """The same of any number, in one query where the database can; it is the cheaper one of a single session, too."""
    if not sessions or connection.vendor != "postgresql":
        return {session.pk: first_soc(session) for session in sessions}
    keys = [session.pk for session in sessions]
    with connection.cursor() as cursor:
        cursor.execute(_FIRST_SOC_OF_EACH, [keys])
        found = {key: (soc, at) for key, soc, at in cursor.fetchall()}
    return {key: found.get(key, (None, None)) for key in keys}


def duration_s(session: ChargingSession, *, now: datetime | None = None) -> int:
    if session.started_at is None:
        return 0
    end = session.stopped_at or now or utcnow()
    return max(0, round((end - session.started_at).total_seconds()))


def state_of(session: ChargingSession) -> SessionState:
    """The session as apps see it. Of an ended one the stored totals, of a running one the newest readings."""
    return states_of([session])[session.pk]


def states_of(sessions: Sequence[ChargingSession]) -> dict[int, SessionState]:
    """Many sessions as apps see them, by key."""
    newest = newest_readings([each for each in sessions if each.status in ChargingSession.RUNNING])
    with_soc = {key for key, reading in newest.items() if reading and reading.soc_percent is not None}
    first = first_socs([session for session in sessions if session.pk in with_soc])
    return {
        session.pk: _state(session, newest.get(session.pk), *first.get(session.pk, (None, None)))
        for session in sessions
    }


def _state(
    session: ChargingSession, reading: Reading | None, soc: float | None, soc_at: datetime | None
) -> SessionState:
    """`soc`: the car's state of charge when it first told, at `soc_at`."""
    station = session.charger.station
    seconds = duration_s(session)
    running = session.status in ChargingSession.RUNNING
    energy_wh, price = session.energy_wh, session.price
    cost = session.cost
    remaining = None
    if running:
        register = reading.energy_wh if reading else None
        energy_wh = energy_delivered_wh(meter_start_wh=session.meter_start_wh, register_wh=register)
        cost = pricing.cost(price, energy_wh=energy_wh, duration_s=seconds)
        if reading and reading.soc_percent is not None:
            remaining = seconds_to_full(
                first_soc=soc, first_at=soc_at, soc=reading.soc_percent, at=reading.measured_at
            )
    return SessionState(
        session_id=session.pk,
        transaction_id=session.transaction_id,
        charger_id=session.charger.identity,
        connector_id=session.connector.number if session.connector else None,
        station_id=station.pk if station else None,
        station_name=station.name if station else None,
        station_address=(station.address or None) if station else None,
        status=session.status,  # type: ignore[arg-type]
        message_id=str(session.start_command_id) if session.start_command_id else None,
        id_tag=session.id_tag,
        requested_at=session.requested_at,
        start_time=session.started_at,
        stop_time=session.stopped_at,
        stop_reason=session.stop_reason or None,
        duration=seconds,
        meter_start=session.meter_start_wh,
        meter_stop=session.meter_stop_wh,
        energy_delivered=kwh(energy_wh),
        power=reading.power_w / 1000 if reading and reading.power_w is not None else None,
        voltage=reading.voltage_v if reading else None,
        current=reading.current_a if reading else None,
        charge_percentage=reading.soc_percent if reading else None,
        time_remaining=remaining,
        cost=cost,
        cost_currency=session.currency or None,
        error_code=session.error_code or None,
        error_message=Words(session.error_message) if session.error_message else None,
        stale=session.is_open and not session.charger.is_connected,
    )


def counts() -> dict[str, int]:
    """Open sessions by status."""
    rows = ChargingSession.objects.filter(status__in=ChargingSession.OPEN).values_list("status")
    found = dict(rows.annotate(count=Count("pk")).order_by())
    return {status.value: found.get(status.value, 0) for status in ChargingSession.OPEN}
