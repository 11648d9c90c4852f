/**
 * Paths between viewers: round trip from their places, what loss leaves of a link, who cannot connect.
 * All of it depends on the seed and the pair only. This module is pure.
 * @module
 */
import type { SimConfig } from "../config.js";
import { hash32 } from "./random.js";

/** Position of a viewer in the unit square; near ones have short round trips. */
export interface Place {
  readonly x: number;
  readonly y: number;
}

/** Payload of one SCTP packet. */
const MSS_BYTES = 1_160;
/** No link is counted faster than the measured ceiling of a data channel. */
const LINK_MAX_BYTES_PER_MS = 20_000;

/** Round trip between two places of the unit square, whose edges meet. */
export function rttMs({ rttMinMs, rttMaxMs }: SimConfig, a: Place, b: Place): number {
  const dx = Math.min(Math.abs(a.x - b.x), 1 - Math.abs(a.x - b.x));
  const dy = Math.min(Math.abs(a.y - b.y), 1 - Math.abs(a.y - b.y));
  return rttMinMs + (rttMaxMs - rttMinMs) * Math.SQRT2 * Math.hypot(dx, dy);
}

/**
 * Goodput that NewReno reaches on a path with random loss.
 *
 * **Source**: 1.22 x MSS / (RTT x sqrt p), Mathis et al., CCR 27(3), 1997.
 */
export function lossCap(rtt: number, loss: number): number {
  if (loss <= 0) return LINK_MAX_BYTES_PER_MS;
  return Math.min(LINK_MAX_BYTES_PER_MS, (1.22 * MSS_BYTES) / (rtt * Math.sqrt(loss)));
}

/** A draw in [0, 1) that both ends of a pair agree on. */
export function pairDraw(
  config: SimConfig,
  a: { readonly index: number },
  b: { readonly index: number },
  salt: number,
): number {
  const low = Math.min(a.index, b.index);
  const high = Math.max(a.index, b.index);
  return hash32(config.seed, low, high, salt) / 2 ** 32;
}
