// REST: tokens that stay fresh, and what an app asks for besides the live line.
import { EvChargeError, errorOf } from "./errors.js";
/** Paths of the OpenAPI document, answered with their JSON or an EvChargeError. */
export class Api {
    options;
    constructor(options = {}) {
        this.options = options;
    }
    get(path, query) {
        return this.#json(this.#send("GET", path, { query }));
    }
    post(path, body = {}, headers = {}) {
        return this.#json(this.#send("POST", path, { body, headers }));
    }
    delete(path) {
        return this.#json(this.#send("DELETE", path));
    }
    /** What is no JSON, such as a PDF. */
    async blob(path, query) {
        return (await this.#send("GET", path, { query })).blob();
    }
    sessions(query) {
        return this.get("/api/sessions/", query);
    }
    session(id) {
        return this.get(`/api/sessions/${id}/`);
    }
    meterValues(id, query) {
        return this.get(`/api/sessions/${id}/meter-values/`, query);
    }
    /** The course of a session in few points, for a chart. */
    chart(id, points) {
        return this.get(`/api/sessions/${id}/chart/`, { points });
    }
    receipt(id) {
        return this.get(`/api/sessions/${id}/receipt/`);
    }
    receiptPdf(id) {
        return this.blob(`/api/sessions/${id}/receipt.pdf`);
    }
    async #send(method, path, { query = {}, body, headers = {} } = {}) {
        const { getToken, lang } = this.options;
        const ask = async (why) => {
            const token = await getToken?.(why);
            return this.#fetch(address(this.options.url, path, query), {
                method,
                headers: {
                    ...(body === undefined ? {} : { "Content-Type": "application/json" }),
                    ...(lang ? { "Accept-Language": lang } : {}),
                    ...(token ? { Authorization: `Bearer ${token}` } : {}),
                    ...headers,
                },
                ...(body === undefined ? {} : { body: JSON.stringify(body) }),
            });
        };
        let response = await ask("connect");
        if (response.status === 401 && getToken)
            response = await ask("refused");
        if (!response.ok)
            throw await failureOf(response);
        return response;
    }
    async #fetch(url, init) {
        try {
            return await (this.options.fetch ?? fetch)(url, init);
        }
        catch (error) {
            throw new EvChargeError("network", "No connection", { detail: String(error) });
        }
    }
    async #json(sent) {
        const text = await (await sent).text();
        const answer = text ? parsed(text) : null;
        return answer?.success === true && "data" in answer ? answer.data : answer;
    }
}
function address(base, path, query) {
    const url = new URL(path, base ?? location.origin);
    url.protocol = url.protocol.replace(/^ws/, "http");
    for (const [name, value] of Object.entries(query)) {
        for (const each of Array.isArray(value) ? value : [value]) {
            if (each !== null && each !== undefined)
                url.searchParams.append(name, String(each));
        }
    }
    return url.href;
}
async function failureOf(response) {
    const more = { status: response.status, retryAfter: Number(response.headers.get("Retry-After")) || null };
    try {
        const failure = parsed(await response.text());
        if (failure?.code)
            return errorOf(failure, more);
    }
    catch {
        // a proxy's page
    }
    const code = response.status >= 502 ? "unavailable" : "bad_answer";
    return new EvChargeError(code, `The server answered ${response.status}`, more);
}
function parsed(text) {
    try {
        return JSON.parse(text);
    }
    catch {
        throw new EvChargeError("bad_answer", "The server's answer could not be read", { detail: text.slice(0, 200) });
    }
}
/** An access token lives for minutes, a refresh token for days. */
const FRESH_MS = 30_000;
/** Somebody who has logged in. `getToken` is for EvCharge and Api alike, and asks the server once for all who wait. */
export class Login {
    tokens;
    onTokens;
    #api;
    #refreshing = null;
    constructor({ tokens, onTokens, ...options }) {
        this.tokens = tokens;
        this.onTokens = onTokens;
        this.#api = new Api(options);
    }
    static async withPassword({ username, password, ...options }) {
        const tokens = await new Api(options).post("/api/token/", { username, password });
        options.onTokens?.(tokens);
        return new Login({ ...options, tokens });
    }
    getToken = async (why = "connect") => {
        const { tokens } = this;
        if (!tokens)
            throw new EvChargeError("refused", "Logged out");
        if (why === "connect" && expiryOf(tokens.access) > Date.now() + FRESH_MS)
            return tokens.access;
        return (this.#refreshing ??= this.#refresh(tokens).finally(() => (this.#refreshing = null)));
    };
    /** Ends it on the server, too: its tokens, and the sockets that were opened with them. */
    async logOut() {
        const { tokens } = this;
        this.#forget();
        if (tokens)
            await this.#api.post("/api/auth/logout/", { refresh: tokens.refresh });
    }
    #forget() {
        this.tokens = null;
        this.onTokens?.(null);
    }
    async #refresh({ refresh }) {
        try {
            const fresh = await this.#api.post("/api/token/refresh/", { refresh });
            this.tokens = { refresh, ...fresh };
        }
        catch (error) {
            if (error.status === 401)
                this.#forget();
            throw error;
        }
        this.onTokens?.(this.tokens);
        return this.tokens.access;
    }
}
/** When a JWT ends, in ms since 1970; 0 where that cannot be read. */
function expiryOf(token) {
    try {
        const claims = (token.split(".")[1] ?? "").replace(/-/g, "+").replace(/_/g, "/");
        return 1000 * (JSON.parse(atob(claims)).exp ?? 0);
    }
    catch {
        return 0;
    }
}
