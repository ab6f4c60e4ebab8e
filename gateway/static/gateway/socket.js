// The app socket: connects, comes back after growing and jittered waits, and notices a line gone silent.

import { explain } from "./reasons.js";

const FIRST_WAIT_MS = 1000;
const LONGEST_WAIT_MS = 30_000;
const SILENCE_MS = 25_000; // then we ask whether anybody is there
const ANSWER_MS = 10_000; // and wait so long for a word
const HASTY_ANSWER_MS = 4_000; // or so long, where the browser says that the network is gone

/**
 * Events: `state` (detail: name, text; `at` of the next try; `needsToken` where ours is refused), `message` (message, text), `sent` (text).
 * States: idle, connecting, open, waiting (for the next try), closed (for a reason worth reading).
 * It is open once the server has said `connected`: one that refuses lets us in first, to say why.
 */
export class AppSocket extends EventTarget {
  reconnects = true;
  state = "idle";
  #socket = null;
  #address = null;
  #attempt = 0;
  #lastSeq = null; // of the last message that has one, to be told what is missed meanwhile
  #wait = null; // until the next try, if the server has said
  #timer = null;
  #watch = null;

  /** `address(lastSeq)` gives the full URL, token and all, anew for every try. */
  connect(address) {
    this.#drop();
    this.#address = address;
    this.#lastSeq = null;
    this.#attempt = 0;
    this.#dial();
  }

  disconnect() {
    const was = this.state;
    this.#drop();
    if (was !== "idle") this.#become("idle", "You disconnected.");
  }

  /** At once, where the next try is still some seconds away. */
  tryNow() {
    if (this.state === "waiting") this.#dial();
  }

  /** The browser thinks that the network has gone: if it has, the line is dead, and will not say so. */
  doubt() {
    if (this.state === "open") this.#ask(HASTY_ANSWER_MS);
  }

  get canSend() {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  send(text) {
    if (!this.canSend) return false;
    this.#socket.send(text);
    this.#emit("sent", { text });
    return true;
  }

  #dial() {
    clearTimeout(this.#timer);
    this.#become("connecting", "Connecting …");
    let socket;
    try {
      socket = new WebSocket(this.#address(this.#lastSeq));
    } catch (error) {
      // The browser's own words would show the token.
      const isMixed = error.name === "SecurityError";
      this.#become("closed", isMixed ? "This page came by https, so the socket must be wss://." : "The browser does not take this address.");
      return;
    }
    this.#socket = socket;
    let wasOpen = false;
    socket.onopen = () => (wasOpen = true);
    socket.onmessage = ({ data }) => this.#receive(data);
    socket.onclose = ({ code, reason }) => this.#lost({ code, reason, wasOpen });
    this.#expectWord(() => wasOpen);
  }

  #receive(text) {
    this.#listen();
    let message = null;
    try {
      message = JSON.parse(text);
    } catch {
      // shown as it came
    }
    if (message?.type === "connected") {
      this.#attempt = 0;
      this.#become("open", "Connected");
    }
    if (typeof message?.seq === "number") this.#lastSeq = message.seq;
    if (message?.type === "closing") this.#wait = message.retry_after * 1000;
    this.#emit("message", { message, text });
  }

  #lost(ending) {
    this.#release();
    const { text, again, needsToken } = explain(ending);
    if (!again || !this.reconnects) {
      this.#become("closed", text, { needsToken });
      return;
    }
    const longest = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** this.#attempt++);
    const wait = this.#wait ?? longest * (0.5 + Math.random() / 2); // so that a thousand pages do not come back at once
    this.#wait = null;
    this.#timer = setTimeout(() => this.#dial(), wait);
    this.#become("waiting", text, { at: Date.now() + wait });
  }

  /** Browsers cannot send WebSocket pings; a phone without a network may not hear of it for minutes. */
  #listen() {
    clearTimeout(this.#watch);
    this.#watch = setTimeout(() => this.#ask(ANSWER_MS), SILENCE_MS);
  }

  #ask(within) {
    this.send(JSON.stringify({ action: "ping", data: {}, request_id: "keep-alive" }));
    this.#expectWord(() => true, within);
  }

  #expectWord(wasOpen, within = ANSWER_MS) {
    clearTimeout(this.#watch);
    this.#watch = setTimeout(() => this.#lost({ code: 1006, reason: "no answer", wasOpen: wasOpen() }), within);
  }

  /** Let go of the socket without waiting for its goodbye. */
  #release() {
    clearTimeout(this.#watch);
    const socket = this.#socket;
    this.#socket = null;
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  }

  #drop() {
    clearTimeout(this.#timer);
    this.#release();
  }

  #become(name, text, more = {}) {
    this.state = name;
    this.#emit("state", { name, text, ...more });
  }

  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
