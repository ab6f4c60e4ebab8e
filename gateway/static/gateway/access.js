// The access token: from user name and password, or pasted. Kept for this tab only, and shown nowhere.

const KEY = "evcharge.access";
const SHORTEST_SECRET = 12; // anything shorter is somebody's try, and may stand in any text
const ANY_TOKEN = /eyJ[\w-]{5,}\.[\w-]{5,}\.[\w-]*/g;

export class Access {
  constructor() {
    this.token = null;
    this.name = null;
    try {
      const kept = JSON.parse(sessionStorage.getItem(KEY));
      if (kept) this.use(kept.token, kept.name);
    } catch {
      // storage is switched off, or holds something else: begin without
    }
  }

  use(token, name = null) {
    this.token = token.trim().replace(/^Bearer\s+/i, "");
    this.name = name;
    try {
      sessionStorage.setItem(KEY, JSON.stringify({ token: this.token, name }));
    } catch {
      // it holds until the page is left
    }
  }

  forget() {
    this.token = this.name = null;
    try {
      sessionStorage.removeItem(KEY);
    } catch {
      // nothing was kept
    }
  }

  /** When the token ends, in milliseconds, or null if it does not say so. */
  get expires() {
    try {
      const claims = this.token.split(".")[1].replace(/-/g, "+").replace(/_/g, "/");
      return JSON.parse(atob(claims)).exp * 1000 || null;
    } catch {
      return null;
    }
  }

  /** The text without the token, wherever it may stand in it, and without any other that looks like one. */
  hide(text) {
    const shown = this.token?.length >= SHORTEST_SECRET ? text.replaceAll(this.token, "‹token›") : text;
    return shown.replace(ANY_TOKEN, "‹token›");
  }

  /** Throws an Error whose message is for the person. */
  async logIn(username, password) {
    let response;
    try {
      response = await fetch("/api/token/", {
        method: "POST",
        credentials: "omit",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ username, password }),
      });
    } catch {
      throw new Error("The server could not be reached. Is it running?");
    }
    const body = await response.json().catch(() => ({}));
    if (response.ok && body.access) this.use(body.access, username);
    else throw new Error(refusal(response, body));
  }
}

function refusal(response, body) {
  if (response.status === 401) return "Wrong user name or password.";
  if (response.status === 429) return `Too many attempts. Try again in ${response.headers.get("Retry-After") ?? "a few"} seconds.`;
  return `The log-in failed: ${body.message ?? body.error ?? `HTTP ${response.status}`}`;
}
