/**
 * The page's line to its service worker: registration, control, the hello of both sides, and the messages
 * that arrive from it. The page never imports the worker; they meet on these messages only.
 * @module
 */
import { NearcastError } from "../../core/errors.js";
import { PROTOCOL_VERSION } from "../../protocol/limits.js";
import {
  type Ahead,
  type ChangedReport,
  type CompanyReport,
  isEnvelope,
  type PaceQuestion,
  type PageHello,
  type PlaylistReport,
  type ProgressReport,
  type RequestReport,
  type UsedReport,
  type Want,
  type WorkerConfig,
  type WorkerHello,
} from "../../protocol/worker-messages.js";

export interface BridgeHandlers {
  onWant(want: Want, port: MessagePort): void;
  onPace(question: PaceQuestion, port: MessagePort): void;
  onPlaylist(report: PlaylistReport): void;
  onProgress(report: ProgressReport): void;
  onRequest(report: RequestReport): void;
  onUsed(report: UsedReport): void;
  onChanged(report: ChangedReport): void;
  /** Something in the worker failed uncaught. */
  onCrash(): void;
  /** The worker has removed itself for good. */
  onRemoved(): void;
}

export interface BridgeOptions {
  readonly workerUrl: string;
  readonly scope: string | undefined;
  readonly handlers: BridgeHandlers;
  readonly signal: AbortSignal;
}

export class WorkerBridge {
  readonly #signal: AbortSignal;
  readonly #handlers: BridgeHandlers;
  #config: WorkerConfig | undefined;
  readonly #greeted = Promise.withResolvers<string>();

  private constructor({ handlers, signal }: BridgeOptions) {
    this.#handlers = handlers;
    this.#signal = signal;
    const { serviceWorker } = navigator;
    serviceWorker.addEventListener("message", (event) => this.#receive(event), { signal });
    // A worker that replaced the old one knows nothing of this page yet.
    serviceWorker.addEventListener("controllerchange", () => this.#greet(), { signal });
    serviceWorker.startMessages();
  }

  /**
   * Registers the worker unless it is there already.
   *
   * A worker of the site's own is never replaced (rule R41).
   *
   * @throws {NearcastError} `worker/unavailable` if the browser refuses, or the page is outside the scope: then the
   * worker will never hear of it.
   */
  static async open(options: BridgeOptions): Promise<WorkerBridge> {
    const { workerUrl, scope } = options;
    const ownScope = scope ?? new URL(".", workerUrl).href;
    if (/^https?:/.test(location.href) && !location.href.startsWith(ownScope)) {
      throw new NearcastError(
        "worker/unavailable",
        `Cannot use worker "${workerUrl}": page "${location.pathname}" is outside its scope "${ownScope}"`,
      );
    }
    const existing = await startedRegistration(ownScope);
    const bridge = new WorkerBridge(options);
    if (existing && !runs(existing, workerUrl) && existing.scope === ownScope) {
      // The site's own worker: it may have `attach()`ed; its hello will tell.
      bridge.#foreign = true;
      return bridge;
    }
    // A site that registered it may have done so as a module: to register it as a classic script would break it.
    if (existing?.scope === ownScope && runsExactly(existing, workerUrl)) return bridge;
    try {
      await navigator.serviceWorker.register(trusted(workerUrl), {
        updateViaCache: "none",
        ...(scope !== undefined && { scope }),
      });
    } catch (cause) {
      throw new NearcastError("worker/unavailable", `Cannot register worker "${workerUrl}"`, {
        cause,
      });
    }
    return bridge;
  }

  #foreign = false;

  /** Whether the scope belongs to the site's own worker. */
  get foreign(): boolean {
    return this.#foreign;
  }

  /** This page's client id, once a worker of our protocol version controls it. */
  get clientId(): Promise<string> {
    return this.#greeted.promise;
  }

  /** Tells the worker what to accelerate, now and whenever another worker takes over. */
  configure(config: WorkerConfig): void {
    this.#config = config;
    this.#greet();
  }

  /** This page, the host, is not alone any more. */
  tellCompany(): void {
    navigator.serviceWorker.controller?.postMessage({
      nearcast: PROTOCOL_VERSION,
      type: "company",
    } satisfies CompanyReport);
  }

  /** Has something read of the origin that a page will ask for next. @returns The port for the orders. */
  openAhead(ahead: Ahead): MessagePort | undefined {
    const { controller } = navigator.serviceWorker;
    if (!controller) return undefined;
    const { port1, port2 } = new MessageChannel();
    controller.postMessage(ahead, [port2]);
    return port1;
  }

  #greet(): void {
    if (!this.#config || this.#signal.aborted) return;
    const hello: PageHello = {
      nearcast: PROTOCOL_VERSION,
      type: "hello",
      build: NEARCAST_BUILD,
      config: this.#config,
    };
    const { controller } = navigator.serviceWorker;
    if (controller) return controller.postMessage(hello);
    // A page that was reloaded past its worker: the hello asks the worker to take it back.
    void navigator.serviceWorker.ready.then(({ active }) => active?.postMessage(hello));
  }

  #receive({ data, ports, source }: MessageEvent): void {
    if (!isEnvelope(data) || !(source instanceof ServiceWorker)) return;
    const [port] = ports;
    // The answer is an event that keeps the worker alive; nothing in it matters.
    if (data.type === "beat") source.postMessage(data);
    else if (data.type === "hello") this.#greeted.resolve((data as WorkerHello).clientId);
    else if (data.type === "want" && port) this.#handlers.onWant(data as Want, port);
    else if (data.type === "pace" && port) this.#handlers.onPace(data as PaceQuestion, port);
    else if (data.type === "playlist") this.#handlers.onPlaylist(data as PlaylistReport);
    else if (data.type === "progress") this.#handlers.onProgress(data as ProgressReport);
    else if (data.type === "request") this.#handlers.onRequest(data as RequestReport);
    else if (data.type === "used") this.#handlers.onUsed(data as UsedReport);
    else if (data.type === "changed") this.#handlers.onChanged(data as ChangedReport);
    else if (data.type === "crash") this.#handlers.onCrash();
    else if (data.type === "removed") this.#handlers.onRemoved();
  }
}

/** Where a page takes only trusted script URLs, this one is: it was checked to be the site's own. */
function trusted(workerUrl: string): string {
  const { trustedTypes } = globalThis as { trustedTypes?: TrustedTypePolicies };
  if (!trustedTypes) return workerUrl;
  policy ??= trustedTypes.createPolicy("nearcast", { createScriptURL: (url) => url });
  return policy.createScriptURL(workerUrl) as string;
}

/** The part of trusted types that is needed; not in TypeScript's library yet. */
interface TrustedTypePolicies {
  createPolicy(
    name: string,
    rules: { createScriptURL(url: string): string },
  ): { createScriptURL(url: string): unknown };
}

let policy: ReturnType<TrustedTypePolicies["createPolicy"]> | undefined;

/** All requests pass by the worker. */
export const NOTHING: WorkerConfig = {
  enabled: false,
  include: [],
  exclude: [],
  signed: [],
  stripParams: [],
};

/** Tells a worker of an earlier visit, if one controls this page, to let all requests pass. */
export function silenceWorker(): void {
  navigator.serviceWorker?.controller?.postMessage({
    nearcast: PROTOCOL_VERSION,
    type: "hello",
    build: NEARCAST_BUILD,
    config: NOTHING,
  } satisfies PageHello);
}

/** Unregisters Nearcast's own worker, never another one; pages that it controls keep it until they go. */
export async function removeWorker({
  workerUrl,
  scope = new URL(".", workerUrl).href,
}: {
  workerUrl: string;
  scope: string | undefined;
}): Promise<void> {
  const registration = await navigator.serviceWorker?.getRegistration(scope);
  const ours = registration && runs(registration, workerUrl) && registration.scope === scope;
  if (ours) await registration.unregister();
}

/** A worker that takes longer to start is taken for the site's own: it is not replaced. */
const STARTING_MS = 10_000;

/**
 * The registration of a scope, once it tells whose it is: while another tab's `register()` starts the very first
 * worker, there is a registration without any.
 */
async function startedRegistration(scope: string): Promise<ServiceWorkerRegistration | undefined> {
  const found = await navigator.serviceWorker.getRegistration(scope);
  if (!found || workersOf(found).length > 0) return found;
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, STARTING_MS);
    const started = () => {
      clearTimeout(timer);
      resolve();
    };
    found.addEventListener("updatefound", started, { once: true });
  });
  return navigator.serviceWorker.getRegistration(scope);
}

function runs(registration: ServiceWorkerRegistration, workerUrl: string): boolean {
  // The query may change: it is how a site sets its worker up, not which worker it is.
  const bare = (url: string) => url.replace(/\?.*$/, "");
  return workersOf(registration).some(({ scriptURL }) => bare(scriptURL) === bare(workerUrl));
}

function runsExactly(registration: ServiceWorkerRegistration, workerUrl: string): boolean {
  return workersOf(registration).some(({ scriptURL }) => scriptURL === workerUrl);
}

function workersOf({ active, waiting, installing }: ServiceWorkerRegistration): ServiceWorker[] {
  return [active, waiting, installing].filter((worker) => worker !== null);
}
