/**
 * Joins Nearcast to a service worker, its own or the site's: listens for the pages' hello, and routes
 * what they want accelerated through the strategy. Everything else is never touched.
 * @module
 */
import { Route, Router } from "workbox-routing";
import { mayAccelerate, mayWatch } from "../engine/rules/sharing-policy.js";
import { canonicalUrl } from "../protocol/asset.js";
import { PROTOCOL_VERSION } from "../protocol/limits.js";
import {
  type Ahead,
  isEnvelope,
  type PageHello,
  type WorkerHello,
} from "../protocol/worker-messages.js";
import { DISK_MS } from "./answer/disk-patience.js";
import { changes, isUnsafe } from "./changes.js";
import { MeshFirst, type MeshFirstOptions } from "./mesh-first.js";
import { readAhead } from "./origin/ahead.js";
import { isNetworkError } from "./origin/network-error.js";
import { reportPlaylist } from "./origin/playlists.js";
import { PageWishes } from "./pages/page-wishes.js";
import { keepAlive } from "./pages/pages.js";
import { factsOf } from "./request/request-facts.js";
import { solitude } from "./solitude.js";
import { within } from "./within.js";

declare const self: ServiceWorkerGlobalScope;

/** Options of {@link attach}. */
export interface AttachOptions extends MeshFirstOptions {
  /**
   * `false`: only the pages' hello is handled; the site routes requests to {@link MeshFirst} itself.
   *
   * @default true
   */
  readonly route?: boolean;
  /**
   * Whether pages that were loaded without the worker are taken over when they say hello.
   *
   * @default false
   */
  readonly claim?: boolean;
}

/** Call once, at the worker's top level, so that its listeners are there when it wakes up. */
export function attach({ route = true, claim = false, ...options }: AttachOptions = {}): void {
  const report = options.onError ?? (() => undefined);
  const wishes = new PageWishes(report);
  self.addEventListener("message", (event) => {
    if (!isEnvelope(event.data) || !(event.source instanceof WindowClient)) return;
    if (event.data.type === "company") solitude.heard(event.source.id, false, performance.now());
    const [port] = event.ports;
    if (event.data.type === "ahead" && port && wishes.include((event.data as Ahead).url)) {
      event.waitUntil(readAhead(event.data as Ahead, port).catch(report));
    }
    if (event.data.type !== "hello") return;
    const { config } = event.data as PageHello;
    event.waitUntil(wishes.heed(config).catch(report));
    event.source.postMessage({
      nearcast: PROTOCOL_VERSION,
      type: "hello",
      build: NEARCAST_BUILD,
      clientId: event.source.id,
    } satisfies WorkerHello);
    // A page that was loaded past its worker (first visit, forced reload) is taken over now.
    if (claim) event.waitUntil(self.clients.claim().catch(report));
  });
  self.addEventListener("fetch", (event) => {
    if (isUnsafe(event.request)) event.waitUntil(noteChange(event.request, wishes).catch(report));
  });
  if (route) {
    const strategy = new MeshFirst({ stripParams: () => wishes.stripParams, ...options });
    routeRequests(strategy, wishes);
  }
}

async function noteChange({ url }: Request, wishes: PageWishes): Promise<void> {
  if (!wishes.known) await wishes.loaded;
  if (wishes.include(url)) await changes.note(canonicalUrl(url, wishes.stripParams));
}

function routeRequests(strategy: MeshFirst, wishes: PageWishes): void {
  const router = new Router();
  router.registerRoute(
    new Route(
      ({ request, sameOrigin }) =>
        mayAccelerate(factsOf(request, sameOrigin), wishes.signed(request.url)) &&
        (!wishes.known || wishes.include(request.url)),
      async (context) => {
        if (!wishes.known) await within(wishes.loaded, DISK_MS);
        if (!wishes.include(context.request.url)) {
          keepAlive.unseen();
          return fetch(context.request);
        }
        return orNetwork(context.request, () => strategy.handle(context));
      },
    ),
  );
  router.registerRoute(
    new Route(
      ({ request, sameOrigin }) =>
        wishes.include(request.url) && mayWatch(factsOf(request, sameOrigin)),
      async ({ request, event }) => {
        const response = await fetch(request);
        event.waitUntil(reportPlaylist(response));
        return response;
      },
    ),
  );
  router.addFetchListener();
}

/** What the strategy throws is the network's; if it is not, the request must not pay for our bug. */
async function orNetwork(request: Request, answer: () => Promise<Response>): Promise<Response> {
  try {
    return await answer();
  } catch (error) {
    if (isNetworkError(error)) throw error;
    const response = await fetch(request);
    reportError(error);
    return response;
  }
}
