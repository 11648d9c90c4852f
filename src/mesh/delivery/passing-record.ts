/**
 * What is seen of a response that passes through: how far it is and how fast it comes.
 * @module
 */
import type { PieceRange } from "../../protocol/asset.js";

export class PassingRecord {
  readonly #openedMs: number;
  #firstByteMs: number | undefined;
  #bytes = 0;
  /** Piece after the last one that passed through. */
  #to = 0;

  constructor(openedMs: number) {
    this.#openedMs = openedMs;
  }

  /** Whether its head is here. */
  get begun(): boolean {
    return this.#firstByteMs !== undefined;
  }

  /** Whole pieces of it, in bytes. */
  get bytes(): number {
    return this.#bytes;
  }

  head(nowMs: number): void {
    this.#firstByteMs = nowMs - this.#openedMs;
  }

  sent(piece: number, bytes: number): void {
    this.#bytes += bytes;
    this.#to = Math.max(this.#to, piece + 1);
  }

  /** Time since its head, in milliseconds. */
  durationMs(nowMs: number): number {
    return nowMs - this.#openedMs - (this.#firstByteMs ?? 0);
  }

  /** What has not passed through yet. */
  restOf({ from, to }: PieceRange): PieceRange {
    return { from: Math.max(from, this.#to), to };
  }

  /**
   * What it says of the origin's speed; `undefined` before its head.
   *
   * @param leastBytes Counted if less has come: it is at most so fast.
   */
  sample(nowMs: number, leastBytes = 0) {
    if (this.#firstByteMs === undefined) return undefined;
    const bytes = Math.max(this.#bytes, leastBytes);
    return { firstByteMs: this.#firstByteMs, bytes, durationMs: this.durationMs(nowMs) };
  }
}
