// The driver's page: logs in, holds the line by the published client, and shows one view at a time by the address.

import { Api, EvCharge, Login } from "../client/evcharge.js";
import { $, announce, enable, isEnabled, notice, write } from "../dom.js";
import { ChargerView } from "./charger.js";
import { ChargingView } from "./charging.js";
import { Followed } from "./followed.js";
import { keep, read, seqStorage } from "./kept.js";
import { Places } from "./places.js";
import { HistoryView, ReceiptView } from "./receipts.js";
import { language, otherLanguage, say, translatePage } from "./words.js";

const HOME = "/drive/";
const VIEWS = ["login", "find", "charger", "charging", "receipt", "history"];

let login = null;
let ev = null;
let views = {};
let wasLost = false;

const tell = (text) => notice($("notice"), text, "bad");

// --- which view ---

/** `#receipt/12` → ["receipt", "12"]; without one, what the code on the charger said. */
function address() {
  const [name, rest = ""] = location.hash.slice(1).split("/", 2);
  if (VIEWS.includes(name) && name !== "login") return [name, decodeURIComponent(rest)];
  const identity = decodeURIComponent(location.pathname.slice(HOME.length));
  return identity ? ["charger", identity] : ["find", ""];
}

function show(name) {
  for (const view of VIEWS) $(`view-${view}`).hidden = view !== name;
  $("tabs").hidden = $("log-out").hidden = name === "login";
  for (const tab of $("tabs").children) {
    if (tab.hash === `#${name}`) tab.setAttribute("aria-current", "page");
    else tab.removeAttribute("aria-current");
  }
  const title = $(`${name}-title`);
  document.title = name === "find" ? "evcharge" : `${title.textContent} · evcharge`;
  return title;
}

function route() {
  if (!login) return;
  const [name, rest] = address();
  tell("");
  views.charger.hide();
  views.receipt.hide();
  if (name === "charger") views.charger.show(rest);
  if (name === "receipt") views.receipt.show(Number(rest));
  if (name === "history") views.history.show();
  const title = show(name);
  scrollTo(0, 0);
  title.focus({ preventScroll: true }); // what a screen reader reads next
}

function go(hash) {
  if (location.hash === hash) route();
  else location.hash = hash;
}

// --- who, and the line ---

function askToLogIn(text = "") {
  ev?.close();
  ev = login = null;
  keep("login", null);
  $("line").hidden = true;
  tell(text);
  show("login");
}

function enter(username, tokens) {
  const onTokens = (fresh) => keep("login", fresh && { username, tokens: fresh });
  login = new Login({ tokens, onTokens, lang: language, fetch: fetchBeyondThePage });
  keep("login", { username, tokens });
  ev = new EvCharge({ getToken: login.getToken, lang: language, storage: seqStorage, storageKey: `seq.${username}` });
  const api = new Api({ getToken: login.getToken, lang: language });
  const followed = new Followed(ev);
  new Places(ev, followed, tell);
  views = {
    charger: new ChargerView(ev, followed, tell),
    receipt: new ReceiptView(api, tell),
    history: new HistoryView(ev, tell),
    charging: new ChargingView(ev, { appeared, ended, tell }),
  };
  ev.on("state", lineChanged);
  ev.connect().catch(() => {}); // `state` tells of it
  route();
}

function appeared() {
  const [name] = address();
  if (name === "charger" || name === "find") go("#charging");
}

function ended(sessionId) {
  const [name, rest] = address();
  if (name === "charging" || (name === "receipt" && Number(rest) === sessionId)) go(`#receipt/${sessionId}`);
}

function lineChanged({ state, error }) {
  if (state === "closed") {
    if (error) askToLogIn(error.code === "refused" ? say("log_in_again") : error.message);
    return;
  }
  const isLost = state === "waiting" || (wasLost && state !== "open");
  $("line").hidden = !isLost;
  write($("line"), isLost ? say("offline") : "");
  if (wasLost && state === "open") announce(say("online_again"));
  wasLost = isLost;
}

async function logIn(event) {
  event.preventDefault();
  const button = $("log-in").querySelector("button");
  if (!isEnabled(button)) return;
  enable(button, false);
  tell("");
  const [username, password] = [$("username").value, $("password").value];
  try {
    const { tokens } = await Login.withPassword({ username, password, lang: language });
    $("password").value = "";
    enter(username, tokens);
  } catch (error) {
    tell(error.message);
    $("password").focus();
  } finally {
    enable(button, true);
  }
}

/** Goes on when the page is left. */
const fetchBeyondThePage = (url, init) => fetch(url, { ...init, keepalive: true });

async function logOut() {
  const leaving = login;
  login = null;
  ev.close();
  for (const view of VIEWS) $(`view-${view}`).hidden = true;
  $("tabs").hidden = $("log-out").hidden = $("line").hidden = true;
  const left = leaving.logOut().catch(() => {}); // without a network it ends here only
  await Promise.race([left, new Promise((soon) => setTimeout(soon, 1000))]);
  location.assign(HOME); // nothing of one driver stays for the next
}

// --- begin ---

translatePage();
$("language").textContent = say("other_language");
$("language").lang = language === "ar" ? "en" : "ar";
$("language").addEventListener("click", () => location.assign(otherLanguage()));
$("log-in").addEventListener("submit", logIn);
$("log-out").addEventListener("click", logOut);
addEventListener("hashchange", route);
addEventListener("pageshow", ({ persisted }) => persisted && location.reload()); // nor by going back
navigator.serviceWorker?.register(`${HOME}worker.js`, { scope: HOME }).catch(() => {}); // it works without, but not offline

const kept = read("login");
if (kept) enter(kept.username, kept.tokens);
else show("login");
