/**
 * What the worker says to all its pages.
 * @module
 */
import { PROTOCOL_VERSION } from "../../protocol/limits.js";
import { KeepAlive } from "./keep-alive.js";

declare const self: ServiceWorkerGlobalScope;

/** Any page will do that answers. */
async function beat(): Promise<void> {
  for (const client of await self.clients.matchAll({ type: "window" })) {
    client.postMessage({ nearcast: PROTOCOL_VERSION, type: "beat" });
  }
}

/** For all bodies of this worker. */
export const keepAlive = new KeepAlive(() => void beat());
