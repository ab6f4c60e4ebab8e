"""The app wire: every message an app may send and every one it may get. The one definition there is.

The socket validates with it, the REST twins use the same types, and the published AsyncAPI and OpenAPI
documents are generated from it (gateway.asyncapi).
"""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

import msgspec

from chargers.events import (
    ChargerConfigurationChanged,
    ChargerListUpdate,
    ChargerMaintenanceChanged,
    ChargerStatusChanged,
    ChargerStatusUpdate,
    ConnectorState,
    Event,
    Location,
    Notification,
    encoder,
    utcnow,
)
from sessions.events import (
    ActiveSessionUpdate,
    MeterValueUpdate,
    ReservationUpdate,
    SessionCompletedUpdate,
    SessionErrorUpdate,
    SessionStartedUpdate,
    SessionState,
    SessionStoppedUpdate,
)

PROTOCOL_VERSION = "1.0"
MAX_MESSAGE_BYTES = 64 * 1024

# No NUL: PostgreSQL cannot even be asked for it.
_TEXT = "^[^\\u0000]*$"
Identity = Annotated[
    str,
    msgspec.Meta(min_length=1, max_length=255, pattern=_TEXT, description="The charger's OCPP identity"),
]
StationId = Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)]
ConnectorNumber = Annotated[int, msgspec.Meta(ge=1, le=100, description="OCPP's connectorId, from 1")]
IdTagText = Annotated[str, msgspec.Meta(min_length=1, max_length=20, description="OCPP 1.6 idTag")]
RequestId = str | int

# --- what apps send: one type of `data` per action ---


class StartCharging(msgspec.Struct, kw_only=True):
    """Begin to charge. Answered when the charger has answered, within the command time-out."""

    charger_id: Identity
    connector_id: ConnectorNumber = 1


class StopCharging(msgspec.Struct, kw_only=True):
    """End the user's session, at the charger named or wherever it is."""

    charger_id: Identity | None = None


class GetChargerStatus(msgspec.Struct, kw_only=True):
    """One charger as it is now."""

    charger_id: Identity


class GetActiveSession(msgspec.Struct, kw_only=True):
    """The user's active session, or null."""


class Near(msgspec.Struct, kw_only=True):
    latitude: Annotated[float, msgspec.Meta(ge=-90, le=90)]
    longitude: Annotated[float, msgspec.Meta(ge=-180, le=180)]
    radius_km: Annotated[float, msgspec.Meta(gt=0, le=1000)] = 10.0


class ListChargers(msgspec.Struct, kw_only=True):
    """Chargers, by identity; `cursor` is the `next_cursor` of the page before."""

    status: Literal["available", "in_use", "unavailable"] | None = None
    station_id: StationId | None = None
    near: Near | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=200)] = 50
    cursor: Annotated[str, msgspec.Meta(max_length=255, pattern=_TEXT)] | None = None


class Subscribe(msgspec.Struct, kw_only=True):
    """Hear of chargers: by identity, by station, or all of them."""

    charger_ids: Annotated[list[Identity], msgspec.Meta(max_length=500)] = []
    station_ids: Annotated[list[StationId], msgspec.Meta(max_length=500)] = []
    all: bool = False


class Unsubscribe(Subscribe, kw_only=True):
    """Hear of them no longer."""


class Ping(msgspec.Struct, kw_only=True):
    """Is anybody there? For clients that cannot send WebSocket pings, such as browsers."""


# --- what they are answered: `data` of a response, on success ---


class Success(msgspec.Struct, kw_only=True):
    success: Literal[True] = True


class Started(Success, kw_only=True):
    """`message_id` is the OCPP CALL's id; `transaction_id` is null until the charger has begun."""

    session_id: int
    charger_id: str
    connector_id: int | None
    message_id: str | None
    transaction_id: int | None
    status: str
    message: str


class Stopped(Success, kw_only=True):
    """Figures as known now; the final ones come as `session_completed`. Energy in kWh, duration in s."""

    session_id: int
    charger_id: str
    connector_id: int | None
    message_id: str | None
    transaction_id: int | None
    status: str
    energy_delivered: float | None
    duration: int
    cost: Decimal | None
    cost_currency: str | None
    message: str


class StationState(msgspec.Struct, kw_only=True):
    station_id: int
    name: str
    location: Location | None
    is_under_maintenance: bool
    maintenance_reason: str | None


class ChargerState(msgspec.Struct, kw_only=True):
    """`status` is the map's word; OCPP's words are in `connectors`."""

    charger_id: str
    status: Literal["available", "in_use", "unavailable"]
    connected: bool
    last_seen: datetime | None
    connectors: list[ConnectorState]
    total_connectors: int
    available_connectors: int
    display: str | None
    is_under_maintenance: bool
    station: StationState | None
    vendor: str | None
    model: str | None


class ChargerStatus(ChargerState, kw_only=True):
    """One charger."""

    success: Literal[True] = True


class ActiveSession(Success, kw_only=True):
    session: SessionState | None


class Chargers(Success, kw_only=True):
    chargers: list[ChargerState]
    next_cursor: str | None


class Subscribed(Success, kw_only=True):
    """What this socket hears of now."""

    subscribed: dict[str, Any]


class Pong(Success, kw_only=True):
    server_time: datetime


class Failure(msgspec.Struct, kw_only=True):
    """`error` is for a person, `code` for the program, `message` has the detail."""

    success: Literal[False] = False
    error: str
    code: str
    message: str


ACTIONS: dict[str, tuple[type[msgspec.Struct], type[msgspec.Struct]]] = {
    "start_charging": (StartCharging, Started),
    "stop_charging": (StopCharging, Stopped),
    "get_charger_status": (GetChargerStatus, ChargerStatus),
    "get_active_session": (GetActiveSession, ActiveSession),
    "list_chargers": (ListChargers, Chargers),
    "subscribe": (Subscribe, Subscribed),
    "unsubscribe": (Unsubscribe, Subscribed),
    "ping": (Ping, Pong),
}

ERROR_CODES = [
    "invalid_message",
    "unknown_action",
    "validation_error",
    "not_found",
    "charger_offline",
    "charger_pending",
    "connector_unavailable",
    "connector_busy",
    "active_session_exists",
    "no_active_session",
    "charger_rejected",
    "charger_timeout",
    "cancelled",
    "rate_limited",
    "forbidden",
    "unavailable",
    "internal_error",
]

# --- the socket's own messages ---


class Connected(Event, kw_only=True, frozen=True, tag="connected"):
    """The first message of every socket. The state follows at once, as `active_session_update`."""

    userId: int
    protocol_version: str = PROTOCOL_VERSION
    server_time: datetime = msgspec.field(default_factory=utcnow)


class ErrorMessage(Event, kw_only=True, frozen=True, tag="error"):
    """A message that could not be read at all; the socket stays open."""

    message: str
    code: str


PUSHES: list[type[Event]] = [
    Connected,
    ActiveSessionUpdate,
    SessionStartedUpdate,
    MeterValueUpdate,
    SessionStoppedUpdate,
    SessionCompletedUpdate,
    SessionErrorUpdate,
    ReservationUpdate,
    ChargerStatusChanged,
    ChargerConfigurationChanged,
    ChargerMaintenanceChanged,
    ChargerStatusUpdate,
    ChargerListUpdate,
    Notification,
    ErrorMessage,
]


class Request(msgspec.Struct):
    """`data` is decoded by the action's own type."""

    action: str
    data: msgspec.Raw = msgspec.Raw(b"{}")
    request_id: RequestId | None = None


_request_decoder = msgspec.json.Decoder(Request)
_data_decoders = {name: msgspec.json.Decoder(request) for name, (request, _) in ACTIONS.items()}


def decode_request(text: str) -> Request:
    """The envelope. Raises msgspec.DecodeError (of which ValidationError is a kind)."""
    return _request_decoder.decode(text)


def decode_data(action: str, data: msgspec.Raw) -> msgspec.Struct:
    """The `data` of a known action; null counts as empty. Raises msgspec.ValidationError with the field's path."""
    return _data_decoders[action].decode(b"{}" if bytes(data) == b"null" else data)


def response(action: str, data: Any, request_id: RequestId | None) -> str:
    """The text of an answer; `request_id` only where one was sent."""
    message = {"type": "response", "action": action, "data": data, "timestamp": utcnow()}
    if request_id is not None:
        message["request_id"] = request_id
    return encode(message)


def encode(message: Any) -> str:
    return encoder.encode(message).decode()
