export interface ActiveSession {
    success: true;
    session: SessionState | null;
}
/** The user's active session: after connecting, and whenever it appears, changes its state or ends. */
export interface ActiveSessionUpdate {
    type: "active_session_update";
    timestamp: string;
    seq: number;
    has_active_session: boolean;
    data: SessionState | null;
}
/**
 * `display` is "free/total", null where the charger cannot be used. `status_at`: when any of it last changed;
 * `last_seen`: when the charger was last known to be there.
 */
export interface Availability {
    connected: boolean;
    last_seen: string | null;
    status_at: string | null;
    total_connectors: number;
    available_connectors: number;
    connectors_in_use: number;
    connectors_unavailable: number;
    display: string | null;
    connector_status: ConnectorState[];
    station_status: "available" | "in_use" | "unavailable";
    is_under_maintenance: boolean;
    maintenance_reason: string | null;
    timestamp: string;
}
/** An area of the map, from west to east; it crosses the 180th meridian where west > east. */
export interface BoundingBox {
    south: number;
    west: number;
    north: number;
    east: number;
}
/** Keep it no longer. */
export interface CancelReservation {
    reservation_id: number;
}
/** The charger took a new value for one of its configuration keys. */
export interface ChargerConfigurationChanged {
    type: "charger_update";
    timestamp: string;
    charger_id: string;
    event: "configuration_changed";
    data: ConfigurationChange;
}
export interface ChargerList {
    chargers: ListedStation[];
}
/** Chargers were added or removed; grouped by station. */
export interface ChargerListUpdate {
    type: "charger_list_update";
    timestamp: string;
    action: "added" | "removed";
    data: ChargerList;
}
/** The charger's station went into maintenance, or came back. */
export interface ChargerMaintenanceChanged {
    type: "charger_update";
    timestamp: string;
    charger_id: string;
    event: "maintenance_mode";
    data: MaintenanceChange;
}
/** `status` is the map's word, as it is since `status_at`; OCPP's words are in `connectors`. */
export interface ChargerState {
    charger_id: string;
    status: "available" | "in_use" | "unavailable";
    status_at: string | null;
    connected: boolean;
    last_seen: string | null;
    connectors: ConnectorState[];
    total_connectors: number;
    available_connectors: number;
    display: string | null;
    is_under_maintenance: boolean;
    station: StationState | null;
    vendor: string | null;
    model: string | null;
}
/** One charger. */
export interface ChargerStatus {
    charger_id: string;
    status: "available" | "in_use" | "unavailable";
    status_at: string | null;
    connected: boolean;
    last_seen: string | null;
    connectors: ConnectorState[];
    total_connectors: number;
    available_connectors: number;
    display: string | null;
    is_under_maintenance: boolean;
    station: StationState | null;
    vendor: string | null;
    model: string | null;
    success: true;
}
/** A status changed: of the charger (`status_changed`), of a connector, or an error appeared. */
export interface ChargerStatusChanged {
    type: "charger_update";
    timestamp: string;
    charger_id: string;
    event: "connector_status_changed" | "error" | "status_changed";
    data: StatusChange;
}
/** The charger's whole availability, for the colour of a pin. */
export interface ChargerStatusUpdate {
    type: "charger_status_update";
    timestamp: string;
    station_id: number | null;
    charger_id: string;
    status: "available" | "in_use" | "unavailable";
    data: Availability;
}
export interface Chargers {
    success: true;
    chargers: ChargerState[];
    next_cursor: string | null;
}
/** What was known at one moment: delivered so far (kWh), power (kW), the car's charge (%). */
export interface ChartPoint {
    at: string;
    energy_kwh: number | null;
    power_kw: number | null;
    soc: number | null;
}
/**
 * The last message, before a close after which the client is to come back: in `retry_after` seconds, which differ
 * from client to client, with this `last_seq` (null: it had not begun).
 */
export interface Closing {
    type: "closing";
    timestamp: string;
    code: number;
    reason: string;
    retry_after: number;
    last_seq: number | null;
}
/**
 * What becomes of something the user asked of a charger. `effective`: charging began, or has ended; `unknown`: the
 * charger did not answer, and may do it all the same. `code` is one of the error codes, null where nothing is wrong;
 * `session_id` is null where it is about a reservation.
 */
export interface CommandUpdate {
    type: "command_update";
    timestamp: string;
    seq: number;
    command_id: string;
    session_id: number | null;
    charger_id: string;
    connector_id: number | null;
    command: "cancel_reservation" | "reserve" | "start_charging" | "stop_charging";
    state: "accepted" | "effective" | "failed" | "queued" | "rejected" | "sent" | "timed_out" | "unknown";
    code: string | null;
    message: string;
}
export interface ConfigurationChange {
    key: string;
    value: string;
    timestamp: string;
}
/** The first message of every socket. The state follows at once, as `active_session_update`. */
export interface Connected {
    type: "connected";
    timestamp: string;
    userId: number;
    seq: number;
    resume: "replayed" | "resync" | null;
    reservations: ReservationState[];
    protocol_version: string;
    server_time: string;
}
/**
 * `status` is OCPP's word, `Offline` while the charger is not connected, null while it has not said.
 *
 * It has been so `since` then; the charger last told of it at `updated_at`. `stuck`: in use for long without charging,
 * since nobody started (`not_started`), or a car that is done was not unplugged (`not_unplugged`).
 */
export interface ConnectorState {
    connector_id: number;
    status: string | null;
    error_code: string | null;
    since: string | null;
    updated_at: string | null;
    stuck: "not_started" | "not_unplugged" | null;
}
/** A message that could not be read at all; the socket stays open. */
export interface ErrorMessage {
    type: "error";
    timestamp: string;
    message: string;
    code: "invalid_message" | "unknown_action" | "validation_error" | "not_found" | "charger_offline" | "charger_pending" | "connector_unavailable" | "connector_busy" | "active_session_exists" | "no_active_session" | "reservation_exists" | "reservation_not_supported" | "too_many_watches" | "charger_rejected" | "charger_timeout" | "cancelled" | "rate_limited" | "forbidden" | "unavailable" | "internal_error";
}
/** `error` is for a person, `code` for the program, `message` has the detail. */
export interface Failure {
    success: false;
    error: string;
    code: "invalid_message" | "unknown_action" | "validation_error" | "not_found" | "charger_offline" | "charger_pending" | "connector_unavailable" | "connector_busy" | "active_session_exists" | "no_active_session" | "reservation_exists" | "reservation_not_supported" | "too_many_watches" | "charger_rejected" | "charger_timeout" | "cancelled" | "rate_limited" | "forbidden" | "unavailable" | "internal_error";
    message: string;
    /** Seconds to wait before trying again, with `rate_limited` */
    retry_after?: number;
}
/** The user's active session, or null. */
export interface GetActiveSession {
}
/** One charger as it is now. */
export interface GetChargerStatus {
    /** The charger's OCPP identity */
    charger_id: string;
}
/** The user's open reservations. */
export interface GetReservations {
}
/** One of the user's sessions; with `points` its course for a chart, in so many at most. */
export interface GetSession {
    session_id: number;
    points?: number | null;
}
/** What the user waits for. */
export interface GetWatches {
}
/** Chargers, by identity; `cursor` is the `next_cursor` of the page before. */
export interface ListChargers {
    status?: "available" | "in_use" | "unavailable" | null;
    station_id?: number | null;
    near?: Near | null;
    bbox?: BoundingBox | null;
    search?: string | null;
    limit?: number;
    cursor?: string | null;
}
/** The user's sessions, the newest first; `cursor` is the `next_cursor` of the page before. */
export interface ListSessions {
    status?: "active" | "completed" | "failed" | "pending" | "stopping" | null;
    charger_id?: string | null;
    started_after?: string | null;
    started_before?: string | null;
    limit?: number;
    cursor?: string | null;
}
export interface ListedCharger {
    charger_id: string;
    status: "available" | "in_use" | "unavailable";
    status_at: string | null;
    connected: boolean;
    last_seen: string | null;
    display: string | null;
    connectors: ConnectorState[];
}
export interface ListedStation {
    station_id: number | null;
    station_name: string | null;
    location: Location | null;
    chargers: ListedCharger[];
    total_connectors: number;
    available_connectors: number;
    display: string | null;
}
export interface Location {
    latitude: number | null;
    longitude: number | null;
    address: string | null;
}
export interface MaintenanceChange {
    is_under_maintenance: boolean;
    maintenance_reason: string | null;
    timestamp: string;
}
/** One tick. `timestamp` is the charger's. */
export interface MeterValue {
    charger_id: string;
    connector_id: number;
    station_id: number | null;
    station_name: string | null;
    station_address: string | null;
    energy_delivered: number | null;
    energy_consumed: number | null;
    energy_consumed_unit: "kWh";
    power: number | null;
    output_power: number | null;
    output_power_unit: "kW";
    voltage: number | null;
    current: number | null;
    meter_value: number | null;
    charge_percentage: number | null;
    time_remaining: number | null;
    time_remaining_display: string | null;
    charging_duration: number;
    charging_duration_display: string;
    cost: number | null;
    cost_currency: string | null;
    timestamp: string;
}
/** A new meter reading. */
export interface MeterValueUpdate {
    type: "session_update";
    timestamp: string;
    seq: number;
    session_id: number;
    transaction_id: number | null;
    event: "meter_value";
    data: MeterValue;
}
export interface Near {
    latitude: number;
    longitude: number;
    radius_km?: number;
}
/** For a person: charging started, stopped, failed; an operator's message. */
export interface Notification {
    type: "notification";
    timestamp: string;
    seq: number;
    title: string;
    message: string;
    data: Record<string, unknown>;
}
/** Is anybody there? For clients that cannot send WebSocket pings, such as browsers. */
export interface Ping {
}
export interface Pong {
    success: true;
    server_time: string;
}
/** Go on with a fresh access token of the same user, on the open socket. */
export interface RefreshToken {
    /** An access token (JWT) */
    token: string;
}
/**
 * A reservation as it stands. `connector_id` is null where any connector is meant; `message` says why it ended;
 * `seconds_left` is null once it is over.
 */
export interface ReservationState {
    reservation_id: number;
    charger_id: string;
    connector_id: number | null;
    station_id: number | null;
    status: "active" | "cancelled" | "ended" | "expired" | "rejected" | "requested" | "used";
    expires_at: string;
    seconds_left: number | null;
    session_id: number | null;
    message: string | null;
}
/**
 * A reservation of the user's `changed`: it was made or used, or is over (cancelled, expired, out of order); or a
 * `countdown`: it will expire soon.
 */
export interface ReservationUpdate {
    type: "reservation_update";
    timestamp: string;
    seq: number;
    event: "changed" | "countdown";
    data: ReservationState;
}
export interface Reservations {
    success: true;
    reservations: ReservationState[];
}
/** Keep a connector free, this or one that is, for so many minutes (15) or until then. Answered as a start is. */
export interface Reserve {
    /** The charger's OCPP identity */
    charger_id: string;
    connector_id?: number | null;
    minutes?: number | null;
    expires_at?: string | null;
    client_ref?: string | null;
}
/** The reservation as it is now. */
export interface Reserved {
    success: true;
    reservation: ReservationState;
}
/** What was missed is not kept any more. The state is here and follows; forget what you thought of it. */
export interface Resync {
    type: "resync";
    timestamp: string;
    seq: number;
    reservations: ReservationState[];
}
/** The final totals. */
export interface SessionCompleted {
    charger_id: string;
    connector_id: number | null;
    meter_start: number | null;
    meter_stop: number | null;
    energy_delivered: number | null;
    duration: number;
    start_time: string | null;
    stop_time: string | null;
    stop_reason: string | null;
    cost: number | null;
    cost_currency: string | null;
}
/** The session is closed, with its totals. */
export interface SessionCompletedUpdate {
    type: "session_update";
    timestamp: string;
    seq: number;
    session_id: number;
    transaction_id: number | null;
    event: "session_completed";
    data: SessionCompleted;
}
/** `points` is null where none were asked for; `has_receipt`: it can be had over REST. */
export interface SessionDetail {
    success: true;
    session: SessionState;
    has_receipt: boolean;
    points: ChartPoint[] | null;
}
export interface SessionError {
    code: string;
    message: string;
}
/** The session did not come about. */
export interface SessionErrorUpdate {
    type: "session_update";
    timestamp: string;
    seq: number;
    session_id: number;
    transaction_id: number | null;
    event: "session_error";
    data: SessionError;
}
export interface SessionStarted {
    charger_id: string;
    connector_id: number | null;
    id_tag: string;
    meter_start: number | null;
    start_time: string;
}
/** The charger began a transaction. */
export interface SessionStartedUpdate {
    type: "session_update";
    timestamp: string;
    seq: number;
    session_id: number;
    transaction_id: number | null;
    event: "session_started";
    data: SessionStarted;
}
/** A session as it stands. Null is unknown. `stale`: the charger is not connected, figures are its last ones. */
export interface SessionState {
    session_id: number;
    transaction_id: number | null;
    charger_id: string;
    connector_id: number | null;
    station_id: number | null;
    station_name: string | null;
    station_address: string | null;
    status: "active" | "completed" | "failed" | "pending" | "stopping";
    message_id: string | null;
    id_tag: string;
    requested_at: string | null;
    start_time: string | null;
    stop_time: string | null;
    stop_reason: string | null;
    duration: number;
    meter_start: number | null;
    meter_stop: number | null;
    energy_delivered: number | null;
    power: number | null;
    voltage: number | null;
    current: number | null;
    charge_percentage: number | null;
    time_remaining: number | null;
    cost: number | null;
    cost_currency: string | null;
    error_code: string | null;
    error_message: string | null;
    stale: boolean;
}
export interface SessionStopped {
    charger_id: string;
    connector_id: number | null;
    meter_stop: number | null;
    energy_delivered: number | null;
    duration: number;
    stop_time: string;
    stop_reason: string | null;
}
/** The charger ended the transaction. */
export interface SessionStoppedUpdate {
    type: "session_update";
    timestamp: string;
    seq: number;
    session_id: number;
    transaction_id: number | null;
    event: "session_stopped";
    data: SessionStopped;
}
export interface Sessions {
    success: true;
    sessions: SessionState[];
    next_cursor: string | null;
}
/** Begin to charge. Answered when the charger has answered, within the command time-out. */
export interface StartCharging {
    /** The charger's OCPP identity */
    charger_id: string;
    /** OCPP's connectorId, from 1 */
    connector_id?: number;
    client_ref?: string | null;
}
/** `message_id` is the OCPP CALL's id; `transaction_id` is null until the charger has begun. */
export interface Started {
    success: true;
    session_id: number;
    charger_id: string;
    connector_id: number | null;
    message_id: string | null;
    transaction_id: number | null;
    status: string;
    message: string;
}
export interface StationState {
    station_id: number;
    name: string;
    location: Location | null;
    is_under_maintenance: boolean;
    maintenance_reason: string | null;
}
/** `connector_id` is null where the charger as a whole is meant; statuses are OCPP's words or `Offline`. */
export interface StatusChange {
    connector_id: number | null;
    status: string | null;
    previous_status: string | null;
    error_code: string | null;
    timestamp: string;
}
/** End the user's session, at the charger named or wherever it is. */
export interface StopCharging {
    charger_id?: string | null;
    client_ref?: string | null;
}
/** Figures as known now; the final ones come as `session_completed`. Energy in kWh, duration in s. */
export interface Stopped {
    success: true;
    session_id: number;
    charger_id: string;
    connector_id: number | null;
    message_id: string | null;
    transaction_id: number | null;
    status: string;
    energy_delivered: number | null;
    duration: number;
    cost: number | null;
    cost_currency: string | null;
    message: string;
}
/** Hear of chargers: by identity, by station, in an area of the map (in the place of the one before), or all. */
export interface Subscribe {
    charger_ids?: string[];
    station_ids?: number[];
    all?: boolean;
    bbox?: BoundingBox | null;
}
/**
 * What this socket hears of now, and how what was asked for is; events tell what changes from here on.
 *
 * Of `all` nothing is in `chargers`, else 500 at most: what is not `complete` is in `list_chargers`.
 */
export interface Subscribed {
    success: true;
    subscribed: Record<string, unknown>;
    chargers: ChargerState[];
    complete: boolean;
}
/** The socket's token ends soon: show a fresh one by `refresh_token`, or the socket is closed. */
export interface TokenExpiring {
    type: "token_expiring";
    timestamp: string;
    expires_at: string;
}
/** The socket stays open until then. */
export interface TokenRefreshed {
    success: true;
    expires_at: string;
}
/** Hear of them no longer. There is one area at most: `bbox` as null, true or an area ends it. */
export interface Unsubscribe {
    charger_ids?: string[];
    station_ids?: number[];
    all?: boolean;
    bbox?: boolean | BoundingBox | null;
}
/** What this socket hears of now. */
export interface Unsubscribed {
    success: true;
    subscribed: Record<string, unknown>;
}
/** Do not be told. */
export interface Unwatch {
    watch_id: number;
}
/** Be told, once, when there is a free connector: this one, one of the charger's, or one of the station's. */
export interface Watch {
    charger_id?: string | null;
    connector_id?: number | null;
    station_id?: number | null;
}
/** A wish to be told when there is a free connector: this one, any of the charger's, or any of the station's. */
export interface WatchState {
    watch_id: number;
    charger_id: string | null;
    connector_id: number | null;
    station_id: number | null;
    created_at: string;
    expires_at: string;
}
/** All that the user waits for. */
export interface Watches {
    success: true;
    watches: WatchState[];
}
/** The watch; or, if a connector is `free` already, which one, and no watch. */
export interface Watching {
    success: true;
    free: boolean;
    charger_id: string | null;
    connector_id: number | null;
    watch: WatchState | null;
}
/** What an action takes and what it is answered. */
export interface ActionTypes {
    start_charging: {
        request: StartCharging;
        answer: Started;
    };
    stop_charging: {
        request: StopCharging;
        answer: Stopped;
    };
    get_charger_status: {
        request: GetChargerStatus;
        answer: ChargerStatus;
    };
    get_active_session: {
        request: GetActiveSession;
        answer: ActiveSession;
    };
    list_chargers: {
        request: ListChargers;
        answer: Chargers;
    };
    subscribe: {
        request: Subscribe;
        answer: Subscribed;
    };
    unsubscribe: {
        request: Unsubscribe;
        answer: Unsubscribed;
    };
    watch: {
        request: Watch;
        answer: Watching;
    };
    unwatch: {
        request: Unwatch;
        answer: Watches;
    };
    get_watches: {
        request: GetWatches;
        answer: Watches;
    };
    reserve: {
        request: Reserve;
        answer: Reserved;
    };
    cancel_reservation: {
        request: CancelReservation;
        answer: Reserved;
    };
    get_reservations: {
        request: GetReservations;
        answer: Reservations;
    };
    refresh_token: {
        request: RefreshToken;
        answer: TokenRefreshed;
    };
    list_sessions: {
        request: ListSessions;
        answer: Sessions;
    };
    get_session: {
        request: GetSession;
        answer: SessionDetail;
    };
    ping: {
        request: Ping;
        answer: Pong;
    };
}
export type Action = keyof ActionTypes;
export type Request<A extends Action> = ActionTypes[A]["request"];
export type Answer<A extends Action> = ActionTypes[A]["answer"];
/** What the server tells unasked, by `type`, or by `type.event` where a type has events. */
export interface Pushes {
    "connected": Connected;
    "resync": Resync;
    "active_session_update": ActiveSessionUpdate;
    "session_update.session_started": SessionStartedUpdate;
    "session_update.meter_value": MeterValueUpdate;
    "session_update.session_stopped": SessionStoppedUpdate;
    "session_update.session_completed": SessionCompletedUpdate;
    "session_update.session_error": SessionErrorUpdate;
    "command_update": CommandUpdate;
    "reservation_update.changed": ReservationUpdate & {
        event: "changed";
    };
    "reservation_update.countdown": ReservationUpdate & {
        event: "countdown";
    };
    "charger_update.connector_status_changed": ChargerStatusChanged & {
        event: "connector_status_changed";
    };
    "charger_update.error": ChargerStatusChanged & {
        event: "error";
    };
    "charger_update.status_changed": ChargerStatusChanged & {
        event: "status_changed";
    };
    "charger_update.configuration_changed": ChargerConfigurationChanged;
    "charger_update.maintenance_mode": ChargerMaintenanceChanged;
    "charger_status_update": ChargerStatusUpdate;
    "charger_list_update": ChargerListUpdate;
    "notification": Notification;
    "token_expiring": TokenExpiring;
    "closing": Closing;
    "error": ErrorMessage;
}
export type ServerMessage = Pushes[keyof Pushes];
export type MessageOf<N> = N extends keyof Pushes ? Pushes[N] : Extract<ServerMessage, {
    type: N;
}>;
export type ErrorCode = "invalid_message" | "unknown_action" | "validation_error" | "not_found" | "charger_offline" | "charger_pending" | "connector_unavailable" | "connector_busy" | "active_session_exists" | "no_active_session" | "reservation_exists" | "reservation_not_supported" | "too_many_watches" | "charger_rejected" | "charger_timeout" | "cancelled" | "rate_limited" | "forbidden" | "unavailable" | "internal_error";
/** Actions that are known by a key of the client's when they are repeated. */
export declare const WITH_CLIENT_REF: ReadonlySet<string>;
/** A method for each action. */
export declare abstract class Actions<Options = object> {
    abstract act<A extends Action>(action: A, data: Request<A>, options?: Options): Promise<Answer<A>>;
    /** Begin to charge. Answered when the charger has answered, within the command time-out. */
    startCharging(data: StartCharging, options?: Options): Promise<Started>;
    /** End the user's session, at the charger named or wherever it is. */
    stopCharging(data?: StopCharging, options?: Options): Promise<Stopped>;
    /** One charger as it is now. */
    getChargerStatus(data: GetChargerStatus, options?: Options): Promise<ChargerStatus>;
    /** The user's active session, or null. */
    getActiveSession(data?: GetActiveSession, options?: Options): Promise<ActiveSession>;
    /** Chargers, by identity; `cursor` is the `next_cursor` of the page before. */
    listChargers(data?: ListChargers, options?: Options): Promise<Chargers>;
    /** Hear of chargers: by identity, by station, in an area of the map (in the place of the one before), or all. */
    subscribe(data?: Subscribe, options?: Options): Promise<Subscribed>;
    /** Hear of them no longer. There is one area at most: `bbox` as null, true or an area ends it. */
    unsubscribe(data?: Unsubscribe, options?: Options): Promise<Unsubscribed>;
    /** Be told, once, when there is a free connector: this one, one of the charger's, or one of the station's. */
    watch(data?: Watch, options?: Options): Promise<Watching>;
    /** Do not be told. */
    unwatch(data: Unwatch, options?: Options): Promise<Watches>;
    /** What the user waits for. */
    getWatches(data?: GetWatches, options?: Options): Promise<Watches>;
    /** Keep a connector free, this or one that is, for so many minutes (15) or until then. Answered as a start is. */
    reserve(data: Reserve, options?: Options): Promise<Reserved>;
    /** Keep it no longer. */
    cancelReservation(data: CancelReservation, options?: Options): Promise<Reserved>;
    /** The user's open reservations. */
    getReservations(data?: GetReservations, options?: Options): Promise<Reservations>;
    /** Go on with a fresh access token of the same user, on the open socket. */
    refreshToken(data: RefreshToken, options?: Options): Promise<TokenRefreshed>;
    /** The user's sessions, the newest first; `cursor` is the `next_cursor` of the page before. */
    listSessions(data?: ListSessions, options?: Options): Promise<Sessions>;
    /** One of the user's sessions; with `points` its course for a chart, in so many at most. */
    getSession(data: GetSession, options?: Options): Promise<SessionDetail>;
    /** Is anybody there? For clients that cannot send WebSocket pings, such as browsers. */
    ping(data?: Ping, options?: Options): Promise<Pong>;
}
