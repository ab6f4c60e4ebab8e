// Chargers, page by page: all of them, those in the area of the map that is looked at, those that are searched for. As a list
// and as pins; and however many there are, no more are asked for, drawn and heard of than a person can look through.

import { $, make, write } from "../dom.js";
import { StationMap } from "./map.js";
import { distanceKm } from "./mercator.js";
import { measure, number, say } from "./words.js";

const PAGE = 50;
const AREA_PAGE = 200; // pins want to be seen at once
const MOST = 400; // the server lets a page hear of 500
const ROWS = 40;
const PAUSE_MS = 300; // until who types or looks around is taken to be done

export class Places {
  #ev;
  #followed;
  #tell;
  #chargers = new Map();
  #area = null; // of the map; null: everywhere
  #here = null;
  #cursor = null;
  #rows = ROWS;
  #asked = 0; // to know the answers that are wanted no more
  #isLoaded = false;
  #isDrawn = true;
  #timer = null;
  #map = new StationMap({ choose: (place) => this.#choose(place), moved: () => this.#lookAt(this.#map.box) });

  /** `tell(text)`: what went wrong, for the person. */
  constructor(ev, followed, tell) {
    this.#ev = ev;
    this.#followed = followed;
    this.#tell = tell;
    $("search").oninput = () => this.#lookAt(null);
    $("everywhere").onclick = () => this.#everywhere();
    $("near-me").onclick = () => this.#findMe();
    $("more-places").onclick = () => this.#showMore();
    ev.on("connected", () => this.#isLoaded || this.#load());
    ev.on("subscribed", ({ chargers }) => this.#take(chargers)); // anew, after the line was lost
    ev.on("charger_status_update", (message) => this.#changed(message));
  }

  // --- which ---

  #lookAt(area) {
    this.#area = area;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#load(), PAUSE_MS);
  }

  #everywhere() {
    this.#area = null;
    this.#load();
    $("search").focus();
  }

  #choose({ name, identities }) {
    if (identities.length === 1) {
      location.hash = `#charger/${encodeURIComponent(identities[0])}`;
    } else {
      $("search").value = name;
      this.#lookAt(null);
    }
  }

  #findMe() {
    const found = ({ coords }) => {
      this.#here = { latitude: coords.latitude, longitude: coords.longitude };
      this.#map.goTo(this.#here);
    };
    const lost = () => this.#tell(say("no_position"));
    if (!navigator.geolocation) return lost();
    this.#tell("");
    navigator.geolocation.getCurrentPosition(found, lost, { timeout: 15_000, maximumAge: 60_000 });
  }

  // --- asking ---

  async #load() {
    const asked = ++this.#asked;
    const area = this.#area;
    try {
      const page = await this.#page(null);
      if (asked !== this.#asked) return;
      this.#isLoaded = true;
      this.#rows = ROWS;
      this.#chargers = new Map();
      await this.#add(page, asked);
      if (asked !== this.#asked) return;
      if (!area) this.#map.fit();
    } catch (error) {
      if (asked === this.#asked) this.#tell(error.message);
    }
  }

  #page(cursor) {
    const search = $("search").value.trim();
    return this.#ev.listChargers({ search, ...(this.#area && { bbox: this.#area }), limit: this.#area ? AREA_PAGE : PAGE, cursor });
  }

  async #add({ chargers, next_cursor }, asked) {
    this.#cursor = next_cursor;
    this.#take(chargers);
    const states = await this.#followed.follow("places", [...this.#chargers.keys()]);
    if (asked === this.#asked) this.#take(states);
  }

  #take(chargers) {
    for (const charger of chargers) this.#chargers.set(charger.charger_id, charger);
    this.#draw();
  }

  async #showMore() {
    const next = $("places").children.length;
    const asked = this.#asked;
    if (next === this.#chargers.size) {
      try {
        const page = await this.#page(this.#cursor);
        if (asked === this.#asked) await this.#add(page, asked);
      } catch (error) {
        return this.#tell(error.message);
      }
    }
    if (asked !== this.#asked) return;
    this.#rows = next + ROWS;
    this.#draw();
    $("places").children[next]?.querySelector("a").focus();
  }

  #changed({ charger_id, status, data }) {
    const charger = this.#chargers.get(charger_id);
    if (!charger) return;
    this.#chargers.set(charger_id, { ...charger, status, display: data.display, connected: data.connected });
    if (!this.#isDrawn) return;
    this.#isDrawn = false;
    requestAnimationFrame(() => this.#draw()); // however many of them change at once
  }

  // --- showing ---

  #draw() {
    this.#isDrawn = true;
    const found = this.#nearestFirst([...this.#chargers.values()]);
    const focused = document.activeElement?.dataset?.charger;
    $("places").replaceChildren(...found.slice(0, this.#rows).map(([charger, km]) => row(charger, km)));
    if (focused) $("places").querySelector(`[data-charger="${CSS.escape(focused)}"]`)?.focus();
    const isMore = this.#cursor !== null;
    $("none-found").hidden = found.length > 0;
    $("everywhere").hidden = this.#area === null;
    $("more-places").hidden = found.length <= this.#rows && !(isMore && found.length < MOST);
    write($("found"), say(isMore ? "found_more" : this.#area ? "found_here" : "found", { count: number(found.length) }));
    this.#map.places = stationsOf(this.#chargers.values());
  }

  /** With how far each is, where that is known. */
  #nearestFirst(chargers) {
    const here = this.#here;
    const pairs = chargers.map((charger) => [charger, here && isPlaced(charger) ? distanceKm(here, charger.station.location) : null]);
    return here ? pairs.sort(([, a], [, b]) => (a ?? Infinity) - (b ?? Infinity)) : pairs;
  }
}

const isPlaced = ({ station }) => Number.isFinite(station?.location?.latitude) && Number.isFinite(station.location.longitude);

export const wordChip = (status, ...more) => make("span", { class: `chip ${status}` }, say(status), ...more);

function row(charger, km) {
  const { charger_id, station, status, display } = charger;
  const far = km === null ? "" : measure(km, km < 10 ? 1 : 0, "km");
  const where = [far, station && charger_id, station?.location?.address].filter(Boolean).join(" · ");
  return make(
    "li",
    {},
    make(
      "a",
      { href: `#charger/${encodeURIComponent(charger_id)}`, dataset: { charger: charger_id } },
      make("strong", { dir: "auto" }, station?.name ?? charger_id),
      " ",
      make("small", { dir: "auto" }, where),
      " ",
      wordChip(status, ...(display ? [" ", make("bdi", {}, display)] : [])),
    ),
  );
}

/** Stations with a place on the map; each as free as its freest charger. */
function stationsOf(chargers) {
  const stations = new Map();
  for (const charger of chargers) {
    if (!isPlaced(charger)) continue;
    const { charger_id, status, station } = charger;
    const { latitude, longitude } = station.location;
    const known = stations.get(station.station_id);
    if (!known) stations.set(station.station_id, { key: `station-${station.station_id}`, name: station.name, latitude, longitude, status, identities: [charger_id] });
    else {
      known.identities.push(charger_id);
      if (status === "available" || known.status === "unavailable") known.status = status;
    }
  }
  return [...stations.values()];
}
