/**
 * Who said that it is fetching what from the origin. A claim is a lease: it holds as long as its owner
 * shows progress, and ends with its link. Only what is being fetched from the origin is ever claimed, so
 * nobody waits for somebody who waits. This module is pure.
 * @module
 */
import type { PieceRange } from "../protocol/asset.js";

/** Whether a claim is on a stream that passes through. */
export function isStream({ from, to }: PieceRange): boolean {
  return to - from > ORDER_PIECES;
}

/** Parts of an order that nobody takes for a stream. */
export function ordersOf({ from, to }: PieceRange): PieceRange[] {
  const parts: PieceRange[] = [];
  for (let at = from; at < to; at += ORDER_PIECES) {
    parts.push({ from: at, to: Math.min(to, at + ORDER_PIECES) });
  }
  return parts;
}

interface Claim {
  readonly from: number;
  readonly to: number;
  readonly sinceMs: number;
  untilMs: number;
  /** The peer took it back; remembered, so that to claim it again wins no time. */
  withdrawn: boolean;
}

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
/** Progress counts once in so long: a neighbour shows some twenty times a second. */
const RENEW_MS = 200;
/** Ended leases are remembered for a while: the next in rank counts from their end. */
const REMEMBERED_MS = 10_000;
/** Claims of one peer on one asset: the older half goes when there are more. */
const CLAIMS_PER_PEER_MAX = 64;
/** Ranges of one asset that were passed on, whoever did so: the older half goes when there are more. */
const RELAYED_MAX = 256;
/** More than are ever linked: the oldest goes, so that who comes and goes on a long film is forgotten. */
const CLAIMANTS_MAX = 64;
const ASSETS_MAX = 64;
/** Claims of others that a viewer passes on: a stream needs some two a second, a flooder gets no more. */
const RELAYS_PER_S = 8;
const RELAYS_BURST = 32;
/** A stream that passes through is claimed as a whole; where the origin is slow, orders are no longer than this. */
const ORDER_PIECES = 4;
/** Longer claims are not written down piece by piece, so that a peer may name any range. */
const NARROW_PIECES = 16;

/** What one peer fetches of one asset: its progress is progress with all of it. */
interface Claimant {
  claims: Claim[];
  renewedMs: number;
}

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
    const [oldest] = this.#byAsset.keys();
    if (this.#byAsset.size >= ASSETS_MAX && oldest !== undefined) this.#byAsset.delete(oldest);
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

/**
 * The claims on one asset. Every word of a neighbour renews some, and every plan asks for the ends of many
 * pieces, so ends are kept by piece. A claim that is passed on comes from every neighbour and says the same each
 * time, so it is remembered once (of 150 claims on a segment 130 were copies).
 */
class AssetClaims {
  readonly #byPeer = new Map<string, Claimant>();
  #relayed: Claim[] = [];
  /** Piece → end of the last narrow claim on it; sparse. */
  readonly #ends: number[] = [];
  #wide: Claim[] = [];
  /** End of the last claim of all. */
  latestMs = Number.NEGATIVE_INFINITY;

  add(
    peerId: string,
    { from, to, own }: PieceRange & { own: boolean },
    { nowMs, leaseMs }: { nowMs: number; leaseMs: number },
  ): void {
    const untilMs = nowMs + leaseMs;
    const known = own ? this.#claimsOf(peerId) : this.#relayed;
    const same = known.find((claim) => claim.from === from && claim.to === to);
    if (same) {
      same.untilMs = Math.max(same.untilMs, untilMs);
      if (!same.withdrawn) return this.#raise(same);
      same.withdrawn = false;
      return this.#recount();
    }
    const max = own ? CLAIMS_PER_PEER_MAX : RELAYED_MAX;
    if (known.length === max) {
      known.splice(0, max / 2);
      this.#recount();
    }
    const claim = { from, to, sinceMs: nowMs, untilMs, withdrawn: false };
    known.push(claim);
    if (!narrow(claim)) this.#wide.push(claim);
    this.#raise(claim);
  }

  renew(peerId: string, nowMs: number, leaseMs: () => number): void {
    const claimant = this.#byPeer.get(peerId);
    if (!claimant || nowMs < claimant.renewedMs + RENEW_MS) return;
    claimant.renewedMs = nowMs;
    const untilMs = nowMs + leaseMs();
    for (const claim of claimant.claims) {
      if (claim.untilMs <= nowMs) continue;
      claim.untilMs = untilMs;
      this.#raise(claim);
    }
  }

  takeBack(peerId: string, nowMs: number, { withdrawn = false } = {}): void {
    let ended = false;
    for (const claim of this.#byPeer.get(peerId)?.claims ?? []) {
      if (claim.untilMs <= nowMs) continue;
      claim.untilMs = nowMs;
      claim.withdrawn = withdrawn;
      ended = true;
    }
    if (ended) this.#recount();
  }

  forgetStreams(keeps: (peerId: string) => boolean): void {
    for (const [peerId, claimant] of this.#byPeer) {
      if (!keeps(peerId)) claimant.claims = claimant.claims.filter((claim) => !isStream(claim));
    }
    this.#relayed = this.#relayed.filter((claim) => !isStream(claim));
    this.#recount();
  }

  /** All claims on a piece, whether they hold or not; `peerId` of those whose owner said so itself. */
  on(piece: number): { peerId: string | undefined; progressMs: number; claim: Claim }[] {
    const covering = (claims: readonly Claim[], progressMs: number, peerId?: string) =>
      claims.flatMap((claim) =>
        piece >= claim.from && piece < claim.to ? [{ peerId, progressMs, claim }] : [],
      );
    const own = [...this.#byPeer].flatMap(([peerId, { claims, renewedMs }]) =>
      covering(claims, renewedMs, peerId),
    );
    return [...own, ...covering(this.#relayed, Number.NEGATIVE_INFINITY)];
  }

  endMs(piece: number): number | undefined {
    let endMs = this.#ends[piece];
    for (const { from, to, untilMs } of this.#wide) {
      if (piece < from || piece >= to) continue;
      if (endMs === undefined || untilMs > endMs) endMs = untilMs;
    }
    return endMs;
  }

  /** **Cost**: the pieces of all narrow claims and the wide ones, squared at worst, whatever the range. */
  coversAll({ from, to }: PieceRange, nowMs: number): boolean {
    let at = from;
    while (at < to) {
      if ((this.#ends[at] ?? 0) > nowMs) {
        at++;
        continue;
      }
      const piece = at;
      const wide = this.#wide.find(
        (claim) => claim.untilMs > nowMs && claim.from <= piece && claim.to > piece,
      );
      if (!wide) return false;
      at = wide.to;
    }
    return true;
  }

  #claimsOf(peerId: string): Claim[] {
    let claimant = this.#byPeer.get(peerId);
    if (!claimant) {
      const [oldest] = this.#byPeer.keys();
      if (this.#byPeer.size >= CLAIMANTS_MAX && oldest !== undefined) {
        this.#byPeer.delete(oldest);
        this.#recount();
      }
      claimant = { claims: [], renewedMs: Number.NEGATIVE_INFINITY };
      this.#byPeer.set(peerId, claimant);
    }
    return claimant.claims;
  }

  #all(): Claim[] {
    const own = [...this.#byPeer.values()].flatMap(({ claims }) => claims);
    return [...own, ...this.#relayed];
  }

  /** A claim ends later than before. */
  #raise(claim: Claim): void {
    const { from, to, untilMs } = claim;
    if (untilMs > this.latestMs) this.latestMs = untilMs;
    if (!narrow(claim)) return;
    for (let piece = from; piece < to; piece++) {
      if ((this.#ends[piece] ?? Number.NEGATIVE_INFINITY) < untilMs) this.#ends[piece] = untilMs;
    }
  }

  /** A claim ends earlier than before, or is forgotten. */
  #recount(): void {
    const standing = this.#all().filter(({ withdrawn }) => !withdrawn);
    this.#ends.length = 0;
    this.#wide = standing.filter((claim) => !narrow(claim));
    this.latestMs = Number.NEGATIVE_INFINITY;
    for (const claim of standing) this.#raise(claim);
  }
}

function narrow({ from, to }: PieceRange): boolean {
  return to - from <= NARROW_PIECES;
}
