// Power over time, drawn by uPlot. A long session is thinned out, so that the number of points stays bounded.

import { $, write } from "./dom.js";
import { clock, number } from "./format.js";

const MOST_POINTS = 4000;
const SHORTEST_S = 60;

export class PowerChart {
  #element = $("chart");
  #times = []; // seconds
  #powers = []; // kW, or null where the charger did not say
  #plot = null;

  constructor() {
    document.addEventListener("themechange", () => this.#rebuild());
    new ResizeObserver(() => this.#plot?.setSize(this.#size())).observe(this.#element);
  }

  /** A value at a time of the charger's clock; one that is not newer than the last replaces it. */
  add(time, kw) {
    const seconds = new Date(time).getTime() / 1000;
    if (seconds <= this.#times.at(-1)) {
      if (kw !== null) this.#powers[this.#powers.length - 1] = kw;
    } else {
      this.#times.push(seconds);
      this.#powers.push(kw);
    }
    if (this.#times.length > MOST_POINTS) this.#thin();
    this.#draw();
  }

  /** The course so far, as `get_session` has it; what came after it stays. */
  load(points) {
    const newest = Date.parse(points.at(-1).at) / 1000;
    const later = this.#times.map((at, index) => [at, this.#powers[index]]).filter(([at]) => at > newest);
    const all = [...points.map(({ at, power_kw }) => [Date.parse(at) / 1000, power_kw]), ...later];
    this.#times = all.map(([at]) => at);
    this.#powers = all.map(([, kw]) => kw);
    this.#draw();
  }

  clear() {
    this.#times = [];
    this.#powers = [];
    this.#plot?.destroy();
    this.#plot = null;
    this.#describe();
  }

  #thin() {
    const every2nd = (_, index) => index % 2 === 0;
    this.#times = this.#times.filter(every2nd);
    this.#powers = this.#powers.filter(every2nd);
  }

  #draw() {
    if (this.#plot) this.#plot.setData([this.#times, this.#powers]);
    else this.#plot = new uPlot(this.#options(), [this.#times, this.#powers], this.#element);
    this.#describe();
  }

  #rebuild() {
    if (!this.#plot) return;
    this.#plot.destroy();
    this.#plot = null;
    this.#draw();
  }

  #describe() {
    const known = this.#powers.filter((kw) => kw !== null);
    const told = known.length ? `last ${number(known.at(-1), 2)} kW, highest ${number(Math.max(...known), 2)} kW` : "";
    this.#element.dataset.points = known.length;
    this.#element.setAttribute("aria-label", `Power over time: ${told || "no values yet"}`);
    $("chart-empty").hidden = this.#times.length > 0;
    write($("chart-readout"), told);
  }

  #point(index) {
    if (index === null || index === undefined) this.#describe();
    else write($("chart-readout"), `${clock(this.#times[index] * 1000)}  ${number(this.#powers[index], 2)} kW`);
  }

  #size() {
    return { width: this.#element.clientWidth, height: this.#element.clientHeight };
  }

  #options() {
    const style = getComputedStyle(this.#element);
    const colour = (name) => style.getPropertyValue(name);
    const axis = {
      stroke: colour("--muted"),
      grid: { stroke: colour("--line"), width: 1 },
      ticks: { show: false },
      font: "12px system-ui, sans-serif",
    };
    return {
      ...this.#size(),
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false } },
      padding: [8, 12, 0, 0],
      scales: {
        x: { time: true, range: (_, first, last) => [first, Math.max(last, first + SHORTEST_S)] },
        y: { range: (_, least, most) => [0, Math.max(1, (most ?? 0) * 1.15)] },
      },
      axes: [
        { ...axis, size: 28, space: 72, values: (_, splits) => splits.map((at) => clock(at * 1000)) },
        { ...axis, size: 52, space: 36, values: (_, splits) => splits.map((kw) => `${kw} kW`) },
      ],
      series: [
        {},
        {
          stroke: colour("--power"),
          fill: colour("--power").replace("rgb(", "rgba(").replace(")", ", 0.12)"),
          width: 2,
        },
      ],
      hooks: { setCursor: [(plot) => this.#point(plot.cursor.idx)] },
    };
  }
}
