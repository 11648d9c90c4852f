/**
 * The linked peers as suppliers, and which piece was asked of whom: one piece has one supplier, so blame
 * for a bad piece is certain. This module is pure.
 * @module
 */
import type { PieceSet } from "../core/piece-set.js";
import type { PieceRange } from "../protocol/asset.js";
import type { MeshOffer } from "./origin-share.js";
import { type Ask, PeerSource } from "./peer-source.js";

/** A silent supplier loses the piece after this, whatever its rate was. */
const ASK_TIMEOUT_MIN_MS = 400;
const ASK_TIMEOUT_MAX_MS = 4_000;

/** An ask together with the peer that it went to. */
export interface Asked {
  readonly peerId: string;
  readonly ask: Ask;
}

export class Suppliers {
  readonly #peers = new Map<string, PeerSource>();
  /** Asset and piece → the ask that is to bring it. */
  readonly #asked = new Map<string, Asked>();
  #lastAskId = 0;

  /** Ids of all linked peers. */
  get ids(): Iterable<string> {
    return this.#peers.keys();
  }

  get size(): number {
    return this.#peers.size;
  }

  /** Longest round trip of a link, in milliseconds; 0 without links. */
  get rttMaxMs(): number {
    let rttMs = 0;
    for (const peer of this.#peers.values()) rttMs = Math.max(rttMs, peer.rttMs);
    return rttMs;
  }

  get(peerId: string): PeerSource | undefined {
    return this.#peers.get(peerId);
  }

  add(peerId: string, rttMs: number): void {
    this.#peers.set(peerId, new PeerSource(peerId, rttMs));
  }

  /** @returns Whether the peer was there; what it was asked for is open again. */
  remove(peerId: string): boolean {
    const peer = this.#peers.get(peerId);
    if (!peer) return false;
    this.#peers.delete(peerId);
    for (const ask of peer.asks.values()) this.#asked.delete(keyOf(ask.assetId, ask.piece));
    return true;
  }

  holdersOf(assetId: string, piece: number): PeerSource[] {
    return [...this.#peers.values()].filter((peer) => peer.holds(assetId, piece));
  }

  /** Whether anybody holds any piece of the range. */
  hold(assetId: string, { from, to }: PieceRange): boolean {
    for (const { holdings } of this.#peers.values()) {
      const held: PieceSet | undefined = holdings.get(assetId);
      for (let piece = from; held && piece < to; piece++) if (held.has(piece)) return true;
    }
    return false;
  }

  /** Rate and latency that available holders have for these pieces together. */
  offerFor(
    assetId: string,
    pieces: readonly number[],
    { nowMs, originRateBytesPerMs }: { nowMs: number; originRateBytesPerMs: number },
  ): MeshOffer {
    let rateBytesPerMs = 0;
    let latencyMs = Number.POSITIVE_INFINITY;
    for (const peer of this.#peers.values()) {
      if (!peer.available(nowMs) || !pieces.some((piece) => peer.holds(assetId, piece))) continue;
      rateBytesPerMs += peer.rateNow(nowMs, originRateBytesPerMs);
      latencyMs = Math.min(latencyMs, peer.rttMs);
    }
    return { rateBytesPerMs, latencyMs: rateBytesPerMs > 0 ? latencyMs : 0 };
  }

  asked(assetId: string, piece: number): boolean {
    return this.#asked.has(keyOf(assetId, piece));
  }

  /**
   * Asks the holder that would finish the piece first.
   *
   * @param limitMs Time in which it must be expected to bring the piece.
   * @returns `undefined` if no holder is available, has room and is fast enough.
   */
  ask(
    { assetId, piece }: { readonly assetId: string; readonly piece: number },
    holders: readonly PeerSource[],
    options: { nowMs: number; limitMs: number; originRateBytesPerMs: number },
  ): Asked | undefined {
    const { nowMs, limitMs, originRateBytesPerMs } = options;
    let best: PeerSource | undefined;
    let bestMs = limitMs;
    for (const peer of holders) {
      const expectedMs = peer.expectedMs(originRateBytesPerMs);
      if (!peer.available(nowMs) || expectedMs >= bestMs || !peer.hasRoom()) continue;
      best = peer;
      bestMs = expectedMs;
    }
    if (!best) return undefined;
    this.#lastAskId = (this.#lastAskId + 1) >>> 0;
    const timeoutMs = Math.min(ASK_TIMEOUT_MAX_MS, Math.max(ASK_TIMEOUT_MIN_MS, 4 * bestMs));
    const ask: Ask = { id: this.#lastAskId, assetId, piece, askedMs: nowMs, timeoutMs };
    best.asked(ask);
    const asked = { peerId: best.id, ask };
    this.#asked.set(keyOf(assetId, piece), asked);
    return asked;
  }

  /** What an ask was for; `undefined` if it is not open any more. */
  askOf(peerId: string, askId: number): Ask | undefined {
    return this.#peers.get(peerId)?.asks.get(askId);
  }

  /** Ends an ask that was answered, one way or the other; the peer's own record is the caller's. */
  settle(peerId: string, askId: number): Ask | undefined {
    const ask = this.askOf(peerId, askId);
    if (ask) this.#asked.delete(keyOf(ask.assetId, ask.piece));
    return ask;
  }

  /** Takes a piece back from whoever was asked for it. */
  takeBack(assetId: string, piece: number): Asked | undefined {
    const asked = this.#asked.get(keyOf(assetId, piece));
    if (!asked) return undefined;
    this.#asked.delete(keyOf(assetId, piece));
    this.#peers.get(asked.peerId)?.asks.delete(asked.ask.id);
    return asked;
  }

  /** Asks of one asset. */
  asksOf(assetId: string): Ask[] {
    return [...this.#asked.values()].flatMap(({ ask }) => (ask.assetId === assetId ? [ask] : []));
  }

  /** Ends the asks whose time is over; their peers are left alone for a while. */
  takeOverdue(nowMs: number): Asked[] {
    const overdue: Asked[] = [];
    for (const [key, asked] of this.#asked) {
      if (nowMs - asked.ask.askedMs < asked.ask.timeoutMs) continue;
      this.#asked.delete(key);
      this.#peers.get(asked.peerId)?.timedOut(asked.ask.id, nowMs);
      overdue.push(asked);
    }
    return overdue;
  }
}

function keyOf(assetId: string, piece: number): string {
  return `${assetId} ${piece}`;
}
