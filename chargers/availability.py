"""What a charger's connectors add up to: free, in use, unusable. Pure; works on loaded rows."""

from collections.abc import Sequence
from typing import Literal

from chargers.cells import Position
from chargers.events import (
    Availability,
    ChargerStatusUpdate,
    ConnectorState,
    ListedCharger,
    ListedStation,
    Location,
    utcnow,
)
from chargers.models import Charger, Connector, ConnectorStatus, Station

Word = Literal["available", "in_use", "unavailable"]

IN_USE = {
    ConnectorStatus.PREPARING,
    ConnectorStatus.CHARGING,
    ConnectorStatus.SUSPENDED_EV,
    ConnectorStatus.SUSPENDED_EVSE,
    ConnectorStatus.FINISHING,
    ConnectorStatus.RESERVED,
}
OUT_OF_SERVICE = {ConnectorStatus.UNAVAILABLE, ConnectorStatus.FAULTED}
OFFLINE = "Offline"
# Why a connector is in use for long without charging (chargers.stuck). It works, and its place is taken.
STUCK: dict[str, Literal["not_started", "not_unplugged"]] = {
    ConnectorStatus.PREPARING: "not_started",
    ConnectorStatus.FINISHING: "not_unplugged",
}


def is_usable(charger: Charger) -> bool:
    """Whether anyone can charge here at all: connected, accepted, in service, not under maintenance."""
    return (
        charger.is_connected
        and charger.registration == Charger.Registration.ACCEPTED
        and charger.status not in OUT_OF_SERVICE
        and not (charger.station and charger.station.is_under_maintenance)
    )


def word_for(charger: Charger, connector: Connector) -> Word:
    if not is_usable(charger):
        return "unavailable"
    if connector.status == ConnectorStatus.AVAILABLE:
        return "available"
    return "in_use" if connector.status in IN_USE else "unavailable"


def connector_state(charger: Charger, connector: Connector) -> ConnectorState:
    """As it is now: not what a charger that is gone said last."""
    is_offline = bool(connector.status) and not charger.is_connected
    return ConnectorState(
        connector_id=connector.number,
        status=OFFLINE if is_offline else connector.status or None,
        error_code=connector.error_code or None,
        since=charger.disconnected_at if is_offline else connector.status_since,
        updated_at=connector.status_at,
        stuck=STUCK.get(connector.status) if connector.stuck_at and not is_offline else None,
    )


def availability(charger: Charger) -> Availability:
    """Counts and display of one charger. Wants `station` and `connectors` loaded."""
    connectors = list(charger.connectors.all())
    words = [word_for(charger, connector) for connector in connectors]
    free, used = words.count("available"), words.count("in_use")
    summary: Word = "available" if free else "in_use" if used else "unavailable"
    station = charger.station
    states = [connector_state(charger, connector) for connector in connectors]
    came_or_went = charger.connected_at if charger.is_connected else charger.disconnected_at
    changes = [came_or_went, charger.status_at, *(state.since for state in states)]
    return Availability(
        connected=charger.is_connected,
        last_seen=charger.last_seen_at,
        status_at=max((at for at in changes if at), default=None),
        total_connectors=len(words),
        available_connectors=free,
        connectors_in_use=used,
        connectors_unavailable=words.count("unavailable"),
        display=None if summary == "unavailable" else f"{free}/{len(words)}",
        connector_status=states,
        station_status=summary,
        is_under_maintenance=bool(station and station.is_under_maintenance),
        maintenance_reason=(station.maintenance_reason or None) if station else None,
        timestamp=utcnow(),
    )


def status_update(charger: Charger) -> ChargerStatusUpdate:
    data = availability(charger)
    return ChargerStatusUpdate(
        station_id=charger.station_id, charger_id=charger.identity, status=data.station_status, data=data
    )


def listed_station(station: Station | None, chargers: Sequence[Charger]) -> ListedStation:
    """A station (or the chargers without one) with its totals, for lists and maps."""
    states = [availability(charger) for charger in chargers]
    free, total = sum(s.available_connectors for s in states), sum(s.total_connectors for s in states)
    return ListedStation(
        station_id=station.pk if station else None,
        station_name=station.name if station else None,
        location=location(station),
        chargers=[
            ListedCharger(
                charger_id=charger.identity,
                status=state.station_status,
                status_at=state.status_at,
                connected=state.connected,
                last_seen=state.last_seen,
                display=state.display,
                connectors=state.connector_status,
            )
            for charger, state in zip(chargers, states, strict=True)
        ],
        total_connectors=total,
        available_connectors=free,
        display=f"{free}/{total}" if any(s.display for s in states) else None,
    )


def position(station: Station | None) -> Position | None:
    """Where it is on the map, if that is known."""
    if station is None or station.latitude is None or station.longitude is None:
        return None
    return Position(station.latitude, station.longitude)


def location(station: Station | None) -> Location | None:
    if station is None:
        return None
    return Location(latitude=station.latitude, longitude=station.longitude, address=station.address or None)
