/**
 * Pings of one link and what their answers tell: the path's own round trip, and how much longer the last one took.
 * This module is pure.
 * @module
 */

/** How often a link is pinged. */
export const PING_INTERVAL_MS = 2_500;
/** A path that swallowed so many pings is dead, whatever ICE believes. */
const LOST_MAX = 3;

export class RoundTrips {
  readonly #now: () => number;
  readonly #sentMs = new Map<number, number>();
  #lastToken = 0;
  #minMs: number | undefined;
  #latest: { readonly ms: number; readonly atMs: number } | undefined;

  /** @param now Monotonic, milliseconds. */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** The smallest so far: what the path itself takes. */
  get minMs(): number | undefined {
    return this.#minMs;
  }

  /** By how much the latest was longer than the smallest; `undefined` if that was long ago. */
  get extraMs(): number | undefined {
    const { ms = 0, atMs = Number.NEGATIVE_INFINITY } = this.#latest ?? {};
    const fresh = this.#now() - atMs < 2 * PING_INTERVAL_MS;
    return fresh && this.#minMs !== undefined ? ms - this.#minMs : undefined;
  }

  /** @returns The token of the next ping; `undefined` if the path is dead. */
  ping(): number | undefined {
    if (this.#sentMs.size >= LOST_MAX) return undefined;
    this.#lastToken = (this.#lastToken + 1) >>> 0;
    this.#sentMs.set(this.#lastToken, this.#now());
    return this.#lastToken;
  }

  /** @returns The smallest round trip now; `undefined` if nobody asked for this answer. */
  pong(token: number): number | undefined {
    const sentMs = this.#sentMs.get(token);
    if (sentMs === undefined) return undefined;
    this.#sentMs.delete(token);
    const ms = this.#now() - sentMs;
    this.#latest = { ms, atMs: this.#now() };
    this.#minMs = Math.min(this.#minMs ?? Number.POSITIVE_INFINITY, ms);
    return this.#minMs;
  }
}
