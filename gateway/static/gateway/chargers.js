// The list of chargers: first as the server lists them, then kept live by its events. One connector is picked.

import { $, announce, make, write } from "./dom.js";
import { moment } from "./format.js";

const PAGE = 100;
const WORTH_A_SEARCH = 8;
const WORDS = { available: "Available", in_use: "In use", unavailable: "Unavailable" };
const IN_USE = new Set(["Preparing", "Charging", "SuspendedEV", "SuspendedEVSE", "Finishing", "Reserved", "Occupied"]);

const UNHEARD_OF = {
  status: "unavailable",
  connected: null, // not said yet
  last_seen: null,
  connectors: [],
  display: null,
  is_under_maintenance: false,
  maintenance_reason: null,
  station: null,
};

/** Event `pick`: another connector was picked. */
export class Chargers extends EventTarget {
  picked = null; // {charger_id, connector_id}
  #knownAt = null; // when the line was lost, if it was
  #requests;
  #rows = new Map(); // charger_id → {charger, element}
  #cursor = null;
  #empty = "Asking for the list …";

  constructor(requests) {
    super();
    this.#requests = requests;
    $("list-again").addEventListener("click", () => this.load());
    $("more-chargers").addEventListener("click", () => this.#loadPage(this.#cursor));
    $("find").addEventListener("input", () => this.#find());
  }

  set isConnected(isConnected) {
    if (isConnected) this.#knownAt = null;
    else this.#knownAt ??= new Date();
    $("chargers").classList.toggle("past", !isConnected);
    this.#summarise();
  }

  /** Listen first, then look: nothing falls between. */
  async begin() {
    await this.#requests.act("subscribe", { all: true });
    await this.load();
  }

  async load() {
    const data = await this.#requests.act("list_chargers", { limit: PAGE });
    if (!data.success) {
      this.#empty = `The list did not come: ${data.error}.`;
      this.#summarise();
      return;
    }
    const ids = new Set(data.chargers.map((charger) => charger.charger_id));
    for (const id of this.#rows.keys()) if (!ids.has(id)) this.#remove(id);
    this.#take(data);
    if (!this.picked) this.#pickFirst();
  }

  async #loadPage(cursor) {
    const data = await this.#requests.act("list_chargers", { limit: PAGE, cursor });
    if (data.success) this.#take(data);
  }

  #take({ chargers, next_cursor }) {
    for (const charger of chargers) this.#put(fromState(charger));
    this.#empty = "There are no chargers yet. An operator adds them in the admin.";
    this.#cursor = next_cursor;
    $("more-chargers").hidden = !next_cursor;
    this.#summarise();
  }

  // --- what the server says ---

  heard(message) {
    if (!HEARD[message.type]) return;
    HEARD[message.type](this, message);
    this.#summarise();
  }

  learn(charger_id, changes) {
    if (this.#rows.has(charger_id) || !this.#cursor) this.#put({ charger_id, ...changes });
  }

  connectorOf(charger_id, changes) {
    const connectors = this.#rows.get(charger_id)?.charger.connectors ?? [];
    const others = connectors.filter((each) => each.connector_id !== changes.connector_id);
    const all = [...others, changes].sort((a, b) => a.connector_id - b.connector_id);
    this.learn(charger_id, { connectors: all });
  }

  added(station) {
    const { station_id, station_name: name, location } = station;
    const place = name === null ? null : { station_id, name, location };
    for (const charger of station.chargers) this.#put({ ...charger, station: place });
  }

  removed(station) {
    for (const { charger_id } of station.chargers) this.#remove(charger_id);
  }

  // --- rows ---

  #put(changes) {
    const known = this.#rows.get(changes.charger_id);
    const charger = { ...(known?.charger ?? UNHEARD_OF), ...changes };
    const row = known ?? { element: emptyRow() };
    row.charger = charger;
    if (!known) this.#insert(charger.charger_id, row);
    this.#show(row);
  }

  #insert(id, row) {
    const next = [...this.#rows.keys()].filter((other) => other > id).sort()[0];
    $("charger-list").insertBefore(row.element, next ? this.#rows.get(next).element : null);
    this.#rows.set(id, row);
  }

  #remove(id) {
    this.#rows.get(id)?.element.remove();
    this.#rows.delete(id);
    if (this.picked?.charger_id === id) this.#pick(null);
  }

  #show({ charger, element }) {
    const [head, place, trouble, connectors] = element.children;
    element.dataset.charger = charger.charger_id;
    write(head.firstChild, charger.charger_id);
    head.lastChild.dataset.word = charger.status;
    write(head.lastChild, [charger.display, WORDS[charger.status] ?? charger.status].filter(Boolean).join(" "));
    write(place, [charger.station?.name, charger.station?.location?.address].filter(Boolean).join(" · "));
    write(trouble, troubleOf(charger));
    this.#showConnectors(charger, connectors);
  }

  #showConnectors(charger, box) {
    charger.connectors.forEach((connector, index) => {
      const button = box.children[index] ?? box.appendChild(this.#connectorButton(charger.charger_id));
      const text = connectorText(charger, connector);
      button.dataset.number = connector.connector_id;
      button.dataset.word = wordFor(charger, connector);
      button.setAttribute("aria-label", `${charger.charger_id}, connector ${connector.connector_id} ${text}`);
      button.setAttribute("aria-pressed", String(this.#isPicked(charger.charger_id, connector.connector_id)));
      write(button.children[1], String(connector.connector_id));
      write(button.children[2], text);
    });
    while (box.children.length > charger.connectors.length) box.lastChild.remove();
  }

  #connectorButton(charger_id) {
    const button = make("button", { type: "button", class: "connector" }, lamp(), make("b"), " ", make("span"));
    button.addEventListener("click", () => this.#pick({ charger_id, connector_id: Number(button.dataset.number) }));
    return button;
  }

  // --- picking ---

  #isPicked(charger_id, connector_id) {
    return this.picked?.charger_id === charger_id && this.picked.connector_id === connector_id;
  }

  #pick(place) {
    this.picked = place;
    for (const row of this.#rows.values()) this.#show(row);
    if (place) announce(`${place.charger_id}, connector ${place.connector_id} is picked`);
    this.dispatchEvent(new Event("pick"));
  }

  #pickFirst() {
    for (const { charger } of this.#rows.values()) {
      const free = charger.connectors.find((connector) => wordFor(charger, connector) === "available");
      if (free) {
        this.#pick({ charger_id: charger.charger_id, connector_id: free.connector_id });
        return;
      }
    }
  }

  // --- the whole list ---

  #find() {
    const text = $("find").value.trim().toLowerCase();
    for (const { charger, element } of this.#rows.values()) {
      element.hidden = !`${charger.charger_id} ${charger.station?.name ?? ""}`.toLowerCase().includes(text);
    }
  }

  #summarise() {
    const chargers = [...this.#rows.values()].map((row) => row.charger);
    const free = chargers.filter((charger) => charger.status === "available").length;
    const count = `${free} of ${chargers.length}${this.#cursor ? "+" : ""} available`;
    write($("charger-count"), !chargers.length ? "" : this.#knownAt ? `as of ${moment(this.#knownAt)}` : count);
    $("no-chargers").hidden = chargers.length > 0;
    write($("no-chargers"), this.#knownAt ? "Connect, and the chargers appear here." : this.#empty);
    $("charger-find").hidden = chargers.length < WORTH_A_SEARCH;
    if (!$("charger-find").hidden) this.#find();
  }
}

const HEARD = {
  charger_status_update: (list, { charger_id, status, data }) =>
    list.learn(charger_id, {
      status,
      connected: data.connected,
      last_seen: data.last_seen,
      display: data.display,
      connectors: data.connector_status,
      is_under_maintenance: data.is_under_maintenance,
      maintenance_reason: data.maintenance_reason,
    }),
  charger_update: (list, { charger_id, event, data }) => {
    if (event === "maintenance_mode") list.learn(charger_id, data);
    else if (event === "configuration_changed") return;
    else if (data.connector_id) list.connectorOf(charger_id, data);
    else list.learn(charger_id, { connected: data.status !== "Offline", last_seen: data.timestamp });
  },
  charger_list_update: (list, { action, data }) => {
    for (const station of data.chargers) action === "removed" ? list.removed(station) : list.added(station);
  },
  response: (list, { action, data }) => {
    if (action === "get_charger_status" && data.success) list.learn(data.charger_id, fromState(data));
  },
};

/** A charger as `list_chargers` has it, with what we keep of it. */
function fromState(state) {
  const { charger_id, status, connected, last_seen, connectors, display, is_under_maintenance, station } = state;
  const maintenance_reason = station?.maintenance_reason ?? null;
  return { charger_id, status, connected, last_seen, connectors, display, is_under_maintenance, maintenance_reason, station };
}

/** The map's word for a connector; where the charger as a whole is not usable, neither is it. */
function wordFor(charger, { status }) {
  if (charger.status === "unavailable") return "unavailable";
  if (status === "Available") return "available";
  return IN_USE.has(status) ? "in_use" : "unavailable";
}

function connectorText(charger, connector) {
  if (charger.connected === false) return "Offline";
  if (charger.is_under_maintenance) return "Maintenance";
  return connector.status ?? "Unknown";
}

function troubleOf(charger) {
  if (charger.is_under_maintenance) return `Under maintenance${charger.maintenance_reason ? `: ${charger.maintenance_reason}` : ""}`;
  if (charger.connected === false) return charger.last_seen ? `Offline, last seen ${moment(charger.last_seen)}` : "Has never connected";
  return charger.connectors
    .filter((connector) => connector.error_code)
    .map((connector) => `Connector ${connector.connector_id}: ${connector.error_code}`)
    .join(", ");
}

const lamp = () => make("span", { class: "lamp", "aria-hidden": "true" });

function emptyRow() {
  return make(
    "li",
    { class: "charger" },
    make("div", { class: "charger-head" }, make("strong"), make("span", { class: "chip" })),
    make("p", { class: "hint" }),
    make("p", { class: "hint trouble" }),
    make("div", { class: "connectors" }),
  );
}
