/**
 * Who said that it is fetching what from the origin. A claim is a lease: it holds as long as its owner
 * shows progress, and ends with its link. Only what is being fetched from the origin is ever claimed, so
 * nobody waits for somebody who waits. This module is pure.
 * @module
 */
import { trim } from "../../core/trim.js";
import type { PieceRange } from "../../protocol/asset.js";
import { AssetClaims } from "./asset-claims.js";

/** How long an origin needs, as far as this viewer knows. */
export interface OriginPace {
  readonly firstByteMs: number;
  readonly pieceMs: number;
}

/** Without progress for so long, the next in rank takes over; or for as long as the origin needs for so many pieces. */
const LEASE_MS = 2_000;
const LEASE_PIECES = 3;
/** No lease is longer. */
export const LEASE_MAX_MS = 8_000;
/** A claim may take so many times what the origin needs: somebody else's line is not this one. */
const LATE_FACTOR = 2;
/**
 * What is passed on holds for so long, whatever else its bearer brings: that says nothing of these pieces, and one
 * slow fetcher kept all cliques waiting until their deadlines (p50 of a segment 2.7 instead of 3.6 s).
 */
const RELAYED_MS = 1_200;
/** Ended leases are remembered for a while: the next in rank counts from their end. */
const REMEMBERED_MS = 10_000;
const ASSETS_MAX = 64;
/** Claims of others that a viewer passes on: a stream needs some two a second, a flooder gets no more. */
const RELAYS_PER_S = 8;
const RELAYS_BURST = 32;

export class Claims {
  readonly #byAsset = new Map<string, AssetClaims>();
  /** What was looked up last: most words are about the same asset as the one before. */
  #latestId: string | undefined;
  #latest: AssetClaims | undefined;
  readonly #pace: () => OriginPace;
  #relays = RELAYS_BURST;
  #relaysAtMs = 0;

  constructor(pace: () => OriginPace) {
    this.#pace = pace;
  }

  /**
   * @param claim An empty range takes back what the peer has claimed of the asset. `own`: the peer fetches the
   * pieces itself; else it passes on what somebody behind it said.
   * @returns Whether any of the pieces was not covered before.
   */
  add(
    peerId: string,
    assetId: string,
    claim: PieceRange & { own: boolean },
    nowMs: number,
  ): boolean {
    const known = this.#of(assetId);
    const { from, to, own } = claim;
    if (from === to) {
      // It is there and elects with the others: nobody need doubt what became of the pieces.
      known?.takeBack(peerId, nowMs, { withdrawn: true });
      return false;
    }
    const claims = known ?? this.#open(assetId, nowMs);
    const news = !claims.coversAll(claim, nowMs);
    claims.add(peerId, claim, { nowMs, leaseMs: this.#leaseMs(own ? LEASE_MS : RELAYED_MS) });
    return news;
  }

  /** Assets of which nothing was claimed for a while make room: a live stream has a new one every few seconds. */
  #open(assetId: string, nowMs: number): AssetClaims {
    for (const [id, { latestMs }] of this.#byAsset) {
      if (latestMs + REMEMBERED_MS <= nowMs) this.#byAsset.delete(id);
    }
    trim(this.#byAsset, ASSETS_MAX - 1);
    const claims = new AssetClaims();
    this.#byAsset.set(assetId, claims);
    this.#latestId = undefined;
    return claims;
  }

  #of(assetId: string): AssetClaims | undefined {
    if (assetId !== this.#latestId) {
      this.#latest = this.#byAsset.get(assetId);
      this.#latestId = assetId;
    }
    return this.#latest;
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
    this.#of(assetId)?.renew(peerId, nowMs, () => this.#leaseMs(LEASE_MS));
  }

  /** The peer left: its own leases end now. */
  end(peerId: string, nowMs: number): void {
    for (const claims of this.#byAsset.values()) claims.takeBack(peerId, nowMs);
  }

  /** Forgets whose streams were to bring an asset, but for those whom the caller keeps. */
  forgetStreams(assetId: string, keeps: (peerId: string) => boolean): void {
    this.#of(assetId)?.forgetStreams(keeps);
  }

  #leaseMs(leastMs: number): number {
    return Math.min(LEASE_MAX_MS, Math.max(leastMs, LEASE_PIECES * this.#pace().pieceMs));
  }

  /** Whether somebody is bringing the piece. */
  covers(assetId: string, piece: number, nowMs: number): boolean {
    return (this.endMs(assetId, piece) ?? 0) > nowMs;
  }

  /**
   * Whether somebody has not brought the piece in the time in which the origin would have: no claim on it counts then.
   * What has come of a claim so far counts from when it came: where many share a slow origin, a piece that is fetched
   * twice delays everybody's next one.
   *
   * @param holds Whether the peer has said that it holds that piece.
   */
  overdue(
    assetId: string,
    piece: number,
    { nowMs, holds }: { nowMs: number; holds: (peerId: string, piece: number) => boolean },
  ): boolean {
    const { firstByteMs, pieceMs } = this.#pace();
    const allowedMs = LATE_FACTOR * pieceMs;
    const claims = this.#of(assetId)?.on(piece) ?? [];
    return claims.some(({ peerId, progressMs, claim: { from, sinceMs, untilMs } }) => {
      if (untilMs + REMEMBERED_MS <= nowMs) return false;
      let next = from;
      while (peerId !== undefined && next < piece && holds(peerId, next)) next++;
      const startMs = sinceMs + firstByteMs;
      // What came shows a slower line than expected, but not one without limit: a liar's word moves it only so far.
      const cameMs = Math.min(progressMs, startMs + 2 * (next - from) * allowedMs);
      const fromMs = Math.max(startMs + (next - from) * allowedMs, cameMs);
      return nowMs > fromMs + (piece - next + 1) * allowedMs;
    });
  }

  /** Peers that say they fetch the piece themselves, of whom something may still come. */
  fetchersOf(assetId: string, piece: number, nowMs: number): string[] {
    const claims = this.#of(assetId)?.on(piece) ?? [];
    return claims.flatMap(({ peerId, claim: { untilMs } }) =>
      peerId !== undefined && untilMs > nowMs ? [peerId] : [],
    );
  }

  /** When the last lease on the piece ends or ended; `undefined` if there was none. */
  endMs(assetId: string, piece: number): number | undefined {
    return this.#of(assetId)?.endMs(piece);
  }

  /** Whether anybody has claimed any of the asset's pieces lately. */
  any(assetId: string, nowMs: number): boolean {
    const latestMs = this.#of(assetId)?.latestMs ?? Number.NEGATIVE_INFINITY;
    return latestMs + REMEMBERED_MS > nowMs;
  }
}
