// Stations on a plain projection of their coordinates: no tiles, so nobody else learns where the driver looks.

import { $ } from "../dom.js";
import { draw } from "./svg.js";
import { say } from "./words.js";

const WIDTH = 320;
const HEIGHT = 200;
const EDGE = 32;
const REACH = 22; // what a thumb hits; pins closer than that become one
const WORST_FIRST = ["unavailable", "in_use", "available"];

export class StationMap {
  #places = [];
  #shown = null; // after a tap on several at once: only these
  #choose;

  /** `choose(place)`: the person has tapped this one. */
  constructor(choose) {
    this.#choose = choose;
    $("pins").setAttribute("aria-label", say("map"));
    $("whole-map").onclick = () => this.#show(null);
  }

  /** Places: `{ name, latitude, longitude, status }`. */
  set places(places) {
    this.#places = places.filter((place) => Number.isFinite(place.latitude) && Number.isFinite(place.longitude));
    this.#draw();
  }

  #show(names) {
    this.#shown = names;
    this.#draw();
    ($("pins").querySelector("[role=button]") ?? $("search")).focus();
  }

  #draw() {
    const inside = this.#places.filter((place) => !this.#shown || this.#shown.has(place.name));
    $("map").hidden = inside.length === 0;
    $("whole-map").hidden = !this.#shown;
    const focused = document.activeElement?.dataset?.pin;
    $("pins").replaceChildren(...grid(), ...clustered(project(inside)).map((pins) => this.#pin(pins)));
    if (focused) $("pins").querySelector(`[data-pin="${CSS.escape(focused)}"]`)?.focus();
  }

  #pin(pins) {
    const { x, y, place } = pins[0];
    const best = pins.map((pin) => pin.place.status).sort((a, b) => WORST_FIRST.indexOf(b) - WORST_FIRST.indexOf(a))[0];
    const several = pins.length > 1;
    const name = several ? say("places_here", { count: pins.length }) : place.name;
    const title = `${name}: ${say(best)}`;
    const parts = [draw("circle", { class: "reach", r: REACH }), draw("circle", { class: `dot ${best}`, r: several ? 13 : 9 })];
    if (several) parts.push(draw("text", {}, String(pins.length)));
    const pin = draw("g", { class: "pin", role: "button", tabindex: 0, "aria-label": title, "data-pin": name, transform: `translate(${x} ${y})` }, ...parts);
    const tap = () => this.#tap(pins.map((each) => each.place));
    pin.addEventListener("click", tap);
    pin.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      tap();
    });
    return pin;
  }

  #tap(places) {
    const apart = places.some((place) => place.latitude !== places[0].latitude || place.longitude !== places[0].longitude);
    if (apart && this.#shown?.size !== places.length) this.#show(new Set(places.map((place) => place.name)));
    else this.#choose(places[0]);
  }
}

/** Mercator, to scale, with everything inside the frame. */
function project(places) {
  const flat = places.map((place) => ({
    place,
    east: (place.longitude * Math.PI) / 180,
    north: Math.asinh(Math.tan((Math.max(-85, Math.min(85, place.latitude)) * Math.PI) / 180)),
  }));
  const [west, east] = extent(flat.map((point) => point.east));
  const [south, north] = extent(flat.map((point) => point.north));
  const scale = Math.min((WIDTH - 2 * EDGE) / (east - west || 1e-6), (HEIGHT - 2 * EDGE) / (north - south || 1e-6));
  return flat.map((point) => ({
    place: point.place,
    x: Math.round(WIDTH / 2 + (point.east - (west + east) / 2) * scale),
    y: Math.round(HEIGHT / 2 - (point.north - (south + north) / 2) * scale),
  }));
}

const extent = (values) => [Math.min(...values), Math.max(...values)];

/** Pins that would lie on each other, put together. */
function clustered(pins) {
  const clusters = [];
  for (const pin of pins) {
    const near = clusters.find(([first]) => Math.hypot(first.x - pin.x, first.y - pin.y) < 2 * REACH);
    if (near) near.push(pin);
    else clusters.push([pin]);
  }
  return clusters;
}

function grid() {
  const lines = [];
  for (let x = 40; x < WIDTH; x += 40) lines.push(draw("line", { class: "grid", x1: x, x2: x, y1: 0, y2: HEIGHT }));
  for (let y = 40; y < HEIGHT; y += 40) lines.push(draw("line", { class: "grid", x1: 0, x2: WIDTH, y1: y, y2: y }));
  return lines;
}
