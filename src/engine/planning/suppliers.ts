/**
 * The linked peers as suppliers: what they hold, what they were asked for, and which of them is asked next.
 * This module is pure.
 * @module
 */
import { Ewma } from "../../core/ewma.js";
import { PieceSet } from "../../core/piece-set.js";
import type { PieceRange } from "../../protocol/asset.js";
import { type Asked, AssetSupply, type Holder } from "./asset-supply.js";
import { type Ask, PeerSource } from "./peer-source.js";

/** A silent supplier loses the piece after this, whatever its rate was. */
const ASK_TIMEOUT_MIN_MS = 400;
const ASK_TIMEOUT_MAX_MS = 4_000;
/** Of the time in which pieces have come so far: nobody is late for what waits on this viewer's own line. */
const GAP_FACTOR = 1.5;

/** What one HAVE says: bits of the pieces from `from` on, first piece in the highest bit. */
export interface HeldBits {
  readonly pieceCount: number;
  readonly from: number;
  readonly bits: Uint8Array;
}

export class Suppliers {
  readonly #peers = new Map<string, PeerSource>();
  /** Of the assets that are being requested. */
  readonly #supplies = new Map<string, AssetSupply>();
  /** The one that was looked up last: a player asks for one asset at a time. */
  #latest: AssetSupply | undefined;
  /** Time from one piece to the next, whoever sends them, while there is something to wait for. */
  readonly #gapMs = new Ewma(0.25);
  #lastArrivalMs = 0;
  #lastAskId = 0;
  #wokeMs = Number.NEGATIVE_INFINITY;

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

  /** Nothing was heard before that for a while: nobody was silent for longer. */
  set wokeMs(wokeMs: number) {
    this.#wokeMs = wokeMs;
    for (const peer of this.#peers.values()) peer.wokeMs = wokeMs;
  }

  /** By its id, or by itself as {@link add} gave it, as long as it is linked. */
  get(peer: string | PeerSource): PeerSource | undefined {
    if (typeof peer === "string") return this.#peers.get(peer);
    return peer.linked ? peer : undefined;
  }

  add(peerId: string, rttMs: number): PeerSource {
    this.remove(peerId);
    const peer = new PeerSource(peerId, rttMs);
    this.#peers.set(peerId, peer);
    return peer;
  }

  /** @returns Whether the peer was there; what it was asked for is open again. */
  remove(peerId: string): boolean {
    const peer = this.#peers.get(peerId);
    if (!peer) return false;
    this.#peers.delete(peerId);
    peer.linked = false;
    for (const supply of this.#supplies.values()) supply.remove(peer);
    for (const { assetId, piece } of peer.asks.values()) {
      this.#supplies.get(assetId)?.asked.delete(piece);
    }
    return true;
  }

  /** The supply of an asset, kept from its first request to {@link forget}. */
  supplyOf(assetId: string, have: PieceSet): AssetSupply {
    const known = this.#supplyOf(assetId);
    if (known) return known;
    const supply = new AssetSupply(assetId, have, this.#peers.values());
    this.#supplies.set(assetId, supply);
    this.#latest = supply;
    return supply;
  }

  #supplyOf(assetId: string): AssetSupply | undefined {
    if (this.#latest?.assetId !== assetId) {
      const supply = this.#supplies.get(assetId);
      if (!supply) return undefined;
      this.#latest = supply;
    }
    return this.#latest;
  }

  /** Nobody requests the asset any more; it has no asks. */
  forget(assetId: string): void {
    this.#supplies.delete(assetId);
    if (this.#latest?.assetId === assetId) this.#latest = undefined;
  }

  /** What peers hold of an asset does not matter any more, unless it is being requested. */
  forgetHoldings(assetId: string): void {
    if (this.#supplies.has(assetId)) return;
    for (const peer of this.#peers.values()) peer.forget(assetId);
  }

  /** What a peer holds of an asset, all of it; `undefined`: nothing. @returns Whether plans may change. */
  setHoldings(peer: PeerSource, assetId: string, pieces: PieceSet | undefined): boolean {
    const supply = this.#supplyOf(assetId);
    supply?.remove(peer);
    if (!pieces) {
      peer.forget(assetId);
    } else {
      peer.setHoldings(assetId, pieces, (forgotten) => this.#supplies.get(forgotten)?.remove(peer));
      supply?.add(peer, pieces);
    }
    return supply !== undefined;
  }

  /**
   * A peer holds more of an asset.
   *
   * @returns Whether it could be asked now for something that nobody was asked for: else no plan changes.
   */
  addHoldings(
    peer: PeerSource,
    assetId: string,
    { pieceCount, from, bits }: HeldBits,
    nowMs: number,
  ): boolean {
    const known = peer.heldOf(assetId);
    if (known?.pieceCount !== pieceCount) {
      const pieces = new PieceSet(pieceCount);
      pieces.addBits(bits, from);
      return this.setHoldings(peer, assetId, pieces);
    }
    const supply = this.#supplyOf(assetId);
    if (!supply) {
      known.addBits(bits, from);
      return false;
    }
    let news = false;
    known.addBits(bits, from, (piece) => {
      if (supply.gained(piece)) news = true;
    });
    return news && peer.available(nowMs) && peer.hasRoom();
  }

  /** Whether anybody holds any piece of the range. */
  hold(assetId: string, { from, to }: PieceRange): boolean {
    for (const { holdings } of this.#peers.values()) {
      const held: PieceSet | undefined = holdings.get(assetId);
      for (let piece = from; held && piece < to; piece++) if (held.has(piece)) return true;
    }
    return false;
  }

  /** What the peers that hold any of the range send together, in bytes per millisecond. */
  rateFor(
    assetId: string,
    { from, to }: PieceRange,
    { nowMs, originRateBytesPerMs }: { nowMs: number; originRateBytesPerMs: number },
  ): number {
    let rate = 0;
    for (const peer of this.#peers.values()) {
      const held: PieceSet | undefined = peer.holdings.get(assetId);
      let piece = from;
      while (held && piece < to && !held.has(piece)) piece++;
      if (held && piece < to) rate += peer.rateNow(nowMs, originRateBytesPerMs);
    }
    return rate;
  }

  /**
   * Asks the holder that would finish the piece first.
   *
   * @param free Who may be asked; those who turn out to have no room any more are taken out.
   * @param limitMs Time in which it must be expected to bring the piece.
   * @returns `undefined` if no holder is available, has room and is fast enough.
   */
  ask(
    { assetId, asked: allAsked }: AssetSupply,
    piece: number,
    free: Holder[],
    options: { nowMs: number; limitMs: number; originRateBytesPerMs: number },
  ): Asked | undefined {
    const { nowMs, limitMs, originRateBytesPerMs } = options;
    let best: PeerSource | undefined;
    let bestMs = limitMs;
    for (let at = 0; at < free.length; at++) {
      const { peer, held } = free[at] as Holder;
      if (!held.has(piece)) continue;
      const expectedMs = peer.expectedMs(originRateBytesPerMs);
      if (expectedMs >= bestMs) continue;
      if (!peer.hasRoom()) {
        free.splice(at--, 1);
        continue;
      }
      best = peer;
      bestMs = expectedMs;
    }
    if (!best) return undefined;
    this.#lastAskId = (this.#lastAskId + 1) >>> 0;
    const timeoutMs = Math.min(ASK_TIMEOUT_MAX_MS, Math.max(ASK_TIMEOUT_MIN_MS, 4 * bestMs));
    const ask: Ask = { id: this.#lastAskId, assetId, piece, askedMs: nowMs, timeoutMs };
    best.asked(ask);
    const asked = { peerId: best.id, ask };
    allAsked.set(piece, asked);
    return asked;
  }

  /** What an ask was for; `undefined` if it is not open any more. */
  askOf(peerId: string, askId: number): Ask | undefined {
    return this.#peers.get(peerId)?.asks.get(askId);
  }

  /** Ends an ask that was answered, one way or the other; the peer's own record is the caller's. */
  settle(peerId: string, askId: number): Ask | undefined {
    const ask = this.askOf(peerId, askId);
    if (ask) this.#supplyOf(ask.assetId)?.asked.delete(ask.piece);
    return ask;
  }

  /** A piece came: what this viewer's line takes for one, if it was not waiting for asks. */
  arrived({ askedMs }: Ask, nowMs: number): void {
    this.#gapMs.add(nowMs - Math.max(askedMs, this.#lastArrivalMs));
    this.#lastArrivalMs = nowMs;
  }

  /** A peer does not hold the piece of an ask after all. */
  lacks(peerId: string, ask: Ask, nowMs: number): void {
    const peer = this.#peers.get(peerId);
    if (peer?.lacks(ask, nowMs)) this.#supplies.get(ask.assetId)?.lost(ask.piece);
  }

  /**
   * Takes a piece back from whoever was asked for it.
   *
   * @param overtaken The origin brought it.
   */
  takeBack(
    assetId: string,
    piece: number,
    overtaken?: { nowMs: number; originRateBytesPerMs: number },
  ): Asked | undefined {
    const supply = this.#supplies.get(assetId);
    const asked = supply?.asked.get(piece);
    if (!asked) return undefined;
    supply?.asked.delete(piece);
    const peer = this.#peers.get(asked.peerId);
    if (overtaken) peer?.overtaken(asked.ask.id, overtaken);
    else peer?.takeBack(asked.ask.id);
    return asked;
  }

  /** Ends the asks whose time is over; their peers are left alone for a while. */
  takeOverdue(nowMs: number): Asked[] {
    const overdue: Asked[] = [];
    const gapMs = this.#gapMs.value ?? 0;
    for (const { asked: allAsked } of this.#supplies.values()) {
      for (const [piece, asked] of allAsked) {
        const { askedMs, timeoutMs, sharedPieces = 0 } = asked.ask;
        const lineMs = Math.min(ASK_TIMEOUT_MAX_MS, GAP_FACTOR * gapMs * sharedPieces);
        if (nowMs - Math.max(askedMs, this.#wokeMs) < Math.max(timeoutMs, lineMs)) continue;
        allAsked.delete(piece);
        this.#peers.get(asked.peerId)?.timedOut(asked.ask.id, nowMs);
        overdue.push(asked);
      }
    }
    return overdue;
  }
}
