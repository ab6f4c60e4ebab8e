// A button for every action of the protocol, its data as JSON to edit, and a box for anything else.

import { $, make, write } from "./dom.js";

const SOME_CHARGER = { charger_id: "CP001", connector_id: 1 };

// What each action's data begins with, for the connector picked and the session under way.
const DATA = {
  start_charging: ({ charger_id, connector_id }) => ({ charger_id, connector_id }),
  stop_charging: (picked, session) => ({ charger_id: (session ?? picked).charger_id }),
  get_charger_status: ({ charger_id }) => ({ charger_id }),
  get_active_session: () => ({}),
  list_chargers: () => ({ limit: 50 }),
  list_sessions: () => ({ limit: 20 }),
  get_session: (picked, session) => ({ session_id: session?.session_id ?? 1, points: 100 }),
  watch: ({ charger_id, connector_id }) => ({ charger_id, connector_id }),
  unwatch: () => ({ watch_id: 1 }),
  get_watches: () => ({}),
  reserve: ({ charger_id, connector_id }) => ({ charger_id, connector_id, minutes: 15 }),
  cancel_reservation: () => ({ reservation_id: 1 }),
  get_reservations: () => ({}),
  subscribe: () => ({ all: true }),
  unsubscribe: () => ({ all: true }),
  refresh_token: () => ({ token: "" }),
  ping: () => ({}),
};
const FREE_TEXT = '{"action": "get_active_session", "data": {}, "request_id": 1}';

export class Actions {
  #requests;
  #socket;
  #session;
  #picked = SOME_CHARGER;
  #chosen = "start_charging";
  #drafts = new Map(); // action → text the person has changed

  constructor({ requests, socket, session }) {
    this.#requests = requests;
    this.#socket = socket;
    this.#session = session;
    for (const name of Object.keys(DATA)) {
      $("action-names").append(make("button", { type: "button", dataset: { action: name }, onclick: () => this.#choose(name) }, name));
    }
    $("free-text").value = FREE_TEXT;
    $("action-data").addEventListener("input", () => this.#edited());
    $("reset-action").addEventListener("click", () => this.#reset());
    onSubmit("action-form", "action-data", () => this.#sendAction());
    onSubmit("free-form", "free-text", () => this.#sendFree());
    this.#choose(this.#chosen);
  }

  /** Another connector: what was edited keeps everything but the place. */
  set picked(place) {
    this.#picked = place ?? SOME_CHARGER;
    for (const [name, text] of this.#drafts) this.#drafts.set(name, moved(text, DATA[name](this.#picked, this.#session.place)));
    this.refresh();
  }

  /** The session began or ended, so the data not edited may be another. */
  refresh() {
    const text = this.#drafts.get(this.#chosen) ?? this.#fresh(this.#chosen);
    if ($("action-data").value !== text) $("action-data").value = text;
  }

  #fresh(name) {
    return JSON.stringify(DATA[name](this.#picked, this.#session.place), null, 2);
  }

  #choose(name) {
    this.#chosen = name;
    for (const button of $("action-names").children) {
      button.setAttribute("aria-pressed", String(button.dataset.action === name));
    }
    write($("action-name"), name);
    write($("send-action"), `Send ${name}`);
    write($("action-trouble"), "");
    this.refresh();
  }

  #edited() {
    this.#drafts.set(this.#chosen, $("action-data").value);
    write($("action-trouble"), "");
  }

  #reset() {
    this.#drafts.delete(this.#chosen);
    write($("action-trouble"), "");
    this.refresh();
  }

  #sendAction() {
    let data;
    try {
      data = JSON.parse($("action-data").value.trim() || "{}");
    } catch (error) {
      write($("action-trouble"), `This is not JSON: ${error.message}. To send it all the same, use the other box.`);
      return;
    }
    write($("action-trouble"), this.#socket.canSend ? "" : "Connect first.");
    if (this.#socket.canSend) this.#requests.act(this.#chosen, data);
  }

  #sendFree() {
    write($("free-trouble"), this.#socket.send($("free-text").value) ? "" : "Connect first.");
  }
}

/** The edited text with the place in it replaced, where it has one. */
function moved(text, place) {
  try {
    const data = JSON.parse(text);
    const kept = Object.entries(place).filter(([name]) => name.endsWith("_id") && name in data);
    return JSON.stringify({ ...data, ...Object.fromEntries(kept) }, null, 2);
  } catch {
    return text; // not JSON at the moment
  }
}

/** By the button, and by Ctrl or ⌘ with Enter in the box. */
function onSubmit(formId, boxId, act) {
  $(formId).addEventListener("submit", (event) => {
    event.preventDefault();
    act();
  });
  $(boxId).addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    act();
  });
}
