/**
 * The ready-made worker. On the very first visit it takes control of the page at once; an update waits
 * until the pages of the old one are gone, so no stream is ever cut.
 * @module
 */
import { clientsClaim } from "workbox-core";
import { PROTOCOL_VERSION } from "../protocol/limits.js";
import type { WorkerCrash } from "../protocol/worker-messages.js";
import { attach } from "./attach.js";
import { isNetworkError } from "./origin/network-error.js";

declare const self: ServiceWorkerGlobalScope;

/** Static routing (Chromium 123 and later); not in TypeScript's library yet. */
interface RoutableInstallEvent extends ExtendableEvent {
  addRoutes?(rules: readonly object[]): Promise<void>;
}

/** Registered as `nearcast-sw.js?signed`, the worker sees scripts and style sheets: signed ones may be shared. */
const signed = new URL(self.location.href).searchParams.has("signed");

/** Never ours: the browser keeps these away from the worker, awake or asleep. */
const UNTOUCHED = [
  "document",
  "embed",
  "frame",
  "iframe",
  "manifest",
  "object",
  "sharedworker",
  "worker",
  ...(signed ? [] : ["script", "style"]),
];

self.addEventListener("install", (event: RoutableInstallEvent) => {
  const rules = UNTOUCHED.map((requestDestination) => ({
    condition: { requestDestination },
    source: "network",
  }));
  event.addRoutes?.(rules).catch(() => undefined); // an older draft of the API: the fetch handler decides
});

// The pages count these, and take Nearcast out of this browser when they come in rows (rule R40).
const crashed = async () => {
  for (const page of await self.clients.matchAll({ type: "window" })) {
    page.postMessage({ nearcast: PROTOCOL_VERSION, type: "crash" } satisfies WorkerCrash);
  }
};
self.addEventListener("error", () => void crashed());
self.addEventListener("unhandledrejection", ({ reason }) => {
  if (!isNetworkError(reason)) void crashed();
});

clientsClaim();
attach({ claim: true });
