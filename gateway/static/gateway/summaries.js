// A message in one line, and the tone it is shown in.

import { money, number, span } from "./format.js";

const join = (...parts) => parts.filter((part) => part || part === 0).join(" · ");
const connector = (id) => (id ? `connector ${id}` : null);

const WORDS = { available: "available", in_use: "in use", unavailable: "unavailable" };

const SESSION_EVENTS = {
  session_started: (d) => join(d.charger_id, connector(d.connector_id)),
  meter_value: (d) => join(`${number(d.energy_delivered, 3)} kWh`, `${number(d.power, 2)} kW`, money(d.cost, d.cost_currency)),
  session_stopped: (d) => join(`${number(d.energy_delivered, 3)} kWh`, span(d.duration), d.stop_reason),
  session_completed: (d) => join(`${number(d.energy_delivered, 3)} kWh`, span(d.duration), money(d.cost, d.cost_currency)),
  session_error: (d) => join(d.message, d.code),
};

const CHARGER_EVENTS = {
  configuration_changed: (d) => `${d.key} = ${d.value}`,
  maintenance_mode: (d) => (d.is_under_maintenance ? join("under maintenance", d.maintenance_reason) : "back in service"),
};

const GISTS = {
  connected: (m) => join(`user ${m.userId}`, m.protocol_version && `protocol ${m.protocol_version}`, m.resume),
  resync: () => "what was missed is not kept: this is the state",
  token_expiring: (m) => `at ${m.expires_at}`,
  closing: (m) => join(`${m.code} ${m.reason}`, `come back in ${m.retry_after} s`),
  command_update: (m) => join(m.command, m.state, m.message, m.charger_id, connector(m.connector_id)),
  reservation_update: (m) => join(m.event, ...reservation(m.data)),
  active_session_update: (m) => (m.has_active_session ? join(`session ${m.data?.session_id}`, m.data?.status, m.data?.charger_id) : "no active session"),
  session_update: (m) => join(m.event, m.event !== "meter_value" && `session ${m.session_id}`, SESSION_EVENTS[m.event]?.(m.data ?? {})),
  charger_update: (m) => join(m.charger_id, m.event, CHARGER_EVENTS[m.event]?.(m.data ?? {}) ?? change(m.data ?? {})),
  charger_status_update: (m) => join(m.charger_id, WORDS[m.status] ?? m.status, m.data?.display && `${m.data.display} free`),
  charger_list_update: (m) => join(m.action, m.data?.chargers?.flatMap((station) => station.chargers.map((each) => each.charger_id)).join(", ")),
  notification: (m) => join(m.title, m.message),
  error: (m) => join(m.message, m.code),
  response: (m) => join(m.action, m.data?.success ? outcome(m) : join(`failed: ${m.data?.error}`, m.data?.code)),
};

const OUTCOMES = {
  start_charging: (d) => join(`session ${d.session_id}`, d.status),
  stop_charging: (d) => join(`session ${d.session_id}`, d.status),
  get_charger_status: (d) => join(d.charger_id, WORDS[d.status], d.display && `${d.display} free`),
  get_active_session: (d) => (d.session ? join(`session ${d.session.session_id}`, d.session.status) : "none"),
  list_chargers: (d) => listed(d.chargers, "chargers", d.next_cursor),
  list_sessions: (d) => listed(d.sessions, "sessions", d.next_cursor),
  get_session: (d) => join(`session ${d.session?.session_id}`, d.session?.status, d.points && `${d.points.length} points`),
  watch: (d) => (d.free ? join("free now", d.charger_id, connector(d.connector_id)) : `watch ${d.watch?.watch_id}`),
  unwatch: (d) => listed(d.watches, "watches"),
  get_watches: (d) => listed(d.watches, "watches"),
  reserve: (d) => join(...reservation(d.reservation)),
  cancel_reservation: (d) => join(...reservation(d.reservation)),
  get_reservations: (d) => listed(d.reservations, "reservations"),
  refresh_token: (d) => `good until ${d.expires_at}`,
  subscribe: (d) => subscribed(d.subscribed ?? {}),
  unsubscribe: (d) => subscribed(d.subscribed ?? {}),
};

const outcome = (m) => join("ok", OUTCOMES[m.action]?.(m.data));
const change = (d) => join(connector(d.connector_id), `${d.previous_status ?? "?"} → ${d.status ?? "?"}`, d.error_code);
const subscribed = (s) => (s.all ? "to all" : `to ${s.charger_ids?.length ?? 0} chargers, ${s.station_ids?.length ?? 0} stations${s.bbox ? ", an area" : ""}`);
const listed = (things, name, more = null) => `${things?.length} ${name}${more ? ", and more" : ""}`;
const reservation = (r) => [`reservation ${r?.reservation_id}`, r?.status, r?.charger_id, connector(r?.connector_id), r?.message];

/** One line for a message received; a kind we do not know is shown as its beginning. */
export function gist(message, text) {
  try {
    return GISTS[message?.type]?.(message) ?? text.slice(0, 200);
  } catch {
    return text.slice(0, 200); // another shape than the protocol's: a tester will want to see it
  }
}

/** One line for a request sent. */
export function requestGist(text) {
  try {
    const { action, data } = JSON.parse(text);
    if (typeof action !== "string") return text.slice(0, 200);
    return data && Object.keys(data).length ? `${action} · ${JSON.stringify(data).slice(0, 160)}` : action;
  } catch {
    return text.slice(0, 200);
  }
}

const TONES = {
  connected: "good",
  session_update: "good",
  active_session_update: "good",
  charger_update: "busy",
  charger_status_update: "busy",
  charger_list_update: "busy",
  command_update: "good",
  reservation_update: "good",
  notification: "warn",
  token_expiring: "warn",
  closing: "warn",
  error: "bad",
};

export function tone(message) {
  if (message?.type === "response") return message.data?.success ? "" : "bad";
  if (message?.event === "session_error" || (message?.type === "charger_update" && message.event === "error")) return "bad";
  return TONES[message?.type] ?? "";
}

export const isTick = (message) => message?.type === "session_update" && message.event === "meter_value";
