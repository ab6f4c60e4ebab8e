// The app socket as an app wants it: promises for actions, events in order and each once, whatever the line does.
import { EvChargeError, errorOf } from "./errors.js";
import { Line } from "./line.js";
import { Actions, WITH_CLIENT_REF } from "./protocol.js";
/** So long after it went unanswered the same tap is taken for the same wish. */
const SAME_TAP_MS = 120_000;
const SESSION_ENDS = new Set(["session_completed", "session_error"]);
const OPEN_RESERVATIONS = new Set(["requested", "active"]);
/** Messages that repeat the number of the one before them: nothing is missed with them. */
const UNNUMBERED = new Set(["meter_value", "active_session_update"]);
export class EvCharge extends Actions {
    /** Of the user, once connected. */
    userId = null;
    /** The number of the last message. */
    lastSeq = null;
    #options;
    #line;
    #listeners = new Map();
    #pending = new Map();
    #refs = new Map();
    #subscribed = null;
    #connected = null;
    #numbers = 0;
    #isRemembered = false;
    constructor(options) {
        super();
        const socket = options.WebSocket ?? globalThis.WebSocket;
        if (!socket)
            throw new TypeError("There is no global WebSocket: give one as an option, such as that of `ws`");
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
    get state() {
        return this.#line.state;
    }
    /** When the next try is, in ms since 1970; null where none is waited for. */
    get retryAt() {
        return this.#line.retryAt;
    }
    /** Resolves once connected, and rejects only where trying again is no use. */
    connect() {
        if (!this.#connected) {
            let settle;
            const promise = new Promise((resolve, reject) => (settle = { resolve, reject }));
            promise.catch(() => { }); // whoever awaits it hears of it; `state` has it for the rest
            this.#connected = { promise, ...settle };
            watchNetwork("add", this.#check);
            this.#line.dial();
        }
        return this.#connected.promise;
    }
    /** For good, until `connect` is called again. */
    close() {
        this.#line.close();
    }
    /** At once, where the next try is some time away. */
    retryNow() {
        this.#line.retryNow();
    }
    // --- actions ---
    act(action, data, { timeoutMs, signal } = {}) {
        const [keyed, key] = this.#keyed(action, data);
        const clientRef = key && keyed["client_ref"];
        const id = `${++this.#numbers}`;
        const text = JSON.stringify({ action, data: keyed, request_id: id });
        return new Promise((resolve, reject) => {
            const fail = (error) => {
                settled();
                reject(error);
            };
            const give = (code, sentence) => fail(new EvChargeError(code, sentence, { action, clientRef }));
            const abort = () => give("aborted", "Called off");
            const timer = setTimeout(() => give("timeout", "No answer in time"), timeoutMs ?? this.#options.timeoutMs ?? 40_000);
            const settled = () => {
                clearTimeout(timer);
                signal?.removeEventListener("abort", abort);
                this.#pending.delete(id);
            };
            const answered = (answer) => {
                settled();
                if (key)
                    this.#refs.delete(key);
                if (answer.success === false)
                    return reject(errorOf(answer, { action, clientRef }));
                if (action === "subscribe" || action === "unsubscribe")
                    this.#subscribed = answer.subscribed;
                resolve(answer);
            };
            this.#pending.set(id, { action, text, clientRef, resolve: answered, reject: fail });
            signal?.addEventListener("abort", abort);
            if (signal?.aborted)
                return abort();
            if (!this.#connected)
                return fail(new EvChargeError("closed", "Not connected", { action, clientRef }));
            if (this.state === "open")
                this.#line.send(text);
        });
    }
    /** The data with a `client_ref`: the same one for a tap that is repeated because nothing was heard of the first. */
    #keyed(action, data) {
        if (!WITH_CLIENT_REF.has(action))
            return [data, null];
        const key = JSON.stringify([action, data]);
        const known = this.#refs.get(key);
        const ref = data["client_ref"] ?? (known && known.until > Date.now() ? known.ref : newRef());
        this.#refs.set(key, { ref, until: Date.now() + SAME_TAP_MS });
        return [{ ...data, client_ref: ref }, key];
    }
    // --- events ---
    /** Calls the listener with each such message, in order; returns what ends it. */
    on(name, listener) {
        const listeners = this.#listeners.get(name) ?? new Set();
        this.#listeners.set(name, listeners.add(listener));
        return () => listeners.delete(listener);
    }
    /** The next such message. */
    once(name, { where, timeoutMs, signal } = {}) {
        return new Promise((resolve, reject) => {
            const end = () => {
                off();
                clearTimeout(timer);
                signal?.removeEventListener("abort", abort);
            };
            const abort = () => (end(), reject(new EvChargeError("aborted", "Called off")));
            const late = () => (end(), reject(new EvChargeError("timeout", `No ${name} in time`)));
            const off = this.on(name, (message) => {
                if (where && !where(message))
                    return;
                end();
                resolve(message);
            });
            const timer = timeoutMs === undefined ? undefined : setTimeout(late, timeoutMs);
            signal?.addEventListener("abort", abort);
            if (signal?.aborted)
                abort();
        });
    }
    #emit(name, message) {
        for (const listener of [...(this.#listeners.get(name) ?? [])]) {
            try {
                listener(message);
            }
            catch (error) {
                console.error(error); // one listener's fault is not the others'
            }
        }
    }
    // --- the line ---
    async #address(why) {
        const { getToken, token, lang } = this.#options;
        const url = new URL(this.#options.url ?? location.origin);
        url.protocol = url.protocol.replace(/^http/, "ws");
        await this.#remember();
        url.searchParams.set("token", (getToken ? await getToken(why) : token) ?? "");
        if (lang)
            url.searchParams.set("lang", lang);
        if (this.lastSeq !== null)
            url.searchParams.set("last_seq", String(this.lastSeq));
        return url.href;
    }
    #receive(text) {
        let message;
        try {
            message = JSON.parse(text);
        }
        catch {
            return; // not from this kind of server
        }
        if (message?.type === "response")
            this.#pending.get(String(message.request_id))?.resolve(message.data);
        else if (message?.type)
            this.#pushed(message);
    }
    #pushed(message) {
        const { type, event, seq, retry_after } = message;
        if (typeof seq === "number" && !this.#isNews(type, event, seq))
            return;
        if (type === "connected")
            this.#opened(message);
        if (type === "closing" && retry_after)
            this.#line.retryAfter(retry_after);
        if (type === "token_expiring")
            void this.#renew();
        const isOver = type === "reservation_update" && !OPEN_RESERVATIONS.has(message.data.status);
        if (isOver || SESSION_ENDS.has(event))
            this.#refs.clear(); // a start from now on is another one
        this.#emit("event", message);
        this.#emit(type, message);
        if (event)
            this.#emit(`${type}.${event}`, message);
        if (seq !== undefined)
            void this.#keep(); // once the app has had it
    }
    /** Takes note of the number. `connected` and `resync` say where it goes on, even backwards. */
    #isNews(type, event, seq) {
        const last = this.lastSeq;
        if (type !== "connected" && type !== "resync" && last !== null) {
            if (seq < last || (seq === last && !UNNUMBERED.has(event ?? type)))
                return false;
        }
        this.lastSeq = seq;
        return true;
    }
    /** What is without an answer is asked again: starts and stops carry their `client_ref`, all else may be repeated. */
    #opened(message) {
        this.userId = message.userId;
        this.#line.opened();
        this.#connected?.resolve(message);
        const unanswered = [...this.#pending.values()];
        if (this.#subscribed)
            void this.#subscribeAgain(this.#subscribed);
        for (const { text } of unanswered)
            this.#line.send(text);
    }
    async #subscribeAgain(wish) {
        try {
            this.#emit("subscribed", await this.subscribe(wish));
        }
        catch {
            // what was subscribed is gone, or the line is: then the next one tries
        }
    }
    #changed(change) {
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
    #check = () => this.#line.check();
    /** A charge of six hours is one connection: a fresh token is shown on the open line. */
    async #renew() {
        const { getToken } = this.#options;
        if (!getToken)
            return;
        try {
            await this.act("refresh_token", { token: await getToken("expiring") });
        }
        catch {
            // The server closes with 1008 when the old one is over, and the next connection asks again
        }
    }
    // --- the number of the last message, over a restart of the app ---
    async #remember() {
        const { storage, storageKey = "evcharge" } = this.#options;
        if (this.#isRemembered || !storage)
            return;
        this.#isRemembered = true;
        const text = await storage.getItem(storageKey);
        if (text && /^\d+$/.test(text))
            this.lastSeq ??= Number(text);
    }
    async #keep() {
        const { storage, storageKey = "evcharge" } = this.#options;
        try {
            await storage?.setItem(storageKey, String(this.lastSeq));
        }
        catch {
            // full, or forbidden: then it is kept in memory only
        }
    }
}
/** Random where `crypto.randomUUID` is not to be had: on pages without https. */
function newRef() {
    return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
/** Browsers know sooner than a time-out that the network came or went, or that the page is looked at again. */
function watchNetwork(how, check) {
    const listen = `${how}EventListener`;
    globalThis[listen]?.("online", check);
    globalThis[listen]?.("offline", check);
    globalThis.document?.[listen]("visibilitychange", check);
}
