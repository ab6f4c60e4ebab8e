// One line to the server that comes back by itself: when to dial, how long to wait, whether anybody is still there.
// It knows WebSockets and close codes, and nothing of what is said on them.
import { EvChargeError } from "./errors.js";
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
    callbacks;
    state = "idle";
    retryAt = null;
    #socket = null;
    #dials = 0; // so that a dial that was overtaken knows
    #tries = 0;
    #renewed = false;
    #openedAt = 0;
    #retryAfterMs = 0;
    #timer;
    #watch;
    constructor(callbacks) {
        this.callbacks = callbacks;
    }
    dial(why = "connect") {
        clearTimeout(this.#timer);
        this.#release();
        this.#become("connecting");
        void this.#dial(why, ++this.#dials);
    }
    async #dial(why, number) {
        let socket;
        try {
            const address = await this.callbacks.address(why);
            if (number !== this.#dials)
                return;
            socket = new this.callbacks.socket(address);
        }
        catch (error) {
            if (number === this.#dials)
                this.#failed(error);
            return;
        }
        this.#socket = socket;
        socket.onmessage = ({ data }) => {
            this.#listen();
            this.callbacks.message(String(data));
        };
        socket.onclose = ({ code, reason }) => this.#lost(code, String(reason ?? ""));
        socket.onerror = () => { }; // its close follows
        this.#expectWord(ANSWER_MS);
    }
    /** The server has said `connected`: one that refuses lets us in first, to say why. */
    opened() {
        this.#openedAt = Date.now();
        this.#retryAfterMs = 0;
        this.#become("open");
    }
    /** Before it closes, the server may say when to come back. */
    retryAfter(seconds) {
        this.#retryAfterMs = 1000 * seconds;
    }
    send(text) {
        if (this.#socket?.readyState === OPEN)
            this.#socket.send(text);
    }
    /** For good. */
    close(error = null) {
        this.#dials++;
        clearTimeout(this.#timer);
        this.#release();
        this.#tries = 0;
        this.#renewed = false;
        this.#become(error ? "closed" : "idle", { error });
    }
    /** At once, where the next try is some time away. */
    retryNow() {
        if (this.state === "waiting")
            this.dial();
    }
    /** Something has changed about the network: do not wait for the next silence. */
    check() {
        this.retryNow();
        if (this.state !== "open")
            return;
        this.callbacks.ping();
        this.#expectWord(HASTY_ANSWER_MS);
    }
    #failed(error) {
        const code = error.code;
        if (error instanceof EvChargeError && PASSING.has(code)) {
            this.retryAfter(error.retryAfter ?? 0);
            this.#wait(null, error.message);
        }
        else {
            const known = error instanceof EvChargeError ? error : new EvChargeError("refused", String(error?.message ?? error));
            this.close(known);
        }
    }
    #lost(code, reason) {
        this.#release();
        if (this.#openedAt && Date.now() - this.#openedAt > STEADY_MS) {
            this.#tries = 0;
            this.#renewed = false;
        }
        this.#openedAt = 0;
        if (code !== POLICY_VIOLATION || this.#retryAfterMs || AT_CAPACITY.test(reason))
            return this.#wait(code, reason);
        if (this.callbacks.renewable && !this.#renewed) {
            this.#renewed = true; // once: a fresh token that is refused, too, will not get better
            return this.dial("refused");
        }
        this.close(new EvChargeError("refused", reason || "Refused"));
    }
    /** Exponential, with full jitter: after an outage a thousand phones do not come back at once. */
    #wait(code, reason) {
        const longest = Math.min(this.callbacks.longestWaitMs, FIRST_WAIT_MS * 2 ** this.#tries++);
        const wait = this.#retryAfterMs + Math.random() * longest;
        this.#retryAfterMs = 0;
        clearTimeout(this.#timer);
        this.#timer = setTimeout(() => this.dial(), wait);
        this.#become("waiting", { code, reason, retryAt: Date.now() + wait });
    }
    /** Browsers cannot send WebSocket pings, and a phone without a network may not hear of it for minutes. */
    #listen() {
        clearTimeout(this.#watch);
        this.#watch = setTimeout(() => {
            this.callbacks.ping();
            this.#expectWord(ANSWER_MS);
        }, SILENCE_MS);
    }
    #expectWord(withinMs) {
        clearTimeout(this.#watch);
        this.#watch = setTimeout(() => this.#lost(1006, "no answer"), withinMs);
    }
    /** Let go of the socket without waiting for its goodbye. */
    #release() {
        clearTimeout(this.#watch);
        const socket = this.#socket;
        this.#socket = null;
        if (!socket)
            return;
        socket.onmessage = socket.onclose = null;
        socket.close();
    }
    #become(state, more = {}) {
        this.state = state;
        this.retryAt = more.retryAt ?? null;
        this.callbacks.changed({ state, retryAt: null, code: null, reason: "", error: null, ...more });
    }
}
