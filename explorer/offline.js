// Keeps the page's own files, so that it opens without a network. `vite.config.ts` puts their names here, which changes
// this file with every build: the browser then fetches it anew, and with it all files.
const FILES = [];
const NAME = "hooklens-explorer";

self.addEventListener("install", (event) => {
  event.waitUntil(
    caches
      .open(NAME)
      .then((cache) => cache.addAll(FILES))
      .then(() => self.skipWaiting()),
  );
});

self.addEventListener("activate", (event) => {
  const old = (name) => name.startsWith("hooklens-explorer-") && name !== NAME;
  event.waitUntil(
    caches
      .keys()
      .then((names) => Promise.all(names.filter(old).map((name) => caches.delete(name))))
      .then(() => self.clients.claim()),
  );
});

// The network first for the page itself, so that a new one is seen; its files have names that change with their content.
self.addEventListener("fetch", (event) => {
  const { request } = event;
  if (request.method !== "GET" || new URL(request.url).origin !== self.location.origin) return;
  const kept = () => caches.match(request, { ignoreSearch: true, cacheName: NAME });
  event.respondWith(
    request.mode === "navigate"
      ? fetch(request).catch(async () => (await kept()) ?? Response.error())
      : kept().then((found) => found ?? fetch(request)),
  );
});
