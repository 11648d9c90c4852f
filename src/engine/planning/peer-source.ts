/**
 * What the planner knows of one linked peer: what it holds, what it was asked for, how fast and how
 * reliable it has been. This module is pure.
 * @module
 */
import type { PieceSet } from "../../core/piece-set.js";
import { HOLDINGS_PER_PEER_MAX, LINK_REQUESTS_MAX, PIECE_BYTES } from "../../protocol/limits.js";
import { LineRate } from "./line-rate.js";
import { PullWindow } from "./pull-window.js";

/** One piece asked of one peer. */
export interface Ask {
  readonly id: number;
  readonly assetId: string;
  readonly piece: number;
  readonly askedMs: number;
  readonly timeoutMs: number;
  /** Pieces that were waited for when it was asked, with it: a narrow line brings them one after the other. */
  sharedPieces?: number;
}

/** Bit maps of one peer's holdings: 2 MiB, whatever the peer says of itself. */
const HELD_PIECES_MAX = 2 ** 24;
/** Assumed of a peer that has sent nothing yet: 20 Mbit/s, since links are tried with few pieces first. */
const UNPROVEN_BYTES_PER_MS = 2_500;
/** Silence beyond what a peer's rate explains, after which nothing is expected of it: the rest is ordered in one go. */
const STALLED_MS = 100;
/** Time-outs closer together than this are one stall. */
const STALL_MS = 500;
/** Consecutive stalls after which a link is given up. */
const STALLS_MAX = 4;
/** A peer without what it announced is not counted on for a while: each miss costs its requester a round trip. */
const MISSES_MAX = 2;
const MISSED_MS = 2_000;
const BACKOFF_MIN_MS = 100;
const BACKOFF_MAX_MS = 1_600;

export class PeerSource {
  readonly id: string;
  /** Ends with the link; the next one has a source of its own. */
  linked = true;
  readonly holdings = new Map<string, PieceSet>();
  readonly #asks = new Map<number, Ask>();
  readonly window = new PullWindow();
  /** Silence before that says nothing of the peer. */
  wokeMs = Number.NEGATIVE_INFINITY;
  readonly #rate = new LineRate();
  #rttMs: number;
  #lastArrivalMs = 0;
  #backoffMs = BACKOFF_MIN_MS;
  #backoffUntilMs = 0;
  /** Since when it has been busy: what it brings next took all that time. */
  #deniedSinceMs: number | undefined;
  #stalls = 0;
  /** Pieces in a row that it had announced and did not hold. */
  #misses = 0;
  #stalledMs = Number.NEGATIVE_INFINITY;
  /** Pieces of all assets in `holdings`: each costs a bit of memory, held or not. */
  #heldPieces = 0;
  /** Whether no further piece may be asked for: looked at far more often than it changes. */
  #full = false;
  /** What was looked up last: most words of a peer are about the same asset as the one before. */
  #latestId: string | undefined;
  #latest: PieceSet | undefined;
  /** No lease of its own on what it fetches from the origin ends later. */
  claimedUntilMs = Number.NEGATIVE_INFINITY;

  constructor(id: string, rttMs: number) {
    this.id = id;
    this.#rttMs = rttMs;
  }

  get rttMs(): number {
    return this.#rttMs;
  }

  /** Goodput in bytes per millisecond; `undefined` before the first piece. */
  get rateBytesPerMs(): number | undefined {
    return this.#rate.bytesPerMs;
  }

  /**
   * Goodput to count on now, in bytes per millisecond: a peer that keeps us waiting for longer than its
   * rate explains is as slow as that, or has stalled, and one that has proven nothing is no faster than the origin.
   * After a stall it is asked, but not counted on, until something comes.
   */
  rateNow(nowMs: number, originRateBytesPerMs: number): number {
    return this.#stalls > 0 ? 0 : this.#awaitedRate(nowMs, originRateBytesPerMs);
  }

  /** What its silence leaves of its rate: 0 if that has lasted for too long. */
  #awaitedRate(nowMs: number, originRateBytesPerMs: number): number {
    const rate = this.rateBytesPerMs ?? Math.min(originRateBytesPerMs, UNPROVEN_BYTES_PER_MS);
    const [oldest] = this.#asks.values();
    const sinceMs = Math.max(oldest?.askedMs ?? nowMs, this.#lastArrivalMs, this.wokeMs);
    const waitedMs = oldest ? nowMs - sinceMs : 0;
    const explainedMs = this.#rttMs + (2 * PIECE_BYTES) / rate;
    if (waitedMs > explainedMs + STALLED_MS) return 0;
    return waitedMs > explainedMs ? Math.min(rate, PIECE_BYTES / waitedMs) : rate;
  }

  get queuedBytes(): number {
    return this.#asks.size * PIECE_BYTES;
  }

  /** What it was asked for and has not answered yet, by id. */
  get asks(): ReadonlyMap<number, Ask> {
    return this.#asks;
  }

  /** Whether the peer has failed to answer so often that the link is not worth keeping. */
  get stalled(): boolean {
    return this.#stalls >= STALLS_MAX;
  }

  get backoffUntilMs(): number {
    return this.#backoffUntilMs;
  }

  setRtt(rttMs: number): void {
    this.#rttMs = rttMs;
  }

  /**
   * Remembers holdings; what was learned first is forgotten when there is too much of it.
   *
   * @param pieces Belongs to this peer from now on.
   * @param onForget Hears of what is about to be forgotten.
   */
  setHoldings(assetId: string, pieces: PieceSet, onForget?: (assetId: string) => void): void {
    this.forget(assetId);
    this.holdings.set(assetId, pieces);
    this.#latestId = assetId;
    this.#latest = pieces;
    this.#heldPieces += pieces.pieceCount;
    for (const oldest of this.holdings.keys()) {
      const fits =
        this.holdings.size <= HOLDINGS_PER_PEER_MAX && this.#heldPieces <= HELD_PIECES_MAX;
      if (fits || oldest === assetId) return;
      onForget?.(oldest);
      this.forget(oldest);
    }
  }

  forget(assetId: string): void {
    this.#heldPieces -= this.holdings.get(assetId)?.pieceCount ?? 0;
    this.holdings.delete(assetId);
    if (assetId === this.#latestId) this.#latest = undefined;
  }

  /** What it holds of an asset: its own set, live. */
  heldOf(assetId: string): PieceSet | undefined {
    if (assetId !== this.#latestId) {
      this.#latestId = assetId;
      this.#latest = this.holdings.get(assetId);
    }
    return this.#latest;
  }

  holds(assetId: string, piece: number): boolean {
    return this.heldOf(assetId)?.has(piece) ?? false;
  }

  available(nowMs: number): boolean {
    return nowMs >= this.#backoffUntilMs;
  }

  /** Whether one more piece may be asked for. */
  hasRoom(): boolean {
    if (this.#full) this.window.markLimited();
    return !this.#full;
  }

  /** Whether it has no room and knows already that its window is the limit. */
  get knownFull(): boolean {
    return this.#full && this.window.limited;
  }

  #settle(askId: number): void {
    this.#asks.delete(askId);
    this.#count();
  }

  /** Asks or window changed. */
  #count(): void {
    const fits = this.queuedBytes + PIECE_BYTES <= this.window.bytes;
    this.#full = !fits || this.#asks.size >= LINK_REQUESTS_MAX;
  }

  /** Expected time until one more piece asked now is here, in milliseconds. */
  expectedMs(fallbackRateBytesPerMs: number): number {
    const rate = this.rateBytesPerMs ?? fallbackRateBytesPerMs;
    return this.#rttMs + (this.queuedBytes + PIECE_BYTES) / rate;
  }

  asked(ask: Ask): void {
    this.#asks.set(ask.id, ask);
    this.#count();
  }

  /** The piece is not wanted from it any more: nobody wants it, or it came from elsewhere. */
  takeBack(askId: number): void {
    this.#settle(askId);
  }

  /**
   * The origin was asked as well, and was first. That is a stall if the peer was silent for longer than its rate explains: the
   * next request would count on it again, and wait until its silence is noticed. One that had no time to answer is not blamed.
   */
  overtaken(
    askId: number,
    { nowMs, originRateBytesPerMs }: { nowMs: number; originRateBytesPerMs: number },
  ): void {
    if (this.#awaitedRate(nowMs, originRateBytesPerMs) === 0) this.timedOut(askId, nowMs);
    else this.takeBack(askId);
  }

  /** A good piece arrived. */
  arrived(ask: Ask, bytes: number, nowMs: number): void {
    this.#asks.delete(ask.id);
    const tripMs = Math.max(1, nowMs - ask.askedMs);
    // Back-to-back pieces show the link's rate; a lone one only shows its round trip.
    const busyMs = nowMs - Math.max(ask.askedMs, this.#lastArrivalMs);
    const sentMs = this.#lastArrivalMs > ask.askedMs ? busyMs : tripMs;
    this.#rate.add(bytes, sentMs + this.#takeDenied());
    this.#lastArrivalMs = nowMs;
    this.window.arrived(nowMs, tripMs);
    this.#count();
    this.#stalls = 0;
    this.#misses = 0;
    this.#backoffMs = BACKOFF_MIN_MS;
  }

  /** For how long it was busy since it last brought something. */
  #takeDenied(): number {
    const deniedMs = this.#backoffUntilMs - (this.#deniedSinceMs ?? this.#backoffUntilMs);
    this.#deniedSinceMs = undefined;
    return deniedMs;
  }

  /** The peer does not hold the piece after all. @returns Whether it had said that it does. */
  lacks({ id, assetId, piece }: Ask, nowMs: number): boolean {
    this.#settle(id);
    // One piece may have been evicted meanwhile; several in a row are a promise that is not kept.
    if (++this.#misses >= MISSES_MAX) this.#backoffUntilMs = nowMs + MISSED_MS;
    return this.holdings.get(assetId)?.delete(piece) ?? false;
  }

  /** The peer said that it is busy: leave it alone, with jitter, so that not all come back at once. */
  refused(askId: number, retryMs: number, nowMs: number, random: () => number): void {
    const askedMs = this.#asks.get(askId)?.askedMs ?? nowMs;
    this.#asks.delete(askId);
    this.#stalls = 0;
    this.window.refused(this.queuedBytes);
    this.#count();
    // It is at work for us: the next piece that comes makes room for another.
    if (this.#asks.size > 0) return;
    // Refusals of one burst are one: who backs off further for each of them comes back too late.
    if (nowMs < this.#backoffUntilMs) return;
    this.#deniedSinceMs ??= Math.max(askedMs, this.#lastArrivalMs);
    this.#backoffUntilMs = nowMs + Math.max(retryMs, this.#backoffMs * (0.5 + random()));
    this.#backoffMs = Math.min(BACKOFF_MAX_MS, this.#backoffMs * 2);
  }

  /** The peer did not answer in time. */
  timedOut(askId: number, nowMs: number): void {
    this.#asks.delete(askId);
    // Asks that were lost in one pause are one stall.
    if (nowMs - this.#stalledMs >= STALL_MS) {
      this.#stalls++;
      this.#stalledMs = nowMs;
      this.window.collapsed();
    }
    this.#count();
    this.#backoffUntilMs = nowMs + 250 * 2 ** Math.min(this.#stalls, 4);
  }
}
