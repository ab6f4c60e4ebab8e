"""What the resource API shows to whom, loaded so that a page costs the same queries however long it is."""

from typing import Any, NamedTuple

from django.db.models import Case, CharField, Exists, OuterRef, Prefetch, Q, QuerySet, Value, When
from django.db.models import prefetch_related_objects as load

from chargers.availability import IN_USE, OUT_OF_SERVICE
from chargers.models import Charger, Connector, ConnectorStatus, Station
from sessions import pricing, queries
from sessions.models import ChargingSession, MeterReading
from sessions.readings import Reading, energy_delivered_wh

# Chargers spread energy, power and SoC over a few readings; the newest of each is within these.
RECENT = 6


def chargers_for(user: Any) -> QuerySet[Charger]:
    """All of them for operators, the accepted ones for drivers."""
    chargers = Charger.objects.select_related("station").prefetch_related("connectors")
    return chargers if user.is_staff else chargers.filter(registration=Charger.Registration.ACCEPTED)


def stations_for(user: Any) -> QuerySet[Station]:
    """All of them for operators; for drivers those with an accepted charger."""
    chargers = Charger.objects.prefetch_related("connectors")
    stations = Station.objects.all()
    if not user.is_staff:
        chargers = chargers.filter(registration=Charger.Registration.ACCEPTED)
        stations = stations.filter(Exists(chargers.filter(station=OuterRef("pk"))))
    return stations.prefetch_related(Prefetch("chargers", chargers))


def sessions_for(user: Any) -> QuerySet[ChargingSession]:
    """All of them for operators, their own for drivers."""
    sessions = queries.with_relations(ChargingSession.objects.all())
    return sessions if user.is_staff else sessions.filter(user_id=user.pk)


def of_word(chargers: QuerySet[Charger], word: str) -> QuerySet[Charger]:
    """Those with this word of `availability`, found by the database, so that pages stay pages."""
    connectors = Connector.objects.filter(charger=OuterRef("pk"))
    unusable = (
        Q(channel_name="")
        | ~Q(registration=Charger.Registration.ACCEPTED)
        | Q(status__in=OUT_OF_SERVICE)
        | Q(station__is_under_maintenance=True)
    )
    return chargers.alias(
        word=Case(
            When(unusable, Value("unavailable")),
            When(Exists(connectors.filter(status=ConnectorStatus.AVAILABLE)), Value("available")),
            When(Exists(connectors.filter(status__in=IN_USE)), Value("in_use")),
            default=Value("unavailable"),
            output_field=CharField(),
        )
    ).filter(word=word)


# --- the figures of sessions ---


class Figures(NamedTuple):
    """Of an ended session the stored totals, of a running one those of its newest readings."""

    reading: Reading | None
    energy_wh: int | None
    cost: Any
    duration_s: int


def figures_of(sessions: list[ChargingSession]) -> dict[int, Figures]:
    """By the sessions' ids, with one query for all that are running."""
    running = [session for session in sessions if session.status in ChargingSession.RUNNING]
    readings = MeterReading.objects.defer("sampled_values").order_by("-measured_at", "-pk")[:RECENT]
    load(running, Prefetch("readings", readings, to_attr="recent_readings"))
    return {session.pk: _figures(session) for session in sessions}


def _figures(session: ChargingSession) -> Figures:
    seconds = queries.duration_s(session)
    if session.status not in ChargingSession.RUNNING:
        return Figures(None, session.energy_wh, session.cost, seconds)
    reading = queries.newest_of(session, session.recent_readings)  # type: ignore[attr-defined]
    register = reading.energy_wh if reading else None
    energy = energy_delivered_wh(meter_start_wh=session.meter_start_wh, register_wh=register)
    cost = pricing.cost(session.price, energy_wh=energy, duration_s=seconds)
    return Figures(reading, energy, cost, seconds)
