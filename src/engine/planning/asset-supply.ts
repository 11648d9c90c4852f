/**
 * Who of the linked peers holds which pieces of one asset that is being requested, and which piece was
 * asked of whom. Counts of holders are kept up to date by every word of a peer, so that a plan never looks
 * at all peers for all pieces. This module is pure.
 * @module
 */
import type { PieceSet } from "../../core/piece-set.js";
import type { MeshOffer } from "../origin/origin-share.js";
import type { Ask, PeerSource } from "./peer-source.js";

/** An ask together with the peer that it went to. */
export interface Asked {
  readonly peerId: string;
  readonly ask: Ask;
}

/** A linked peer and what it holds of the asset: the peer's own set, live. */
export interface Holder {
  readonly peer: PeerSource;
  readonly held: PieceSet;
}

export class AssetSupply {
  readonly assetId: string;
  /** Pieces held by this viewer; live, owned by the library. */
  readonly have: PieceSet;
  /** Piece → the ask that is to bring it: one piece has one supplier, so blame for a bad one is certain. */
  readonly asked = new Map<number, Asked>();
  #holders: Holder[] = [];
  readonly #counts: Uint16Array;

  /** **Cost**: peers times pieces, once. */
  constructor(assetId: string, have: PieceSet, peers: Iterable<PeerSource>) {
    this.assetId = assetId;
    this.have = have;
    this.#counts = new Uint16Array(have.pieceCount);
    for (const peer of peers) {
      const pieces = peer.holdings.get(assetId);
      if (pieces) this.add(peer, pieces);
    }
  }

  /** How many linked peers hold the piece. */
  holderCount(piece: number): number {
    return this.#counts[piece] ?? 0;
  }

  /** A peer's holdings become known, or are replaced. */
  add(peer: PeerSource, pieces: PieceSet): void {
    this.remove(peer);
    this.#holders.push({ peer, held: pieces });
    this.#count(pieces, 1);
  }

  /** A peer is gone, or holds nothing any more; its set must be as it was when it was last told. */
  remove(peer: PeerSource): void {
    const holder = this.#holders.find((other) => other.peer === peer);
    if (!holder) return;
    this.#holders = this.#holders.filter((other) => other !== holder);
    this.#count(holder.held, -1);
  }

  /** A piece was added to the set of a peer. @returns Whether that may change the plan. */
  gained(piece: number): boolean {
    this.#counts[piece] = this.holderCount(piece) + 1;
    return !this.asked.has(piece) && !this.have.has(piece);
  }

  /** A piece was taken out of the set of a peer. */
  lost(piece: number): void {
    this.#counts[piece] = this.holderCount(piece) - 1;
  }

  /**
   * The peers that can be asked now for any of `pieces`. Those that could bring some, but have no room, learn
   * that their window is the limit.
   */
  freeHolders(pieces: readonly number[], nowMs: number): Holder[] {
    const free: Holder[] = [];
    for (const holder of this.#holders) {
      const { peer, held } = holder;
      if (peer.knownFull || !peer.available(nowMs)) continue;
      if (hasAny(held, pieces) && peer.hasRoom()) free.push(holder);
    }
    return free;
  }

  /**
   * Rate and latency that holders have for these pieces together until the deadline. One that is busy or was
   * silent counts for the time that is left once it may be asked again.
   */
  offerFor(
    pieces: readonly number[],
    {
      nowMs,
      slackMs,
      originRateBytesPerMs,
    }: { nowMs: number; slackMs: number; originRateBytesPerMs: number },
  ): MeshOffer {
    let rateBytesPerMs = 0;
    let latencyMs = Number.POSITIVE_INFINITY;
    for (const { peer, held } of this.#holders) {
      const leftMs = slackMs - Math.max(0, peer.backoffUntilMs - nowMs);
      if (leftMs <= 0 && !peer.available(nowMs)) continue;
      if (!hasAny(held, pieces)) continue;
      const share = peer.available(nowMs) ? 1 : leftMs / slackMs;
      rateBytesPerMs += share * peer.rateNow(nowMs, originRateBytesPerMs);
      latencyMs = Math.min(latencyMs, peer.rttMs);
    }
    return { rateBytesPerMs, latencyMs: rateBytesPerMs > 0 ? latencyMs : 0 };
  }

  #count(pieces: PieceSet, change: 1 | -1): void {
    const counts = this.#counts;
    for (let piece = 0; piece < counts.length; piece++) {
      if (pieces.has(piece)) counts[piece] = (counts[piece] ?? 0) + change;
    }
  }
}

function hasAny(held: PieceSet, pieces: readonly number[]): boolean {
  for (const piece of pieces) if (held.has(piece)) return true;
  return false;
}
