// Numbers, money and times as people read them. What is not known is a dash, never a zero.

export const UNKNOWN = "–";

const isKnown = (value) => value !== null && value !== undefined;

/** `1.234`, with a fixed number of decimals. */
export function number(value, decimals) {
  return isKnown(value) ? value.toLocaleString("en", { minimumFractionDigits: decimals, maximumFractionDigits: decimals }) : UNKNOWN;
}

export function money(value, currency) {
  if (!isKnown(value)) return UNKNOWN;
  try {
    return value.toLocaleString("en", { style: "currency", currency });
  } catch {
    return `${number(value, 2)} ${currency ?? ""}`.trim(); // not a currency the browser knows
  }
}

/** `1:02:03` */
export function stopwatch(seconds) {
  if (!isKnown(seconds)) return UNKNOWN;
  const whole = Math.floor(seconds);
  const pad = (value) => String(value).padStart(2, "0");
  return `${Math.floor(whole / 3600)}:${pad(Math.floor(whole / 60) % 60)}:${pad(whole % 60)}`;
}

/** `2 h 15 min`, `20 min` */
export function span(seconds) {
  if (!isKnown(seconds)) return UNKNOWN;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 1) return "< 1 min";
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** `14:02:31` of a Date, a number of milliseconds or an RFC 3339 text; with milliseconds where asked. */
export function clock(time, { milliseconds = false } = {}) {
  const date = new Date(time);
  const text = date.toLocaleTimeString("en-GB");
  return milliseconds ? `${text}.${String(date.getMilliseconds()).padStart(3, "0")}` : text;
}

/** `14:02:31` today, `23 Nov 14:02:31` on another day. */
export function moment(time) {
  const date = new Date(time);
  const day = date.toLocaleDateString("en-GB", { day: "numeric", month: "short" });
  return date.toDateString() === new Date().toDateString() ? clock(date) : `${day} ${clock(date)}`;
}
