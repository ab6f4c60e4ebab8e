// Written by docs/clients/generate.py from docs/openapi.yaml; not by hand.

/** `status` is the map's word, `ocpp_status` the charger's own. What only operators see is null for drivers. */
export interface Charger {
  /** The OCPP identity */
  charger_id: string;
  station_id: number | null;
  station_name: string | null;
  status: ChargerStatusEnum;
  connected: boolean;
  last_seen_at: string | null;
  total_connectors: number;
  available_connectors: number;
  /** free/total */
  display: string | null;
  is_under_maintenance: boolean;
  connectors: Connector[];
  registration: RegistrationEnum;
  ocpp_status: string | null;
  error_code: string | null;
  ocpp_version: string | null;
  vendor: string | null;
  model: string | null;
  serial_number: string | null;
  firmware_version: string | null;
  connected_at: string | null;
  booted_at: string | null;
  created_at: string;
}

/**
 * * `available` - available
 * * `in_use` - in_use
 * * `unavailable` - unavailable
 */
export type ChargerStatusEnum = "available" | "in_use" | "unavailable";

/** What was known at one moment: delivered so far (kWh), power (kW), the car's charge (%). */
export interface ChartPoint {
  at: string;
  energy_kwh: number | null;
  power_kw: number | null;
  soc: number | null;
}

/** `status` is OCPP's word, or `Offline`, since then; the charger last told of it at `updated_at`. */
export interface Connector {
  connector_id: number;
  status: string | null;
  error_code: string | null;
  info: string | null;
  vendor_error_code: string | null;
  since: string | null;
  updated_at: string | null;
  stuck: ConnectorStuckEnum | NullEnum | null;
}

/**
 * * `not_started` - not_started
 * * `not_unplugged` - not_unplugged
 */
export type ConnectorStuckEnum = "not_started" | "not_unplugged";

/** Who charged; of a deleted account the number that is left of it. */
export interface Customer {
  name: string;
  email: string | null;
}

/** `error` is for a person, `code` for the program, `message` has the detail. */
export interface Failure {
  success: SuccessEnum;
  error: string;
  code: string;
  message: string;
  /** Seconds to wait before trying again, with `rate_limited` */
  retry_after?: number;
}

/** Whose token it is. */
export interface Holder {
  user_id: number;
  username: string;
  expires_at: string;
}

export interface HolderAnswer {
  success: boolean;
  data: Holder;
}

/**
 * A step of the tariff, or (without a quantity) what rounding or a person's decision adds or takes off.
 *
 * `quantity` is in kWh, minutes (to four digits; the amount is of the exact seconds) or sessions.
 */
export interface Line {
  kind: LineKindEnum;
  quantity: number | null;
  unit: string | null;
  unit_price: number | null;
  amount: number;
}

export type LineKindEnum = "cancellation" | "correction" | "energy" | "rounding" | "session" | "time";

/** How many log-ins ended; 0 if it had ended before. */
export interface LoggedOut {
  ended: number;
}

export interface LoggedOutAnswer {
  success: boolean;
  data: LoggedOut;
}

/** `register_*` is what the meter showed, `energy_*` what had been delivered by then. */
export interface MeterValue {
  measured_at: string;
  received_at: string;
  connector_id: number;
  context: string | null;
  register_wh: number | null;
  register_kwh: number | null;
  energy_wh: number | null;
  energy_kwh: number | null;
  power_w: number | null;
  current_a: number | null;
  voltage_v: number | null;
  soc_percent: number | null;
}

export type NullEnum = null;

/** Who sells; as the installation has it. */
export interface Operator {
  name: string;
  address: string;
  tax_id: string;
}

export interface PaginatedChargerList {
  count: number;
  next?: string | null;
  previous?: string | null;
  results: Charger[];
}

export interface PaginatedMeterValueList {
  count: number;
  next?: string | null;
  previous?: string | null;
  results: MeterValue[];
}

export interface PaginatedSessionList {
  count: number;
  next?: string | null;
  previous?: string | null;
  results: Session[];
}

export interface PaginatedStationList {
  count: number;
  next?: string | null;
  previous?: string | null;
  results: Station[];
}

/**
 * The lines add up to `gross`. Prices include the tax; without a rate `net` and `tax` are null.
 *
 * `issued_at`: when it came to these figures, at the end or by the last change. `…_local` is in `time_zone`.
 */
export interface Receipt {
  number: string;
  revision: number;
  corrected: boolean;
  issued_at: string;
  session_id: number;
  operator: Operator;
  customer: Customer | null;
  charger_id: string;
  connector_id: number | null;
  station_name: string | null;
  station_address: string | null;
  started_at: string | null;
  stopped_at: string;
  time_zone: string;
  started_at_local: string | null;
  stopped_at_local: string;
  duration_s: number;
  energy_kwh: number | null;
  meter_start_kwh: number | null;
  meter_stop_kwh: number | null;
  lines: Line[];
  currency: string;
  tax_percent: number | null;
  net: number | null;
  tax: number | null;
  gross: number;
}

/**
 * * `Accepted` - Accepted
 * * `Pending` - Pending
 * * `Rejected` - Rejected
 */
export type RegistrationEnum = "Accepted" | "Pending" | "Rejected";

/**
 * Of a running session the figures of its newest readings, of an ended one its totals.
 *
 * `energy_*` is what was delivered; `meter_*` are the meter's registers. `stale`: the charger is not connected.
 */
export interface Session {
  id: number;
  status: SessionStatusEnum;
  user_id: number | null;
  charger_id: string;
  connector_id: number | null;
  station_id: number | null;
  station_name: string | null;
  transaction_id: number | null;
  /** The OCPP CALL that began it */
  message_id: string | null;
  id_tag: string;
  requested_at: string | null;
  started_at: string | null;
  stopped_at: string | null;
  stop_reason: string | null;
  duration_s: number;
  meter_start_wh: number | null;
  meter_stop_wh: number | null;
  energy_wh: number | null;
  energy_kwh: number | null;
  power_w: number | null;
  current_a: number | null;
  voltage_v: number | null;
  soc_percent: number | null;
  /** Time of the newest reading */
  measured_at: string | null;
  /** In `currency`; so far, while the session runs */
  cost: number | null;
  currency: string | null;
  price_per_kwh: number | null;
  price_per_minute: number | null;
  price_per_session: number | null;
  error_code: string | null;
  error_message: string | null;
  flags: string[];
  stale: boolean;
}

/** The course of a session, the oldest point first. */
export interface SessionChart {
  session_id: number;
  points: ChartPoint[];
}

/**
 * * `pending` - Pending
 * * `active` - Active
 * * `stopping` - Stopping
 * * `completed` - Completed
 * * `failed` - Failed
 */
export type SessionStatusEnum = "pending" | "active" | "stopping" | "completed" | "failed";

/** A place, its free connectors and its chargers. */
export interface Station {
  id: number;
  name: string;
  address: string | null;
  latitude: number | null;
  longitude: number | null;
  is_under_maintenance: boolean;
  maintenance_reason: string | null;
  total_connectors: number;
  available_connectors: number;
  /** free/total */
  display: string | null;
  chargers: StationCharger[];
}

/** In brief; the rest is at /api/chargers/. */
export interface StationCharger {
  charger_id: string;
  status: StationChargerStatusEnum;
  connected: boolean;
  display: string | null;
}

export type StationChargerStatusEnum = "available" | "in_use" | "unavailable";

export type SuccessEnum = false;

/** The access token opens the socket and the API; the refresh token gets the next access token. */
export interface Tokens {
  access: string;
  refresh: string;
}
