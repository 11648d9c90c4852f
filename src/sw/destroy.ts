/**
 * The worker that ends Nearcast on a site: served in the place of the ordinary one, it takes over without a
 * fetch handler, deletes the databases, tells open pages, and unregisters itself. It touches no other
 * database, cache or registration.
 * @module
 */
import { PROTOCOL_VERSION } from "../protocol/limits.js";
import type { WorkerRemoved } from "../protocol/worker-messages.js";
import { deleteStores } from "../store/open-store.js";

declare const self: ServiceWorkerGlobalScope;

// Whoever deploys this wants it to work now, and requests go to the network by themselves.
self.addEventListener("install", (event) => event.waitUntil(self.skipWaiting()));

self.addEventListener("activate", (event) => {
  event.waitUntil(removeAll());
});

async function removeAll(): Promise<void> {
  const pages = await self.clients.matchAll({ type: "window", includeUncontrolled: true });
  for (const page of pages) {
    page.postMessage({
      nearcast: PROTOCOL_VERSION,
      type: "removed",
    } satisfies WorkerRemoved);
  }
  // Unregistered even if the browser keeps a database.
  await Promise.allSettled([deleteStores()]);
  await self.registration.unregister();
}
