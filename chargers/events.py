"""What the outside hears of chargers and commands. Each event carries the whole small state, not a difference."""

import itertools
import secrets
import time
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from chargers import bus, cells
from chargers.words import Words


def _as_text(value: Any) -> str:
    if isinstance(value, Words):  # a kind of str, which msgspec takes for something else
        return str(value)
    raise NotImplementedError(f"{type(value).__name__} is not for the wire")


# Money leaves as a JSON number; times as RFC 3339 with Z.
encoder = msgspec.json.Encoder(decimal_format="number", enc_hook=_as_text)

ALL_CHARGERS = "chargers.all"

# An event's id tells the process it comes from and its number there.
_process, _numbers = secrets.token_hex(8), itertools.count(1)


def utcnow() -> datetime:
    """The time now, aware, UTC, to the millisecond."""
    return datetime.fromtimestamp(time.time_ns() // 1_000_000 / 1000, UTC)


def user_group(user_id: int) -> str:
    """Every socket of one user. Groups are named by primary key: identities may hold any character."""
    return f"user.{user_id}"


def charger_group(charger_id: int) -> str:
    return f"charger.{charger_id}"


def station_group(station_id: int) -> str:
    return f"station.{station_id}"


def command_group(command_id: uuid.UUID | str) -> str:
    """Whoever waits for the end of one command."""
    return f"command.{command_id}"


class Event(msgspec.Struct, kw_only=True, frozen=True, tag_field="type"):
    """A message pushed to apps."""

    timestamp: datetime = msgspec.field(default_factory=utcnow)


class UserEvent(Event, kw_only=True, frozen=True):
    """A message to one user. `seq` counts those that are kept; one that may be left out has that of the one before."""

    seq: int | msgspec.UnsetType = msgspec.UNSET


def message_of(event: Event, **hints: Any) -> bus.Message:
    """The event as it travels. `id` lets a socket in several of its groups forward it once."""
    event_id = f"{_process}.{next(_numbers)}"
    return {"type": "event", "id": event_id, "body": encoder.encode(event).decode(), **hints}


def envelopes_for(
    event: Event, to: Iterable[str], *, at: cells.Position | None = None, **hints: Any
) -> list[bus.Envelope]:
    """The event, encoded once, for each group and for who looks at that place of the map."""
    message = message_of(event, **hints)
    envelopes = [bus.to_group(group, message) for group in to]
    if at is not None:
        envelopes.append(bus.to_group(cells.group_of(at), {**message, "at": at}))
    return envelopes


def publish(event: Event, to: Iterable[str], *, at: cells.Position | None = None, **hints: Any) -> None:
    """Send an event to groups, and to who looks `at` that place, once the transaction is committed. `hints` are for the
    socket, not for the client."""
    bus.send_on_commit(envelopes_for(event, to, at=at, **hints))


# --- charger_update: one charger, one thing that changed ---


class StatusChange(msgspec.Struct, kw_only=True, frozen=True):
    """`connector_id` is null where the charger as a whole is meant; statuses are OCPP's words or `Offline`."""

    connector_id: int | None
    status: str | None
    previous_status: str | None
    error_code: str | None
    timestamp: datetime


class ConfigurationChange(msgspec.Struct, kw_only=True, frozen=True):
    key: str
    value: str
    timestamp: datetime


class MaintenanceChange(msgspec.Struct, kw_only=True, frozen=True):
    is_under_maintenance: bool
    maintenance_reason: str | None
    timestamp: datetime


class ChargerStatusChanged(Event, kw_only=True, frozen=True, tag="charger_update"):
    """A status changed: of the charger (`status_changed`), of a connector, or an error appeared."""

    charger_id: str
    event: Literal["status_changed", "connector_status_changed", "error"]
    data: StatusChange


class ChargerConfigurationChanged(Event, kw_only=True, frozen=True, tag="charger_update"):
    """The charger took a new value for one of its configuration keys."""

    charger_id: str
    event: Literal["configuration_changed"] = "configuration_changed"
    data: ConfigurationChange


class ChargerMaintenanceChanged(Event, kw_only=True, frozen=True, tag="charger_update"):
    """The charger's station went into maintenance, or came back."""

    charger_id: str
    event: Literal["maintenance_mode"] = "maintenance_mode"
    data: MaintenanceChange


# --- charger_status_update: the same moments, for a map ---


class ConnectorState(msgspec.Struct, kw_only=True, frozen=True):
    """`status` is OCPP's word, `Offline` while the charger is not connected, null while it has not said.

    It has been so `since` then; the charger last told of it at `updated_at`. `stuck`: in use for long without charging,
    since nobody started (`not_started`), or a car that is done was not unplugged (`not_unplugged`).
    """

    connector_id: int
    status: str | None
    error_code: str | None
    since: datetime | None
    updated_at: datetime | None
    stuck: Literal["not_started", "not_unplugged"] | None


class Availability(msgspec.Struct, kw_only=True, frozen=True):
    """`display` is "free/total", null where the charger cannot be used. `status_at`: when any of it last changed;
    `last_seen`: when the charger was last known to be there."""

    connected: bool
    last_seen: datetime | None
    status_at: datetime | None
    total_connectors: int
    available_connectors: int
    connectors_in_use: int
    connectors_unavailable: int
    display: str | None
    connector_status: list[ConnectorState]
    station_status: Literal["available", "in_use", "unavailable"]
    is_under_maintenance: bool
    maintenance_reason: str | None
    timestamp: datetime


class ChargerStatusUpdate(Event, kw_only=True, frozen=True, tag="charger_status_update"):
    """The charger's whole availability, for the colour of a pin."""

    station_id: int | None
    charger_id: str
    status: Literal["available", "in_use", "unavailable"]
    data: Availability


# --- charger_list_update: chargers come and go ---


class Location(msgspec.Struct, kw_only=True, frozen=True):
    latitude: float | None
    longitude: float | None
    address: str | None


class ListedCharger(msgspec.Struct, kw_only=True, frozen=True):
    charger_id: str
    status: Literal["available", "in_use", "unavailable"]
    status_at: datetime | None
    connected: bool
    last_seen: datetime | None
    display: str | None
    connectors: list[ConnectorState]


class ListedStation(msgspec.Struct, kw_only=True, frozen=True):
    station_id: int | None
    station_name: str | None
    location: Location | None
    chargers: list[ListedCharger]
    total_connectors: int
    available_connectors: int
    display: str | None


class ChargerList(msgspec.Struct, kw_only=True, frozen=True):
    chargers: list[ListedStation]


class ChargerListUpdate(Event, kw_only=True, frozen=True, tag="charger_list_update"):
    """Chargers were added or removed; grouped by station."""

    action: Literal["added", "removed"]
    data: ChargerList


# --- people ---


class Notification(UserEvent, kw_only=True, frozen=True, tag="notification"):
    """For a person: charging started, stopped, failed; an operator's message."""

    title: str
    message: str
    data: dict[str, Any] = msgspec.field(default_factory=dict)
