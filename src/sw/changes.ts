/**
 * URLs that a page changes itself (PUT, POST, DELETE and the like): what is stored or shared of them is void from then
 * on (RFC 9111 section 4.4). The request is not touched, so nobody here knows how it ends: one that the origin refuses
 * costs a copy, no more.
 * @module
 */
import { PROTOCOL_VERSION } from "../protocol/limits.js";
import { PieceReader } from "../store/piece-reader.js";
import { findHost } from "./pages/host-tab.js";

const SAFE_METHODS: ReadonlySet<string> = new Set(["GET", "HEAD", "OPTIONS", "TRACE"]);

/** Whether a request may change what its URL stands for (RFC 9110 section 9.2.1). */
export function isUnsafe({ method }: Request): boolean {
  return !SAFE_METHODS.has(method);
}

/** By then the host and the disk know; of a change that takes longer the host heard at its start as well. */
const RECENT_MS = 60_000;
const URLS_MAX = 1_000;

/** What the pages of this worker changed lately. A worker that forgot it has told host and disk. */
class Changes {
  /** By URL, the latest last: until when the origin alone is asked. */
  readonly #untilMs = new Map<string, number>();
  #store: PieceReader | undefined;

  /** Whether the origin alone may answer for a URL (canonical). */
  recent(url: string): boolean {
    return (this.#untilMs.get(url) ?? 0) > performance.now();
  }

  /** A page changes the URL. Resolves when host and disk know; rejects if either cannot be told. */
  async note(url: string): Promise<void> {
    const known = this.recent(url);
    this.#untilMs.delete(url);
    this.#untilMs.set(url, performance.now() + RECENT_MS);
    for (const oldest of this.#untilMs.keys()) {
      if (this.#untilMs.size <= URLS_MAX) break;
      this.#untilMs.delete(oldest);
    }
    if (known) return;
    // One database connection for all changes; and neither waits for the other, nor fails with it.
    this.#store ??= new PieceReader({ onError: reportError });
    await Promise.all([tellHost(url), this.#store.takeBack(url)]);
  }
}

async function tellHost(url: string): Promise<void> {
  const host = await findHost();
  host?.client.postMessage({ nearcast: PROTOCOL_VERSION, type: "changed", url });
}

/** For all requests of this worker. */
export const changes = new Changes();
