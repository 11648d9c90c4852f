/**
 * What neighbours tell each other of their fetching from the origin: this viewer's own claims, those that it passes on,
 * and the end of a stream that it takes over. This module is pure.
 * @module
 */
import type { PieceRange } from "../../protocol/asset.js";
import { CLAIM_HOPS_MAX } from "../../protocol/limits.js";
import type { Command } from "../planning/command.js";
import type { PeerSource } from "../planning/peer-source.js";
import type { RequestState } from "../planning/request-state.js";
import type { Suppliers } from "../planning/suppliers.js";
import { isStream, ordersOf } from "./asset-claims.js";
import { type Claims, LEASE_MAX_MS } from "./claims.js";
import type { Election } from "./election.js";
import type { OriginSource } from "./origin-source.js";

/** What a linked peer says that it, or somebody behind it, is fetching. */
export interface NeighbourClaim extends PieceRange {
  readonly assetId: string;
  /** How many more may pass it on. */
  readonly hops: number;
}

export class ClaimRelay {
  readonly #claims: Claims;
  readonly #election: Election;
  readonly #suppliers: Suppliers;
  readonly #origin: OriginSource;
  readonly #requests: () => Iterable<RequestState>;

  /** @param options.requests All that are running. */
  constructor(options: {
    claims: Claims;
    election: Election;
    suppliers: Suppliers;
    origin: OriginSource;
    requests: () => Iterable<RequestState>;
  }) {
    this.#claims = options.claims;
    this.#election = options.election;
    this.#suppliers = options.suppliers;
    this.#origin = options.origin;
    this.#requests = options.requests;
  }

  /** A neighbour's claim is written down, and passed on only if it is news: so it ends by itself. */
  heard(peer: PeerSource, claim: NeighbourClaim, nowMs: number): Command[] {
    const { assetId, from, to, hops } = claim;
    if (isStream(claim) && !this.#awaits(peer, assetId)) return [];
    const own = hops === CLAIM_HOPS_MAX;
    if (own) peer.claimedUntilMs = nowMs + LEASE_MAX_MS;
    const news = this.#claims.add(peer.id, assetId, { from, to, own }, nowMs);
    if (!news || hops === 0 || !this.#election.members || !this.#election.serving) return [];
    if (!this.#claims.mayPassOn(nowMs)) return [];
    return [{ type: "claim", assetId, from, to, hops: Math.min(hops, CLAIM_HOPS_MAX) - 1 }];
  }

  /** Pieces are on their way from the origin: neighbours are told. */
  claim(assetId: string, { from, to }: PieceRange): Command[] {
    return this.#election.serving
      ? [{ type: "claim", assetId, from, to, hops: CLAIM_HOPS_MAX }]
      : [];
  }

  /** As {@link claim}, of any pieces. */
  claimEach(assetId: string, pieces: readonly number[]): Command[] {
    return this.#parts(pieces).flatMap((run) => this.claim(assetId, run));
  }

  /** What the origin owes a request, for peers who were not there when it was claimed. */
  owed(request: RequestState): PieceRange[] {
    return this.#parts(request.missing().filter((piece) => request.owed.has(piece)));
  }

  /**
   * A response that passed through goes on from pieces: neighbours hear that this stream ends, and those whose own
   * streams have brought no more than it did are waited for no longer. All of them share a slow origin.
   *
   * @param from The first piece that did not pass.
   */
  takeOver(assetId: string, from: number): Command[] {
    this.#claims.forgetStreams(assetId, (peerId) => {
      const peer = this.#suppliers.get(peerId);
      return peer !== undefined && streamsFaster(peer, assetId, from);
    });
    return this.claim(assetId, { from, to: from });
  }

  /** Whether a neighbour's stream may bring what this viewer needs: not if both share an origin that is too slow. */
  #awaits(peer: PeerSource, assetId: string): boolean {
    for (const { asked } of this.#requests()) {
      if (asked.assetId !== assetId || !asked.tookOver) continue;
      return streamsFaster(peer, assetId, asked.pieces.from);
    }
    return true;
  }

  /** Who shares a slow origin does not wait for streams that share it as well: orders are not to be mistaken for one. */
  #parts(pieces: readonly number[]): PieceRange[] {
    return this.#origin.slow ? runsOf(pieces).flatMap(ordersOf) : runsOf(pieces);
  }
}

function streamsFaster(peer: PeerSource, assetId: string, passedPieces: number): boolean {
  return (peer.heldOf(assetId)?.size ?? 0) > passedPieces + 1;
}

/** Joins ascending indices to half-open runs. */
export function runsOf(pieces: readonly number[]): PieceRange[] {
  const runs: { from: number; to: number }[] = [];
  for (const piece of pieces) {
    const last = runs.at(-1);
    if (last?.to === piece) last.to = piece + 1;
    else runs.push({ from: piece, to: piece + 1 });
  }
  return runs;
}
