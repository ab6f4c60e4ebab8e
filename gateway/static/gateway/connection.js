// The card where one logs in, pastes a token, connects and disconnects; and the state shown on top of the page.

import { $, announce, enable, isEnabled, notice, write } from "./dom.js";
import { clock } from "./format.js";

const WORDS = { idle: "Not connected", connecting: "Connecting …", open: "Connected", waiting: "Reconnecting", closed: "Not connected" };

export class Connection {
  #access;
  #socket;
  #nextTry = null;

  constructor({ access, socket }) {
    this.#access = access;
    this.#socket = socket;
    $("url").value = ownSocket();
    $("wire").open = !matchMedia("(max-width: 40rem)").matches; // on a phone it is in the way
    this.#onSubmit("log-in", () => this.#logIn());
    this.#onSubmit("use-token", () => this.#useToken());
    $("connect").addEventListener("click", () => isEnabled($("connect")) && this.connect());
    $("disconnect").addEventListener("click", () => isEnabled($("disconnect")) && socket.disconnect());
    $("forget").addEventListener("click", () => this.#forget());
    $("reconnect").addEventListener("change", ({ target }) => this.#setReconnects(target.checked));
    $("url").addEventListener("input", () => this.#showHost());
    addEventListener("online", () => socket.tryNow());
    addEventListener("offline", () => socket.doubt());
    setInterval(() => this.#showNextTry(), 1000);
    socket.addEventListener("state", ({ detail }) => this.#became(detail));
    this.#show();
  }

  connect() {
    this.#say("");
    const url = this.#url();
    if (url) this.#socket.connect((lastSeq) => completed(url, { token: this.#access.token, last_seq: lastSeq }));
  }

  /** The user's id, once the server has said it. */
  set userId(id) {
    write($("who"), [this.#access.name, `user ${id}`].filter(Boolean).join(" · "));
  }

  async #logIn() {
    this.#say("");
    try {
      await this.#access.logIn($("username").value, $("password").value);
    } catch (error) {
      this.#say(error.message);
      $("password").select();
      return;
    }
    $("password").value = "";
    this.#arrive();
  }

  #useToken() {
    this.#access.use($("token").value);
    $("token").value = "";
    this.#arrive();
  }

  #arrive() {
    this.#show();
    $("disconnect").focus(); // the form that had the focus is gone
    this.connect();
  }

  #forget() {
    this.#socket.disconnect();
    this.#say("");
    this.#dropToken();
    announce("The token is forgotten");
  }

  /** Back to the form; the focus goes along if what had it is gone. */
  #dropToken() {
    const hadFocus = $("holder").contains(document.activeElement);
    if (this.#access.name) $("username").value = this.#access.name;
    this.#access.forget();
    this.#show();
    if (hadFocus) $($("username").value ? "password" : "username").focus();
  }

  #setReconnects(wanted) {
    this.#socket.reconnects = wanted;
    if (!wanted && this.#socket.state === "waiting") this.#socket.disconnect();
  }

  /** The URL in the box, without a token: one that was pasted along is taken as ours. Null if it is no socket's. */
  #url() {
    let url;
    try {
      url = new URL($("url").value.trim());
    } catch {
      url = null;
    }
    if (!url || !/^wss?:$/.test(url.protocol)) {
      this.#say("The socket URL must begin with ws:// or wss://.");
      return null;
    }
    if (url.searchParams.has("token")) {
      this.#access.use(url.searchParams.get("token"));
      url.searchParams.delete("token");
      $("url").value = url.href;
      this.#show();
    }
    return url;
  }

  // --- what is shown ---

  #became({ name, text, at = null, needsToken = false }) {
    this.#nextTry = at;
    if (needsToken) this.#dropToken();
    $("state").dataset.state = name;
    this.#showNextTry();
    if (name === "waiting" || name === "closed") this.#say(text, name === "waiting" ? "warn" : "bad");
    else if (name !== "connecting") this.#say(""); // why we are trying again stays readable meanwhile
    announce(name === "open" || name === "connecting" ? text : "");
    this.#show();
  }

  #showNextTry() {
    const { state } = this.#socket;
    const seconds = Math.ceil(((this.#nextTry ?? 0) - Date.now()) / 1000);
    write($("state-text"), state === "waiting" && seconds > 0 ? `Reconnecting in ${seconds} s` : WORDS[state]);
  }

  #show() {
    const { token, name, expires } = this.#access;
    const isOff = ["idle", "closed", "waiting"].includes(this.#socket.state);
    $("log-in").hidden = $("paste").hidden = Boolean(token);
    $("holder").hidden = !token;
    enable($("connect"), isOff);
    write($("connect"), this.#socket.state === "waiting" ? "Try now" : "Connect");
    enable($("disconnect"), this.#socket.state !== "idle" && this.#socket.state !== "closed");
    if (!$("who").textContent || !token) write($("who"), name ?? (token ? "A pasted token" : ""));
    write($("token-life"), expires ? `Token good until ${clock(expires)}, kept in this tab` : "Token kept in this tab");
    this.#showHost();
  }

  #showHost() {
    try {
      $("url-hint").hidden = new URL($("url").value).host === location.host;
    } catch {
      $("url-hint").hidden = true;
    }
  }

  #say(text, tone = "bad") {
    notice($("connection-notice"), text, tone);
  }

  #onSubmit(id, act) {
    $(id).addEventListener("submit", (event) => {
      event.preventDefault();
      act();
    });
  }
}

const ownSocket = () => `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/`;

function completed(url, values) {
  const full = new URL(url);
  for (const [name, value] of Object.entries(values)) if (value !== null && value !== "") full.searchParams.set(name, value);
  return full.href;
}
