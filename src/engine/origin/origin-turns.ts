/**
 * Which pieces this viewer orders from the origin: those that nobody holds and that are its own to fetch
 * (rule 2 of the planner), and those that peers would bring too late (rule 3). This module is pure.
 * @module
 */
import { PIECE_BYTES } from "../../protocol/limits.js";
import type { AssetSupply } from "../planning/asset-supply.js";
import { LOOK_AHEAD_PIECES, type RequestState } from "../planning/request-state.js";
import type { Suppliers } from "../planning/suppliers.js";
import type { Claims } from "./claims.js";
import type { Election } from "./election.js";
import { ample, originShare } from "./origin-share.js";
import { type OriginSource, SLOW_ORIGIN_MS } from "./origin-source.js";

/** Time in which neighbours can swap what each of them ordered. */
const SWAP_MS = 1_000;

/** Peers may bring half as much again as they did lately, and no more. */
const SEEN_FACTOR = 1.5;

/** Origin bytes are ordered for so long ahead, and at least so many pieces at once. */
const ORDER_AHEAD_MS = 1_000;
const ORDER_MIN_PIECES = 4;

/** What claims of neighbours may cost a request whose time is up: a share of what the origin would need. */
const LAG_RATIO = 0.05;
const LAG_MAX_MS = 1_000;
/** Claimed pieces come after all others. */
const CLAIMED = Number.POSITIVE_INFINITY;

/** One step of the election: a neighbour's claim is here by then. */
const STEP_MIN_MS = 50;
const STEP_MAX_MS = 500;
/** Share of the time to spare that one step may take. */
const STEP_SPARE_RATIO = 0.03;
/** With fewer pieces under way a line is idle before a new order brings something. */
export const BUSY_LINE_PIECES = 2;
/**
 * After a claim that ended without the pieces everybody takes over within this, or a share of the time to spare, each
 * at another time: the first one's claim holds the others. All at once were a copy for every clique (1.6 instead of
 * 0.9 % fetched by those elected, 300 viewers).
 */
const DOUBT_MAX_MS = 1_500;
const DOUBT_SPARE_RATIO = 0.25;
/** No turn of its own. */
const TURNLESS_MS = Number.POSITIVE_INFINITY;
/** Everybody's turn has come by then: the worker goes on alone if it hears nothing for 2.5 s. */
const TURN_MAX_MS = 2_000;
/** Without a clique, after so many steps without a sign of anybody, the rest is fetched as a whole. */
const STEPS_MAX = 3;

/** What is a viewer's own to fetch. */
export interface Turn {
  /** To be claimed now, and ordered if no neighbour objects. */
  readonly announced: readonly number[];
  /** Nobody did: to be ordered now. */
  readonly confirmed: readonly number[];
  /** To be claimed and ordered now. */
  readonly ordered: readonly number[];
}

const NONE: readonly number[] = Object.freeze([]);

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

  /** Of pieces that no linked peer holds, or that the holders failed to bring, those that are this viewer's to fetch. */
  ownOf(request: RequestState, orphans: readonly number[], nowMs: number): Turn {
    const originMs = this.#origin.expectedMs(orphans.length * PIECE_BYTES);
    const slackMs = request.deadlineMs - nowMs - 1.5 * originMs - 100;
    this.#watchLine(request, orphans, nowMs);
    const share = { count: orphans.length, idle: true, nowMs };
    const mine =
      slackMs < 0
        ? this.#ownShare(request, orphans, share)
        : orphans.filter((piece) => this.#elected(request, piece, nowMs));
    // A slow origin leaves time for a claim even where it leaves none for a turn.
    const inTime =
      slackMs > this.#claimMs || Math.min(originMs, request.deadlineMs - nowMs) > SWAP_MS;
    return this.#afterObjections(request, orphans, { mine, inTime, nowMs });
  }

  /**
   * Two whose turns come within the time that a claim takes would both fetch: as long as there is time, neighbours hear
   * of it first, and of two the one with the lower rank orders.
   *
   * @param mine Whose turn has come, announced or not.
   */
  #afterObjections(
    request: RequestState,
    orphans: readonly number[],
    { mine, inTime, nowMs }: { mine: readonly number[]; inTime: boolean; nowMs: number },
  ): Turn {
    const { announcedMs, asked } = request;
    const heard = inTime && this.#election.serving && this.#suppliers.size > 0;
    const fresh = mine.filter((piece) => !announcedMs.has(piece));
    const confirmed: number[] = [];
    for (const [piece, toldMs] of announcedMs) {
      // A peer holds it by now: if that one leaves, everybody's turn begins anew.
      const left = !orphans.includes(piece) || this.#outranked(asked.assetId, piece, nowMs);
      if (!left && heard && nowMs < toldMs + this.#claimMs) continue;
      announcedMs.delete(piece);
      if (!left) confirmed.push(piece);
    }
    confirmed.sort((a, b) => a - b);
    if (!heard) return { announced: NONE, confirmed, ordered: fresh };
    for (const piece of fresh) announcedMs.set(piece, nowMs);
    return { announced: fresh, confirmed, ordered: NONE };
  }

  #outranked(assetId: string, piece: number, nowMs: number): boolean {
    const fetchers = this.#claims.fetchersOf(assetId, piece, nowMs);
    return fetchers.some((peerId) => this.#election.outrankedBy(peerId, assetId, piece));
  }

  /** Time in which a claim is with all neighbours. */
  get #claimMs(): number {
    return Math.max(STEP_MIN_MS, 0.75 * this.#suppliers.rttMaxMs + 20);
  }

  /**
   * What peers will not bring before the deadline.
   *
   * @param missing As the request says.
   */
  latePieces(
    request: RequestState,
    supply: AssetSupply,
    { missing, nowMs }: { missing: readonly number[]; nowMs: number },
  ): readonly number[] {
    if (!request.originUsable) return [];
    const slackMs = request.deadlineMs - nowMs;
    if (ample(slackMs, request.aheadPieces, this.#origin)) return [];
    const open = missing.filter((piece) => !request.owed.has(piece));
    if (open.length === 0 || ample(slackMs, open.length, this.#origin)) return [];
    const originRateBytesPerMs = this.#origin.rateBytesPerMs;
    const offer = supply.offerFor(open, { nowMs, slackMs, originRateBytesPerMs });
    // Peers may be as fast as they were and yet busy with others, or this viewer's own line the limit: what comes shows it.
    const seen = request.peersBytesPerMs(nowMs) ?? Number.POSITIVE_INFINITY;
    const rateBytesPerMs = Math.min(offer.rateBytesPerMs, SEEN_FACTOR * seen);
    const mesh = { ...offer, rateBytesPerMs };
    const count = originShare({
      openPieces: open.length,
      owedPieces: missing.length - open.length,
      slackMs,
      mesh,
      origin: this.#origin,
    });
    const idle = mesh.rateBytesPerMs === 0;
    return count > 0 ? this.#ownShare(request, open, { count, idle, nowMs }) : [];
  }

  /**
   * Whether it is this viewer's turn to fetch a piece that nobody holds. A viewer with time to spare gives
   * those with a lower rank longer: else whoever is a moment ahead of all fetches everything, and its uplink
   * feeds everybody.
   */
  #elected(request: RequestState, piece: number, nowMs: number): boolean {
    const { assetId, pieces } = request.asked;
    const claimedToMs = this.#claims.endMs(assetId, piece) ?? 0;
    if (claimedToMs > nowMs) return false;
    const rank = this.#election.rankOf(assetId, piece);
    const alone =
      !this.#election.members &&
      !this.#claims.any(assetId, nowMs) &&
      !this.#suppliers.hold(assetId, pieces);
    const steps = alone ? Math.min(rank, STEPS_MAX) : rank;
    return nowMs >= this.#turnMs(request, piece, claimedToMs, steps);
  }

  /** Notices when neither this viewer nor a neighbour has anything to come from the origin. */
  #watchLine(request: RequestState, orphans: readonly number[], nowMs: number): void {
    const { assetId } = request.asked;
    let underWay = request.owed.size;
    for (let at = 0; at < orphans.length && underWay < BUSY_LINE_PIECES; at++) {
      const piece = orphans[at] as number;
      if (request.announcedMs.has(piece) || this.#claims.covers(assetId, piece, nowMs)) underWay++;
    }
    const busy = underWay >= BUSY_LINE_PIECES;
    request.lineIdleMs = busy ? Number.POSITIVE_INFINITY : Math.min(request.lineIdleMs, nowMs);
  }

  /** When a rank's turn comes: counted from the end of the wait for others, or from when the last fetcher fell silent. */
  #turnMs(request: RequestState, piece: number, claimedToMs: number, rank: number): number {
    const { asked, openedMs, hopedMs, lineIdleMs, wokeMs, deadlineMs } = request;
    const controlMs = this.#claimMs;
    const spareMs = (deadlineMs - openedMs) * STEP_SPARE_RATIO;
    const stepMs = Math.min(STEP_MAX_MS, Math.max(controlMs, spareMs));
    const inDoubt = claimedToMs > openedMs;
    const doubtMs = inDoubt
      ? this.#election.doubtOf(asked.assetId, piece) *
        Math.min(DOUBT_MAX_MS, (deadlineMs - openedMs) * DOUBT_SPARE_RATIO)
      : 0;
    const pieces = Math.min(LOOK_AHEAD_PIECES, asked.pieces.to - asked.pieces.from);
    const slow = this.#origin.expectedMs(pieces * PIECE_BYTES) > SLOW_ORIGIN_MS;
    // What a slow line does not bring now, everybody waits for later.
    const idleTurnMs = slow ? Math.max(hopedMs, lineIdleMs) + rank * controlMs : TURNLESS_MS;
    // Nobody waits yet for what is fetched ahead: an idle line is its only reason, and who is a moment ahead of all must
    // not bring all of it, for its uplink would have to feed everybody.
    if (asked.ahead && rank > 0) return TURNLESS_MS;
    const dueMs = asked.ahead
      ? TURNLESS_MS
      : Math.min(hopedMs + rank * stepMs, openedMs + TURN_MAX_MS);
    return Math.max(
      Math.min(dueMs, idleTurnMs),
      claimedToMs > 0 ? claimedToMs + doubtMs + Math.min(TURN_MAX_MS, rank * stepMs) : 0,
      // A claim that ended while nobody listened may have been renewed.
      inDoubt ? wokeMs + STEP_MIN_MS : wokeMs,
    );
  }

  /**
   * Which pieces to order now when peers are too slow for all of them. While there is time to swap, those of
   * this viewer's own rank, so that neighbours in the same need order others; else the tail. No more than
   * keeps the origin busy for a moment: its line is never idle, so what is ordered later is not later, and
   * until then a neighbour may bring it.
   *
   * @param idle Peers bring none of them: the front goes first.
   */
  #ownShare(
    request: RequestState,
    open: readonly number[],
    { count, idle, nowMs }: { count: number; idle: boolean; nowMs: number },
  ): readonly number[] {
    const { asked, deadlineMs, owed, have } = request;
    const { assetId } = asked;
    const linePieces = Math.ceil((this.#origin.rateBytesPerMs * ORDER_AHEAD_MS) / PIECE_BYTES);
    const aheadPieces = Math.max(ORDER_MIN_PIECES, linePieces);
    const room = owed.size > aheadPieces / 2 ? 0 : Math.min(count, aheadPieces - owed.size);
    if (room === 0) return [];
    const neededMs = this.#origin.expectedMs((open.length + owed.size) * PIECE_BYTES);
    // An origin that needs longer than that has no time to bring anything twice, however late it is.
    if (deadlineMs - nowMs < SWAP_MS && neededMs < SWAP_MS) {
      const start = open.length - count;
      return open.slice(start, start + room);
    }
    const supply = this.#suppliers.supplyOf(assetId, have);
    // Alone it could still be in time: neighbours may bring what they claimed, and have their turn.
    const lagMs = Math.min(LAG_MAX_MS, neededMs * LAG_RATIO);
    const behind = nowMs + neededMs > deadlineMs + lagMs;
    const ranked = open.flatMap((piece) => {
      const claimedToMs = this.#claims.endMs(assetId, piece) ?? 0;
      if (claimedToMs > nowMs) {
        const holds = (peerId: string, held: number) =>
          this.#suppliers.get(peerId)?.holds(assetId, held) ?? false;
        const given = behind && this.#claims.overdue(assetId, piece, { nowMs, holds });
        return given ? [{ piece, rank: CLAIMED, second: true }] : [];
      }
      const rank = this.#election.rankOf(assetId, piece);
      const held = supply.holderCount(piece) > 0;
      return held || nowMs >= this.#turnMs(request, piece, claimedToMs, rank)
        ? [{ piece, rank, second: held }]
        : [];
    });
    ranked.sort((a, b) => a.rank - b.rank || (idle ? a.piece - b.piece : b.piece - a.piece));
    const first = ranked.filter(({ second }) => !second).slice(0, room);
    // What somebody else is bringing too is ordered one by one where the origin is slow: it is everybody's line.
    const seconds = Math.min(room - first.length, linePieces - owed.size);
    const second = ranked.filter((own) => own.second).slice(0, Math.max(0, seconds));
    return [...first, ...second].map(({ piece }) => piece).sort((a, b) => a - b);
  }
}
