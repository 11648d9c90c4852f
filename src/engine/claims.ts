/**
 * Who said that it is fetching what from the origin. A claim is a lease: it holds as long as its owner
 * shows progress, and ends with its link. Only what is being fetched from the origin is ever claimed, so
 * nobody waits for somebody who waits. This module is pure.
 * @module
 */
import type { PieceRange } from "../protocol/asset.js";

interface Claim {
  readonly peerId: string;
  readonly pieces: PieceRange;
  readonly sinceMs: number;
  untilMs: number;
}

/** How long an origin needs, as far as this viewer knows. */
export interface OriginPace {
  readonly firstByteMs: number;
  readonly pieceMs: number;
}

const NONE: readonly Claim[] = [];

/** Without progress for so long, the next in rank takes over; or for as long as the origin needs for so many pieces. */
const LEASE_MS = 2_000;
const LEASE_PIECES = 3;
const LEASE_MAX_MS = 8_000;
/** A claim may take so many times what the origin needs: somebody else's line is not this one. */
const LATE_FACTOR = 2;
/** Ended leases are remembered for a while: the next in rank counts from their end. */
const REMEMBERED_MS = 10_000;
const CLAIMS_PER_ASSET_MAX = 256;
const ASSETS_MAX = 256;
/** Claims of others that a viewer passes on: a stream needs some two a second, a flooder gets no more. */
const RELAYS_PER_S = 8;
const RELAYS_BURST = 32;

export class Claims {
  readonly #byAsset = new Map<string, Claim[]>();
  readonly #pace: () => OriginPace;
  #relays = RELAYS_BURST;
  #relaysAtMs = 0;

  constructor(pace: () => OriginPace) {
    this.#pace = pace;
  }

  /**
   * @param pieces An empty range takes back what the peer has claimed of the asset.
   * @returns Whether any of the pieces was not covered before.
   */
  add(peerId: string, assetId: string, pieces: PieceRange, nowMs: number): boolean {
    if (pieces.from === pieces.to) {
      this.#takeBack(peerId, assetId, nowMs);
      return false;
    }
    const news = !this.#allCovered(assetId, pieces, nowMs);
    const known = (this.#byAsset.get(assetId) ?? []).filter(
      ({ untilMs }) => untilMs + REMEMBERED_MS > nowMs,
    );
    known.push({ peerId, pieces, sinceMs: nowMs, untilMs: nowMs + this.#leaseMs });
    this.#byAsset.delete(assetId);
    this.#byAsset.set(assetId, known.slice(-CLAIMS_PER_ASSET_MAX));
    const [oldest] = this.#byAsset.keys();
    if (this.#byAsset.size > ASSETS_MAX && oldest !== undefined) this.#byAsset.delete(oldest);
    return news;
  }

  /** Whether one more claim of somebody else may be passed on; counts it. */
  mayPassOn(nowMs: number): boolean {
    const earned = ((nowMs - this.#relaysAtMs) * RELAYS_PER_S) / 1_000;
    this.#relays = Math.min(RELAYS_BURST, this.#relays + earned);
    this.#relaysAtMs = nowMs;
    if (this.#relays < 1) return false;
    this.#relays--;
    return true;
  }

  /** The peer showed progress with the asset. */
  renew(peerId: string, assetId: string, nowMs: number): void {
    for (const claim of this.#byAsset.get(assetId) ?? NONE) {
      if (claim.peerId === peerId && claim.untilMs > nowMs) claim.untilMs = nowMs + this.#leaseMs;
    }
  }

  /** The peer left: its leases end now. */
  end(peerId: string, nowMs: number): void {
    for (const assetId of this.#byAsset.keys()) this.#takeBack(peerId, assetId, nowMs);
  }

  get #leaseMs(): number {
    return Math.min(LEASE_MAX_MS, Math.max(LEASE_MS, LEASE_PIECES * this.#pace().pieceMs));
  }

  #takeBack(peerId: string, assetId: string, nowMs: number): void {
    for (const claim of this.#byAsset.get(assetId) ?? NONE) {
      if (claim.peerId === peerId) claim.untilMs = Math.min(claim.untilMs, nowMs);
    }
  }

  /** Whether somebody is bringing the piece. */
  covers(assetId: string, piece: number, nowMs: number): boolean {
    return (this.endMs(assetId, piece) ?? 0) > nowMs;
  }

  /** Whether somebody has not brought the piece in the time in which the origin would have: no claim on it counts then. */
  overdue(assetId: string, piece: number, nowMs: number): boolean {
    const { firstByteMs, pieceMs } = this.#pace();
    return (this.#byAsset.get(assetId) ?? NONE).some(({ pieces: { from, to }, sinceMs }) => {
      if (piece < from || piece >= to) return false;
      return nowMs > sinceMs + firstByteMs + LATE_FACTOR * (piece - from + 1) * pieceMs;
    });
  }

  /** When the last lease on the piece ends or ended; `undefined` if there was none. */
  endMs(assetId: string, piece: number): number | undefined {
    let endMs: number | undefined;
    for (const { pieces, untilMs } of this.#byAsset.get(assetId) ?? NONE) {
      if (piece < pieces.from || piece >= pieces.to) continue;
      if (endMs === undefined || untilMs > endMs) endMs = untilMs;
    }
    return endMs;
  }

  /** Whether anybody has claimed any of the asset's pieces lately. */
  any(assetId: string, nowMs: number): boolean {
    const claims = this.#byAsset.get(assetId) ?? [];
    return claims.some(({ untilMs }) => untilMs + REMEMBERED_MS > nowMs);
  }

  /** **Cost**: claims of the asset, squared at worst, whatever range a peer names. */
  #allCovered(assetId: string, { from, to }: PieceRange, nowMs: number): boolean {
    let at = from;
    for (let before = -1; before < at && at < to; ) {
      before = at;
      for (const { pieces, untilMs } of this.#byAsset.get(assetId) ?? NONE) {
        if (untilMs > nowMs && pieces.from <= at && pieces.to > at) at = pieces.to;
      }
    }
    return at >= to;
  }
}
