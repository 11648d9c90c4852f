/**
 * The ready-made worker. On the very first visit it takes control of the page at once; an update waits
 * until the pages of the old one are gone, so no stream is ever cut.
 * @module
 */
import { clientsClaim } from "workbox-core";
import { attach } from "./attach.js";

declare const self: ServiceWorkerGlobalScope;

/** Static routing (Chromium 123 and later); not in TypeScript's library yet. */
interface RoutableInstallEvent extends ExtendableEvent {
  addRoutes?(rules: readonly object[]): Promise<void>;
}

/** Never ours: the browser keeps these away from the worker, awake or asleep. */
const UNTOUCHED = [
  "document",
  "embed",
  "frame",
  "iframe",
  "manifest",
  "object",
  "script",
  "sharedworker",
  "style",
  "worker",
];

self.addEventListener("install", (event: RoutableInstallEvent) => {
  const rules = UNTOUCHED.map((requestDestination) => ({
    condition: { requestDestination },
    source: "network",
  }));
  event.addRoutes?.(rules).catch(() => undefined); // an older draft of the API: the fetch handler decides
});

clientsClaim();
attach({ claim: true });
