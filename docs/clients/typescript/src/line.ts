// One line to the server that comes back by itself: when to dial, how long to wait, whether anybody is still there.
// It knows WebSockets and close codes, and nothing of what is said on them.

import { EvChargeError } from "./errors.js";

/** What of a WebSocket is used, so that `ws` does as well as a browser's own. */
export interface Socket {
  readonly readyState: number;
  onmessage: ((event: any) => void) | null;
  onclose: ((event: any) => void) | null;
  onerror: ((event: any) => void) | null;
  send(text: string): void;
  close(): void;
}
export type SocketConstructor = new (url: string) => Socket;

export type Why = "connect" | "refused" | "expiring";
/** `waiting`: for the next try · `closed`: refused for good. */
export type State = "idle" | "connecting" | "open" | "waiting" | "closed";

/** `code` and `reason` are those the last line was closed with; `error` says why there will be no other. */
export interface StateChange {
  state: State;
  /** When the next try is, in ms since 1970. */
  retryAt: number | null;
  code: number | null;
  reason: string;
  error: EvChargeError | null;
}

interface Callbacks {
  /** The URL with everything in it. Why: a first try, the last token was refused. */
  address(why: Why): Promise<string>;
  /** Whether another token may be had. */
  renewable: boolean;
  socket: SocketConstructor;
  longestWaitMs: number;
  message(text: string): void;
  /** Say something that is answered at once. */
  ping(): void;
  changed(change: StateChange): void;
}

const OPEN = 1;
const FIRST_WAIT_MS = 500;
const STEADY_MS = 10_000; // a line that held so long was a good one: waits begin small again
const SILENCE_MS = 25_000; // then we ask whether anybody is there
const ANSWER_MS = 10_000; // and wait so long for a word
const HASTY_ANSWER_MS = 4_000; // or so long, where there is reason for doubt

const POLICY_VIOLATION = 1008;
const AT_CAPACITY = /capacity|too many|try again/i; // refusals with 1008 that are not about the token
/** Codes of our own getToken's failures that a later try may mend. */
const PASSING = new Set(["network", "unavailable", "rate_limited", "internal_error", "timeout"]);

export class Line {
  state: State = "idle";
  retryAt: number | null = null;
  #socket: Socket | null = null;
  #dials = 0; // so that a dial that was overtaken knows
  #tries = 0;
  #renewed = false;
  #openedAt = 0;
  #retryAfterMs = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #watch: ReturnType<typeof setTimeout> | undefined;

  constructor(readonly callbacks: Callbacks) {}

  dial(why: Why = "connect"): void {
    clearTimeout(this.#timer);
    this.#release();
    this.#become("connecting");
    void this.#dial(why, ++this.#dials);
  }

  async #dial(why: Why, number: number): Promise<void> {
    let socket: Socket;
    try {
      const address = await this.callbacks.address(why);
      if (number !== this.#dials) return;
      socket = new this.callbacks.socket(address);
    } catch (error) {
      if (number === this.#dials) this.#failed(error);
      return;
    }
    this.#socket = socket;
    socket.onmessage = ({ data }) => {
      this.#listen();
      this.callbacks.message(String(data));
    };
    socket.onclose = ({ code, reason }) => this.#lost(code, String(reason ?? ""));
    socket.onerror = () => {}; // its close follows
    this.#expectWord(ANSWER_MS);
  }

  /** The server has said `connected`: one that refuses lets us in first, to say why. */
  opened(): void {
    this.#openedAt = Date.now();
    this.#retryAfterMs = 0;
    this.#become("open");
  }

  /** Before it closes, the server may say when to come back. */
  retryAfter(seconds: number): void {
    this.#retryAfterMs = 1000 * seconds;
  }

  send(text: string): void {
    if (this.#socket?.readyState === OPEN) this.#socket.send(text);
  }

  /** For good. */
  close(error: EvChargeError | null = null): void {
    this.#dials++;
    clearTimeout(this.#timer);
    this.#release();
    this.#tries = 0;
    this.#renewed = false;
    this.#become(error ? "closed" : "idle", { error });
  }

  /** At once, where the next try is some time away. */
  retryNow(): void {
    if (this.state === "waiting") this.dial();
  }

  /** Something has changed about the network: do not wait for the next silence. */
  check(): void {
    this.retryNow();
    if (this.state !== "open") return;
    this.callbacks.ping();
    this.#expectWord(HASTY_ANSWER_MS);
  }

  #failed(error: unknown): void {
    const code = (error as EvChargeError).code;
    if (error instanceof EvChargeError && PASSING.has(code)) {
      this.retryAfter(error.retryAfter ?? 0);
      this.#wait(null, error.message);
    } else {
      const known = error instanceof EvChargeError ? error : new EvChargeError("refused", String((error as Error)?.message ?? error));
      this.close(known);
    }
  }

  #lost(code: number, reason: string): void {
    this.#release();
    if (this.#openedAt && Date.now() - this.#openedAt > STEADY_MS) {
      this.#tries = 0;
      this.#renewed = false;
    }
    this.#openedAt = 0;
    if (code !== POLICY_VIOLATION || this.#retryAfterMs || AT_CAPACITY.test(reason)) return this.#wait(code, reason);
    if (this.callbacks.renewable && !this.#renewed) {
      this.#renewed = true; // once: a fresh token that is refused, too, will not get better
      return this.dial("refused");
    }
    this.close(new EvChargeError("refused", reason || "Refused"));
  }

  /** Exponential, with full jitter: after an outage a thousand phones do not come back at once. */
  #wait(code: number | null, reason: string): void {
    const longest = Math.min(this.callbacks.longestWaitMs, FIRST_WAIT_MS * 2 ** this.#tries++);
    const wait = this.#retryAfterMs + Math.random() * longest;
    this.#retryAfterMs = 0;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.dial(), wait);
    this.#become("waiting", { code, reason, retryAt: Date.now() + wait });
  }

  /** Browsers cannot send WebSocket pings, and a phone without a network may not hear of it for minutes. */
  #listen(): void {
    clearTimeout(this.#watch);
    this.#watch = setTimeout(() => {
      this.callbacks.ping();
      this.#expectWord(ANSWER_MS);
    }, SILENCE_MS);
  }

  #expectWord(withinMs: number): void {
    clearTimeout(this.#watch);
    this.#watch = setTimeout(() => this.#lost(1006, "no answer"), withinMs);
  }

  /** Let go of the socket without waiting for its goodbye. */
  #release(): void {
    clearTimeout(this.#watch);
    const socket = this.#socket;
    this.#socket = null;
    if (!socket) return;
    socket.onmessage = socket.onclose = null;
    socket.close();
  }

  #become(state: State, more: Partial<StateChange> = {}): void {
    this.state = state;
    this.retryAt = more.retryAt ?? null;
    this.callbacks.changed({ state, retryAt: null, code: null, reason: "", error: null, ...more });
  }
}
