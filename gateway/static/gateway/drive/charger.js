// One charger, found in the list or by the code that stands on it: choose a connector and start.

import { $, enable, isEnabled, make, write } from "../dom.js";
import { wordChip } from "./places.js";
import { say } from "./words.js";

const IN_USE = new Set(["Charging", "SuspendedEV", "SuspendedEVSE", "Finishing", "Reserved"]);

export class ChargerView {
  #ev;
  #id = null;
  #charger = null;
  #followed;
  #tell;

  /** `tell(text)`: what went wrong, for the person. */
  constructor(ev, followed, tell) {
    this.#ev = ev;
    this.#followed = followed;
    this.#tell = tell;
    $("start").onsubmit = (event) => {
      event.preventDefault();
      this.#start();
    };
    for (const name of ["charger_update", "charger_status_update"]) ev.on(name, (message) => message.charger_id === this.#id && this.load());
    ev.on("connected", () => this.load());
  }

  async show(id) {
    this.#id = id;
    this.#charger = null;
    write($("charger-title"), id);
    write($("charger-where"), "");
    $("start").hidden = true;
    await this.#followed.follow("charger", [id]).catch(() => {}); // the next line says why
    await this.load();
  }

  hide() {
    if (this.#id) this.#followed.follow("charger", []).catch(() => {});
    this.#id = null;
  }

  async load() {
    const id = this.#id;
    if (!id) return;
    try {
      const charger = await this.#ev.getChargerStatus({ charger_id: id });
      if (id !== this.#id) return;
      this.#charger = charger;
      this.#draw();
    } catch (error) {
      if (id === this.#id) this.#tell(error.message);
    }
  }

  #draw() {
    const { station, connectors, connected } = this.#charger;
    write($("charger-where"), [station?.name, station?.location?.address].filter(Boolean).join(" · "));
    const chosen = this.#chosen() ?? connectors.find(isFree)?.connector_id ?? connectors[0]?.connector_id;
    const focused = document.activeElement?.name === "connector";
    $("connectors").replaceChildren(...connectors.map((connector) => choice(connector, connector.connector_id === chosen)));
    if (focused) $("connectors").querySelector(":checked")?.focus();
    $("start").hidden = connectors.length === 0;
    this.#tell(connected ? "" : say("charger_away"));
    enable($("start-button"), connected);
  }

  #chosen() {
    const input = $("connectors").querySelector(":checked");
    return input && this.#charger.connectors.some((each) => each.connector_id === Number(input.value)) ? Number(input.value) : null;
  }

  async #start() {
    if (!isEnabled($("start-button"))) return;
    enable($("start-button"), false);
    write($("start-button"), say("starting"));
    this.#tell("");
    try {
      await this.#ev.startCharging({ charger_id: this.#id, connector_id: this.#chosen() ?? 1 });
    } catch (error) {
      this.#tell(error.message);
    } finally {
      enable($("start-button"), true);
      write($("start-button"), say("start"));
    }
  }
}

const isFree = ({ status }) => status === "Available" || status === "Preparing";

function wordOf(status) {
  if (status === "Available") return "available";
  if (status === "Preparing") return "preparing";
  return IN_USE.has(status) ? "in_use" : "unavailable";
}

function choice({ connector_id, status }, isChosen) {
  const input = make("input", { type: "radio", name: "connector", value: connector_id, required: "" });
  input.checked = isChosen;
  const word = wordOf(status);
  const chip = wordChip(word);
  if (word === "preparing") chip.classList.add("available");
  return make("label", {}, input, make("span", {}, say("connector_n", { n: connector_id })), " ", chip);
}
