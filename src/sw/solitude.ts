/**
 * Whether a request need not wait for the host's plan: the host said a moment ago that nobody is there to ask, so
 * the origin is asked at once and the host told beside it. Nothing here must be known: a worker that forgot it asks
 * and waits once more, and a host that has company meanwhile takes the response over in mid-body
 * (docs/decisions/0014). This module is pure.
 * @module
 */

/** For how long a host's word holds: longer than a segment plays, shorter than a link would go unused. */
const VALID_MS = 10_000;
/** What passed by lately may be in the host's memory and not on the disk yet. */
const URLS_MAX = 256;

export class Solitude {
  #hostId = "";
  #untilMs = Number.NEGATIVE_INFINITY;
  /** URL → when it was asked for, in that order. */
  readonly #asked = new Map<string, number>();

  /** The host with this client id said whether anybody is there to ask. */
  heard(hostId: string, alone: boolean, nowMs: number): void {
    this.#hostId = hostId;
    this.#untilMs = alone ? nowMs + VALID_MS : Number.NEGATIVE_INFINITY;
  }

  /** Whether the origin may be asked for `url` without waiting for this host. Call once a request. */
  covers(hostId: string, url: string, nowMs: number): boolean {
    const askedMs = this.#asked.get(url) ?? Number.NEGATIVE_INFINITY;
    this.#asked.delete(url);
    this.#asked.set(url, nowMs);
    for (const oldest of this.#asked.keys()) {
      if (this.#asked.size <= URLS_MAX) break;
      this.#asked.delete(oldest);
    }
    return hostId === this.#hostId && nowMs < this.#untilMs && nowMs - askedMs >= VALID_MS;
  }
}
