// The log: every message with its time and direction; filters, pause, copy. Bounded, and drawn once a frame.

import { $, copyFrom, make, write } from "./dom.js";
import { clock } from "./format.js";

const LONGEST = 1000;
const MOST_TYPES = 60; // what testers type themselves becomes a type, too
const ARROWS = { in: ["←", "received"], out: ["→", "sent"], note: ["•", "note"] };

export class Log {
  #entries = []; // shown or hidden by the filters, oldest first
  #fresh = []; // not drawn yet: since the last frame, or since the pause
  #isPaused = false;
  #isDrawing = false;
  #types = new Set();
  #list = $("log-entries");
  #hide;

  /** `hide` takes out of a text what must not be shown. */
  constructor(hide) {
    this.#hide = hide;
    for (const [id, event] of [["log-text", "input"], ["log-type", "change"], ["log-ticks", "change"]]) {
      $(id).addEventListener(event, () => this.#filter());
    }
    $("log-pause").addEventListener("click", () => this.#pause());
    $("log-clear").addEventListener("click", () => this.#clear());
    $("log-copy").addEventListener("click", ({ target }) => copyFrom(target, this.#shown().map(asLine).join("\n")));
  }

  /** `direction` is in, out or note; `text` the message as it was on the wire. */
  add({ direction, type, text, gist, tone = "", isTick = false }) {
    const [shownType, shownText, shownGist] = [type, text, gist].map(this.#hide);
    const entry = { direction, type: shownType, text: shownText, gist: shownGist, tone, isTick };
    this.#fresh.push({ at: new Date(), element: null, ...entry });
    if (this.#fresh.length > LONGEST) this.#fresh.shift();
    if (this.#isPaused) this.#count();
    else this.#drawSoon();
  }

  #drawSoon() {
    if (this.#isDrawing) return;
    this.#isDrawing = true;
    requestAnimationFrame(() => {
      this.#isDrawing = false;
      if (!this.#isPaused) this.#draw();
    });
  }

  #draw() {
    const list = this.#list;
    list.hidden = false;
    const followsEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
    const fits = this.#judge();
    const batch = this.#fresh.splice(0);
    for (const entry of batch) {
      this.#offer(entry.type);
      entry.element = drawn(entry);
      entry.element.hidden = !fits(entry);
    }
    list.append(...batch.map((entry) => entry.element));
    this.#entries.push(...batch);
    for (const old of this.#entries.splice(0, Math.max(0, this.#entries.length - LONGEST))) old.element.remove();
    if (followsEnd) list.scrollTop = list.scrollHeight;
    this.#count();
  }

  /** Whether an entry passes the filters as they stand. */
  #judge() {
    const text = $("log-text").value.trim().toLowerCase();
    const type = $("log-type").value;
    const hidesTicks = $("log-ticks").checked;
    return (entry) =>
      !(hidesTicks && entry.isTick) &&
      (!type || entry.type === type) &&
      (!text || `${entry.type} ${entry.gist} ${entry.text}`.toLowerCase().includes(text));
  }

  #filter() {
    const fits = this.#judge();
    for (const entry of this.#entries) entry.element.hidden = !fits(entry);
    this.#list.scrollTop = this.#list.scrollHeight;
    this.#count();
  }

  #shown() {
    return this.#entries.filter((entry) => !entry.element.hidden);
  }

  #count() {
    const all = this.#entries.length;
    const shown = this.#shown().length;
    const waiting = this.#isPaused && this.#fresh.length ? `, ${this.#fresh.length} waiting` : "";
    write($("log-count"), all || waiting ? `${shown === all ? all : `${shown} of ${all}`}${waiting}` : "");
    $("log-empty").hidden = shown > 0;
    write($("log-empty"), all ? "Nothing passes the filters." : "Every message appears here, in both directions. Connect to begin.");
    this.#list.hidden = !shown;
  }

  #offer(type) {
    if (this.#types.has(type) || this.#types.size >= MOST_TYPES) return;
    this.#types.add(type);
    const option = make("option", { value: type }, type);
    const next = [...$("log-type").options].slice(1).find((other) => other.value > type);
    $("log-type").insertBefore(option, next ?? null);
  }

  #pause() {
    this.#isPaused = !this.#isPaused;
    $("log-pause").setAttribute("aria-pressed", String(this.#isPaused));
    write($("log-pause"), this.#isPaused ? "Go on" : "Pause");
    if (this.#isPaused) this.#count();
    else this.#draw();
  }

  #clear() {
    this.#entries = [];
    this.#fresh = [];
    this.#list.replaceChildren();
    this.#count();
  }
}

function drawn(entry) {
  const [arrow, meaning] = ARROWS[entry.direction];
  const line = make(
    "summary",
    {},
    make("time", { datetime: entry.at.toISOString() }, clock(entry.at, { milliseconds: true })),
    make("span", { class: "arrow", role: "img", "aria-label": meaning }, arrow),
    make("span", { class: "type" }, entry.type),
    make("span", { class: "gist" }, entry.gist),
  );
  const details = make("details", {}, line);
  const open = () => {
    details.append(body(entry)); // most are never opened
    details.scrollIntoView({ block: "nearest" });
  };
  details.addEventListener("toggle", open, { once: true });
  return make("div", { class: "entry", dataset: { direction: entry.direction, tone: entry.tone } }, details);
}

function body(entry) {
  const button = make("button", { type: "button", onclick: () => copyFrom(button, entry.text) }, "Copy");
  return make("div", { class: "body" }, make("pre", { tabindex: "0" }, pretty(entry.text)), button);
}

function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

const asLine = (entry) => `${entry.at.toISOString()} ${ARROWS[entry.direction][0]} ${entry.text}`;
