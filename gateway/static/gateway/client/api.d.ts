import type { Why } from "./line.js";
import type { PaginatedMeterValueList, PaginatedSessionList, Receipt, Session, SessionChart, Tokens } from "./rest.js";
export interface ApiOptions {
    /** http, https, ws or wss. A page's own server by default. */
    url?: string | URL;
    /** As for EvCharge; without it no token is sent. */
    getToken?: (why: Why) => string | Promise<string>;
    lang?: string;
    fetch?: typeof fetch;
}
export type Query = Record<string, string | number | boolean | readonly (string | number)[] | null | undefined>;
/** Paths of the OpenAPI document, answered with their JSON or an EvChargeError. */
export declare class Api {
    #private;
    readonly options: ApiOptions;
    constructor(options?: ApiOptions);
    get<T>(path: string, query?: Query): Promise<T>;
    post<T>(path: string, body?: unknown, headers?: Record<string, string>): Promise<T>;
    delete<T>(path: string): Promise<T>;
    /** What is no JSON, such as a PDF. */
    blob(path: string, query?: Query): Promise<Blob>;
    sessions(query?: Query): Promise<PaginatedSessionList>;
    session(id: number): Promise<Session>;
    meterValues(id: number, query?: Query): Promise<PaginatedMeterValueList>;
    /** The course of a session in few points, for a chart. */
    chart(id: number, points?: number): Promise<SessionChart>;
    receipt(id: number): Promise<Receipt>;
    receiptPdf(id: number): Promise<Blob>;
}
export interface LoginOptions extends Omit<ApiOptions, "getToken"> {
    tokens: Tokens;
    /** After each refresh, to keep them; null when the refresh token is refused: log in again. */
    onTokens?: (tokens: Tokens | null) => void;
}
/** Somebody who has logged in. `getToken` is for EvCharge and Api alike, and asks the server once for all who wait. */
export declare class Login {
    #private;
    tokens: Tokens | null;
    onTokens: ((tokens: Tokens | null) => void) | undefined;
    constructor({ tokens, onTokens, ...options }: LoginOptions);
    static withPassword({ username, password, ...options }: Omit<LoginOptions, "tokens"> & {
        username: string;
        password: string;
    }): Promise<Login>;
    readonly getToken: (why?: Why) => Promise<string>;
    /** Ends it on the server, too: its tokens, and the sockets that were opened with them. */
    logOut(): Promise<void>;
}
