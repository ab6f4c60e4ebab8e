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
    UserEvent,
    encoder,
    utcnow,
)
from sessions.events import (
    ActiveSessionUpdate,
    CommandUpdate,
    MeterValueUpdate,
    ReservationState,
    ReservationUpdate,
    SessionCompletedUpdate,
    SessionErrorUpdate,
    SessionStartedUpdate,
    SessionState,
    SessionStoppedUpdate,
    WatchState,
)
from sessions.history import MAX_POINTS, MIN_POINTS, ChartPoint

PROTOCOL_VERSION = "1.0"
MAX_MESSAGE_BYTES = 64 * 1024

# No NUL: PostgreSQL cannot even be asked for it.
_TEXT = "^[^\\u0000]*$"
Identity = Annotated[
    str,
    msgspec.Meta(min_length=1, max_length=255, pattern=_TEXT, description="The charger's OCPP identity"),
]
RowId = Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)]
StationId = Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)]
ConnectorNumber = Annotated[int, msgspec.Meta(ge=1, le=100, description="OCPP's connectorId, from 1")]
IdTagText = Annotated[str, msgspec.Meta(min_length=1, max_length=20, description="OCPP 1.6 idTag")]
SearchWords = Annotated[
    str,
    msgspec.Meta(
        max_length=100,
        pattern=_TEXT,
        description="Words, each in the charger's identity or in its station's name or address",
    ),
]
RequestId = str | int
ClientRef = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        max_length=64,
        pattern=_TEXT,
        description="Your name for this request, unique among yours: sent again within a day it is the same request, "
        "and what the first began is answered. After a refusal that began nothing it is judged anew",
    ),
]

# --- what apps send: one type of `data` per action ---


class StartCharging(msgspec.Struct, kw_only=True):
    """Begin to charge. Answered when the charger has answered, within the command time-out."""

    charger_id: Identity
    connector_id: ConnectorNumber = 1
    client_ref: ClientRef | None = None


class StopCharging(msgspec.Struct, kw_only=True):
    """End the user's session, at the charger named or wherever it is."""

    charger_id: Identity | None = None
    client_ref: ClientRef | None = None


class GetChargerStatus(msgspec.Struct, kw_only=True):
    """One charger as it is now."""

    charger_id: Identity


class GetActiveSession(msgspec.Struct, kw_only=True):
    """The user's active session, or null."""


class Near(msgspec.Struct, kw_only=True):
    latitude: Annotated[float, msgspec.Meta(ge=-90, le=90)]
    longitude: Annotated[float, msgspec.Meta(ge=-180, le=180)]
    radius_km: Annotated[float, msgspec.Meta(gt=0, le=1000)] = 10.0


class BoundingBox(msgspec.Struct, kw_only=True):
    """An area of the map, from west to east; it crosses the 180th meridian where west > east."""

    south: Annotated[float, msgspec.Meta(ge=-90, le=90)]
    west: Annotated[float, msgspec.Meta(ge=-180, le=180)]
    north: Annotated[float, msgspec.Meta(ge=-90, le=90)]
    east: Annotated[float, msgspec.Meta(ge=-180, le=180)]


class ListChargers(msgspec.Struct, kw_only=True):
    """Chargers, by identity; `cursor` is the `next_cursor` of the page before."""

    status: Literal["available", "in_use", "unavailable"] | None = None
    station_id: StationId | None = None
    near: Near | None = None
    bbox: BoundingBox | None = None
    search: SearchWords | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=200)] = 50
    cursor: Annotated[str, msgspec.Meta(max_length=255, pattern=_TEXT)] | None = None


class Subscribe(msgspec.Struct, kw_only=True):
    """Hear of chargers: by identity, by station, in an area of the map (in the place of the one before), or all."""

    charger_ids: Annotated[list[Identity], msgspec.Meta(max_length=500)] = []
    station_ids: Annotated[list[StationId], msgspec.Meta(max_length=500)] = []
    all: bool = False
    bbox: BoundingBox | None = None


class Unsubscribe(msgspec.Struct, kw_only=True):
    """Hear of them no longer. There is one area at most: `bbox` as null, true or an area ends it."""

    charger_ids: Annotated[list[Identity], msgspec.Meta(max_length=500)] = []
    station_ids: Annotated[list[StationId], msgspec.Meta(max_length=500)] = []
    all: bool = False
    bbox: BoundingBox | bool | None = False


class Watch(msgspec.Struct, kw_only=True):
    """Be told, once, when there is a free connector: this one, one of the charger's, or one of the station's."""

    charger_id: Identity | None = None
    connector_id: ConnectorNumber | None = None
    station_id: StationId | None = None


class Unwatch(msgspec.Struct, kw_only=True):
    """Do not be told."""

    watch_id: RowId


class GetWatches(msgspec.Struct, kw_only=True):
    """What the user waits for."""


class Reserve(msgspec.Struct, kw_only=True):
    """Keep a connector free, this or one that is, for so many minutes (15) or until then. Answered as a start is."""

    charger_id: Identity
    connector_id: ConnectorNumber | None = None
    minutes: Annotated[int, msgspec.Meta(ge=1, le=1440)] | None = None
    expires_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    client_ref: ClientRef | None = None


class CancelReservation(msgspec.Struct, kw_only=True):
    """Keep it no longer."""

    reservation_id: RowId


class GetReservations(msgspec.Struct, kw_only=True):
    """The user's open reservations."""


class RefreshToken(msgspec.Struct, kw_only=True):
    """Go on with a fresh access token of the same user, on the open socket."""

    token: Annotated[str, msgspec.Meta(min_length=1, max_length=8192, description="An access token (JWT)")]


class ListSessions(msgspec.Struct, kw_only=True):
    """The user's sessions, the newest first; `cursor` is the `next_cursor` of the page before."""

    status: Literal["pending", "active", "stopping", "completed", "failed"] | None = None
    charger_id: Identity | None = None
    started_after: datetime | None = None
    started_before: datetime | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=100)] = 20
    cursor: Annotated[str, msgspec.Meta(max_length=20, pattern=_TEXT)] | None = None


class GetSession(msgspec.Struct, kw_only=True):
    """One of the user's sessions; with `points` its course for a chart, in so many at most."""

    session_id: Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)]
    points: Annotated[int, msgspec.Meta(ge=MIN_POINTS, le=MAX_POINTS)] | None = None


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
    """`status` is the map's word, as it is since `status_at`; OCPP's words are in `connectors`."""

    charger_id: str
    status: Literal["available", "in_use", "unavailable"]
    status_at: datetime | None
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


class Unsubscribed(Success, kw_only=True):
    """What this socket hears of now."""

    subscribed: dict[str, Any]


class Subscribed(Unsubscribed, kw_only=True):
    """What this socket hears of now, and how what was asked for is; events tell what changes from here on.

    Of `all` nothing is in `chargers`, else 500 at most: what is not `complete` is in `list_chargers`.
    """

    chargers: list[ChargerState]
    complete: bool


class Watching(Success, kw_only=True):
    """The watch; or, if a connector is `free` already, which one, and no watch."""

    free: bool
    charger_id: str | None
    connector_id: int | None
    watch: WatchState | None


class Watches(Success, kw_only=True):
    """All that the user waits for."""

    watches: list[WatchState]


class Reserved(Success, kw_only=True):
    """The reservation as it is now."""

    reservation: ReservationState


class Reservations(Success, kw_only=True):
    reservations: list[ReservationState]


class TokenRefreshed(Success, kw_only=True):
    """The socket stays open until then."""

    expires_at: datetime


class Sessions(Success, kw_only=True):
    sessions: list[SessionState]
    next_cursor: str | None


class SessionChart(msgspec.Struct, kw_only=True):
    """The course of a session, the oldest point first."""

    session_id: int
    points: list[ChartPoint]


class SessionDetail(Success, kw_only=True):
    """`points` is null where none were asked for; `has_receipt`: it can be had over REST."""

    session: SessionState
    has_receipt: bool
    points: list[ChartPoint] | None


class Pong(Success, kw_only=True):
    server_time: datetime


class Failure(msgspec.Struct, kw_only=True):
    """`error` is for a person, `code` for the program, `message` has the detail."""

    success: Literal[False] = False
    error: str
    code: str
    message: str
    retry_after: Annotated[
        float | msgspec.UnsetType,
        msgspec.Meta(description="Seconds to wait before trying again, with `rate_limited`"),
    ] = msgspec.UNSET


SOMETIMES = frozenset({("Failure", "retry_after")})
"""By type: fields that the server leaves out where there is nothing to say."""

ACTIONS: dict[str, tuple[type[msgspec.Struct], type[msgspec.Struct]]] = {
    "start_charging": (StartCharging, Started),
    "stop_charging": (StopCharging, Stopped),
    "get_charger_status": (GetChargerStatus, ChargerStatus),
    "get_active_session": (GetActiveSession, ActiveSession),
    "list_chargers": (ListChargers, Chargers),
    "subscribe": (Subscribe, Subscribed),
    "unsubscribe": (Unsubscribe, Unsubscribed),
    "watch": (Watch, Watching),
    "unwatch": (Unwatch, Watches),
    "get_watches": (GetWatches, Watches),
    "reserve": (Reserve, Reserved),
    "cancel_reservation": (CancelReservation, Reserved),
    "get_reservations": (GetReservations, Reservations),
    "refresh_token": (RefreshToken, TokenRefreshed),
    "list_sessions": (ListSessions, Sessions),
    "get_session": (GetSession, SessionDetail),
    "ping": (Ping, Pong),
}

WITH_CLIENT_REF = frozenset(
    name for name, (request, _) in ACTIONS.items() if "client_ref" in request.__struct_fields__
)
"""Actions whose repetition is known by it."""

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
    "reservation_exists",
    "reservation_not_supported",
    "too_many_watches",
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
    seq: int  # of the last message before this one: what `last_seq` is to say if nothing else comes
    resume: Literal["replayed", "resync"] | None  # null where no `last_seq` was given
    reservations: list[ReservationState]  # the user's, that are open
    protocol_version: str = PROTOCOL_VERSION
    server_time: datetime = msgspec.field(default_factory=utcnow)


class Resync(UserEvent, kw_only=True, frozen=True, tag="resync"):
    """What was missed is not kept any more. The state is here and follows; forget what you thought of it."""

    reservations: list[ReservationState]


class TokenExpiring(Event, kw_only=True, frozen=True, tag="token_expiring"):
    """The socket's token ends soon: show a fresh one by `refresh_token`, or the socket is closed."""

    expires_at: datetime


class Closing(Event, kw_only=True, frozen=True, tag="closing"):
    """The last message, before a close after which the client is to come back: in `retry_after` seconds, which differ
    from client to client, with this `last_seq` (null: it had not begun)."""

    code: int
    reason: str
    retry_after: float
    last_seq: int | None


class ErrorMessage(Event, kw_only=True, frozen=True, tag="error"):
    """A message that could not be read at all; the socket stays open."""

    message: str
    code: str


PUSHES: list[type[Event]] = [
    Connected,
    Resync,
    ActiveSessionUpdate,
    SessionStartedUpdate,
    MeterValueUpdate,
    SessionStoppedUpdate,
    SessionCompletedUpdate,
    SessionErrorUpdate,
    CommandUpdate,
    ReservationUpdate,
    ChargerStatusChanged,
    ChargerConfigurationChanged,
    ChargerMaintenanceChanged,
    ChargerStatusUpdate,
    ChargerListUpdate,
    Notification,
    TokenExpiring,
    Closing,
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
