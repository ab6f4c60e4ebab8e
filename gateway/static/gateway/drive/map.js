// Places as pins on a map that can be dragged and zoomed. Its tiles are a setting of the installation: without them nobody
// else learns where the driver looks.

import { $, write } from "../dom.js";
import { onGesture } from "./gestures.js";
import { boxOf, MOST_ZOOM, pixelOf, pointOf, ruler, scaleAt, TILE, tilesOf, viewAt, viewOf } from "./mercator.js";
import { draw } from "./svg.js";
import { measure, say } from "./words.js";

const HEIGHT = 240;
const EDGE = 44;
const REACH = 22; // what a thumb hits; pins closer than that become one
const MARGIN = 200; // pixels around the frame that are drawn, too: they come in by dragging
const CLOSEST = 15; // how near a single place is looked at
const STEP = 80; // of an arrow key
const WORST_FIRST = ["unavailable", "in_use", "available"];
let resized = null; // one map at a time
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

export class StationMap {
  #places = [];
  #here = null;
  #view = null;
  #frame = { width: 320, height: HEIGHT };
  #ground = draw("g", { class: "ground" });
  #pins = draw("g");
  #moving = draw("g", {}, this.#ground, this.#pins);
  #tiles = new Map();
  #choose;
  #moved;

  /** `choose(place)`: this one was tapped. `moved()`: the person looks at another `box` now. */
  constructor({ choose, moved }) {
    this.#choose = choose;
    this.#moved = moved;
    const picture = $("pins");
    picture.setAttribute("aria-label", say("map"));
    picture.replaceChildren(this.#moving);
    onGesture(picture, { follow: (gesture) => this.#follow(gesture), done: (gesture) => this.#settle(gesture) });
    picture.onkeydown = (event) => this.#key(event);
    $("zoom-in").onclick = () => this.#zoom(1);
    $("zoom-out").onclick = () => this.#zoom(-1);
    resized?.disconnect();
    resized = new ResizeObserver(() => this.#draw());
    resized.observe($("map"));
  }

  /** Places: `{ key, name, latitude, longitude, status }`. */
  set places(places) {
    this.#places = places.map((place) => ({ ...place, ...pointOf(place) }));
    this.#draw();
  }

  /** The area that is seen, once there is one. */
  get box() {
    return this.#view && boxOf(this.#view, this.#frame);
  }

  /** Look at all places. */
  fit() {
    if (this.#places.length) this.#view = viewOf(this.#places, this.#frame, { edge: EDGE, closest: CLOSEST });
    this.#draw();
  }

  /** Look at where the person is. */
  goTo(position) {
    this.#here = pointOf(position);
    this.#look(this.#here.x, this.#here.y, 13);
  }

  // --- looking around ---

  #look(x, y, zoom) {
    this.#view = viewAt(x, y, zoom, this.#frame);
    this.#draw();
    this.#moved();
  }

  #zoom(levels) {
    if (this.#view) this.#look(this.#view.x, this.#view.y, this.#view.zoom + levels);
  }

  #pan(east, south) {
    const { x, y, zoom } = this.#view;
    this.#look(x + east / scaleAt(zoom), y + south / scaleAt(zoom), zoom);
  }

  #key(event) {
    const arrow = ARROWS[event.key];
    if (!arrow || !this.#view) return;
    event.preventDefault();
    this.#pan(arrow[0] * STEP, arrow[1] * STEP);
  }

  #follow({ east, south, factor, at }) {
    this.#moving.setAttribute("transform", `translate(${at.x + east} ${at.y + south}) scale(${factor}) translate(${-at.x} ${-at.y})`);
  }

  /** What was between the fingers stays between them. */
  #settle({ east, south, factor, at }) {
    this.#moving.removeAttribute("transform");
    const { width, height } = this.#frame;
    const { x, y, zoom } = this.#view;
    const nearer = viewAt(x, y, zoom + Math.round(Math.log2(factor)), this.#frame).zoom;
    const middle = { x: x + (at.x - width / 2) / scaleAt(zoom), y: y + (at.y - height / 2) / scaleAt(zoom) };
    this.#look(middle.x - (at.x + east - width / 2) / scaleAt(nearer), middle.y - (at.y + south - height / 2) / scaleAt(nearer), nearer);
  }

  // --- drawing ---

  #draw() {
    $("map").hidden = this.#view === null;
    if (!this.#view) return;
    const width = $("map").clientWidth;
    if (width) this.#frame = { width, height: HEIGHT };
    $("pins").setAttribute("viewBox", `0 0 ${this.#frame.width} ${HEIGHT}`);
    $("zoom-in").disabled = this.#view.zoom === MOST_ZOOM;
    this.#drawGround();
    this.#drawScale();
    const focused = document.activeElement?.dataset?.pin;
    const pins = clustered(this.#places.map((place) => ({ place, ...pixelOf(place, this.#view, this.#frame) })));
    this.#pins.replaceChildren(...pins.filter(([first]) => this.#isNear(first)).map((each) => this.#pin(each)));
    if (this.#here) this.#pins.prepend(this.#marker());
    if (focused) this.#pins.querySelector(`[data-pin="${CSS.escape(focused)}"]`)?.focus();
  }

  #isNear({ x, y }) {
    return x > -MARGIN && x < this.#frame.width + MARGIN && y > -MARGIN && y < HEIGHT + MARGIN;
  }

  /** The installation's tiles, or the lines where they would meet. */
  #drawGround() {
    const address = $("map").dataset.tiles;
    const seen = new Map();
    for (const { z, x, y, left, top } of tilesOf(this.#view, this.#frame, MARGIN)) {
      const key = `${z}/${x}/${y}`;
      const tile = this.#tiles.get(key) ?? (address ? picture(address, { z, x, y }) : draw("path", { class: "grid", d: `M0 ${TILE}V0H${TILE}M${TILE / 2} 0V${TILE}M0 ${TILE / 2}H${TILE}` }));
      tile.setAttribute("transform", `translate(${left} ${top})`);
      seen.set(key, tile);
    }
    this.#tiles = seen;
    this.#ground.replaceChildren(...seen.values());
  }

  #drawScale() {
    const { km, width } = ruler(this.#view, 90);
    write($("scale"), km < 1 ? measure(km * 1000, 0, "m") : measure(km, 0, "km"));
    $("scale").style.width = `${width}px`;
  }

  #marker() {
    const { x, y } = pixelOf(this.#here, this.#view, this.#frame);
    return draw("g", { class: "here", role: "img", "aria-label": say("here"), transform: `translate(${x} ${y})` }, draw("circle", { class: "halo", r: 16 }), draw("circle", { class: "dot", r: 6 }));
  }

  #pin(pins) {
    const { x, y, place } = pins[0];
    const best = pins.map((pin) => pin.place.status).sort((a, b) => WORST_FIRST.indexOf(b) - WORST_FIRST.indexOf(a))[0];
    const several = pins.length > 1;
    const name = several ? say("places_here", { count: pins.length }) : place.name;
    const parts = [draw("circle", { class: "reach", r: REACH }), draw("circle", { class: `dot ${best}`, r: several ? 14 : 10 })];
    if (several) parts.push(draw("text", {}, String(pins.length)));
    else parts.push(draw("path", { class: "bolt", d: "M1-6-4 1h3l-1 5 5-7H0z" }));
    const attributes = { class: "pin", role: "button", tabindex: 0, "aria-label": `${name}: ${say(best)}`, "data-pin": place.key, transform: `translate(${x} ${y})` };
    const pin = draw("g", attributes, ...parts);
    const tap = () => this.#tap(pins.map((each) => each.place));
    pin.addEventListener("click", tap);
    pin.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      tap();
    });
    return pin;
  }

  /** Several are looked at more closely, as long as that sets them apart. */
  #tap(places) {
    if (places.length === 1 || this.#view.zoom === MOST_ZOOM) return this.#choose(places[0]);
    const { x, y, zoom } = viewOf(places, this.#frame, { edge: EDGE, closest: MOST_ZOOM });
    this.#look(x, y, Math.max(zoom, this.#view.zoom + 1));
  }
}

function picture(address, { z, x, y }) {
  const href = address.replace("{z}", z).replace("{x}", x).replace("{y}", y);
  return draw("image", { href, width: TILE, height: TILE });
}

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
