import { type SocketConstructor, type State, type StateChange, type Why } from "./line.js";
import { Actions } from "./protocol.js";
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
export declare class EvCharge extends Actions<ActOptions> {
    #private;
    /** Of the user, once connected. */
    userId: number | null;
    /** The number of the last message. */
    lastSeq: number | null;
    constructor(options: Options);
    get state(): State;
    /** When the next try is, in ms since 1970; null where none is waited for. */
    get retryAt(): number | null;
    /** Resolves once connected, and rejects only where trying again is no use. */
    connect(): Promise<Connected>;
    /** For good, until `connect` is called again. */
    close(): void;
    /** At once, where the next try is some time away. */
    retryNow(): void;
    act<A extends Action>(action: A, data: Request<A>, { timeoutMs, signal }?: ActOptions): Promise<Answer<A>>;
    /** Calls the listener with each such message, in order; returns what ends it. */
    on<N extends EventName>(name: N, listener: (message: EventOf<N>) => void): () => void;
    /** The next such message. */
    once<N extends EventName>(name: N, { where, timeoutMs, signal }?: ActOptions & {
        where?: (message: EventOf<N>) => boolean;
    }): Promise<EventOf<N>>;
}
export {};
