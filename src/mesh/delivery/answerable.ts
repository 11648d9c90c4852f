/**
 * Whether a request is answered from pieces or passed through to the origin.
 * @module
 */
import { SLOW_ORIGIN_MS } from "../../engine/origin/origin-source.js";
import type { Planner } from "../../engine/planning/planner.js";
import { type ByteRange, piecesOfBytes } from "../../protocol/asset.js";
import type { TrustedAsset } from "../trust/trust.js";
import type { PieceLibrary } from "./piece-library.js";
import type { RequestClock } from "./request-clock.js";

/**
 * Whether somebody but the origin has the pieces, or soon will.
 *
 * @param options.hopeful Whether links or answers are on their way that may change who holds what.
 */
export function isAnswerable(
  asset: TrustedAsset,
  range: ByteRange,
  options: {
    readonly planner: Planner;
    readonly library: PieceLibrary;
    readonly clock: RequestClock;
    readonly hopeful: () => boolean;
    readonly now: () => number;
  },
): boolean {
  const { planner, library, clock, hopeful, now } = options;
  const pieces = piecesOfBytes(range);
  if (library.have(asset).hasRange(pieces.from, pieces.to)) return true;
  if (planner.heldByPeers(asset.assetId, pieces)) return true;
  // Nobody has it yet. With time to spare the neighbourhood elects who fetches what; without, the
  // origin's own stream is the fastest, and neighbours learn from it.
  const patientMs = clock.patientUntilMs(pieces) - now();
  if (patientMs > 0 && (hopeful() || planner.linked)) return true;
  // A slow origin is shared from the start, or everybody streams the same bytes.
  return planner.linked && planner.origin.expectedMs(range.end - range.start) > SLOW_ORIGIN_MS;
}
