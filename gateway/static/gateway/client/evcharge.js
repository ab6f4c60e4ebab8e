// The client of evcharge: `EvCharge` is the live line, `Login` and `Api` are REST. For browsers and Node.
export { Api, Login } from "./api.js";
export { EvCharge } from "./client.js";
export { EvChargeError } from "./errors.js";
