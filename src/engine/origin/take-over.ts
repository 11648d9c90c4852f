/**
 * Whether a response that passes through should go on from pieces. The origin's stream is given up for it,
 * so what is left must be worth a new round trip. This module is pure.
 * @module
 */

/** No speed is known before; without a whole piece in so much more time it is known to be low (1 Mbit/s). */
const OBSERVE_MS = 300;
const NO_PIECE_MS = 500;
/** Peers hold what is missing: they need a round trip or two. */
const HELD_REST_MS = 500;
/** Peers want the same: sharing what each of them fetches begins with an election. */
const SHARED_REST_MS = 2_000;
/** Pieces that peers hold of the rest, or all of it. */
const HELD_MIN_PIECES = 4;

/** What is known of a response that passes through. */
export interface Passing {
  /** Since its head, or since the request if that has not come. */
  readonly observedMs: number;
  readonly observedBytes: number;
  readonly restBytes: number;
  readonly restPieces: number;
  /** Of the rest, held by linked peers. */
  readonly heldPieces: number;
  /** Whether linked peers are at the asset, or were. */
  readonly shared: boolean;
}

export function worthTakingOver(passing: Passing): boolean {
  const { observedMs, observedBytes, restBytes, restPieces, heldPieces, shared } = passing;
  if (observedMs < (observedBytes > 0 ? OBSERVE_MS : NO_PIECE_MS) || restPieces === 0) return false;
  const restMs =
    observedBytes > 0 ? (restBytes * observedMs) / observedBytes : Number.POSITIVE_INFINITY;
  const held = heldPieces >= Math.min(HELD_MIN_PIECES, restPieces);
  return (held && restMs > HELD_REST_MS) || (shared && restMs > SHARED_REST_MS);
}
