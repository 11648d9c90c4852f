/**
 * Peers that could be linked, and peers that are left alone for a while. This module does no I/O; time is an
 * argument.
 * @module
 */

import { trim } from "../../core/trim.js";
import type { Distance } from "../../protocol/signal-messages.js";

interface Avoided {
  readonly untilMs: number;
  readonly banned: boolean;
}

/** A stranger that could not be reached is left alone for so long. */
const UNREACHED_MS = 15_000;
/** A neighbour is tried sooner, and later each time. */
const RETRY_MS = { min: 2_000, max: 60_000 };
const CANDIDATES_MAX = 32;
/** Peers of whom anything is remembered. */
const REMEMBERED_MAX = 1_000;

export class Candidates {
  readonly #now: () => number;
  /** The newest last. */
  readonly #suggested = new Set<string>();
  readonly #avoided = new Map<string, Avoided>();
  readonly #failures = new Map<string, number>();
  readonly #distances = new Map<string, Distance>();

  constructor(now: () => number) {
    this.#now = now;
  }

  /** Where a peer is, as the server said. */
  place(peerId: string, distance: Distance): void {
    this.#distances.delete(peerId);
    this.#distances.set(peerId, distance);
    trim(this.#distances, REMEMBERED_MAX);
  }

  /** 2 for a peer that the server did not name. */
  distanceOf(peerId: string): Distance {
    return this.#distances.get(peerId) ?? 2;
  }

  /** Adds peers; beyond 32 the oldest are forgotten. */
  suggest(peerIds: readonly string[]): void {
    for (const peerId of peerIds) {
      this.#suggested.delete(peerId);
      this.#suggested.add(peerId);
    }
    trim(this.#suggested, CANDIDATES_MAX);
  }

  /** Whether {@link take} would give one. */
  has(fits: (peerId: string) => boolean): boolean {
    return [...this.#suggested].some((peerId) => fits(peerId) && !this.avoids(peerId));
  }

  /** Takes the oldest suggestion that fits; those that do not are forgotten. */
  take(fits: (peerId: string) => boolean): string | undefined {
    for (const peerId of this.#suggested) {
      if (fits(peerId) && this.avoids(peerId)) continue;
      this.#suggested.delete(peerId);
      if (fits(peerId)) return peerId;
    }
    return undefined;
  }

  avoids(peerId: string): boolean {
    return (this.#avoided.get(peerId)?.untilMs ?? 0) > this.#now();
  }

  /** Whether not even its calls are taken. */
  bans(peerId: string): boolean {
    return this.avoids(peerId) && this.#avoided.get(peerId)?.banned === true;
  }

  avoid(peerId: string, durationMs: number): void {
    this.#avoid(peerId, durationMs, false);
  }

  ban(peerId: string, durationMs: number): void {
    this.#avoid(peerId, durationMs, true);
  }

  /** A link to the peer did not open. */
  failed(peerId: string, neighbour: boolean): void {
    const failures = (this.#failures.get(peerId) ?? 0) + 1;
    this.#failures.delete(peerId);
    this.#failures.set(peerId, failures);
    trim(this.#failures, REMEMBERED_MAX);
    const retryMs = Math.min(RETRY_MS.max, RETRY_MS.min * 2 ** (failures - 1));
    this.avoid(peerId, neighbour ? retryMs : UNREACHED_MS);
  }

  /** A link to the peer opened. */
  reached(peerId: string): void {
    this.#failures.delete(peerId);
  }

  #avoid(peerId: string, durationMs: number, banned: boolean): void {
    const stillBanned = this.bans(peerId);
    const untilMs = Math.max(this.#avoided.get(peerId)?.untilMs ?? 0, this.#now() + durationMs);
    this.#avoided.delete(peerId);
    this.#avoided.set(peerId, { untilMs, banned: banned || stillBanned });
    trim(this.#avoided, REMEMBERED_MAX);
  }
}
