"""Written by docs/clients/generate.py from docs/asyncapi.json; not by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NotRequired, TypedDict, overload


class ActiveSession(TypedDict):
    success: Literal[True]
    session: SessionState | None


class ActiveSessionUpdate(TypedDict):
    """The user's active session: after connecting, and whenever it appears, changes its state or ends."""

    type: Literal["active_session_update"]
    timestamp: str
    seq: int
    has_active_session: bool
    data: SessionState | None


class Availability(TypedDict):
    """`display` is "free/total", null where the charger cannot be used. `status_at`: when any of it last
    changed;
    `last_seen`: when the charger was last known to be there.
    """

    connected: bool
    last_seen: str | None
    status_at: str | None
    total_connectors: int
    available_connectors: int
    connectors_in_use: int
    connectors_unavailable: int
    display: str | None
    connector_status: list[ConnectorState]
    station_status: Literal["available", "in_use", "unavailable"]
    is_under_maintenance: bool
    maintenance_reason: str | None
    timestamp: str


class BoundingBox(TypedDict):
    """An area of the map, from west to east; it crosses the 180th meridian where west > east."""

    south: float
    west: float
    north: float
    east: float


class CancelReservation(TypedDict):
    """Keep it no longer."""

    reservation_id: int


class ChargerConfigurationChanged(TypedDict):
    """The charger took a new value for one of its configuration keys."""

    type: Literal["charger_update"]
    timestamp: str
    charger_id: str
    event: Literal["configuration_changed"]
    data: ConfigurationChange


class ChargerList(TypedDict):
    chargers: list[ListedStation]


class ChargerListUpdate(TypedDict):
    """Chargers were added or removed; grouped by station."""

    type: Literal["charger_list_update"]
    timestamp: str
    action: Literal["added", "removed"]
    data: ChargerList


class ChargerMaintenanceChanged(TypedDict):
    """The charger's station went into maintenance, or came back."""

    type: Literal["charger_update"]
    timestamp: str
    charger_id: str
    event: Literal["maintenance_mode"]
    data: MaintenanceChange


class ChargerState(TypedDict):
    """`status` is the map's word, as it is since `status_at`; OCPP's words are in `connectors`."""

    charger_id: str
    status: Literal["available", "in_use", "unavailable"]
    status_at: str | None
    connected: bool
    last_seen: str | None
    connectors: list[ConnectorState]
    total_connectors: int
    available_connectors: int
    display: str | None
    is_under_maintenance: bool
    station: StationState | None
    vendor: str | None
    model: str | None


class ChargerStatus(TypedDict):
    """One charger."""

    charger_id: str
    status: Literal["available", "in_use", "unavailable"]
    status_at: str | None
    connected: bool
    last_seen: str | None
    connectors: list[ConnectorState]
    total_connectors: int
    available_connectors: int
    display: str | None
    is_under_maintenance: bool
    station: StationState | None
    vendor: str | None
    model: str | None
    success: Literal[True]


class ChargerStatusChanged(TypedDict):
    """A status changed: of the charger (`status_changed`), of a connector, or an error appeared."""

    type: Literal["charger_update"]
    timestamp: str
    charger_id: str
    event: Literal["connector_status_changed", "error", "status_changed"]
    data: StatusChange


class ChargerStatusUpdate(TypedDict):
    """The charger's whole availability, for the colour of a pin."""

    type: Literal["charger_status_update"]
    timestamp: str
    station_id: int | None
    charger_id: str
    status: Literal["available", "in_use", "unavailable"]
    data: Availability


class Chargers(TypedDict):
    success: Literal[True]
    chargers: list[ChargerState]
    next_cursor: str | None


class ChartPoint(TypedDict):
    """What was known at one moment: delivered so far (kWh), power (kW), the car's charge (%)."""

    at: str
    energy_kwh: float | None
    power_kw: float | None
    soc: float | None


class Closing(TypedDict):
    """The last message, before a close after which the client is to come back: in `retry_after` seconds,
    which differ
    from client to client, with this `last_seq` (null: it had not begun).
    """

    type: Literal["closing"]
    timestamp: str
    code: int
    reason: str
    retry_after: float
    last_seq: int | None


class CommandUpdate(TypedDict):
    """What becomes of something the user asked of a charger. `effective`: charging began, or has ended;
    `unknown`: the
    charger did not answer, and may do it all the same. `code` is one of the error codes, null where
    nothing is wrong;
    `session_id` is null where it is about a reservation.
    """

    type: Literal["command_update"]
    timestamp: str
    seq: int
    command_id: str
    session_id: int | None
    charger_id: str
    connector_id: int | None
    command: Literal["cancel_reservation", "reserve", "start_charging", "stop_charging"]
    state: Literal["accepted", "effective", "failed", "queued", "rejected", "sent", "timed_out", "unknown"]
    code: str | None
    message: str


class ConfigurationChange(TypedDict):
    key: str
    value: str
    timestamp: str


class Connected(TypedDict):
    """The first message of every socket. The state follows at once, as `active_session_update`."""

    type: Literal["connected"]
    timestamp: str
    userId: int
    seq: int
    resume: Literal["replayed", "resync"] | None
    reservations: list[ReservationState]
    protocol_version: str
    server_time: str


class ConnectorState(TypedDict):
    """`status` is OCPP's word, `Offline` while the charger is not connected, null while it has not said.

    It has been so `since` then; the charger last told of it at `updated_at`. `stuck`: in use for long
    without charging,
    since nobody started (`not_started`), or a car that is done was not unplugged (`not_unplugged`).
    """

    connector_id: int
    status: str | None
    error_code: str | None
    since: str | None
    updated_at: str | None
    stuck: Literal["not_started", "not_unplugged"] | None


class ErrorMessage(TypedDict):
    """A message that could not be read at all; the socket stays open."""

    type: Literal["error"]
    timestamp: str
    message: str
    code: Literal[
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


class Failure(TypedDict):
    """`error` is for a person, `code` for the program, `message` has the detail."""

    success: Literal[False]
    error: str
    code: Literal[
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
    message: str
    retry_after: NotRequired[float]


class GetActiveSession(TypedDict):
    """The user's active session, or null."""


class GetChargerStatus(TypedDict):
    """One charger as it is now."""

    charger_id: str


class GetReservations(TypedDict):
    """The user's open reservations."""


class GetSession(TypedDict):
    """One of the user's sessions; with `points` its course for a chart, in so many at most."""

    session_id: int
    points: NotRequired[int | None]


class GetWatches(TypedDict):
    """What the user waits for."""


class ListChargers(TypedDict):
    """Chargers, by identity; `cursor` is the `next_cursor` of the page before."""

    status: NotRequired[Literal["available", "in_use", "unavailable"] | None]
    station_id: NotRequired[int | None]
    near: NotRequired[Near | None]
    bbox: NotRequired[BoundingBox | None]
    search: NotRequired[str | None]
    limit: NotRequired[int]
    cursor: NotRequired[str | None]


class ListSessions(TypedDict):
    """The user's sessions, the newest first; `cursor` is the `next_cursor` of the page before."""

    status: NotRequired[Literal["active", "completed", "failed", "pending", "stopping"] | None]
    charger_id: NotRequired[str | None]
    started_after: NotRequired[str | None]
    started_before: NotRequired[str | None]
    limit: NotRequired[int]
    cursor: NotRequired[str | None]


class ListedCharger(TypedDict):
    charger_id: str
    status: Literal["available", "in_use", "unavailable"]
    status_at: str | None
    connected: bool
    last_seen: str | None
    display: str | None
    connectors: list[ConnectorState]


class ListedStation(TypedDict):
    station_id: int | None
    station_name: str | None
    location: Location | None
    chargers: list[ListedCharger]
    total_connectors: int
    available_connectors: int
    display: str | None


class Location(TypedDict):
    latitude: float | None
    longitude: float | None
    address: str | None


class MaintenanceChange(TypedDict):
    is_under_maintenance: bool
    maintenance_reason: str | None
    timestamp: str


class MeterValue(TypedDict):
    """One tick. `timestamp` is the charger's."""

    charger_id: str
    connector_id: int
    station_id: int | None
    station_name: str | None
    station_address: str | None
    energy_delivered: float | None
    energy_consumed: float | None
    energy_consumed_unit: Literal["kWh"]
    power: float | None
    output_power: float | None
    output_power_unit: Literal["kW"]
    voltage: float | None
    current: float | None
    meter_value: int | None
    charge_percentage: float | None
    time_remaining: int | None
    time_remaining_display: str | None
    charging_duration: int
    charging_duration_display: str
    cost: float | None
    cost_currency: str | None
    timestamp: str


class MeterValueUpdate(TypedDict):
    """A new meter reading."""

    type: Literal["session_update"]
    timestamp: str
    seq: int
    session_id: int
    transaction_id: int | None
    event: Literal["meter_value"]
    data: MeterValue


class Near(TypedDict):
    latitude: float
    longitude: float
    radius_km: NotRequired[float]


class Notification(TypedDict):
    """For a person: charging started, stopped, failed; an operator's message."""

    type: Literal["notification"]
    timestamp: str
    seq: int
    title: str
    message: str
    data: dict[str, Any]


class Ping(TypedDict):
    """Is anybody there? For clients that cannot send WebSocket pings, such as browsers."""


class Pong(TypedDict):
    success: Literal[True]
    server_time: str


class RefreshToken(TypedDict):
    """Go on with a fresh access token of the same user, on the open socket."""

    token: str


class ReservationState(TypedDict):
    """A reservation as it stands. `connector_id` is null where any connector is meant; `message` says why
    it ended;
    `seconds_left` is null once it is over.
    """

    reservation_id: int
    charger_id: str
    connector_id: int | None
    station_id: int | None
    status: Literal["active", "cancelled", "ended", "expired", "rejected", "requested", "used"]
    expires_at: str
    seconds_left: int | None
    session_id: int | None
    message: str | None


class ReservationUpdate(TypedDict):
    """A reservation of the user's `changed`: it was made or used, or is over (cancelled, expired, out of
    order); or a
    `countdown`: it will expire soon.
    """

    type: Literal["reservation_update"]
    timestamp: str
    seq: int
    event: Literal["changed", "countdown"]
    data: ReservationState


class Reservations(TypedDict):
    success: Literal[True]
    reservations: list[ReservationState]


class Reserve(TypedDict):
    """Keep a connector free, this or one that is, for so many minutes (15) or until then. Answered as a
    start is.
    """

    charger_id: str
    connector_id: NotRequired[int | None]
    minutes: NotRequired[int | None]
    expires_at: NotRequired[str | None]
    client_ref: NotRequired[str | None]


class Reserved(TypedDict):
    """The reservation as it is now."""

    success: Literal[True]
    reservation: ReservationState


class Resync(TypedDict):
    """What was missed is not kept any more. The state is here and follows; forget what you thought of it."""

    type: Literal["resync"]
    timestamp: str
    seq: int
    reservations: list[ReservationState]


class SessionCompleted(TypedDict):
    """The final totals."""

    charger_id: str
    connector_id: int | None
    meter_start: int | None
    meter_stop: int | None
    energy_delivered: float | None
    duration: int
    start_time: str | None
    stop_time: str | None
    stop_reason: str | None
    cost: float | None
    cost_currency: str | None


class SessionCompletedUpdate(TypedDict):
    """The session is closed, with its totals."""

    type: Literal["session_update"]
    timestamp: str
    seq: int
    session_id: int
    transaction_id: int | None
    event: Literal["session_completed"]
    data: SessionCompleted


class SessionDetail(TypedDict):
    """`points` is null where none were asked for; `has_receipt`: it can be had over REST."""

    success: Literal[True]
    session: SessionState
    has_receipt: bool
    points: list[ChartPoint] | None


class SessionError(TypedDict):
    code: str
    message: str


class SessionErrorUpdate(TypedDict):
    """The session did not come about."""

    type: Literal["session_update"]
    timestamp: str
    seq: int
    session_id: int
    transaction_id: int | None
    event: Literal["session_error"]
    data: SessionError


class SessionStarted(TypedDict):
    charger_id: str
    connector_id: int | None
    id_tag: str
    meter_start: int | None
    start_time: str


class SessionStartedUpdate(TypedDict):
    """The charger began a transaction."""

    type: Literal["session_update"]
    timestamp: str
    seq: int
    session_id: int
    transaction_id: int | None
    event: Literal["session_started"]
    data: SessionStarted


class SessionState(TypedDict):
    """A session as it stands. Null is unknown. `stale`: the charger is not connected, figures are its last
    ones.
    """

    session_id: int
    transaction_id: int | None
    charger_id: str
    connector_id: int | None
    station_id: int | None
    station_name: str | None
    station_address: str | None
    status: Literal["active", "completed", "failed", "pending", "stopping"]
    message_id: str | None
    id_tag: str
    requested_at: str | None
    start_time: str | None
    stop_time: str | None
    stop_reason: str | None
    duration: int
    meter_start: int | None
    meter_stop: int | None
    energy_delivered: float | None
    power: float | None
    voltage: float | None
    current: float | None
    charge_percentage: float | None
    time_remaining: int | None
    cost: float | None
    cost_currency: str | None
    error_code: str | None
    error_message: str | None
    stale: bool


class SessionStopped(TypedDict):
    charger_id: str
    connector_id: int | None
    meter_stop: int | None
    energy_delivered: float | None
    duration: int
    stop_time: str
    stop_reason: str | None


class SessionStoppedUpdate(TypedDict):
    """The charger ended the transaction."""

    type: Literal["session_update"]
    timestamp: str
    seq: int
    session_id: int
    transaction_id: int | None
    event: Literal["session_stopped"]
    data: SessionStopped


class Sessions(TypedDict):
    success: Literal[True]
    sessions: list[SessionState]
    next_cursor: str | None


class StartCharging(TypedDict):
    """Begin to charge. Answered when the charger has answered, within the command time-out."""

    charger_id: str
    connector_id: NotRequired[int]
    client_ref: NotRequired[str | None]


class Started(TypedDict):
    """`message_id` is the OCPP CALL's id; `transaction_id` is null until the charger has begun."""

    success: Literal[True]
    session_id: int
    charger_id: str
    connector_id: int | None
    message_id: str | None
    transaction_id: int | None
    status: str
    message: str


class StationState(TypedDict):
    station_id: int
    name: str
    location: Location | None
    is_under_maintenance: bool
    maintenance_reason: str | None


class StatusChange(TypedDict):
    """`connector_id` is null where the charger as a whole is meant; statuses are OCPP's words or
    `Offline`.
    """

    connector_id: int | None
    status: str | None
    previous_status: str | None
    error_code: str | None
    timestamp: str


class StopCharging(TypedDict):
    """End the user's session, at the charger named or wherever it is."""

    charger_id: NotRequired[str | None]
    client_ref: NotRequired[str | None]


class Stopped(TypedDict):
    """Figures as known now; the final ones come as `session_completed`. Energy in kWh, duration in s."""

    success: Literal[True]
    session_id: int
    charger_id: str
    connector_id: int | None
    message_id: str | None
    transaction_id: int | None
    status: str
    energy_delivered: float | None
    duration: int
    cost: float | None
    cost_currency: str | None
    message: str


class Subscribe(TypedDict):
    """Hear of chargers: by identity, by station, in an area of the map (in the place of the one before),
    or all.
    """

    charger_ids: NotRequired[list[str]]
    station_ids: NotRequired[list[int]]
    all: NotRequired[bool]
    bbox: NotRequired[BoundingBox | None]


class Subscribed(TypedDict):
    """What this socket hears of now, and how what was asked for is; events tell what changes from here on.

    Of `all` nothing is in `chargers`, else 500 at most: what is not `complete` is in `list_chargers`.
    """

    success: Literal[True]
    subscribed: dict[str, Any]
    chargers: list[ChargerState]
    complete: bool


class TokenExpiring(TypedDict):
    """The socket's token ends soon: show a fresh one by `refresh_token`, or the socket is closed."""

    type: Literal["token_expiring"]
    timestamp: str
    expires_at: str


class TokenRefreshed(TypedDict):
    """The socket stays open until then."""

    success: Literal[True]
    expires_at: str


class Unsubscribe(TypedDict):
    """Hear of them no longer. There is one area at most: `bbox` as null, true or an area ends it."""

    charger_ids: NotRequired[list[str]]
    station_ids: NotRequired[list[int]]
    all: NotRequired[bool]
    bbox: NotRequired[bool | BoundingBox | None]


class Unsubscribed(TypedDict):
    """What this socket hears of now."""

    success: Literal[True]
    subscribed: dict[str, Any]


class Unwatch(TypedDict):
    """Do not be told."""

    watch_id: int


class Watch(TypedDict):
    """Be told, once, when there is a free connector: this one, one of the charger's, or one of the
    station's.
    """

    charger_id: NotRequired[str | None]
    connector_id: NotRequired[int | None]
    station_id: NotRequired[int | None]


class WatchState(TypedDict):
    """A wish to be told when there is a free connector: this one, any of the charger's, or any of the
    station's.
    """

    watch_id: int
    charger_id: str | None
    connector_id: int | None
    station_id: int | None
    created_at: str
    expires_at: str


class Watches(TypedDict):
    """All that the user waits for."""

    success: Literal[True]
    watches: list[WatchState]


class Watching(TypedDict):
    """The watch; or, if a connector is `free` already, which one, and no watch."""

    success: Literal[True]
    free: bool
    charger_id: str | None
    connector_id: int | None
    watch: WatchState | None


Event = (
    Connected
    | Resync
    | ActiveSessionUpdate
    | SessionStartedUpdate
    | MeterValueUpdate
    | SessionStoppedUpdate
    | SessionCompletedUpdate
    | SessionErrorUpdate
    | CommandUpdate
    | ReservationUpdate
    | ChargerStatusChanged
    | ChargerConfigurationChanged
    | ChargerMaintenanceChanged
    | ChargerStatusUpdate
    | ChargerListUpdate
    | Notification
    | TokenExpiring
    | Closing
    | ErrorMessage
)

EventName = Literal[
    "connected",
    "resync",
    "active_session_update",
    "session_update",
    "session_update.session_started",
    "session_update.meter_value",
    "session_update.session_stopped",
    "session_update.session_completed",
    "session_update.session_error",
    "command_update",
    "reservation_update",
    "reservation_update.changed",
    "reservation_update.countdown",
    "charger_update",
    "charger_update.connector_status_changed",
    "charger_update.error",
    "charger_update.status_changed",
    "charger_update.configuration_changed",
    "charger_update.maintenance_mode",
    "charger_status_update",
    "charger_list_update",
    "notification",
    "token_expiring",
    "closing",
    "error",
]

ERROR_CODES = frozenset(
    [
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
)

# Actions that are known by a key of the client's when they are repeated.
WITH_CLIENT_REF: frozenset[str] = frozenset(["start_charging", "stop_charging", "reserve"])


class Actions:
    """A method for each action; what is None is left out."""

    async def act(
        self, action: str, data: dict[str, Any] | None = None, *, timeout_s: float | None = None
    ) -> Any:
        raise NotImplementedError

    async def start_charging(
        self,
        charger_id: str,
        *,
        connector_id: int | None = None,
        client_ref: str | None = None,
        timeout_s: float | None = None,
    ) -> Started:
        """Begin to charge. Answered when the charger has answered, within the command time-out."""
        data: dict[str, Any] = {
            "charger_id": charger_id,
            "connector_id": connector_id,
            "client_ref": client_ref,
        }
        given = {name: value for name, value in data.items() if value is not None}
        answer: Started = await self.act("start_charging", given, timeout_s=timeout_s)
        return answer

    async def stop_charging(
        self, *, charger_id: str | None = None, client_ref: str | None = None, timeout_s: float | None = None
    ) -> Stopped:
        """End the user's session, at the charger named or wherever it is."""
        data: dict[str, Any] = {"charger_id": charger_id, "client_ref": client_ref}
        given = {name: value for name, value in data.items() if value is not None}
        answer: Stopped = await self.act("stop_charging", given, timeout_s=timeout_s)
        return answer

    async def get_charger_status(self, charger_id: str, *, timeout_s: float | None = None) -> ChargerStatus:
        """One charger as it is now."""
        data: dict[str, Any] = {"charger_id": charger_id}
        given = {name: value for name, value in data.items() if value is not None}
        answer: ChargerStatus = await self.act("get_charger_status", given, timeout_s=timeout_s)
        return answer

    async def get_active_session(self, *, timeout_s: float | None = None) -> ActiveSession:
        """The user's active session, or null."""
        data: dict[str, Any] = {}
        given = {name: value for name, value in data.items() if value is not None}
        answer: ActiveSession = await self.act("get_active_session", given, timeout_s=timeout_s)
        return answer

    async def list_chargers(
        self,
        *,
        status: Literal["available", "in_use", "unavailable"] | None = None,
        station_id: int | None = None,
        near: Near | None = None,
        bbox: BoundingBox | None = None,
        search: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
        timeout_s: float | None = None,
    ) -> Chargers:
        """Chargers, by identity; `cursor` is the `next_cursor` of the page before."""
        data: dict[str, Any] = {
            "status": status,
            "station_id": station_id,
            "near": near,
            "bbox": bbox,
            "search": search,
            "limit": limit,
            "cursor": cursor,
        }
        given = {name: value for name, value in data.items() if value is not None}
        answer: Chargers = await self.act("list_chargers", given, timeout_s=timeout_s)
        return answer

    async def subscribe(
        self,
        *,
        charger_ids: list[str] | None = None,
        station_ids: list[int] | None = None,
        all: bool | None = None,
        bbox: BoundingBox | None = None,
        timeout_s: float | None = None,
    ) -> Subscribed:
        """Hear of chargers: by identity, by station, in an area of the map (in the place of the one before),
        or all.
        """
        data: dict[str, Any] = {
            "charger_ids": charger_ids,
            "station_ids": station_ids,
            "all": all,
            "bbox": bbox,
        }
        given = {name: value for name, value in data.items() if value is not None}
        answer: Subscribed = await self.act("subscribe", given, timeout_s=timeout_s)
        return answer

    async def unsubscribe(
        self,
        *,
        charger_ids: list[str] | None = None,
        station_ids: list[int] | None = None,
        all: bool | None = None,
        bbox: bool | BoundingBox | None = None,
        timeout_s: float | None = None,
    ) -> Unsubscribed:
        """Hear of them no longer. There is one area at most: `bbox` as null, true or an area ends it."""
        data: dict[str, Any] = {
            "charger_ids": charger_ids,
            "station_ids": station_ids,
            "all": all,
            "bbox": bbox,
        }
        given = {name: value for name, value in data.items() if value is not None}
        answer: Unsubscribed = await self.act("unsubscribe", given, timeout_s=timeout_s)
        return answer

    async def watch(
        self,
        *,
        charger_id: str | None = None,
        connector_id: int | None = None,
        station_id: int | None = None,
        timeout_s: float | None = None,
    ) -> Watching:
        """Be told, once, when there is a free connector: this one, one of the charger's, or one of the
        station's.
        """
        data: dict[str, Any] = {
            "charger_id": charger_id,
            "connector_id": connector_id,
            "station_id": station_id,
        }
        given = {name: value for name, value in data.items() if value is not None}
        answer: Watching = await self.act("watch", given, timeout_s=timeout_s)
        return answer

    async def unwatch(self, watch_id: int, *, timeout_s: float | None = None) -> Watches:
        """Do not be told."""
        data: dict[str, Any] = {"watch_id": watch_id}
        given = {name: value for name, value in data.items() if value is not None}
        answer: Watches = await self.act("unwatch", given, timeout_s=timeout_s)
        return answer

    async def get_watches(self, *, timeout_s: float | None = None) -> Watches:
        """What the user waits for."""
        data: dict[str, Any] = {}
        given = {name: value for name, value in data.items() if value is not None}
        answer: Watches = await self.act("get_watches", given, timeout_s=timeout_s)
        return answer

    async def reserve(
        self,
        charger_id: str,
        *,
        connector_id: int | None = None,
        minutes: int | None = None,
        expires_at: str | None = None,
        client_ref: str | None = None,
        timeout_s: float | None = None,
    ) -> Reserved:
        """Keep a connector free, this or one that is, for so many minutes (15) or until then. Answered as a
        start is.
        """
        data: dict[str, Any] = {
            "charger_id": charger_id,
            "connector_id": connector_id,
            "minutes": minutes,
            "expires_at": expires_at,
            "client_ref": client_ref,
        }
        given = {name: value for name, value in data.items() if value is not None}
        answer: Reserved = await self.act("reserve", given, timeout_s=timeout_s)
        return answer

    async def cancel_reservation(self, reservation_id: int, *, timeout_s: float | None = None) -> Reserved:
        """Keep it no longer."""
        data: dict[str, Any] = {"reservation_id": reservation_id}
        given = {name: value for name, value in data.items() if value is not None}
        answer: Reserved = await self.act("cancel_reservation", given, timeout_s=timeout_s)
        return answer

    async def get_reservations(self, *, timeout_s: float | None = None) -> Reservations:
        """The user's open reservations."""
        data: dict[str, Any] = {}
        given = {name: value for name, value in data.items() if value is not None}
        answer: Reservations = await self.act("get_reservations", given, timeout_s=timeout_s)
        return answer

    async def refresh_token(self, token: str, *, timeout_s: float | None = None) -> TokenRefreshed:
        """Go on with a fresh access token of the same user, on the open socket."""
        data: dict[str, Any] = {"token": token}
        given = {name: value for name, value in data.items() if value is not None}
        answer: TokenRefreshed = await self.act("refresh_token", given, timeout_s=timeout_s)
        return answer

    async def list_sessions(
        self,
        *,
        status: Literal["active", "completed", "failed", "pending", "stopping"] | None = None,
        charger_id: str | None = None,
        started_after: str | None = None,
        started_before: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
        timeout_s: float | None = None,
    ) -> Sessions:
        """The user's sessions, the newest first; `cursor` is the `next_cursor` of the page before."""
        data: dict[str, Any] = {
            "status": status,
            "charger_id": charger_id,
            "started_after": started_after,
            "started_before": started_before,
            "limit": limit,
            "cursor": cursor,
        }
        given = {name: value for name, value in data.items() if value is not None}
        answer: Sessions = await self.act("list_sessions", given, timeout_s=timeout_s)
        return answer

    async def get_session(
        self, session_id: int, *, points: int | None = None, timeout_s: float | None = None
    ) -> SessionDetail:
        """One of the user's sessions; with `points` its course for a chart, in so many at most."""
        data: dict[str, Any] = {"session_id": session_id, "points": points}
        given = {name: value for name, value in data.items() if value is not None}
        answer: SessionDetail = await self.act("get_session", given, timeout_s=timeout_s)
        return answer

    async def ping(self, *, timeout_s: float | None = None) -> Pong:
        """Is anybody there? For clients that cannot send WebSocket pings, such as browsers."""
        data: dict[str, Any] = {}
        given = {name: value for name, value in data.items() if value is not None}
        answer: Pong = await self.act("ping", given, timeout_s=timeout_s)
        return answer


class Listening:
    """`on` and `once`, by name: a type, `type.event`, or `event` for every message. `subscribed` is the
    client's own: how what is subscribed is, after a reconnect."""

    def _on(self, name: str, listener: Callable[[Any], object]) -> Callable[[], None]:
        raise NotImplementedError

    async def _once(self, name: str, where: Callable[[Any], bool], timeout_s: float | None) -> Any:
        raise NotImplementedError

    @overload
    def on(
        self, name: Literal["connected"], listener: Callable[[Connected], object]
    ) -> Callable[[], None]: ...
    @overload
    def on(self, name: Literal["resync"], listener: Callable[[Resync], object]) -> Callable[[], None]: ...
    @overload
    def on(
        self, name: Literal["active_session_update"], listener: Callable[[ActiveSessionUpdate], object]
    ) -> Callable[[], None]: ...
    @overload
    def on(
        self,
        name: Literal["session_update"],
        listener: Callable[
            [
                SessionStartedUpdate
                | MeterValueUpdate
                | SessionStoppedUpdate
                | SessionCompletedUpdate
                | SessionErrorUpdate
            ],
            object,
        ],
    ) -> Callable[[], None]: ...
    @overload
    def on(
        self,
        name: Literal["session_update.session_started"],
        listener: Callable[[SessionStartedUpdate], object],
    ) -> Callable[[], None]: ...
    @overload
    def on(
        self, name: Literal["session_update.meter_value"], listener: Callable[[MeterValueUpdate], object]
    ) -> Callable[[], None]: ...
    @overload
    def on(
        self,
        name: Literal["session_update.session_stopped"],
        listener: Callable[[SessionStoppedUpdate], object],
    ) -> Callable[[], None]: ...
    @overload
    def on(
        self,
        name: Literal["session_update.session_completed"],
        listener: Callable[[SessionCompletedUpdate], object],
    ) -> Callable[[], None]: ...
    @overload
    def on(
        self, name: Literal["session_update.session_error"], listener: Callable[[SessionErrorUpdate], object]
    ) -> Callable[[], None]: ...
    @overload
    def on(
        self, name: Literal["command_update"], listener: Callable[[CommandUpdate], object]
    ) -> Callable[[], None]: ...
    @overload
    def on(
        self, name: Literal["reservation_update"], listener: Callable[[ReservationUpdate], object]
    ) -> Callable[[], None]: ...
    @overload
    def on(
        self, name: Literal["reservation_update.changed"], listener: Callable[[ReservationUpdate], object]
    ) -> Callable[[], None]: ...
    @overload
    def on(
        self, name: Literal["reservation_update.countdown"], listener: Callable[[ReservationUpdate], object]
    ) -> Callable[[], None]: ...
    @overload
    def on(
        self,
        name: Literal["charger_update"],
        listener: Callable[
            [ChargerStatusChanged | ChargerConfigurationChanged | ChargerMaintenanceChanged], object
        ],
    ) -> Callable[[], None]: ...
    @overload
    def on(
        self,
        name: Literal["charger_update.connector_status_changed"],
        listener: Callable[[ChargerStatusChanged], object],
    ) -> Callable[[], None]: ...
    @overload
    def on(
        self, name: Literal["charger_update.error"], listener: Callable[[ChargerStatusChanged], object]
    ) -> Callable[[], None]: ...
    @overload
    def on(
        self,
        name: Literal["charger_update.status_changed"],
        listener: Callable[[ChargerStatusChanged], object],
    ) -> Callable[[], None]: ...
    @overload
    def on(
        self,
        name: Literal["charger_update.configuration_changed"],
        listener: Callable[[ChargerConfigurationChanged], object],
    ) -> Callable[[], None]: ...
    @overload
    def on(
        self,
        name: Literal["charger_update.maintenance_mode"],
        listener: Callable[[ChargerMaintenanceChanged], object],
    ) -> Callable[[], None]: ...
    @overload
    def on(
        self, name: Literal["charger_status_update"], listener: Callable[[ChargerStatusUpdate], object]
    ) -> Callable[[], None]: ...
    @overload
    def on(
        self, name: Literal["charger_list_update"], listener: Callable[[ChargerListUpdate], object]
    ) -> Callable[[], None]: ...
    @overload
    def on(
        self, name: Literal["notification"], listener: Callable[[Notification], object]
    ) -> Callable[[], None]: ...
    @overload
    def on(
        self, name: Literal["token_expiring"], listener: Callable[[TokenExpiring], object]
    ) -> Callable[[], None]: ...
    @overload
    def on(self, name: Literal["closing"], listener: Callable[[Closing], object]) -> Callable[[], None]: ...
    @overload
    def on(
        self, name: Literal["error"], listener: Callable[[ErrorMessage], object]
    ) -> Callable[[], None]: ...
    @overload
    def on(self, name: Literal["event"], listener: Callable[[Event], object]) -> Callable[[], None]: ...
    @overload
    def on(
        self, name: Literal["subscribed"], listener: Callable[[Subscribed], object]
    ) -> Callable[[], None]: ...
    def on(self, name: str, listener: Callable[[Any], object]) -> Callable[[], None]:
        """Calls the listener with each such message, in order; returns what ends it."""
        return self._on(name, listener)

    @overload
    async def once(
        self,
        name: Literal["connected"],
        *,
        where: Callable[[Connected], bool] = ...,
        timeout_s: float | None = ...,
    ) -> Connected: ...
    @overload
    async def once(
        self, name: Literal["resync"], *, where: Callable[[Resync], bool] = ..., timeout_s: float | None = ...
    ) -> Resync: ...
    @overload
    async def once(
        self,
        name: Literal["active_session_update"],
        *,
        where: Callable[[ActiveSessionUpdate], bool] = ...,
        timeout_s: float | None = ...,
    ) -> ActiveSessionUpdate: ...
    @overload
    async def once(
        self,
        name: Literal["session_update"],
        *,
        where: Callable[
            [
                SessionStartedUpdate
                | MeterValueUpdate
                | SessionStoppedUpdate
                | SessionCompletedUpdate
                | SessionErrorUpdate
            ],
            bool,
        ] = ...,
        timeout_s: float | None = ...,
    ) -> (
        SessionStartedUpdate
        | MeterValueUpdate
        | SessionStoppedUpdate
        | SessionCompletedUpdate
        | SessionErrorUpdate
    ): ...
    @overload
    async def once(
        self,
        name: Literal["session_update.session_started"],
        *,
        where: Callable[[SessionStartedUpdate], bool] = ...,
        timeout_s: float | None = ...,
    ) -> SessionStartedUpdate: ...
    @overload
    async def once(
        self,
        name: Literal["session_update.meter_value"],
        *,
        where: Callable[[MeterValueUpdate], bool] = ...,
        timeout_s: float | None = ...,
    ) -> MeterValueUpdate: ...
    @overload
    async def once(
        self,
        name: Literal["session_update.session_stopped"],
        *,
        where: Callable[[SessionStoppedUpdate], bool] = ...,
        timeout_s: float | None = ...,
    ) -> SessionStoppedUpdate: ...
    @overload
    async def once(
        self,
        name: Literal["session_update.session_completed"],
        *,
        where: Callable[[SessionCompletedUpdate], bool] = ...,
        timeout_s: float | None = ...,
    ) -> SessionCompletedUpdate: ...
    @overload
    async def once(
        self,
        name: Literal["session_update.session_error"],
        *,
        where: Callable[[SessionErrorUpdate], bool] = ...,
        timeout_s: float | None = ...,
    ) -> SessionErrorUpdate: ...
    @overload
    async def once(
        self,
        name: Literal["command_update"],
        *,
        where: Callable[[CommandUpdate], bool] = ...,
        timeout_s: float | None = ...,
    ) -> CommandUpdate: ...
    @overload
    async def once(
        self,
        name: Literal["reservation_update"],
        *,
        where: Callable[[ReservationUpdate], bool] = ...,
        timeout_s: float | None = ...,
    ) -> ReservationUpdate: ...
    @overload
    async def once(
        self,
        name: Literal["reservation_update.changed"],
        *,
        where: Callable[[ReservationUpdate], bool] = ...,
        timeout_s: float | None = ...,
    ) -> ReservationUpdate: ...
    @overload
    async def once(
        self,
        name: Literal["reservation_update.countdown"],
        *,
        where: Callable[[ReservationUpdate], bool] = ...,
        timeout_s: float | None = ...,
    ) -> ReservationUpdate: ...
    @overload
    async def once(
        self,
        name: Literal["charger_update"],
        *,
        where: Callable[
            [ChargerStatusChanged | ChargerConfigurationChanged | ChargerMaintenanceChanged], bool
        ] = ...,
        timeout_s: float | None = ...,
    ) -> ChargerStatusChanged | ChargerConfigurationChanged | ChargerMaintenanceChanged: ...
    @overload
    async def once(
        self,
        name: Literal["charger_update.connector_status_changed"],
        *,
        where: Callable[[ChargerStatusChanged], bool] = ...,
        timeout_s: float | None = ...,
    ) -> ChargerStatusChanged: ...
    @overload
    async def once(
        self,
        name: Literal["charger_update.error"],
        *,
        where: Callable[[ChargerStatusChanged], bool] = ...,
        timeout_s: float | None = ...,
    ) -> ChargerStatusChanged: ...
    @overload
    async def once(
        self,
        name: Literal["charger_update.status_changed"],
        *,
        where: Callable[[ChargerStatusChanged], bool] = ...,
        timeout_s: float | None = ...,
    ) -> ChargerStatusChanged: ...
    @overload
    async def once(
        self,
        name: Literal["charger_update.configuration_changed"],
        *,
        where: Callable[[ChargerConfigurationChanged], bool] = ...,
        timeout_s: float | None = ...,
    ) -> ChargerConfigurationChanged: ...
    @overload
    async def once(
        self,
        name: Literal["charger_update.maintenance_mode"],
        *,
        where: Callable[[ChargerMaintenanceChanged], bool] = ...,
        timeout_s: float | None = ...,
    ) -> ChargerMaintenanceChanged: ...
    @overload
    async def once(
        self,
        name: Literal["charger_status_update"],
        *,
        where: Callable[[ChargerStatusUpdate], bool] = ...,
        timeout_s: float | None = ...,
    ) -> ChargerStatusUpdate: ...
    @overload
    async def once(
        self,
        name: Literal["charger_list_update"],
        *,
        where: Callable[[ChargerListUpdate], bool] = ...,
        timeout_s: float | None = ...,
    ) -> ChargerListUpdate: ...
    @overload
    async def once(
        self,
        name: Literal["notification"],
        *,
        where: Callable[[Notification], bool] = ...,
        timeout_s: float | None = ...,
    ) -> Notification: ...
    @overload
    async def once(
        self,
        name: Literal["token_expiring"],
        *,
        where: Callable[[TokenExpiring], bool] = ...,
        timeout_s: float | None = ...,
    ) -> TokenExpiring: ...
    @overload
    async def once(
        self,
        name: Literal["closing"],
        *,
        where: Callable[[Closing], bool] = ...,
        timeout_s: float | None = ...,
    ) -> Closing: ...
    @overload
    async def once(
        self,
        name: Literal["error"],
        *,
        where: Callable[[ErrorMessage], bool] = ...,
        timeout_s: float | None = ...,
    ) -> ErrorMessage: ...
    @overload
    async def once(
        self, name: Literal["event"], *, where: Callable[[Event], bool] = ..., timeout_s: float | None = ...
    ) -> Event: ...
    @overload
    async def once(
        self,
        name: Literal["subscribed"],
        *,
        where: Callable[[Subscribed], bool] = ...,
        timeout_s: float | None = ...,
    ) -> Subscribed: ...
    async def once(
        self,
        name: str,
        *,
        where: Callable[[Any], bool] = lambda message: True,
        timeout_s: float | None = None,
    ) -> Any:
        """The next such message."""
        return await self._once(name, where, timeout_s)
