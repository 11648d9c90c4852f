/**
 * Counts what one request gives the page, and tells the page: now and then while it runs, so that a long
 * stream shows in its statistics, and once when it is over.
 * @module
 */
import { PROTOCOL_VERSION } from "../../protocol/limits.js";
import type {
  BytesBySource,
  ProgressReport,
  RequestReport,
} from "../../protocol/worker-messages.js";

declare const self: ServiceWorkerGlobalScope;

const PROGRESS_MS = 250;

export class RequestMeter {
  readonly #clientId: string;
  readonly #url: string;
  readonly #startedMs = performance.now();
  readonly #total = { cache: 0, mesh: 0, origin: 0 };
  readonly #ended = Promise.withResolvers<void>();
  #fresh = { cache: 0, mesh: 0, origin: 0 };
  #toldMs = 0;
  #open = true;

  constructor(clientId: string, url: string) {
    this.#clientId = clientId;
    this.#url = url;
  }

  /** Resolves when the request is over and the page knows. */
  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  /** The page was given `bytes` more. */
  count(source: keyof BytesBySource, bytes: number): void {
    this.#total[source] += bytes;
    this.#fresh[source] += bytes;
    if (performance.now() - this.#toldMs < PROGRESS_MS) return;
    this.#toldMs = performance.now();
    void this.#tell();
  }

  /** The request is over; only the first call counts. `status` 0: the network failed. */
  async end(status: number): Promise<void> {
    if (!this.#open) return;
    this.#open = false;
    const durationMs = performance.now() - this.#startedMs;
    const bytes = { ...this.#total };
    await this.#tell({ type: "request", url: this.#url, status, durationMs, bytes });
    this.#ended.resolve();
  }

  /** Tells what was counted by now, whether a request goes on or there never was one. */
  async flush(): Promise<void> {
    await this.#tell();
  }

  async #tell(report?: Omit<RequestReport, "nearcast">): Promise<void> {
    const bytes = this.#fresh;
    this.#fresh = { cache: 0, mesh: 0, origin: 0 };
    const client = await self.clients.get(this.#clientId);
    if (!client) return;
    const progress: ProgressReport = { nearcast: PROTOCOL_VERSION, type: "progress", bytes };
    client.postMessage(progress);
    if (report) client.postMessage({ nearcast: PROTOCOL_VERSION, ...report });
  }
}
