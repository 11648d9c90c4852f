/**
 * How much of a request the origin should take for the deadline's sake. This module is pure.
 * @module
 */
import { PIECE_BYTES } from "../../protocol/limits.js";
import type { OriginSource } from "./origin-source.js";

/** What the origin may be late by, beyond its usual variation. */
const SPARE_MS = 1_000;

/** What peers can do for the open pieces together. */
export interface MeshOffer {
  /** Sum over the peers that hold some of them; 0 if all of those are silent or busy. */
  readonly rateBytesPerMs: number;
  readonly latencyMs: number;
}

/** Whether the origin could still bring all of it later: more peers may come to hold it until then. */
export function ample(slackMs: number, openPieces: number, origin: OriginSource): boolean {
  return slackMs > 1.5 * origin.expectedMs(openPieces * PIECE_BYTES) + SPARE_MS;
}

/**
 * The number of pieces, of those that peers are to bring, that the origin should bring instead: enough
 * that the rest is in time, and no more than makes both finish together.
 *
 * @param openPieces Pieces not here yet that the origin was not asked for.
 * @param owedPieces Pieces that the origin was asked for and still owes.
 * @param slackMs Time until the deadline; may be negative.
 * @returns 0 to `openPieces`.
 */
export function originShare({
  openPieces,
  owedPieces,
  slackMs,
  mesh: { rateBytesPerMs, latencyMs },
  origin,
}: {
  readonly openPieces: number;
  readonly owedPieces: number;
  readonly slackMs: number;
  readonly mesh: MeshOffer;
  readonly origin: OriginSource;
}): number {
  if (ample(slackMs, openPieces, origin)) return 0;
  const bytes = openPieces * PIECE_BYTES;
  // Everybody who holds these pieces is silent or busy.
  if (rateBytesPerMs === 0) return openPieces;
  if (latencyMs + bytes / rateBytesPerMs <= slackMs) return 0;
  const lateBytes = bytes - rateBytesPerMs * Math.max(0, slackMs - latencyMs);
  // Both finish together: latency + (bytes - x) / mesh = first byte + (owed + x) / origin.
  const originRate = origin.rateBytesPerMs;
  const originStartMs =
    owedPieces > 0 ? (owedPieces * PIECE_BYTES) / originRate : origin.firstByteMs;
  const togetherBytes =
    (latencyMs - originStartMs + bytes / rateBytesPerMs) *
    ((rateBytesPerMs * originRate) / (rateBytesPerMs + originRate));
  const pieces = Math.round(Math.min(lateBytes, togetherBytes) / PIECE_BYTES);
  return Math.max(0, Math.min(openPieces, pieces));
}
