import type { ErrorCode } from "./protocol.js";
/**
 * `timeout`: no answer in time · `closed`: there is no connection and none is sought · `refused`: the server does not take the token,
 * log in again · `aborted`: by the caller's signal · `network`: REST, no connection · `bad_answer`: not from this kind of server.
 */
export type ClientCode = "timeout" | "closed" | "refused" | "aborted" | "network" | "bad_answer";
interface More {
    /** For the developer. */
    detail?: string;
    /** Seconds to wait before another try, where the server says so. */
    retryAfter?: number | null;
    /** The action that failed. */
    action?: string | null;
    /** The HTTP status, of REST. */
    status?: number | null;
    /** Under which a start or stop was asked for: the same one again is the same start. */
    clientRef?: string | null;
}
/** `message` is a sentence for a person, in the language asked for; `code` is for the program. */
export declare class EvChargeError extends Error {
    readonly code: ErrorCode | ClientCode;
    readonly name = "EvChargeError";
    readonly detail: string;
    readonly retryAfter: number | null;
    readonly action: string | null;
    readonly status: number | null;
    readonly clientRef: string | null;
    constructor(code: ErrorCode | ClientCode, message: string, { detail, retryAfter, action, status, clientRef }?: More);
}
/** A failure of the protocol, `{"success": false, "error", "code", "message"}`, as an error. */
export declare function errorOf(failure: any, more?: More): EvChargeError;
export {};
