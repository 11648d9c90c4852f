/**
 * One request as the planner sees it: what it needs, what the origin owes it, what failed. This module is
 * pure.
 * @module
 */
import { PieceSet } from "../../core/piece-set.js";
import { RecentRate } from "../../core/recent-rate.js";
import type { PieceRange } from "../../protocol/asset.js";
import { PIECE_BYTES } from "../../protocol/limits.js";
import type { OriginOutcome } from "../../protocol/worker-messages.js";
import type { OriginSource } from "../origin/origin-source.js";

/** Pieces beyond the play position that are worked on at once: 4 MiB. */
export const LOOK_AHEAD_PIECES = 64;

/** A busy page hears of its origin's bytes so late: who asks peers for them by then has them twice (docs/decisions/0043). */
const ORIGIN_LATE_MS = 300;
/** An origin that is silent for longer is not counted on. */
const ORIGIN_STALL_MS = 1_000;

/** What peers brought counts for about so long; before as much of a request has passed it says nothing. */
const SEEN_MS = 500;

/** Origin failures after which it is not asked again for the same request. */
const ORIGIN_FAILURES_MAX = 2;

/** What a request needs. */
export interface PlannedRequest {
  readonly id: number;
  readonly assetId: string;
  readonly pieceCount: number;
  /** The pieces asked for, half-open. */
  readonly pieces: PieceRange;
  readonly deadlineMs: number;
  /** Pieces before this one are attested; no other can be asked for. */
  readonly attestedTo: number;
  /** Until then the request may wait for links and holders that are on their way. */
  readonly patientUntilMs: number;
  /** It passed through before, too slowly. */
  readonly tookOver?: boolean;
  /**
   * Fetched ahead of the page: from `peers`, a few pieces at a time, or over the `line` of a slow origin while that has
   * nothing else to do.
   */
  readonly ahead?: "peers" | "line";
}

export class RequestState {
  readonly asked: PlannedRequest;
  readonly openedMs: number;
  /** Pieces held of the asset; the library's own set. */
  readonly have: PieceSet;
  /** Pieces that the origin was asked for and has not sent yet. */
  readonly owed: PieceSet;
  deadlineMs: number;
  attestedTo: number;
  /** First piece that the page has not taken yet. */
  position: number;
  /** When it last waited for links or holders that were on their way: elections begin after that. */
  hopedMs: number;
  /** When it last went on after a time in which nothing was heard. */
  wokeMs = Number.NEGATIVE_INFINITY;
  /** Since when the origin's line has nothing to do for it, as far as this viewer knows; infinite: it has. */
  lineIdleMs: number;
  /** Pieces that only the origin can bring or that it owes, when last planned: what its line is needed for. */
  linePieces = 0;
  /** Pieces that neighbours were told of and that are not ordered yet: when they were told. */
  readonly announcedMs = new Map<number, number>();
  /** Pieces that a peer refused or was silent about: past the deadline nobody else is tried. */
  readonly #missed: PieceSet;
  readonly #peers: RecentRate;
  #originRuns = 0;
  #originFailures = 0;
  #originAskedMs = 0;
  #originLastMs = 0;

  constructor(asked: PlannedRequest, have: PieceSet, nowMs: number) {
    this.asked = asked;
    this.openedMs = nowMs;
    this.hopedMs = nowMs;
    this.lineIdleMs = nowMs;
    this.#peers = new RecentRate({ halfLifeMs: SEEN_MS, sinceMs: nowMs });
    this.have = have;
    this.owed = new PieceSet(asked.pieceCount);
    this.#missed = new PieceSet(asked.pieceCount);
    this.deadlineMs = asked.deadlineMs;
    this.attestedTo = asked.attestedTo;
    this.position = asked.pieces.from;
  }

  /** Pieces within the look-ahead, here or not. */
  get aheadPieces(): number {
    return this.aheadEnd - this.position;
  }

  /** No piece from this one on is worked on yet. */
  get aheadEnd(): number {
    return Math.min(this.asked.pieces.to, this.attestedTo, this.position + LOOK_AHEAD_PIECES);
  }

  /** The page has taken everything before `piece`. @returns Whether it may ask for more than before. */
  advance(piece: number): boolean {
    const { aheadEnd } = this;
    this.position = Math.max(this.position, piece);
    return this.aheadEnd !== aheadEnd;
  }

  /** Pieces within the look-ahead that are not here yet, in order. */
  missing(): number[] {
    const end = this.aheadEnd;
    const missing: number[] = [];
    for (let piece = this.position; piece < end; piece++) {
      if (!this.have.has(piece)) missing.push(piece);
    }
    return missing;
  }

  covers(assetId: string, piece: number): boolean {
    const { from, to } = this.asked.pieces;
    return this.asked.assetId === assetId && piece >= from && piece < to;
  }

  /** Nothing was heard for a while: claims of neighbours may wait to be read, and elections begin after that. */
  woke(nowMs: number): void {
    this.wokeMs = nowMs;
    this.hopedMs = nowMs;
  }

  /** The origin's line has other things to do: turns begin when it has not. */
  waitForLine(nowMs: number): void {
    this.hopedMs = nowMs;
    this.lineIdleMs = Number.POSITIVE_INFINITY;
    this.announcedMs.clear();
  }

  /** What the origin owes to a request that was made ahead is this one's from now on. */
  inherit(ahead: RequestState): void {
    const { from, to } = this.asked.pieces;
    for (let piece = from; piece < to; piece++) if (ahead.owed.has(piece)) this.owed.add(piece);
    this.#originRuns = ahead.#originRuns;
    this.#originAskedMs = ahead.#originAskedMs;
    this.#originLastMs = ahead.#originLastMs;
  }

  /** Peers brought something that it waits for. */
  peersSent(bytes: number, nowMs: number): void {
    this.#peers.add(bytes, nowMs);
  }

  /** Everything that may be asked for is here: it is the page that is slow, not who brings it. */
  satisfied(nowMs: number): void {
    this.#peers.restart(nowMs);
  }

  /** What peers have brought it lately, in bytes per millisecond; `undefined` while that says nothing. */
  peersBytesPerMs(nowMs: number): number | undefined {
    return this.#peers.ageMs(nowMs) < SEEN_MS ? undefined : this.#peers.perMs(nowMs);
  }

  /** Whether the origin may still be asked. */
  get originUsable(): boolean {
    return this.#originFailures < ORIGIN_FAILURES_MAX;
  }

  /** The origin is asked for a run of pieces. */
  originOrdered({ from, to }: PieceRange, nowMs: number): void {
    this.owed.addRange(from, to);
    if (this.#originRuns === 0) {
      this.#originAskedMs = nowMs;
      this.#originLastMs = 0;
    }
    this.#originRuns++;
  }

  /** The origin sent a piece; its speed is remembered. */
  originSent(
    piece: number,
    bytes: number,
    { nowMs, origin }: { nowMs: number; origin: OriginSource },
  ): void {
    // What was on its way before the request was planned says nothing of its orders.
    if (!this.owed.has(piece)) return;
    this.owed.delete(piece);
    origin.sampleLine(bytes, nowMs - Math.max(this.#originAskedMs, this.#originLastMs));
    if (this.#originLastMs === 0) origin.sampleFirstByte(nowMs - this.#originAskedMs);
    else origin.sampleRate(bytes, nowMs - this.#originLastMs);
    this.#originLastMs = nowMs;
  }

  /** One run is over; after the last one, or if the origin has another version, nothing is owed any more. */
  originEnded(outcome: OriginOutcome): void {
    this.#originRuns = Math.max(0, this.#originRuns - 1);
    if (outcome === "failed") this.#originFailures++;
    if (outcome === "changed") this.#originFailures = ORIGIN_FAILURES_MAX;
    if (this.#originRuns > 0 && outcome !== "changed") return;
    const { from, to } = this.asked.pieces;
    for (let piece = from; piece < to; piece++) this.owed.delete(piece);
  }

  /**
   * Time until the origin will have brought an owed piece. One that has been silent for much longer than it needs for a
   * piece may be so for as long again; infinite if it has stalled.
   */
  originEtaMs(piece: number, { nowMs, origin }: { nowMs: number; origin: OriginSource }): number {
    const silentMs = nowMs - Math.max(this.#originAskedMs, this.#originLastMs, this.wokeMs);
    const pieceMs = origin.expectedMs(PIECE_BYTES);
    if (silentMs > Math.max(ORIGIN_STALL_MS, 4 * pieceMs)) return Number.POSITIVE_INFINITY;
    let pieces = 0;
    for (let before = this.position; before <= piece; before++) {
      if (this.owed.has(before)) pieces++;
    }
    const lateMs = silentMs > Math.max(ORIGIN_LATE_MS, 4 * pieceMs) ? silentMs : 0;
    return origin.expectedMs(pieces * PIECE_BYTES) + lateMs;
  }

  /** A peer failed to bring the piece. */
  missed(piece: number): void {
    this.#missed.add(piece);
  }

  /** Whether peers had their chance with a piece that is overdue. */
  overdue(piece: number, nowMs: number): boolean {
    return nowMs >= this.deadlineMs && this.#missed.has(piece) && this.originUsable;
  }
}
