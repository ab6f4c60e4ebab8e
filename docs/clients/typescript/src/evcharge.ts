// The client of evcharge: `EvCharge` is the live line, `Login` and `Api` are REST. For browsers and Node.

export { Api, Login, type ApiOptions, type LoginOptions, type Query } from "./api.js";
export { EvCharge, type ActOptions, type EventName, type EventOf, type Options, type Storage } from "./client.js";
export { EvChargeError, type ClientCode } from "./errors.js";
export type { Socket, SocketConstructor, State, StateChange, Why } from "./line.js";
export type * from "./protocol.js";
export type * as rest from "./rest.js";
