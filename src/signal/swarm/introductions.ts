/**
 * Who was told of whom. An offer costs its receiver an RTCPeerConnection and shows it an address, so
 * offers, answers and candidates pass only between viewers that the index named to one of them (rules
 * R47, F2), and nobody can collect the names of a crowd (D2). This module is pure.
 * @module
 */
import { LruMap } from "../lru-map.js";
import { type BucketSize, TokenBucket } from "../token-bucket.js";

/** An introduction that nobody uses ends; each message between the two renews it. */
const LIFETIME_MS = 60_000;

/** Peers that one viewer remembers having been told of. */
const KNOWN_MAX = 128;

/** New peers that one viewer may be told of: a mesh of 15 links needs a few a minute. */
const NEW_PEERS: BucketSize = { perSecond: 1, burst: 64 };

/** What one viewer was told. */
export class Introductions {
  readonly #untilMs = new LruMap<string, number>(KNOWN_MAX);
  readonly #budget = new TokenBucket(NEW_PEERS);

  /** @returns The hints that may be told, which are remembered; known peers cost nothing. */
  introduce<T extends readonly [peerId: string, ...rest: unknown[]]>(
    hints: readonly T[],
    nowMs: number,
  ): T[] {
    return hints.filter(([peerId]) => {
      if (!this.knows(peerId, nowMs) && !this.#budget.take(nowMs)) return false;
      this.#untilMs.set(peerId, nowMs + LIFETIME_MS);
      return true;
    });
  }

  /** Remembers a peer that calls: another node introduced it to this viewer. */
  meet(peerId: string, nowMs: number): void {
    this.#untilMs.set(peerId, nowMs + LIFETIME_MS);
  }

  knows(peerId: string, nowMs: number): boolean {
    return (this.#untilMs.get(peerId) ?? 0) > nowMs;
  }

  /** Keeps an introduction alive that is being used. */
  renew(peerId: string, nowMs: number): void {
    if (this.knows(peerId, nowMs)) this.#untilMs.set(peerId, nowMs + LIFETIME_MS);
  }
}
