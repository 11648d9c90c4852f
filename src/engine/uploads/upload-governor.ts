/**
 * How much of the uplink others may have: what the page itself does comes first. The sign of trouble is delay, as
 * with LEDBAT (RFC 6817): a queue at the bottleneck shows as a round trip above the link's own shortest. As long as
 * there is none, nothing is limited. This module is pure.
 * @module
 */
import { BLOCK_BYTES } from "../../protocol/limits.js";

/** What one viewer's uploads did lately. */
export interface UplinkFacts {
  /**
   * Round trip above the shortest, less our own block's ({@link queueMsOf}), of the link that has least of it: a queue
   * of our own shows on all links, a peer's troubles on its own only. `undefined` if nothing was measured lately.
   */
  readonly extraMs: number | undefined;
  /** Whether the page waits for bytes that it needs soon. */
  readonly urgent: boolean;
  /** What leaves now, in bytes per millisecond. */
  readonly rateBytesPerMs: number;
}

/** A line slower than this shows a queue, whatever our blocks take: 2.6 Mbit/s. */
const BLOCK_MAX_MS = 50;

/**
 * How long the line's queue is: of the time by which a round trip was longer, that part which no other traffic has.
 * A ping waits behind the block of ours that is being sent, and a line that is kept full by losses alone (a queue of
 * 80 ms at 5 Mbit/s) would be held back for it.
 *
 * @param extraMs Round trip above the link's shortest.
 * @param rateBytesPerMs What the uplink takes.
 */
export function queueMsOf(extraMs: number, rateBytesPerMs: number): number {
  return Math.max(0, extraMs - Math.min(BLOCK_MAX_MS, BLOCK_BYTES / rateBytesPerMs));
}

/** Delay that uploads may cause: nobody notices, and the line stays full. */
const TARGET_MS = 100;
/** The same while the page waits for something. */
const URGENT_TARGET_MS = 25;
/** 32 kB/s: a piece every two seconds, so that nobody's request hangs for ever. */
const FLOOR_BYTES_PER_MS = 32;
/** A limit that is so far above what is used limits nothing and is lifted. */
const LIFTED_AT = 4;
const GROWTH = 0.25;
/** Share that is kept in one step at least: more is given back where the page waits. */
const KEPT = 0.75;
const URGENT_KEPT = 0.5;

export class UploadGovernor {
  #limitBytesPerMs: number | undefined;

  /** Bytes per millisecond that may leave; `undefined` for no limit. */
  get limitBytesPerMs(): number | undefined {
    return this.#limitBytesPerMs;
  }

  /** Round trips were measured anew. */
  tick({ extraMs, urgent, rateBytesPerMs }: UplinkFacts): void {
    const target = urgent ? URGENT_TARGET_MS : TARGET_MS;
    const excess = ((extraMs ?? 0) - target) / target;
    const from = this.#limitBytesPerMs ?? rateBytesPerMs;
    if (excess > 0) {
      // A little above the target a little is given back, far above it more, or the line would run empty.
      const kept = Math.max(urgent ? URGENT_KEPT : KEPT, 1 - excess / 2);
      this.#limitBytesPerMs = Math.max(FLOOR_BYTES_PER_MS, from * kept);
    } else if (this.#limitBytesPerMs !== undefined) {
      const grown = from * (1 - GROWTH * Math.max(-1, excess));
      this.#limitBytesPerMs = grown > rateBytesPerMs * LIFTED_AT ? undefined : grown;
    }
  }
}

/** Whether this viewer's uplink is any good to others, judged by what became of their requests. */
export class UplinkRecord {
  #served = 0;
  #late = 0;
  #poorUntilMs = Number.NEGATIVE_INFINITY;

  /** A request was served, or taken back after it had waited here for long. */
  count(outcome: "served" | "late", nowMs: number): void {
    if (outcome === "served") this.#served++;
    else this.#late++;
    const total = this.#served + this.#late;
    if (total < JUDGED_REQUESTS) return;
    const poor = this.#served / total < GOOD_SHARE;
    if (poor) this.#poorUntilMs = nowMs + POOR_MS;
    // What was long ago says little of now; after a rest it says nothing.
    this.#served = poor ? 0 : this.#served / 2;
    this.#late = poor ? 0 : this.#late / 2;
  }

  /** Whether to leave serving to others: a peer that cannot send in time costs more than it gives. */
  poor(nowMs: number): boolean {
    return nowMs < this.#poorUntilMs;
  }
}

/** Share of requests served in time below which an uplink is poor (EasyBroadcast, PAM 2021). */
const GOOD_SHARE = 0.8;
const JUDGED_REQUESTS = 32;
const POOR_MS = 60_000;
/** A request taken back after so long here was late by our fault; earlier, the asker had other reasons. */
export const LATE_MS = 1_000;
