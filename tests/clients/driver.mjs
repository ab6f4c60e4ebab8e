// Drives the TypeScript client for tests: a JSON object a line in, its result and all the client hears out.
import { createInterface } from "node:readline";
import "./websocket.mjs";
import { Api, EvCharge, Login } from "../../gateway/static/gateway/client/evcharge.js";

const say = (line) => process.stdout.write(JSON.stringify(line) + "\n");
let ev, login, api;

function open({ url, ...options }) {
  ev?.close();
  ev = new EvCharge({ url, longestWaitMs: 500, ...options, ...(login && !options.token ? { getToken: login.getToken } : {}) });
  ev.on("event", (event) => say({ event }));
  ev.on("subscribed", (answer) => say({ event: { ...answer, type: "subscribed" } }));
  ev.on("state", ({ state, error }) => say({ state, error: error?.code ?? null }));
  return ev.connect();
}

const wishes = {
  async login({ url, username, password }) {
    login = await Login.withPassword({ url, username, password });
    api = new Api({ url, getToken: login.getToken });
  },
  open,
  tokens({ tokens }) {
    login.tokens = tokens;
  },
  access: () => login.tokens.access,
  act: ({ action, data, timeout_s }) => ev.act(action, data, timeout_s ? { timeoutMs: 1000 * timeout_s } : {}),
  sessions: () => api.sessions(),
  async receipt({ session }) {
    const [receipt, pdf] = [await api.receipt(session), await api.receiptPdf(session)];
    return [receipt.session_id, await pdf.slice(0, 4).text()];
  },
  logout: () => login.logOut(),
  last_seq: () => ev.lastSeq,
  close: () => ev.close(),
};

for await (const line of createInterface({ input: process.stdin })) {
  const { id, wish, ...more } = JSON.parse(line);
  Promise.resolve()
    .then(() => wishes[wish](more))
    .then((result) => say({ id, result: result ?? null }))
    .catch(({ code, message, status }) => say({ id, failure: { code: code ?? "bug", message, status } }));
}
ev?.close();
