"""Written by docs/clients/generate.py from docs/openapi.yaml; not by hand."""

from __future__ import annotations

from typing import Literal, NotRequired, TypedDict


class Charger(TypedDict):
    """`status` is the map's word, `ocpp_status` the charger's own. What only operators see is null for
    drivers.
    """

    charger_id: str
    station_id: int | None
    station_name: str | None
    status: ChargerStatusEnum
    connected: bool
    last_seen_at: str | None
    total_connectors: int
    available_connectors: int
    display: str | None
    is_under_maintenance: bool
    connectors: list[Connector]
    registration: RegistrationEnum
    ocpp_status: str | None
    error_code: str | None
    ocpp_version: str | None
    vendor: str | None
    model: str | None
    serial_number: str | None
    firmware_version: str | None
    connected_at: str | None
    booted_at: str | None
    created_at: str


class ChartPoint(TypedDict):
    """What was known at one moment: delivered so far (kWh), power (kW), the car's charge (%)."""

    at: str
    energy_kwh: float | None
    power_kw: float | None
    soc: float | None


class Connector(TypedDict):
    """`status` is OCPP's word, or `Offline`, since then; the charger last told of it at `updated_at`."""

    connector_id: int
    status: str | None
    error_code: str | None
    info: str | None
    vendor_error_code: str | None
    since: str | None
    updated_at: str | None
    stuck: ConnectorStuckEnum | NullEnum | None


class Customer(TypedDict):
    """Who charged; of a deleted account the number that is left of it."""

    name: str
    email: str | None


class Failure(TypedDict):
    """`error` is for a person, `code` for the program, `message` has the detail."""

    success: SuccessEnum
    error: str
    code: str
    message: str
    retry_after: NotRequired[float]


class Holder(TypedDict):
    """Whose token it is."""

    user_id: int
    username: str
    expires_at: str


class HolderAnswer(TypedDict):
    success: bool
    data: Holder


class Line(TypedDict):
    """A step of the tariff, or (without a quantity) what rounding or a person's decision adds or takes
    off.

    `quantity` is in kWh, minutes (to four digits; the amount is of the exact seconds) or sessions.
    """

    kind: LineKindEnum
    quantity: float | None
    unit: str | None
    unit_price: float | None
    amount: float


class LoggedOut(TypedDict):
    """How many log-ins ended; 0 if it had ended before."""

    ended: int


class LoggedOutAnswer(TypedDict):
    success: bool
    data: LoggedOut


class MeterValue(TypedDict):
    """`register_*` is what the meter showed, `energy_*` what had been delivered by then."""

    measured_at: str
    received_at: str
    connector_id: int
    context: str | None
    register_wh: int | None
    register_kwh: float | None
    energy_wh: int | None
    energy_kwh: float | None
    power_w: float | None
    current_a: float | None
    voltage_v: float | None
    soc_percent: float | None


class Operator(TypedDict):
    """Who sells; as the installation has it."""

    name: str
    address: str
    tax_id: str


class PaginatedChargerList(TypedDict):
    count: int
    next: NotRequired[str | None]
    previous: NotRequired[str | None]
    results: list[Charger]


class PaginatedMeterValueList(TypedDict):
    count: int
    next: NotRequired[str | None]
    previous: NotRequired[str | None]
    results: list[MeterValue]


class PaginatedSessionList(TypedDict):
    count: int
    next: NotRequired[str | None]
    previous: NotRequired[str | None]
    results: list[Session]


class PaginatedStationList(TypedDict):
    count: int
    next: NotRequired[str | None]
    previous: NotRequired[str | None]
    results: list[Station]


class Receipt(TypedDict):
    """The lines add up to `gross`. Prices include the tax; without a rate `net` and `tax` are null.

    `issued_at`: when it came to these figures, at the end or by the last change. `…_local` is in
    `time_zone`.
    """

    number: str
    revision: int
    corrected: bool
    issued_at: str
    session_id: int
    operator: Operator
    customer: Customer | None
    charger_id: str
    connector_id: int | None
    station_name: str | None
    station_address: str | None
    started_at: str | None
    stopped_at: str
    time_zone: str
    started_at_local: str | None
    stopped_at_local: str
    duration_s: int
    energy_kwh: float | None
    meter_start_kwh: float | None
    meter_stop_kwh: float | None
    lines: list[Line]
    currency: str
    tax_percent: float | None
    net: float | None
    tax: float | None
    gross: float


class Session(TypedDict):
    """Of a running session the figures of its newest readings, of an ended one its totals.

    `energy_*` is what was delivered; `meter_*` are the meter's registers. `stale`: the charger is not
    connected.
    """

    id: int
    status: SessionStatusEnum
    user_id: int | None
    charger_id: str
    connector_id: int | None
    station_id: int | None
    station_name: str | None
    transaction_id: int | None
    message_id: str | None
    id_tag: str
    requested_at: str | None
    started_at: str | None
    stopped_at: str | None
    stop_reason: str | None
    duration_s: int
    meter_start_wh: int | None
    meter_stop_wh: int | None
    energy_wh: int | None
    energy_kwh: float | None
    power_w: float | None
    current_a: float | None
    voltage_v: float | None
    soc_percent: float | None
    measured_at: str | None
    cost: float | None
    currency: str | None
    price_per_kwh: float | None
    price_per_minute: float | None
    price_per_session: float | None
    error_code: str | None
    error_message: str | None
    flags: list[str]
    stale: bool


class SessionChart(TypedDict):
    """The course of a session, the oldest point first."""

    session_id: int
    points: list[ChartPoint]


class Station(TypedDict):
    """A place, its free connectors and its chargers."""

    id: int
    name: str
    address: str | None
    latitude: float | None
    longitude: float | None
    is_under_maintenance: bool
    maintenance_reason: str | None
    total_connectors: int
    available_connectors: int
    display: str | None
    chargers: list[StationCharger]


class StationCharger(TypedDict):
    """In brief; the rest is at /api/chargers/."""

    charger_id: str
    status: StationChargerStatusEnum
    connected: bool
    display: str | None


class Tokens(TypedDict):
    """The access token opens the socket and the API; the refresh token gets the next access token."""

    access: str
    refresh: str


ChargerStatusEnum = Literal["available", "in_use", "unavailable"]

ConnectorStuckEnum = Literal["not_started", "not_unplugged"]

LineKindEnum = Literal["cancellation", "correction", "energy", "rounding", "session", "time"]

NullEnum = Literal[None]

RegistrationEnum = Literal["Accepted", "Pending", "Rejected"]

SessionStatusEnum = Literal["pending", "active", "stopping", "completed", "failed"]

StationChargerStatusEnum = Literal["available", "in_use", "unavailable"]

SuccessEnum = Literal[False]
