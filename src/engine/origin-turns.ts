/**
 * Which pieces this viewer orders from the origin: those that nobody holds and that are its own to fetch
 * (rule 2 of the planner), and those that peers would bring too late (rule 3). This module is pure.
 * @module
 */
import { PIECE_BYTES } from "../protocol/limits.js";
import type { AssetSupply } from "./asset-supply.js";
import type { Claims } from "./claims.js";
import type { Election } from "./election.js";
import { ample, originShare } from "./origin-share.js";
import type { OriginSource } from "./origin-source.js";
import type { RequestState } from "./request-state.js";
import type { Suppliers } from "./suppliers.js";

/** Time in which neighbours can swap what each of them ordered. */
const SWAP_MS = 1_000;

/** One step of the election: a neighbour's claim is here by then. */
const STEP_MIN_MS = 50;
const STEP_MAX_MS = 500;
/** Share of the time to spare that one step may take. */
const STEP_SPARE_RATIO = 0.03;
/** Without a clique, after so many steps without a sign of anybody, the rest is fetched as a whole. */
const STEPS_MAX = 3;

export class OriginTurns {
  readonly #suppliers: Suppliers;
  readonly #claims: Claims;
  readonly #election: Election;
  readonly #origin: OriginSource;

  constructor(options: {
    suppliers: Suppliers;
    claims: Claims;
    election: Election;
    origin: OriginSource;
  }) {
    this.#suppliers = options.suppliers;
    this.#claims = options.claims;
    this.#election = options.election;
    this.#origin = options.origin;
  }

  /** Of pieces that no linked peer holds, or that the holders failed to bring, those to be ordered now. */
  ownOf(request: RequestState, orphans: readonly number[], nowMs: number): readonly number[] {
    const originMs = this.#origin.expectedMs(orphans.length * PIECE_BYTES);
    const urgent = nowMs + 1.5 * originMs + 100 > request.deadlineMs;
    return urgent ? orphans : orphans.filter((piece) => this.#elected(request, piece, nowMs));
  }

  /** What peers will not bring before the deadline. */
  latePieces(request: RequestState, supply: AssetSupply, nowMs: number): readonly number[] {
    if (!request.originUsable) return [];
    const slackMs = request.deadlineMs - nowMs;
    const missing = request.missing();
    const open = missing.filter((piece) => !request.owed.has(piece));
    if (open.length === 0 || ample(slackMs, open.length, this.#origin)) return [];
    const originRateBytesPerMs = this.#origin.rateBytesPerMs;
    const count = originShare({
      openPieces: open.length,
      owedPieces: missing.length - open.length,
      slackMs,
      mesh: supply.offerFor(open, { nowMs, slackMs, originRateBytesPerMs }),
      origin: this.#origin,
    });
    return this.#ownShare(request, open, { count, nowMs });
  }

  /**
   * Whether it is this viewer's turn to fetch a piece that nobody holds. A viewer with time to spare gives
   * those with a lower rank longer: else whoever is a moment ahead of all fetches everything, and its uplink
   * feeds everybody.
   */
  #elected({ asked, openedMs, deadlineMs }: RequestState, piece: number, nowMs: number): boolean {
    const { assetId, pieces } = asked;
    if (this.#claims.covers(assetId, piece, nowMs)) return false;
    const sinceMs = Math.max(openedMs, this.#claims.endedMs(assetId, piece) ?? 0);
    const rank = this.#election.rankOf(assetId, piece);
    const alone =
      !this.#election.members &&
      !this.#claims.any(assetId, nowMs) &&
      !this.#suppliers.hold(assetId, pieces);
    const steps = alone ? Math.min(rank, STEPS_MAX) : rank;
    const controlMs = Math.max(STEP_MIN_MS, 0.75 * this.#suppliers.rttMaxMs + 20);
    const spareMs = (deadlineMs - openedMs) * STEP_SPARE_RATIO;
    return nowMs >= sinceMs + steps * Math.min(STEP_MAX_MS, Math.max(controlMs, spareMs));
  }

  /**
   * Which pieces to order when peers are too slow for all of them. While there is time to swap, those of
   * this viewer's own rank, so that neighbours in the same need order others; else the tail.
   */
  #ownShare(
    { asked: { assetId }, deadlineMs }: RequestState,
    open: readonly number[],
    { count, nowMs }: { count: number; nowMs: number },
  ): readonly number[] {
    const tail = open.slice(open.length - count);
    if (count === 0 || deadlineMs - nowMs < SWAP_MS) return tail;
    const rank = (piece: number) =>
      this.#claims.covers(assetId, piece, nowMs)
        ? Number.POSITIVE_INFINITY
        : this.#election.rankOf(assetId, piece);
    const ranked = open.map((piece) => ({ piece, rank: rank(piece) }));
    ranked.sort((a, b) => a.rank - b.rank || b.piece - a.piece);
    return ranked
      .slice(0, count)
      .map(({ piece }) => piece)
      .sort((a, b) => a - b);
  }
}
