// The app socket as an app wants it: promises for actions, events in order and each once, whatever the line does.

import { EvChargeError, errorOf } from "./errors.js";
import { Line, type SocketConstructor, type State, type StateChange, type Why } from "./line.js";
import { Actions, WITH_CLIENT_REF } from "./protocol.js";
import type { Action, Answer, Connected, MessageOf, Pushes, Request, ServerMessage } from "./protocol.js";

/** What localStorage is, or anything like it that answers with promises. */
export interface Storage {
  getItem(key: string): string | null | Promise<string | null>;
  setItem(key: string, value: string): unknown;
}

export interface Options {
  /** http, https, ws or wss; a path is kept. A page's own server by default. */
  url?: string | URL;
  /** An access token that stays as it is, or: */
  token?: string;
  /** Where to get one. Asked before each connection, when one was `refused`, and when the one in use is `expiring`. */
  getToken?: (why: Why) => string | Promise<string>;
  /** The language of sentences for people. */
  lang?: string;
  /** Keeps the number of the last message, so that nothing is missed while the app is not running. */
  storage?: Storage;
  storageKey?: string;
  /** How long an action may take, the time without a line included. */
  timeoutMs?: number;
  /** Between tries: waits grow up to this. */
  longestWaitMs?: number;
  /** Where there is no global one: `ws`, for Node before 22. */
  WebSocket?: SocketConstructor;
}

export interface ActOptions {
  timeoutMs?: number;
  signal?: AbortSignal;
}

interface Own {
  /** Every message of the server's. */
  event: ServerMessage;
  /** The line has changed its state. */
  state: StateChange;
  /** Subscriptions were made again after a reconnect: how what is subscribed is now, since its events have no numbers. */
  subscribed: Answer<"subscribe">;
}

/** What one can listen to: a message's type, `type.event`, or one of the client's own. */
export type EventName = keyof Pushes | ServerMessage["type"] | keyof Own;
export type EventOf<N extends EventName> = N extends keyof Own ? Own[N] : MessageOf<N>;

interface Connecting {
  promise: Promise<Connected>;
  resolve(message: Connected): void;
  reject(error: EvChargeError): void;
}

interface Pending {
  action: string;
  text: string;
  clientRef: string | null;
  resolve(data: any): void;
  reject(error: EvChargeError): void;
}

/** So long after it went unanswered the same tap is taken for the same wish. */
const SAME_TAP_MS = 120_000;
const SESSION_ENDS = new Set(["session_completed", "session_error"]);
const OPEN_RESERVATIONS = new Set(["requested", "active"]);
/** Messages that repeat the number of the one before them: nothing is missed with them. */
const UNNUMBERED = new Set(["meter_value", "active_session_update"]);

export class EvCharge extends Actions<ActOptions> {
  /** Of the user, once connected. */
  userId: number | null = null;
  /** The number of the last message. */
  lastSeq: number | null = null;

  readonly #options: Options;
  readonly #line: Line;
  readonly #listeners = new Map<string, Set<(message: any) => void>>();
  readonly #pending = new Map<string, Pending>();
  readonly #refs = new Map<string, { ref: string; until: number }>();
  #subscribed: Request<"subscribe"> | null = null;
  #connected: Connecting | null = null;
  #numbers = 0;
  #isRemembered = false;

  constructor(options: Options) {
    super();
    const socket = options.WebSocket ?? ((globalThis as any).WebSocket as SocketConstructor | undefined);
    if (!socket) throw new TypeError("There is no global WebSocket: give one as an option, such as that of `ws`");
    this.#options = options;
    this.#line = new Line({
      address: (why) => this.#address(why),
      renewable: Boolean(options.getToken),
      socket,
      longestWaitMs: options.longestWaitMs ?? 30_000,
      message: (text) => this.#receive(text),
      ping: () => this.#line.send(JSON.stringify({ action: "ping", data: {}, request_id: "line" })),
      changed: (change) => this.#changed(change),
    });
  }

  get state(): State {
    return this.#line.state;
  }

  /** When the next try is, in ms since 1970; null where none is waited for. */
  get retryAt(): number | null {
    return this.#line.retryAt;
  }

  /** Resolves once connected, and rejects only where trying again is no use. */
  connect(): Promise<Connected> {
    if (!this.#connected) {
      let settle!: Omit<Connecting, "promise">;
      const promise = new Promise<Connected>((resolve, reject) => (settle = { resolve, reject }));
      promise.catch(() => {}); // whoever awaits it hears of it; `state` has it for the rest
      this.#connected = { promise, ...settle };
      watchNetwork("add", this.#check);
      this.#line.dial();
    }
    return this.#connected.promise;
  }

  /** For good, until `connect` is called again. */
  close(): void {
    this.#line.close();
  }

  /** At once, where the next try is some time away. */
  retryNow(): void {
    this.#line.retryNow();
  }

  // --- actions ---

  act<A extends Action>(action: A, data: Request<A>, { timeoutMs, signal }: ActOptions = {}): Promise<Answer<A>> {
    const [keyed, key] = this.#keyed(action, data as Record<string, unknown>);
    const clientRef = key && (keyed["client_ref"] as string);
    const id = `${++this.#numbers}`;
    const text = JSON.stringify({ action, data: keyed, request_id: id });
    return new Promise<Answer<A>>((resolve, reject) => {
      const fail = (error: EvChargeError) => {
        settled();
        reject(error);
      };
      const give = (code: "timeout" | "aborted", sentence: string) => fail(new EvChargeError(code, sentence, { action, clientRef }));
      const abort = () => give("aborted", "Called off");
      const timer = setTimeout(() => give("timeout", "No answer in time"), timeoutMs ?? this.#options.timeoutMs ?? 40_000);
      const settled = () => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", abort);
        this.#pending.delete(id);
      };
      const answered = (answer: any) => {
        settled();
        if (key) this.#refs.delete(key);
        if (answer.success === false) return reject(errorOf(answer, { action, clientRef }));
        if (action === "subscribe" || action === "unsubscribe") this.#subscribed = answer.subscribed;
        resolve(answer);
      };
      this.#pending.set(id, { action, text, clientRef, resolve: answered, reject: fail });
      signal?.addEventListener("abort", abort);
      if (signal?.aborted) return abort();
      if (!this.#connected) return fail(new EvChargeError("closed", "Not connected", { action, clientRef }));
      if (this.state === "open") this.#line.send(text);
    });
  }

  /** The data with a `client_ref`: the same one for a tap that is repeated because nothing was heard of the first. */
  #keyed(action: Action, data: Record<string, unknown>): [Record<string, unknown>, string | null] {
    if (!WITH_CLIENT_REF.has(action)) return [data, null];
    const key = JSON.stringify([action, data]);
    const known = this.#refs.get(key);
    const ref = (data["client_ref"] as string | undefined) ?? (known && known.until > Date.now() ? known.ref : newRef());
    this.#refs.set(key, { ref, until: Date.now() + SAME_TAP_MS });
    return [{ ...data, client_ref: ref }, key];
  }

  // --- events ---

  /** Calls the listener with each such message, in order; returns what ends it. */
  on<N extends EventName>(name: N, listener: (message: EventOf<N>) => void): () => void {
    const listeners = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, listeners.add(listener));
    return () => listeners.delete(listener);
  }

  /** The next such message. */
  once<N extends EventName>(
    name: N,
    { where, timeoutMs, signal }: ActOptions & { where?: (message: EventOf<N>) => boolean } = {},
  ): Promise<EventOf<N>> {
    return new Promise((resolve, reject) => {
      const end = () => {
        off();
        clearTimeout(timer);
        signal?.removeEventListener("abort", abort);
      };
      const abort = () => (end(), reject(new EvChargeError("aborted", "Called off")));
      const late = () => (end(), reject(new EvChargeError("timeout", `No ${name} in time`)));
      const off = this.on(name, (message) => {
        if (where && !where(message)) return;
        end();
        resolve(message);
      });
      const timer = timeoutMs === undefined ? undefined : setTimeout(late, timeoutMs);
      signal?.addEventListener("abort", abort);
      if (signal?.aborted) abort();
    });
  }

  #emit(name: string, message: unknown): void {
    for (const listener of [...(this.#listeners.get(name) ?? [])]) {
      try {
        listener(message);
      } catch (error) {
        console.error(error); // one listener's fault is not the others'
      }
    }
  }

  // --- the line ---

  async #address(why: Why): Promise<string> {
    const { getToken, token, lang } = this.#options;
    const url = new URL(this.#options.url ?? location.origin);
    url.protocol = url.protocol.replace(/^http/, "ws");
    await this.#remember();
    url.searchParams.set("token", (getToken ? await getToken(why) : token) ?? "");
    if (lang) url.searchParams.set("lang", lang);
    if (this.lastSeq !== null) url.searchParams.set("last_seq", String(this.lastSeq));
    return url.href;
  }

  #receive(text: string): void {
    let message: any;
    try {
      message = JSON.parse(text);
    } catch {
      return; // not from this kind of server
    }
    if (message?.type === "response") this.#pending.get(String(message.request_id))?.resolve(message.data);
    else if (message?.type) this.#pushed(message);
  }

  #pushed(message: any): void {
    const { type, event, seq, retry_after } = message;
    if (typeof seq === "number" && !this.#isNews(type, event, seq)) return;
    if (type === "connected") this.#opened(message);
    if (type === "closing" && retry_after) this.#line.retryAfter(retry_after);
    if (type === "token_expiring") void this.#renew();
    const isOver = type === "reservation_update" && !OPEN_RESERVATIONS.has(message.data.status);
    if (isOver || SESSION_ENDS.has(event)) this.#refs.clear(); // a start from now on is another one
    this.#emit("event", message);
    this.#emit(type, message);
    if (event) this.#emit(`${type}.${event}`, message);
    if (seq !== undefined) void this.#keep(); // once the app has had it
  }

  /** Takes note of the number. `connected` and `resync` say where it goes on, even backwards. */
  #isNews(type: string, event: string | undefined, seq: number): boolean {
    const last = this.lastSeq;
    if (type !== "connected" && type !== "resync" && last !== null) {
      if (seq < last || (seq === last && !UNNUMBERED.has(event ?? type))) return false;
    }
    this.lastSeq = seq;
    return true;
  }

  /** What is without an answer is asked again: starts and stops carry their `client_ref`, all else may be repeated. */
  #opened(message: Connected): void {
    this.userId = message.userId;
    this.#line.opened();
    this.#connected?.resolve(message);
    const unanswered = [...this.#pending.values()];
    if (this.#subscribed) void this.#subscribeAgain(this.#subscribed);
    for (const { text } of unanswered) this.#line.send(text);
  }

  async #subscribeAgain(wish: Request<"subscribe">): Promise<void> {
    try {
      this.#emit("subscribed", await this.subscribe(wish));
    } catch {
      // what was subscribed is gone, or the line is: then the next one tries
    }
  }

  #changed(change: StateChange): void {
    const { state, error } = change;
    if (state === "closed" || state === "idle") {
      const why = error ?? new EvChargeError("closed", "Closed");
      watchNetwork("remove", this.#check);
      this.#connected?.reject(why);
      this.#connected = null;
      for (const { action, clientRef, reject } of [...this.#pending.values()]) {
        reject(new EvChargeError(why.code, why.message, { detail: why.detail, action, clientRef }));
      }
    }
    this.#emit("state", change);
  }

  readonly #check = () => this.#line.check();

  /** A charge of six hours is one connection: a fresh token is shown on the open line. */
  async #renew(): Promise<void> {
    const { getToken } = this.#options;
    if (!getToken) return;
    try {
      await this.act("refresh_token", { token: await getToken("expiring") });
    } catch {
      // The server closes with 1008 when the old one is over, and the next connection asks again
    }
  }

  // --- the number of the last message, over a restart of the app ---

  async #remember(): Promise<void> {
    const { storage, storageKey = "evcharge" } = this.#options;
    if (this.#isRemembered || !storage) return;
    this.#isRemembered = true;
    const text = await storage.getItem(storageKey);
    if (text && /^\d+$/.test(text)) this.lastSeq ??= Number(text);
  }

  async #keep(): Promise<void> {
    const { storage, storageKey = "evcharge" } = this.#options;
    try {
      await storage?.setItem(storageKey, String(this.lastSeq));
    } catch {
      // full, or forbidden: then it is kept in memory only
    }
  }
}

/** Random where `crypto.randomUUID` is not to be had: on pages without https. */
function newRef(): string {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Browsers know sooner than a time-out that the network came or went, or that the page is looked at again. */
function watchNetwork(how: "add" | "remove", check: () => void): void {
  const listen = `${how}EventListener` as const;
  globalThis[listen]?.("online", check);
  globalThis[listen]?.("offline", check);
  globalThis.document?.[listen]("visibilitychange", check);
}
