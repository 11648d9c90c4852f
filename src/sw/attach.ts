/**
 * Joins Nearcast to a service worker, its own or the site's: listens for the pages' hello, and routes
 * what they want accelerated through the strategy. Everything else is never touched.
 * @module
 */
import { Route, Router } from "workbox-routing";
import { type UrlMatcher, urlMatcher } from "../core/url-pattern.js";
import { mayAccelerate, mayWatch } from "../engine/rules/sharing-policy.js";
import { canonicalUrl } from "../protocol/asset.js";
import { PROTOCOL_VERSION } from "../protocol/limits.js";
import {
  isEnvelope,
  type PageHello,
  type WorkerConfig,
  type WorkerHello,
} from "../protocol/worker-messages.js";
import { loadWorkerConfig, saveWorkerConfig } from "../store/worker-config-store.js";

import { DISK_MS } from "./answer/disk-patience.js";
import { changes, isUnsafe } from "./changes.js";
import { MeshFirst, type MeshFirstOptions } from "./mesh-first.js";
import { isNetworkError } from "./origin/network-error.js";
import { reportPlaylist } from "./origin/playlists.js";
import { keepAlive } from "./pages/pages.js";
import { factsOf } from "./request/request-facts.js";
import { within } from "./within.js";

declare const self: ServiceWorkerGlobalScope;

/** A configuration, compiled. */
interface ActiveConfig {
  readonly enabled: boolean;
  readonly included: UrlMatcher;
  readonly excluded: UrlMatcher;
  /** Whether the publisher signs what is below the URL. */
  readonly signed: (url: string) => boolean;
  readonly stripParams: readonly string[];
}

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
  let config: ActiveConfig | undefined;
  const report = options.onError ?? (() => undefined);

  // A worker that was stopped remembers nothing: the last page's wishes are on disk.
  const loaded = loadWorkerConfig()
    .then((stored) => {
      if (stored) config ??= compile(stored);
    })
    .catch(report);

  self.addEventListener("message", (event) => {
    if (!isEnvelope(event.data) || event.data.type !== "hello") return;
    if (!(event.source instanceof WindowClient)) return;
    const hello = event.data as PageHello;
    config = compile(hello.config);
    event.source.postMessage({
      nearcast: PROTOCOL_VERSION,
      type: "hello",
      build: NEARCAST_BUILD,
      clientId: event.source.id,
    } satisfies WorkerHello);
    event.waitUntil(saveWorkerConfig(hello.config).catch(report));
    // A page that was loaded past its worker (first visit, forced reload) is taken over now.
    if (claim) event.waitUntil(self.clients.claim().catch(report));
  });

  self.addEventListener("fetch", (event) => {
    const { request } = event;
    if (!isUnsafe(request)) return;
    const note = async () => {
      if (!config) await loaded;
      if (!config || !wanted(config, request.url)) return;
      await changes.note(canonicalUrl(request.url, config.stripParams));
    };
    event.waitUntil(note().catch(report));
  });

  if (!route) return;
  const strategy = new MeshFirst({ stripParams: () => config?.stripParams ?? [], ...options });
  const router = new Router();
  router.registerRoute(
    new Route(
      ({ request, sameOrigin }) =>
        mayAccelerate(factsOf(request, sameOrigin), config?.signed(request.url)) &&
        (!config || wanted(config, request.url)),
      async (context) => {
        if (!config) await within(loaded, DISK_MS);
        if (!config || !wanted(config, context.request.url)) {
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
        config !== undefined &&
        wanted(config, request.url) &&
        mayWatch(factsOf(request, sameOrigin)),
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

/** A page of an earlier build does not know all of it. */
function compile({
  enabled,
  include,
  exclude,
  signed = [],
  stripParams = [],
}: WorkerConfig): ActiveConfig {
  return {
    enabled,
    stripParams,
    included: urlMatcher(include),
    excluded: urlMatcher(exclude),
    signed: (url) => signed.some((folder) => url.startsWith(folder)),
  };
}

function wanted({ enabled, included, excluded }: ActiveConfig, url: string): boolean {
  return enabled && included(url) && !excluded(url);
}
