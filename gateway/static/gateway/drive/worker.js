// Keeps the page itself, so that it opens without a network. Never what the server says: that is only true when it says it.

const CACHE = "evcharge-drive";
const PAGE = "/drive/";
const FILES = "/static/gateway/";
const SHELL = [
  PAGE,
  "/drive/app.webmanifest",
  `${FILES}icon.svg`,
  `${FILES}page.css`,
  `${FILES}dom.js`,
  ...["evcharge", "api", "client", "errors", "line", "protocol", "rest"].map((name) => `${FILES}client/${name}.js`),
  ...["charger", "charging", "chart", "followed", "gestures", "kept", "main", "map", "mercator", "places", "receipts", "svg", "words"].map((name) => `${FILES}drive/${name}.js`),
  `${FILES}drive/drive.css`,
];

self.addEventListener("install", (event) => {
  event.waitUntil(
    caches
      .open(CACHE)
      .then((cache) => cache.addAll(SHELL))
      .then(() => self.skipWaiting()),
  );
});

self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));

/** The server's, which is kept for later; without a network, what was kept. */
async function shell(request, key) {
  const cache = await caches.open(CACHE);
  try {
    const response = await fetch(request);
    if (response.ok) await cache.put(key, response.clone());
    return response;
  } catch (error) {
    const kept = await cache.match(key);
    if (kept) return kept;
    throw error;
  }
}

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const { origin, pathname } = new URL(request.url);
  if (request.method !== "GET" || origin !== self.location.origin) return;
  if (request.mode === "navigate" && pathname.startsWith(PAGE)) event.respondWith(shell(request, PAGE));
  else if (SHELL.includes(pathname)) event.respondWith(shell(request, pathname));
});
