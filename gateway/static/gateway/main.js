// Puts the console's parts together: what the socket says goes to the cards and into the log.

import { Access } from "./access.js";
import { Actions } from "./actions.js";
import { Chargers } from "./chargers.js";
import { Connection } from "./connection.js";
import { Log } from "./log.js";
import { Requests } from "./requests.js";
import { Session } from "./session.js";
import { AppSocket } from "./socket.js";
import { gist, isTick, requestGist, tone } from "./summaries.js";

const access = new Access();
const socket = new AppSocket();
const log = new Log((text) => access.hide(text));
const requests = new Requests(socket);
const chargers = new Chargers(requests);
const session = new Session(requests);
const actions = new Actions({ requests, socket, session });
const connection = new Connection({ access, socket });
const sentAt = new Map(); // request_id → when, to show how long an answer took

socket.addEventListener("state", ({ detail }) => {
  session.isConnected = chargers.isConnected = detail.name === "open";
  const isTrouble = detail.name === "closed" || detail.name === "waiting";
  const text = detail.name === "connecting" ? `Connecting to ${document.getElementById("url").value}` : detail.text;
  if (detail.name !== "open") note(text, isTrouble ? "bad" : "");
});

socket.addEventListener("sent", ({ detail: { text } }) => {
  const id = parsed(text)?.request_id;
  if (id !== undefined) sentAt.set(id, performance.now());
  const type = String(parsed(text)?.action ?? "text");
  log.add({ direction: "out", type, text, gist: requestGist(access.hide(text)) });
});

socket.addEventListener("message", ({ detail: { message, text } }) => {
  const line = [gist(message, access.hide(text)), elapsed(message)].filter(Boolean).join(" · ");
  log.add({ direction: "in", type: String(message?.type ?? "text"), text, gist: line, tone: tone(message), isTick: isTick(message) });
  if (message?.type === "connected") {
    connection.userId = message.userId;
    chargers.begin();
  }
  if (message) {
    session.heard(message);
    chargers.heard(message);
    actions.refresh();
  }
});

chargers.addEventListener("pick", () => {
  session.picked = chargers.picked;
  actions.picked = chargers.picked;
});

function note(text, tone = "") {
  log.add({ direction: "note", type: "connection", text, gist: text, tone });
}

function elapsed(message) {
  const id = message?.request_id;
  if (message?.type !== "response" || !sentAt.has(id)) return "";
  const milliseconds = performance.now() - sentAt.get(id);
  sentAt.delete(id);
  return `${Math.round(milliseconds)} ms`;
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

if (access.token) connection.connect();
