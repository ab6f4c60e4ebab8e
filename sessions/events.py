"""What a driver hears of charging. Energy in kWh, power in kW, money as a number with its currency."""

from datetime import datetime
from decimal import Decimal
from typing import Literal

import msgspec

from chargers.events import UserEvent


class SessionState(msgspec.Struct, kw_only=True, frozen=True):
    """A session as it stands. Null is unknown. `stale`: the charger is not connected, figures are its last ones."""

    session_id: int
    transaction_id: int | None
    charger_id: str
    connector_id: int | None
    station_id: int | None
    station_name: str | None
    station_address: str | None
    status: Literal["pending", "active", "stopping", "completed", "failed"]
    message_id: str | None
    id_tag: str
    requested_at: datetime | None
    start_time: datetime | None
    stop_time: datetime | None
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
    cost: Decimal | None
    cost_currency: str | None
    error_code: str | None
    error_message: str | None
    stale: bool


class ActiveSessionUpdate(UserEvent, kw_only=True, frozen=True, tag="active_session_update"):
    """The user's active session: after connecting, and whenever it appears, changes its state or ends."""

    has_active_session: bool
    data: SessionState | None


class SessionStarted(msgspec.Struct, kw_only=True, frozen=True):
    charger_id: str
    connector_id: int | None
    id_tag: str
    meter_start: int | None
    start_time: datetime


class MeterValue(msgspec.Struct, kw_only=True, frozen=True):
    """One tick. `timestamp` is the charger's."""

    charger_id: str
    connector_id: int
    station_id: int | None
    station_name: str | None
    station_address: str | None
    energy_delivered: float | None
    energy_consumed: float | None
    energy_consumed_unit: Literal["kWh"] = "kWh"
    power: float | None
    output_power: float | None
    output_power_unit: Literal["kW"] = "kW"
    voltage: float | None
    current: float | None
    meter_value: int | None
    charge_percentage: float | None
    time_remaining: int | None
    time_remaining_display: str | None
    charging_duration: int
    charging_duration_display: str
    cost: Decimal | None
    cost_currency: str | None
    timestamp: datetime


class SessionStopped(msgspec.Struct, kw_only=True, frozen=True):
    charger_id: str
    connector_id: int | None
    meter_stop: int | None
    energy_delivered: float | None
    duration: int
    stop_time: datetime
    stop_reason: str | None


class SessionCompleted(msgspec.Struct, kw_only=True, frozen=True):
    """The final totals."""

    charger_id: str
    connector_id: int | None
    meter_start: int | None
    meter_stop: int | None
    energy_delivered: float | None
    duration: int
    start_time: datetime | None
    stop_time: datetime | None
    stop_reason: str | None
    cost: Decimal | None
    cost_currency: str | None


class SessionError(msgspec.Struct, kw_only=True, frozen=True):
    code: str
    message: str


class SessionUpdate(UserEvent, kw_only=True, frozen=True, tag="session_update"):
    """Something happened to one session of the user."""

    session_id: int
    transaction_id: int | None


class SessionStartedUpdate(SessionUpdate, kw_only=True, frozen=True, tag="session_update"):
    """The charger began a transaction."""

    event: Literal["session_started"] = "session_started"
    data: SessionStarted


class MeterValueUpdate(SessionUpdate, kw_only=True, frozen=True, tag="session_update"):
    """A new meter reading."""

    event: Literal["meter_value"] = "meter_value"
    data: MeterValue


class SessionStoppedUpdate(SessionUpdate, kw_only=True, frozen=True, tag="session_update"):
    """The charger ended the transaction."""

    event: Literal["session_stopped"] = "session_stopped"
    data: SessionStopped


class SessionCompletedUpdate(SessionUpdate, kw_only=True, frozen=True, tag="session_update"):
    """The session is closed, with its totals."""

    event: Literal["session_completed"] = "session_completed"
    data: SessionCompleted


class SessionErrorUpdate(SessionUpdate, kw_only=True, frozen=True, tag="session_update"):
    """The session did not come about."""

    event: Literal["session_error"] = "session_error"
    data: SessionError


class CommandUpdate(UserEvent, kw_only=True, frozen=True, tag="command_update"):
    """What becomes of something the user asked of a charger. `effective`: charging began, or has ended; `unknown`: the
    charger did not answer, and may do it all the same. `code` is one of the error codes, null where nothing is wrong;
    `session_id` is null where it is about a reservation."""

    command_id: str
    session_id: int | None
    charger_id: str
    connector_id: int | None
    command: Literal["start_charging", "stop_charging", "reserve", "cancel_reservation"]
    state: Literal["queued", "sent", "accepted", "effective", "rejected", "failed", "timed_out", "unknown"]
    code: str | None
    message: str


class ReservationState(msgspec.Struct, kw_only=True, frozen=True):
    """A reservation as it stands. `connector_id` is null where any connector is meant; `message` says why it ended;
    `seconds_left` is null once it is over."""

    reservation_id: int
    charger_id: str
    connector_id: int | None
    station_id: int | None
    status: Literal["requested", "active", "rejected", "used", "cancelled", "expired", "ended"]
    expires_at: datetime
    seconds_left: int | None
    session_id: int | None
    message: str | None


class ReservationUpdate(UserEvent, kw_only=True, frozen=True, tag="reservation_update"):
    """A reservation of the user's `changed`: it was made or used, or is over (cancelled, expired, out of order); or a
    `countdown`: it will expire soon."""

    event: Literal["changed", "countdown"] = "changed"
    data: ReservationState


class WatchState(msgspec.Struct, kw_only=True, frozen=True):
    """A wish to be told when there is a free connector: this one, any of the charger's, or any of the station's."""

    watch_id: int
    charger_id: str | None
    connector_id: int | None
    station_id: int | None
    created_at: datetime
    expires_at: datetime
