// What is over: the receipt of one session, and the list of them all.

import { $, make, write } from "../dom.js";
import { wordChip } from "./places.js";
import { measure, moment, money, number, say, stopwatch } from "./words.js";

const PAGE = 20;

export class ReceiptView {
  #api;
  #tell;
  #id = null;

  constructor(api, tell) {
    this.#api = api;
    this.#tell = tell;
    $("receipt-pdf").onclick = () => this.#save();
  }

  async show(id) {
    this.#id = id;
    $("receipt").hidden = true;
    try {
      const receipt = await this.#api.receipt(id);
      if (id === this.#id) drawReceipt(receipt);
    } catch (error) {
      if (id === this.#id) this.#tell(error.status === 409 ? say("receipt_soon") : error.message);
    }
  }

  hide() {
    this.#id = null;
  }

  async #save() {
    try {
      const url = URL.createObjectURL(await this.#api.receiptPdf(this.#id));
      make("a", { href: url, download: `receipt-${this.#id}.pdf` }).click();
      setTimeout(() => URL.revokeObjectURL(url), 60_000);
    } catch (error) {
      this.#tell(error.message);
    }
  }
}

function drawReceipt(receipt) {
  const paid = (amount) => money(amount, receipt.currency);
  write($("receipt-total"), paid(receipt.gross));
  write($("receipt-energy"), measure(receipt.energy_kwh, 2, "kWh"));
  $("receipt-facts").replaceChildren(
    fact("number", receipt.number),
    fact("place", [receipt.station_name, receipt.charger_id].filter(Boolean).join(" · ")),
    fact("from", moment(receipt.started_at)),
    fact("to", moment(receipt.stopped_at)),
    fact("duration", stopwatch(receipt.duration_s)),
  );
  $("receipt-lines").replaceChildren(...receipt.lines.map((line) => sum(say(line.kind), paid(line.amount), detail(line, paid))));
  const sums = [sum(say("total"), paid(receipt.gross))];
  if (receipt.tax !== null) sums.unshift(sum(say("tax", { percent: receipt.tax_percent }), paid(receipt.tax)));
  $("receipt-sums").replaceChildren(...sums);
  $("receipt").hidden = false;
}

const fact = (name, value) => make("div", {}, make("dt", {}, say(name)), make("dd", {}, make("bdi", {}, value)));

function sum(name, amount, more = "") {
  const small = more ? [make("small", {}, make("bdi", {}, more))] : [];
  return make("tr", {}, make("th", { scope: "row" }, name, ...small), make("td", {}, amount));
}

/** `1.5 kWh × €0.50` */
function detail({ quantity, unit, unit_price }, paid) {
  if (quantity === null || unit_price === null || unit === "session") return "";
  return `${number(quantity, 2)} ${unit} × ${paid(unit_price)}`;
}

export class HistoryView {
  #ev;
  #tell;
  #cursor = null;

  constructor(ev, tell) {
    this.#ev = ev;
    this.#tell = tell;
    $("more-sessions").onclick = () => this.#load();
  }

  async show() {
    this.#cursor = null;
    await this.#load();
  }

  async #load() {
    const cursor = this.#cursor;
    try {
      const { sessions, next_cursor } = await this.#ev.listSessions({ limit: PAGE, cursor });
      if (cursor === null) $("sessions").replaceChildren();
      const rows = sessions.map(entry);
      $("sessions").append(...rows);
      if (cursor !== null) rows[0]?.querySelector("a")?.focus();
      this.#cursor = next_cursor;
      $("more-sessions").hidden = next_cursor === null;
      $("no-history").hidden = $("sessions").children.length > 0;
    } catch (error) {
      this.#tell(error.message);
    }
  }
}

function entry(session) {
  const { session_id, status, station_name, charger_id, start_time, requested_at, energy_delivered, cost, cost_currency } = session;
  const figures = status === "completed" ? ` · ${measure(energy_delivered, 2, "kWh")}` : "";
  const texts = [
    make("strong", { dir: "auto" }, station_name ?? charger_id),
    " ",
    make("small", { dir: "auto" }, moment(start_time ?? requested_at), figures),
    " ",
    status === "completed" ? make("span", { class: "chip" }, make("bdi", {}, money(cost, cost_currency))) : wordChip(status),
  ];
  if (status === "failed") return make("li", {}, make("div", {}, ...texts));
  return make("li", {}, make("a", { href: status === "completed" ? `#receipt/${session_id}` : "#charging" }, ...texts));
}
