/**
 * The claims on one asset, by piece. This module is pure.
 * @module
 */
import type { PieceRange } from "../../protocol/asset.js";

/** Progress counts once in so long: a neighbour shows some twenty times a second. */
const RENEW_MS = 200;
/** Claims of one peer on one asset: the older half goes when there are more. */
const CLAIMS_PER_PEER_MAX = 64;
/** Ranges of one asset that were passed on, whoever did so: the older half goes when there are more. */
const RELAYED_MAX = 256;
/** More than are ever linked: the oldest goes, so that who comes and goes on a long film is forgotten. */
const CLAIMANTS_MAX = 64;
/** Longer claims are not written down piece by piece, so that a peer may name any range. */
const NARROW_PIECES = 16;
/** A stream that passes through is claimed as a whole; where the origin is slow, orders are no longer than this. */
const ORDER_PIECES = 4;

interface Claim {
  readonly from: number;
  readonly to: number;
  readonly sinceMs: number;
  untilMs: number;
  /** The peer took it back; remembered, so that to claim it again wins no time. */
  withdrawn: boolean;
}

/** What one peer fetches of one asset: its progress is progress with all of it. */
interface Claimant {
  claims: Claim[];
  renewedMs: number;
}

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

/**
 * The claims on one asset. Every word of a neighbour renews some, and every plan asks for the ends of many
 * pieces, so ends are kept by piece. A claim that is passed on comes from every neighbour and says the same each
 * time, so it is remembered once (of 150 claims on a segment 130 were copies).
 */
export class AssetClaims {
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
