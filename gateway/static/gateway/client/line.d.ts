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
export declare class Line {
    #private;
    readonly callbacks: Callbacks;
    state: State;
    retryAt: number | null;
    constructor(callbacks: Callbacks);
    dial(why?: Why): void;
    /** The server has said `connected`: one that refuses lets us in first, to say why. */
    opened(): void;
    /** Before it closes, the server may say when to come back. */
    retryAfter(seconds: number): void;
    send(text: string): void;
    /** For good. */
    close(error?: EvChargeError | null): void;
    /** At once, where the next try is some time away. */
    retryNow(): void;
    /** Something has changed about the network: do not wait for the next silence. */
    check(): void;
}
export {};
