/**
 * What is seen of a response that passes through: how far it is and how fast it comes.
 * @module
 */
import type { Passing } from "../../engine/origin/take-over.js";
import type { Planner } from "../../engine/planning/planner.js";
import { LOOK_AHEAD_PIECES } from "../../engine/planning/request-state.js";
import { type PieceRange, pieceCountOf } from "../../protocol/asset.js";
import { PIECE_BYTES } from "../../protocol/limits.js";
import type { TrustedAsset } from "../trust/trust.js";

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

  /** What taking it over is judged by: how it comes, and what linked peers hold of what comes next. */
  seen(asset: TrustedAsset, rest: PieceRange, planner: Planner, nowMs: number): Passing {
    const { assetId, length } = asset;
    let heldPieces = 0;
    const probedTo = Math.min(rest.to, rest.from + LOOK_AHEAD_PIECES);
    for (let piece = rest.from; piece < probedTo; piece++) {
      if (planner.heldByPeers(assetId, { from: piece, to: piece + 1 })) heldPieces++;
    }
    const restPieces = rest.to - rest.from;
    return {
      ...{ observedMs: this.durationMs(nowMs), observedBytes: this.#bytes },
      ...{ restBytes: restPieces * PIECE_BYTES, restPieces, heldPieces },
      shared: planner.shared(assetId, pieceCountOf(length), nowMs),
    };
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
