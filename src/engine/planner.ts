/**
 * The planner: gives every missing piece of every running request a source, again and again. Events and
 * time come in as arguments, commands go out; the page's shell and a simulator drive the same code.
 * This module is pure.
 *
 * The rules, in the order in which they are applied (DESIGN sections 4-6, docs/decisions/0005):
 * 1. A piece goes to the linked peer that would finish it first; one piece has one supplier.
 * 2. A piece that nobody holds goes to the origin, unless links or attestations are still on their way
 *    or a neighbour is fetching it, and the deadline leaves time to wait. Who fetches is elected.
 * 3. When the projected finish passes the deadline, the tail is ordered from the origin while peers go
 *    on; the share is chosen so that both finish together. The first verified copy wins.
 * 4. A supplier that does not answer in time loses the piece, is left alone for a while, then dropped.
 * @module
 */
import { PieceSet } from "../core/piece-set.js";
import type { PieceRange } from "../protocol/asset.js";
import { PIECE_BYTES } from "../protocol/limits.js";
import { Claims } from "./claims.js";
import { rankOf } from "./election.js";
import { type MeshOffer, originShare } from "./origin-share.js";
import { OriginSource } from "./origin-source.js";
import { type Ask, PeerSource } from "./peer-source.js";

/** Pieces beyond the play position that are worked on at once: 4 MiB. */
export const LOOK_AHEAD_PIECES = 64;

/** A silent supplier loses the piece after this, whatever its rate was. */
const ASK_TIMEOUT_MIN_MS = 400;
const ASK_TIMEOUT_MAX_MS = 4_000;

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
}

export type Command = Readonly<
  | { type: "ask"; peerId: string; askId: number; assetId: string; piece: number }
  | { type: "cancel"; peerId: string; askId: number }
  | { type: "fetch"; requestId: number; from: number; to: number }
  | { type: "claim"; assetId: string; from: number; to: number }
  | { type: "drop"; peerId: string; reason: "corrupt" | "stalled" }
  | { type: "fail"; requestId: number }
>;

interface RequestState extends PlannedRequest {
  deadlineMs: number;
  attestedTo: number;
  /** First piece that the page has not taken yet. */
  position: number;
  /** Pieces that the origin was asked for and has not sent yet. */
  readonly origin: PieceSet;
  /** Pieces that a peer refused or was silent about: past the deadline nobody else is tried. */
  readonly missed: PieceSet;
  readonly openedMs: number;
  originRuns: number;
  originFailures: number;
  originAskedMs: number;
  originLastMs: number;
}

/** An origin that is silent for longer is not counted on. */
const ORIGIN_STALL_MS = 1_000;

/** With this much time to spare, neighbours' needs decide the order of pieces. */
const RELAXED_MS = 1_000;

/** One step of the election: a neighbour's claim is here by then. */
const STEP_MIN_MS = 50;
const STEP_MAX_MS = 250;
/** After so many steps without a sign of anybody the rest is fetched as a whole. */
const STEPS_MAX = 2;

/** Origin failures after which a request that no peer can serve is given up. */
const ORIGIN_FAILURES_MAX = 2;

export class Planner {
  readonly #peers = new Map<string, PeerSource>();
  readonly #requests = new Map<number, RequestState>();
  readonly #have = new Map<string, PieceSet>();
  /** Asset and piece → the ask that is to bring it. */
  readonly #asked = new Map<string, { readonly peerId: string; readonly ask: Ask }>();
  readonly #claims = new Claims();
  readonly #origin = new OriginSource();
  readonly #random: () => number;
  readonly #hopeful: () => boolean;
  #lastAskId = 0;
  /** This viewer's own id, for elections; empty before the server issued one. */
  selfId = "";

  /**
   * @param hopeful Whether new links or holders are on their way.
   * @param random Uniform in [0, 1).
   */
  constructor(options: { random: () => number; hopeful: () => boolean }) {
    this.#random = options.random;
    this.#hopeful = options.hopeful;
  }

  /** Expected time for the origin to send `bytes`, in milliseconds. */
  originMs(bytes: number): number {
    return this.#origin.expectedMs(bytes);
  }

  /** Whether there is anybody to share with. */
  get linked(): boolean {
    return this.#peers.size > 0;
  }

  /** Whether a linked peer holds any piece of the range. */
  heldByPeers(assetId: string, { from, to }: PieceRange): boolean {
    for (const peer of this.#peers.values()) {
      const held = peer.holdings.get(assetId);
      if (!held) continue;
      for (let piece = from; piece < to; piece++) if (held.has(piece)) return true;
    }
    return false;
  }

  open(request: PlannedRequest, have: PieceSet, nowMs: number): Command[] {
    this.#have.set(request.assetId, have);
    this.#requests.set(request.id, {
      ...request,
      position: request.pieces.from,
      origin: new PieceSet(request.pieceCount),
      missed: new PieceSet(request.pieceCount),
      openedMs: nowMs,
      originRuns: 0,
      originFailures: 0,
      originAskedMs: 0,
      originLastMs: 0,
    });
    return this.plan(nowMs);
  }

  /** The request is over; asks that only it needed are cancelled. */
  close(requestId: number): Command[] {
    const request = this.#requests.get(requestId);
    if (!request) return [];
    this.#requests.delete(requestId);
    if (!this.#isWantedAsset(request.assetId)) this.#have.delete(request.assetId);
    const commands: Command[] = [];
    for (const [key, { peerId, ask }] of this.#asked) {
      if (ask.assetId !== request.assetId || this.#wanted(ask.assetId, ask.piece)) continue;
      this.#asked.delete(key);
      this.#peers.get(peerId)?.asks.delete(ask.id);
      commands.push({ type: "cancel", peerId, askId: ask.id });
    }
    return commands;
  }

  setDeadline(requestId: number, deadlineMs: number): void {
    const request = this.#requests.get(requestId);
    if (request) request.deadlineMs = deadlineMs;
  }

  /** More of the asset is attested by now. */
  allow(requestId: number, attestedTo: number, nowMs: number): Command[] {
    const request = this.#requests.get(requestId);
    if (!request) return [];
    request.attestedTo = attestedTo;
    return this.plan(nowMs);
  }

  /** The page has taken everything before `piece`. */
  advance(requestId: number, piece: number, nowMs: number): Command[] {
    const request = this.#requests.get(requestId);
    if (!request) return [];
    request.position = Math.max(request.position, piece);
    return this.plan(nowMs);
  }

  addPeer(peerId: string, rttMs: number): void {
    this.#peers.set(peerId, new PeerSource(peerId, rttMs));
  }

  setRtt(peerId: string, rttMs: number): void {
    this.#peers.get(peerId)?.setRtt(rttMs);
  }

  /** Goodput of a peer in bytes per millisecond, once measured. */
  rateOf(peerId: string): number | undefined {
    return this.#peers.get(peerId)?.rateBytesPerMs;
  }

  removePeer(peerId: string, nowMs: number): Command[] {
    const peer = this.#peers.get(peerId);
    if (!peer) return [];
    this.#peers.delete(peerId);
    this.#claims.end(peerId, nowMs);
    for (const ask of peer.asks.values()) this.#asked.delete(keyOf(ask.assetId, ask.piece));
    return this.plan(nowMs);
  }

  /** `pieces` replaces what was known of the peer's holdings of the asset; `undefined`: none left. */
  setHoldings(
    peerId: string,
    assetId: string,
    pieces: PieceSet | undefined,
    nowMs: number,
  ): Command[] {
    const peer = this.#peers.get(peerId);
    if (!peer) return [];
    this.#claims.renew(peerId, assetId, nowMs);
    if (pieces) peer.setHoldings(assetId, pieces);
    else peer.forget(assetId);
    return this.#isWantedAsset(assetId) ? this.plan(nowMs) : [];
  }

  /** A linked peer says that it is fetching these pieces from the origin. */
  claimed(peerId: string, assetId: string, pieces: PieceRange, nowMs: number): void {
    if (this.#peers.has(peerId)) this.#claims.add(peerId, assetId, pieces, nowMs);
  }

  /** What is known of a peer's holdings of an asset; the planner's own object. */
  holdingsOf(peerId: string, assetId: string): PieceSet | undefined {
    return this.#peers.get(peerId)?.holdings.get(assetId);
  }

  /** What an ask was for; `undefined` if it is not open any more. */
  askOf(peerId: string, askId: number): Ask | undefined {
    return this.#peers.get(peerId)?.asks.get(askId);
  }

  /** A peer's piece arrived and was verified (the store's `have` set already counts it). */
  pieceArrived(peerId: string, askId: number, bytes: number, nowMs: number): Command[] {
    const ask = this.#takeAsk(peerId, askId);
    if (ask) this.#peers.get(peerId)?.arrived(ask, bytes, nowMs);
    return this.plan(nowMs);
  }

  /** A peer's piece did not verify: certain blame, the link goes. */
  pieceCorrupt(peerId: string, nowMs: number): Command[] {
    return [{ type: "drop", peerId, reason: "corrupt" }, ...this.removePeer(peerId, nowMs)];
  }

  /** A peer will not answer: busy for a while, or it does not hold the piece after all. */
  pieceRefused(
    peerId: string,
    askId: number,
    { busyMs, nowMs }: { busyMs: number | undefined; nowMs: number },
  ): Command[] {
    const peer = this.#peers.get(peerId);
    const ask = this.#takeAsk(peerId, askId);
    if (!peer || !ask) return [];
    this.#missed(ask);
    if (busyMs === undefined) {
      peer.asks.delete(askId);
      peer.holdings.get(ask.assetId)?.delete(ask.piece);
    } else {
      peer.refused(askId, busyMs, nowMs, this.#random);
    }
    return this.plan(nowMs);
  }

  /** The origin sent a piece for a request (verified; the store's `have` set already counts it). */
  originArrived(requestId: number, piece: number, bytes: number, nowMs: number): Command[] {
    const request = this.#requests.get(requestId);
    if (!request) return [];
    request.origin.delete(piece);
    if (request.originLastMs === 0) {
      this.#origin.sampleFirstByte(nowMs - request.originAskedMs);
    } else {
      this.#origin.sampleRate(bytes, nowMs - request.originLastMs);
    }
    request.originLastMs = nowMs;
    return [...this.#cancelLoser(request.assetId, piece), ...this.plan(nowMs)];
  }

  /** The origin's part is over; what it left open is planned anew. */
  originEnded(requestId: number, complete: boolean, nowMs: number): Command[] {
    const request = this.#requests.get(requestId);
    if (!request) return [];
    request.originRuns = Math.max(0, request.originRuns - 1);
    if (!complete) request.originFailures++;
    if (request.originRuns === 0) {
      for (let piece = request.pieces.from; piece < request.pieces.to; piece++) {
        request.origin.delete(piece);
      }
    }
    return this.plan(nowMs);
  }

  /** Bytes per millisecond that a passed-through response showed. */
  sampleOrigin(sample: { firstByteMs: number; bytes: number; durationMs: number }): void {
    this.#origin.sampleFirstByte(sample.firstByteMs);
    if (sample.bytes >= PIECE_BYTES) this.#origin.sampleRate(sample.bytes, sample.durationMs);
  }

  /** Time passes: time-outs, hedges, back-offs that ended. Call every 50-100 ms while requests run. */
  tick(nowMs: number): Command[] {
    return [...this.#timeOut(nowMs), ...this.plan(nowMs)];
  }

  get idle(): boolean {
    return this.#requests.size === 0;
  }

  /** Gives sources to all pieces that have none; earliest deadline first. */
  plan(nowMs: number): Command[] {
    const byDeadline = [...this.#requests.values()].sort((a, b) => a.deadlineMs - b.deadlineMs);
    return byDeadline.flatMap((request) => this.#planRequest(request, nowMs));
  }

  #planRequest(request: RequestState, nowMs: number): Command[] {
    const missing = this.#missing(request);
    if (missing.length === 0) return [];
    const commands: Command[] = [];
    const orphans: number[] = [];
    for (const { piece, holders } of this.#inOrder(request, missing, nowMs)) {
      const ordered = request.origin.has(piece);
      if (!ordered && (holders.length === 0 || this.#late(request, piece, nowMs))) {
        orphans.push(piece);
        continue;
      }
      // What the origin was asked for is asked of peers too once they would be clearly faster.
      const limitMs = ordered ? 0.5 * this.#originEtaMs(request, piece, nowMs) : undefined;
      commands.push(...this.#ask(request, piece, { holders, limitMs, nowMs }));
    }
    orphans.sort((a, b) => a - b);
    commands.push(...this.#fetchOrphans(request, orphans, nowMs));
    commands.push(...this.#hedge(request, nowMs));
    return commands;
  }

  /**
   * The pieces that nobody was asked for, with their holders: in playing order when the deadline is near,
   * else the rarest first, so that neighbours who want the same come to hold different pieces. The piece
   * that the response waits for always comes first.
   */
  #inOrder(request: RequestState, missing: readonly number[], nowMs: number) {
    const open = missing
      .filter((piece) => !this.#asked.has(keyOf(request.assetId, piece)))
      .map((piece) => ({
        piece,
        holders: this.#holders(request.assetId, piece),
        tie: this.#random(),
      }));
    const originMs = this.#origin.expectedMs(missing.length * PIECE_BYTES);
    if (request.deadlineMs - nowMs < 2 * originMs + RELAXED_MS) return open;
    const [first, ...rest] = open;
    if (!first) return open;
    rest.sort((a, b) => a.holders.length - b.holders.length || a.tie - b.tie);
    return [first, ...rest];
  }

  /** Rule 1; `limitMs` is the time in which a peer must be expected to bring the piece. */
  #ask(
    request: RequestState,
    piece: number,
    {
      holders,
      limitMs = Number.POSITIVE_INFINITY,
      nowMs,
    }: {
      readonly holders: readonly PeerSource[];
      readonly limitMs: number | undefined;
      readonly nowMs: number;
    },
  ): Command[] {
    const fallback = this.#origin.rateBytesPerMs;
    const ready = holders.filter(
      (peer) => peer.available(nowMs) && peer.expectedMs(fallback) < limitMs && peer.hasRoom(),
    );
    const best = ready.reduce<PeerSource | undefined>(
      (a, b) => (a && a.expectedMs(fallback) <= b.expectedMs(fallback) ? a : b),
      undefined,
    );
    if (!best) return [];
    const expectedMs = best.expectedMs(fallback);
    this.#lastAskId = (this.#lastAskId + 1) >>> 0;
    const ask: Ask = {
      id: this.#lastAskId,
      assetId: request.assetId,
      piece,
      askedMs: nowMs,
      timeoutMs: Math.min(ASK_TIMEOUT_MAX_MS, Math.max(ASK_TIMEOUT_MIN_MS, 4 * expectedMs)),
    };
    best.asked(ask);
    this.#asked.set(keyOf(request.assetId, piece), { peerId: best.id, ask });
    return [{ type: "ask", peerId: best.id, askId: ask.id, assetId: ask.assetId, piece }];
  }

  /** When the origin will have brought a piece it was asked for, from now; never, if it has stalled. */
  #originEtaMs(request: RequestState, piece: number, nowMs: number): number {
    const silentMs = nowMs - Math.max(request.originAskedMs, request.originLastMs);
    const expectedMs = this.#origin.expectedMs(PIECE_BYTES);
    if (silentMs > Math.max(ORIGIN_STALL_MS, 4 * expectedMs)) return Number.POSITIVE_INFINITY;
    let pieces = 0;
    for (let before = request.position; before <= piece; before++) {
      if (request.origin.has(before)) pieces++;
    }
    return this.#origin.expectedMs(pieces * PIECE_BYTES);
  }

  /** Rule 2: pieces that no linked peer holds, or that the holders failed to bring. */
  #fetchOrphans(request: RequestState, orphans: readonly number[], nowMs: number): Command[] {
    if (orphans.length === 0) return [];
    if (nowMs < request.patientUntilMs && this.#hopeful()) return [];
    if (request.originFailures >= ORIGIN_FAILURES_MAX) {
      return [{ type: "fail", requestId: request.id }];
    }
    const originMs = this.#origin.expectedMs(orphans.length * PIECE_BYTES);
    const urgent = nowMs + 1.5 * originMs + 100 > request.deadlineMs;
    const ours = urgent ? orphans : orphans.filter((piece) => this.#elected(request, piece, nowMs));
    return runsOf(ours).flatMap((run) => this.#fetch(request, run, nowMs));
  }

  /** Whether it is this viewer's turn to fetch a piece that nobody holds. */
  #elected(request: RequestState, piece: number, nowMs: number): boolean {
    const { assetId, openedMs } = request;
    if (this.#claims.covers(assetId, piece, nowMs)) return false;
    const sinceMs = Math.max(openedMs, this.#claims.endedMs(assetId, piece) ?? 0);
    const rank = rankOf(this.selfId, this.#peers.keys(), assetId, piece);
    const alone = !this.#claims.any(assetId, nowMs) && !this.heldByPeers(assetId, request.pieces);
    const steps = alone ? Math.min(rank, STEPS_MAX) : rank;
    return nowMs >= sinceMs + steps * this.#stepMs();
  }

  #stepMs(): number {
    let rttMs = 0;
    for (const peer of this.#peers.values()) rttMs = Math.max(rttMs, peer.rttMs);
    return Math.min(STEP_MAX_MS, Math.max(STEP_MIN_MS, 0.75 * rttMs + 20));
  }

  /** Rule 3: what peers will not bring before the deadline, from the tail. */
  #hedge(request: RequestState, nowMs: number): Command[] {
    if (request.originFailures >= ORIGIN_FAILURES_MAX) return [];
    const missing = this.#missing(request);
    const open = missing.filter((piece) => !request.origin.has(piece));
    if (open.length === 0) return [];
    const count = originShare({
      openPieces: open.length,
      owedPieces: missing.length - open.length,
      slackMs: request.deadlineMs - nowMs,
      mesh: this.#meshFor(request.assetId, open, nowMs),
      origin: this.#origin,
    });
    if (count === 0) return [];
    return runsOf(open.slice(open.length - count)).flatMap((run) =>
      this.#fetch(request, run, nowMs),
    );
  }

  /** Rate and latency that the mesh has for these pieces. */
  #meshFor(assetId: string, pieces: readonly number[], nowMs: number): MeshOffer {
    let rateBytesPerMs = 0;
    let latencyMs = 0;
    for (const peer of this.#peers.values()) {
      if (!peer.available(nowMs) || !pieces.some((piece) => peer.holds(assetId, piece))) continue;
      rateBytesPerMs += peer.rateNow(nowMs, this.#origin.rateBytesPerMs);
      latencyMs = latencyMs === 0 ? peer.rttMs : Math.min(latencyMs, peer.rttMs);
    }
    return { rateBytesPerMs, latencyMs };
  }

  #fetch(request: RequestState, { from, to }: PieceRange, nowMs: number): Command[] {
    request.origin.addRange(from, to);
    if (request.originRuns === 0) {
      request.originAskedMs = nowMs;
      request.originLastMs = 0;
    }
    request.originRuns++;
    return [
      { type: "fetch", requestId: request.id, from, to },
      { type: "claim", assetId: request.assetId, from, to },
    ];
  }

  /** Rule 4. */
  #timeOut(nowMs: number): Command[] {
    const commands: Command[] = [];
    for (const [key, { peerId, ask }] of this.#asked) {
      if (nowMs - ask.askedMs < ask.timeoutMs) continue;
      this.#asked.delete(key);
      commands.push({ type: "cancel", peerId, askId: ask.id });
      this.#missed(ask);
      const peer = this.#peers.get(peerId);
      peer?.timedOut(ask.id, nowMs);
      if (peer?.stalled) {
        commands.push(
          { type: "drop", peerId, reason: "stalled" },
          ...this.removePeer(peerId, nowMs),
        );
      }
    }
    return commands;
  }

  #missed({ assetId, piece }: Ask): void {
    for (const request of this.#requests.values()) {
      if (request.assetId === assetId) request.missed.add(piece);
    }
  }

  /** Whether peers had their chance with a piece that is overdue. */
  #late({ missed, deadlineMs, originFailures }: RequestState, piece: number, nowMs: number) {
    return nowMs >= deadlineMs && missed.has(piece) && originFailures < ORIGIN_FAILURES_MAX;
  }

  #cancelLoser(assetId: string, piece: number): Command[] {
    const loser = this.#asked.get(keyOf(assetId, piece));
    if (!loser) return [];
    this.#asked.delete(keyOf(assetId, piece));
    this.#peers.get(loser.peerId)?.asks.delete(loser.ask.id);
    return [{ type: "cancel", peerId: loser.peerId, askId: loser.ask.id }];
  }

  #takeAsk(peerId: string, askId: number): Ask | undefined {
    const ask = this.askOf(peerId, askId);
    if (ask) this.#asked.delete(keyOf(ask.assetId, ask.piece));
    return ask;
  }

  #holders(assetId: string, piece: number): PeerSource[] {
    return [...this.#peers.values()].filter((peer) => peer.holds(assetId, piece));
  }

  /** Pieces within the look-ahead that are not here yet, in order. */
  #missing({ assetId, position, pieces, attestedTo }: RequestState): number[] {
    const have = this.#have.get(assetId);
    const missing: number[] = [];
    const end = Math.min(pieces.to, attestedTo, position + LOOK_AHEAD_PIECES);
    for (let piece = position; piece < end; piece++) if (!have?.has(piece)) missing.push(piece);
    return missing;
  }

  #wanted(assetId: string, piece: number): boolean {
    for (const { assetId: wanted, pieces } of this.#requests.values()) {
      if (wanted === assetId && piece >= pieces.from && piece < pieces.to) return true;
    }
    return false;
  }

  #isWantedAsset(assetId: string): boolean {
    for (const request of this.#requests.values()) if (request.assetId === assetId) return true;
    return false;
  }
}

function keyOf(assetId: string, piece: number): string {
  return `${assetId} ${piece}`;
}

/** Joins ascending indices to half-open runs. */
function runsOf(pieces: readonly number[]): PieceRange[] {
  const runs: { from: number; to: number }[] = [];
  for (const piece of pieces) {
    const last = runs.at(-1);
    if (last?.to === piece) last.to = piece + 1;
    else runs.push({ from: piece, to: piece + 1 });
  }
  return runs;
}
