// What can go wrong, as one class: the server's failures with their stable codes, and the client's own.
/** `message` is a sentence for a person, in the language asked for; `code` is for the program. */
export class EvChargeError extends Error {
    code;
    name = "EvChargeError";
    detail;
    retryAfter;
    action;
    status;
    clientRef;
    constructor(code, message, { detail = message, retryAfter = null, action = null, status = null, clientRef = null } = {}) {
        super(message);
        this.code = code;
        this.detail = detail;
        this.retryAfter = retryAfter;
        this.action = action;
        this.status = status;
        this.clientRef = clientRef;
    }
}
/** A failure of the protocol, `{"success": false, "error", "code", "message"}`, as an error. */
export function errorOf(failure, more = {}) {
    const { error, code, message, retry_after } = failure;
    return new EvChargeError(code, error ?? message ?? code, {
        detail: message,
        ...more,
        retryAfter: retry_after ?? more.retryAfter,
    });
}
