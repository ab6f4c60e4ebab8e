// The session that runs: what stage it is in, the ring of energy, power, cost, time; and its end.

import { $, enable, isEnabled, write } from "../dom.js";
import { Chart } from "./chart.js";
import { measure, money, number, say, stopwatch } from "./words.js";

const POINTS = 200;
const TURN_KWH = 10; // of the ring, for cars that do not tell their charge

export class ChargingView {
  #ev;
  #tell;
  #session = null;
  #command = null; // what became of the wish to start
  #knownAt = 0; // when `duration` was so
  #chart = new Chart();

  /** `ended(id)`: there is a receipt to be looked at; `appeared()`: show it; `tell(text)`: what went wrong. */
  constructor(ev, { appeared, ended, tell }) {
    this.#ev = ev;
    this.#tell = tell;
    ev.on("active_session_update", ({ data }) => {
      const before = this.#session;
      this.#take(data);
      if (data && data.session_id !== before?.session_id) {
        this.#chart.clear();
        this.#loadCourse();
        appeared();
      } else if (data) this.#loadCourse();
      else if (before && before.status !== "pending") ended(before.session_id);
    });
    ev.on("command_update", (message) => {
      if (message.command !== "start_charging") return;
      this.#command = message;
      this.#draw();
    });
    ev.on("session_update.meter_value", ({ session_id, data }) => {
      if (session_id !== this.#session?.session_id) return;
      this.#take({ ...this.#session, ...pick(data), duration: data.charging_duration });
      this.#chart.add(data.timestamp, data.power);
    });
    ev.on("session_update.session_completed", ({ session_id }) => ended(session_id));
    ev.on("session_update.session_error", ({ data }) => tell(data.message));
    $("stop").onclick = () => this.#stop();
    const clock = setInterval(() => this.#drawDuration(), 1000);
    ev.on("state", ({ state }) => state === "closed" && clearInterval(clock));
  }

  #take(session) {
    this.#session = session;
    this.#knownAt = performance.now();
    this.#draw();
  }

  /** What was drawn before this page was opened, or while the line was lost. */
  async #loadCourse() {
    const id = this.#session.session_id;
    const { points } = await this.#ev.getSession({ session_id: id, points: POINTS }).catch(() => ({ points: null }));
    if (points && id === this.#session?.session_id) this.#chart.load(points);
  }

  #draw() {
    const session = this.#session;
    $("charging-none").hidden = session !== null;
    $("charging-now").hidden = session === null;
    if (!session) return;
    write($("charging-where"), [session.station_name, session.charger_id, session.connector_id && say("connector_n", { n: session.connector_id }).replace(" ", "\u00a0")].filter(Boolean).join(" · "));
    write($("stage"), say(this.#stage()));
    this.#drawRing();
    write($("power"), measure(session.power, 1, "kW"));
    write($("cost"), money(session.cost, session.cost_currency));
    this.#drawDuration();
    enable($("stop"), session.status !== "stopping");
  }

  #stage() {
    const { status, stale, power, energy_delivered, session_id } = this.#session;
    if (stale) return "stage_stale";
    if (status === "stopping") return "stage_stopping";
    if (status !== "pending") return power === 0 && energy_delivered !== null ? "stage_paused" : "stage_charging";
    const state = this.#command?.session_id === session_id ? this.#command.state : null;
    if (state === "accepted") return "stage_plug";
    return state === "unknown" || state === "timed_out" ? "stage_unknown" : "stage_waiting";
  }

  #drawRing() {
    const { energy_delivered: kwh, charge_percentage: soc } = this.#session;
    const share = soc ?? ((kwh ?? 0) % TURN_KWH) * (100 / TURN_KWH);
    $("arc").style.strokeDasharray = `${share} 100`;
    $("arc").toggleAttribute("data-empty", share === 0);
    write($("energy"), number(kwh ?? 0, 2));
    write($("ring-note"), soc === null ? say("turn", { kwh: measure(TURN_KWH, 0, "kWh") }) : say("car_at", { soc: number(soc) }));
    $("ring").setAttribute("aria-label", say(soc === null ? "ring" : "ring_soc", { kwh: number(kwh ?? 0, 2), soc: number(soc) }));
  }

  #drawDuration() {
    if (!this.#session) return;
    const runs = this.#session.start_time && !this.#session.stop_time;
    write($("duration"), runs ? stopwatch(this.#session.duration + (performance.now() - this.#knownAt) / 1000) : "–");
  }

  async #stop() {
    if (!isEnabled($("stop"))) return;
    enable($("stop"), false);
    this.#tell("");
    try {
      await this.#ev.stopCharging({ charger_id: this.#session.charger_id });
    } catch (error) {
      this.#tell(error.message);
      enable($("stop"), true);
    }
  }
}

/** Of a tick what a session has too. What it does not tell stays as it was. */
function pick({ energy_delivered, power, charge_percentage, cost, cost_currency }) {
  const told = { energy_delivered, power, charge_percentage, cost, cost_currency };
  return Object.fromEntries(Object.entries(told).filter(([, value]) => value !== null));
}
