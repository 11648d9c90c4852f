/**
 * How many bytes may be asked of one link at a time. The receiver pulls and watches the round trip of
 * its pieces: as long as it stays near its minimum the window grows, above that it holds. A sender that
 * pushes fills the path's queue instead, loses a burst, and SCTP then needs seconds to recover: 12 % of a
 * 100 Mbit/s, 100 ms link where this window reaches 75 % (docs/decisions/0003). This module is pure.
 *
 * Source: FAST TCP (Wei, Jin, Low, Hegde, IEEE/ACM ToN 14(6), 2006), with a slow start of 1.6 per round.
 * @module
 */
import { PIECE_BYTES } from "../../protocol/limits.js";

const START_BYTES = 2 * PIECE_BYTES;
const MIN_BYTES = PIECE_BYTES;
const MAX_BYTES = 64 * PIECE_BYTES;
const SLOW_START_GAIN = 1.6;
/**
 * What may wait in the path's queue once the window has found its size: so many bytes, or on a fast path so
 * much time, as with less the line idles between pieces (0.45 of a raw channel's goodput on loopback with
 * the bytes alone, 0.7 with both).
 */
const QUEUE_MIN_BYTES = 49_152;
const QUEUE_MS = 30;

export class PullWindow {
  #bytes = START_BYTES;
  #baseMs = Number.POSITIVE_INFINITY;
  #slowStart = true;
  #roundMinMs = Number.POSITIVE_INFINITY;
  #roundEndMs = 0;
  #limited = false;

  /** Bytes that may be outstanding: whole pieces, as with one of one and a half the line idles for a round trip each. */
  get bytes(): number {
    return Math.round(this.#bytes / PIECE_BYTES) * PIECE_BYTES;
  }

  /** Shortest time from asking for a piece to having it, in milliseconds; infinite before the first. */
  get baseMs(): number {
    return this.#baseMs;
  }

  /** Whether that was said already, in this round. */
  get limited(): boolean {
    return this.#limited;
  }

  /** Says that the window was full when there was more to ask: only then may it grow. */
  markLimited(): void {
    this.#limited = true;
  }

  /** A piece came `tripMs` after it was asked for. */
  arrived(nowMs: number, tripMs: number): void {
    this.#baseMs = Math.min(this.#baseMs, tripMs);
    this.#roundMinMs = Math.min(this.#roundMinMs, tripMs);
    if (nowMs < this.#roundEndMs) return;
    this.#endRound();
    this.#roundEndMs = nowMs + Math.max(tripMs, 5);
    this.#roundMinMs = Number.POSITIVE_INFINITY;
    this.#limited = false;
  }

  /**
   * The sender's queue was full at `takenBytes`. What it refuses never shows in a round trip, so without this the
   * window would grow for ever, and ask in gusts that are refused (0.70 of four uplinks' sum instead of 0.8).
   */
  refused(takenBytes: number): void {
    this.#bytes = Math.max(MIN_BYTES, Math.min(this.#bytes, takenBytes));
    this.#slowStart = false;
  }

  /** An answer timed out: start again from one piece. */
  collapsed(): void {
    this.#bytes = MIN_BYTES;
    this.#slowStart = false;
  }

  #endRound(): void {
    const queueing = this.#roundMinMs > 1.3 * this.#baseMs + 8;
    if (queueing) this.#slowStart = false;
    if (!this.#limited && !queueing) return;
    const rateBytesPerMs = this.#bytes / this.#roundMinMs;
    const queueBytes = Math.max(QUEUE_MIN_BYTES, rateBytesPerMs * QUEUE_MS);
    const next = this.#slowStart
      ? this.#bytes * SLOW_START_GAIN
      : (this.#bytes + rateBytesPerMs * this.#baseMs + queueBytes) / 2;
    this.#bytes = Math.min(MAX_BYTES, Math.max(MIN_BYTES, next));
  }
}
