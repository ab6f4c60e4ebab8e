// Power over time, as one line of SVG.

import { $, write } from "../dom.js";
import { clock, measure, number, say } from "./words.js";

const WIDTH = 320;
const HEIGHT = 96;
const MOST_POINTS = 600;

export class Chart {
  #points = []; // { at: ms, kw }

  /** The course so far; what is known already and newer stays. */
  load(points) {
    const loaded = points.filter((point) => point.power_kw !== null).map((point) => ({ at: Date.parse(point.at), kw: point.power_kw }));
    const newest = loaded.at(-1)?.at ?? -Infinity;
    this.#points = [...loaded, ...this.#points.filter((point) => point.at > newest)];
    this.#draw();
  }

  add(time, kw) {
    const at = Date.parse(time);
    if (kw === null || at <= this.#points.at(-1)?.at) return;
    this.#points.push({ at, kw });
    if (this.#points.length > MOST_POINTS) this.#points = this.#points.filter((_, index) => index % 2 === 0);
    this.#draw();
  }

  clear() {
    this.#points = [];
    this.#draw();
  }

  #draw() {
    const points = this.#points;
    $("chart-card").hidden = points.length < 2;
    $("chart").dataset.points = points.length;
    if (points.length < 2) return;
    const first = points[0].at;
    const last = points.at(-1).at;
    const highest = Math.max(...points.map((point) => point.kw));
    const ceiling = Math.max(1, highest * 1.1);
    const place = ({ at, kw }) => `${(((at - first) / (last - first)) * WIDTH).toFixed(1)},${(HEIGHT - (kw / ceiling) * HEIGHT).toFixed(1)}`;
    const line = points.map(place).join(" ");
    $("chart-line").setAttribute("points", line);
    $("chart-under").setAttribute("points", `0,${HEIGHT} ${line} ${WIDTH},${HEIGHT}`);
    const most = number(highest, 1);
    $("chart").setAttribute("aria-label", say("chart", { now: number(points.at(-1).kw, 1), most }));
    write($("chart-most"), say("at_most", { power: measure(highest, 1, "kW") }));
    write($("chart-from"), clock(first));
    write($("chart-to"), clock(last));
  }
}
