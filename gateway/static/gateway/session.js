// The card of the active session: its figures, its chart, and the buttons that start and stop it.

import { PowerChart } from "./chart.js";
import { $, announce, enable, isEnabled, make, notice, write } from "./dom.js";
import { UNKNOWN, money, moment, number, span, stopwatch } from "./format.js";

const OPEN = new Set(["pending", "active", "stopping"]);
const STATUSES = {
  none: "No session",
  pending: "Waiting for the charger",
  active: "Charging",
  stopping: "Stopping",
  completed: "Completed",
  failed: "Failed",
  ended: "Ended",
};
const POINTS = 500;
const IDLE = { status: "none" };
const FIGURES = ["energy_delivered", "power", "cost", "cost_currency", "charge_percentage", "time_remaining"];

export class Session {
  #requests;
  #session = IDLE;
  #chart = new PowerChart();
  #isConnected = false;
  #isBehind = false; // just connected: what the chart has may not be all
  #hasPicked = null;
  #isAsking = false;
  #duration = { seconds: null, at: 0 }; // as last told, and when

  constructor(requests) {
    this.#requests = requests;
    $("start").addEventListener("click", () => this.#start());
    $("stop").addEventListener("click", () => this.#stop());
    setInterval(() => this.#showDuration(), 1000);
    this.#show();
  }

  /** Where the running session is, or null. */
  get place() {
    return this.#isOpen ? this.#session : null;
  }

  set isConnected(isConnected) {
    if (!isConnected && this.#isConnected) this.#duration = { seconds: this.#seconds, at: Date.now() }; // the clock stands still
    if (isConnected && !this.#isConnected) this.#isBehind = true;
    this.#isConnected = isConnected;
    this.#show();
  }

  set picked(place) {
    this.#hasPicked = place;
    this.#show();
  }

  get #isOpen() {
    return OPEN.has(this.#session.status);
  }

  // --- what the server says ---

  heard(message) {
    if (message.type === "active_session_update") this.#snapshot(message.data);
    else if (message.type === "session_update") this.#happened(message);
    else if (message.type === "notification") this.#notified(message);
    else if (message.type === "response" && message.data?.success) this.#answered(message);
  }

  #notified({ title, message, data }) {
    const isToldWithCode = this.#session.status === "failed" && data?.session_id === this.#session.session_id;
    if (!isToldWithCode) this.#say(`${title}: ${message}`);
  }

  #snapshot(state) {
    const isBehind = this.#isBehind;
    this.#isBehind = false;
    if (state) {
      this.#learn(state.session_id, state, state.start_time ? state.duration : null);
      if (isBehind && state.start_time) this.#loadCourse(state.session_id);
    } else if (this.#isOpen) this.#learn(this.#session.session_id, { status: "ended" });
  }

  /** What was drawn before this page was opened, or while the line was lost. */
  async #loadCourse(id) {
    const { points } = await this.#requests.act("get_session", { session_id: id, points: POINTS });
    if (points?.length && id === this.#session.session_id) this.#chart.load(points);
  }

  #happened({ event, session_id, transaction_id, data }) {
    if (this.#isOpen && session_id !== this.#session.session_id) return; // the user has two; the other is not shown
    EVENTS[event]?.(this, session_id, { ...data, transaction_id });
  }

  started(id, { id_tag, ...data }) {
    this.#learn(id, { ...data, status: "active" }, 0);
  }

  metered(id, data) {
    const figures = Object.fromEntries(FIGURES.map((name) => [name, data[name]]));
    const { charger_id, connector_id, station_name, transaction_id } = data;
    const status = this.#isOpen && this.#session.status !== "pending" ? this.#session.status : "active";
    if (this.#session.session_id === id && !this.#isOpen) return; // a late one: the totals stand
    this.#learn(id, { ...figures, charger_id, connector_id, station_name, transaction_id, status, stale: false }, data.charging_duration);
    this.#chart.add(data.timestamp, data.power);
  }

  ended(id, data) {
    this.#learn(id, { ...data, status: "completed", power: null, time_remaining: null, stale: false }, data.duration);
  }

  failed(id, { code, message }) {
    this.#learn(id, { status: "failed" });
    this.#say(`${message} (${code})`, "bad");
  }

  #answered({ action, data }) {
    if (action === "get_active_session") this.#snapshot(data.session);
    if (action === "start_charging" && data.session_id !== this.#session.session_id) this.#learn(data.session_id, placeOf(data));
  }

  /** `seconds`: the duration as the server tells it, where it does. */
  #learn(id, changes, seconds) {
    const isNew = id !== this.#session.session_id;
    if (isNew) {
      this.#chart.clear();
      this.#duration = { seconds: null, at: 0 };
      this.#session = { session_id: id, status: "pending" };
    }
    const before = this.#session.status;
    this.#session = { ...this.#session, ...changes };
    this.#keepTime(seconds);
    if (isNew || before !== this.#session.status) announce(`Session: ${STATUSES[this.#session.status]}`);
    this.#show();
  }

  #keepTime(seconds) {
    if (seconds === null || seconds === undefined) return;
    // While it runs it never jumps back: the charger's reading is a moment older than the clock on the screen.
    const shown = this.#isOpen ? Math.max(seconds, this.#seconds ?? 0) : seconds;
    this.#duration = { seconds: shown, at: Date.now() };
  }

  get #seconds() {
    const { seconds, at } = this.#duration;
    const runs = this.#isConnected && !this.#session.stale && ["active", "stopping"].includes(this.#session.status);
    return seconds === null || !runs ? seconds : seconds + (Date.now() - at) / 1000;
  }

  // --- what the person wants ---

  async #start() {
    if (!isEnabled($("start"))) return this.#say(this.#whyNoStart(), "warn");
    this.#say("Asking the charger to start …");
    await this.#ask("start_charging", { ...this.#hasPicked });
  }

  async #stop() {
    if (!isEnabled($("stop"))) return this.#say(this.#isConnected ? "There is no session to stop." : "Connect first.", "warn");
    this.#say("Asking the charger to stop …");
    await this.#ask("stop_charging", { charger_id: this.#session.charger_id });
  }

  async #ask(action, data) {
    this.#isAsking = true;
    this.#show();
    const answer = await this.#requests.act(action, data);
    this.#isAsking = false;
    if (answer.success) this.#say(`${answer.message}.`, "good");
    else this.#say(refusal(answer), "bad");
    this.#show();
  }

  #whyNoStart() {
    if (!this.#isConnected) return "Connect first.";
    if (this.#isAsking) return "The charger has not answered yet.";
    if (this.#isOpen) return "A session is under way already. Stop it first.";
    return "Pick a connector in the list of chargers first.";
  }

  #say(text, tone = "") {
    notice($("session-notice"), text, tone);
  }

  // --- the card ---

  #show() {
    const session = this.#session;
    const isPending = session.status === "pending";
    $("session").dataset.status = session.status;
    write($("session-status"), session.stale && this.#isOpen ? `${STATUSES[session.status]}, charger offline` : STATUSES[session.status]);
    write($("session-where"), describe(session));
    write($("session-next"), this.#next());
    write($("stop"), isPending ? "Call off" : "Stop charging");
    enable($("start"), this.#isConnected && !this.#isOpen && !this.#isAsking && this.#hasPicked !== null);
    enable($("stop"), this.#isConnected && this.#isOpen && !(this.#isAsking && !isPending));
    figure("energy", number(session.energy_delivered, 3), "kWh");
    figure("power", number(session.power, 2), "kW");
    figure("cost", money(session.cost, session.cost_currency));
    figure("soc", number(session.charge_percentage, 0), "%");
    figure("remaining", span(session.time_remaining));
    $("soc-bar").style.width = `${session.charge_percentage ?? 0}%`;
    this.#showDuration();
  }

  #showDuration() {
    figure("duration", stopwatch(this.#seconds));
  }

  #next() {
    const picked = this.#hasPicked;
    if (this.#isOpen) return this.#isConnected ? "" : `Not connected: these are the figures of ${moment(this.#duration.at)}.`;
    if (!this.#isConnected) return "Connect first, then pick a connector in the list of chargers.";
    if (!picked) return "Pick a connector in the list of chargers to start at.";
    return `Start charging begins at ${picked.charger_id}, connector ${picked.connector_id}.`;
  }
}

const EVENTS = {
  session_started: (card, id, data) => card.started(id, data),
  meter_value: (card, id, data) => card.metered(id, data),
  session_stopped: (card, id, data) => card.ended(id, data),
  session_completed: (card, id, data) => card.ended(id, data),
  session_error: (card, id, data) => card.failed(id, data),
};

const placeOf = ({ charger_id, connector_id, transaction_id, status }) => ({ charger_id, connector_id, transaction_id, status });

function describe(session) {
  if (session.status === "none") return "";
  return [
    session.charger_id,
    session.connector_id && `connector ${session.connector_id}`,
    session.station_name,
    `session ${session.session_id}`,
    session.transaction_id && `transaction ${session.transaction_id}`,
    session.start_time && `since ${moment(session.start_time)}`,
    session.stop_reason && `ended: ${session.stop_reason}`,
  ]
    .filter(Boolean)
    .join(" · ");
}

function refusal({ error, code, message }) {
  const detail = message && message !== error ? ` ${message}.` : "";
  return `${error}.${detail} (${code})`;
}

function figure(id, value, unit = "") {
  const element = $(id);
  const isUnknown = value === UNKNOWN;
  const shown = isUnknown || !unit ? value : `${value} ${unit}`;
  if (element.textContent === shown) return;
  element.classList.toggle("unknown", isUnknown);
  element.replaceChildren(value, ...(isUnknown || !unit ? [] : [" ", make("small", {}, unit)]));
}
