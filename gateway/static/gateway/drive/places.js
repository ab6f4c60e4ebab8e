// All chargers, as a list to search in and as pins on a map; and which of them the driver is looking at.

import { $, make, write } from "../dom.js";
import { StationMap } from "./map.js";
import { number, say } from "./words.js";

const PAGE = 200;
const ROWS = 40;

export class Places {
  #ev;
  #chargers = new Map();
  #rows = ROWS;
  #map = new StationMap((place) => this.#search(place.name));

  constructor(ev) {
    this.#ev = ev;
    $("search").oninput = () => this.#search($("search").value);
    $("more-places").onclick = () => this.#showMore();
    ev.on("charger_status_update", (message) => this.#changed(message));
    ev.on("charger_list_update", () => this.load());
  }

  /** Everything there is, page by page, and whatever happens to it from now on. */
  async load() {
    await this.#ev.subscribe({ all: true });
    const chargers = new Map();
    let cursor = null;
    do {
      const page = await this.#ev.listChargers({ limit: PAGE, cursor });
      for (const charger of page.chargers) chargers.set(charger.charger_id, charger);
      cursor = page.next_cursor;
    } while (cursor);
    this.#chargers = chargers;
    this.#draw();
  }

  #changed({ charger_id, status, data }) {
    const charger = this.#chargers.get(charger_id);
    if (!charger) return;
    this.#chargers.set(charger_id, { ...charger, status, display: data.display, connected: data.connected });
    this.#draw();
  }

  #search(text) {
    if ($("search").value !== text) $("search").value = text;
    this.#rows = ROWS;
    const found = this.#draw();
    write($("found"), say("found", { count: number(found) }));
  }

  #showMore() {
    const next = this.#rows;
    this.#rows += ROWS;
    this.#draw();
    $("places").children[next]?.querySelector("a").focus();
  }

  #draw() {
    const words = $("search").value.toLowerCase().split(/\s+/);
    const found = [...this.#chargers.values()].filter((charger) => words.every((word) => textOf(charger).includes(word)));
    const focused = document.activeElement?.dataset?.charger;
    $("places").replaceChildren(...found.slice(0, this.#rows).map(row));
    if (focused) $("places").querySelector(`[data-charger="${CSS.escape(focused)}"]`)?.focus();
    $("none-found").hidden = found.length > 0;
    $("more-places").hidden = found.length <= this.#rows;
    this.#map.places = stationsOf(this.#chargers.values());
    return found.length;
  }
}

const textOf = ({ charger_id, station }) => `${charger_id} ${station?.name ?? ""} ${station?.location?.address ?? ""}`.toLowerCase();

export const wordChip = (status, ...more) => make("span", { class: `chip ${status}` }, say(status), ...more);

function row(charger) {
  const { charger_id, station, status, display } = charger;
  const where = [station && charger_id, station?.location?.address].filter(Boolean).join(" · ");
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
  for (const { station, status } of chargers) {
    if (!station?.location) continue;
    const { latitude, longitude } = station.location;
    const known = stations.get(station.station_id);
    if (!known) stations.set(station.station_id, { name: station.name, latitude, longitude, status });
    else if (status === "available" || known.status === "unavailable") known.status = status;
  }
  return [...stations.values()];
}
