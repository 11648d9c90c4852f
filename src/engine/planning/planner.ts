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
import type { PieceSet } from "../../core/piece-set.js";
import type { PieceRange } from "../../protocol/asset.js";
import { PIECE_BYTES } from "../../protocol/limits.js";
import { ClaimRelay, type NeighbourClaim } from "../origin/claim-relay.js";
import { Claims, LEASE_MAX_MS } from "../origin/claims.js";
import { Election } from "../origin/election.js";
import { OriginOrders } from "../origin/origin-orders.js";
import { OriginSource } from "../origin/origin-source.js";
import { OriginTurns } from "../origin/origin-turns.js";
import type { Asked, AssetSupply } from "./asset-supply.js";
import type { Command } from "./command.js";
import { PeerAsks } from "./peer-asks.js";
import type { Ask, PeerSource } from "./peer-source.js";
import { type PlannedRequest, RequestState } from "./request-state.js";
import { type HeldBits, Suppliers } from "./suppliers.js";

/** A linked peer as the planner knows it: nobody else looks into it. */
export type Peer = PeerSource;

/** 4 Mbit/s: below this a stripe takes half a second to its first neighbour, and everybody waits for it. */
const SLOW_UPLINK_BYTES_PER_MS = 500;

/**
 * A page that was not run for longer (a busy main thread, a throttled tab) has not heard what its neighbours said in
 * that time: three ticks.
 */
const ASLEEP_MS = 150;

/** Pieces that are under way for a request that only fetches ahead: what comes next soon has the line. */
const AHEAD_PIECES_MAX = 4;

/** What most words of a neighbour ask for. */
const NOTHING = Object.freeze<Command[]>([]) as Command[];

export class Planner {
  readonly #suppliers = new Suppliers();
  readonly #requests = new Map<number, RequestState>();
  readonly #origin = new OriginSource();
  readonly #claims = new Claims(() => this.#origin.pace);
  readonly #election = new Election(() => this.#suppliers.ids);
  readonly #relay = new ClaimRelay({
    ...{ claims: this.#claims, election: this.#election },
    ...{ suppliers: this.#suppliers, origin: this.#origin },
    requests: () => this.#requests.values(),
  });
  readonly #asks: PeerAsks;
  readonly #orders: OriginOrders;
  readonly #random: () => number;
  /** When it last planned: often, while requests run. */
  #plannedMs = Number.NEGATIVE_INFINITY;

  /**
   * @param hopeful Whether new links or holders are on their way.
   * @param random Uniform in [0, 1).
   */
  constructor(options: { random: () => number; hopeful: () => boolean }) {
    this.#random = options.random;
    this.#asks = new PeerAsks({
      ...{ suppliers: this.#suppliers, origin: this.#origin },
      random: options.random,
    });
    const turns = new OriginTurns({
      ...{ suppliers: this.#suppliers, claims: this.#claims },
      ...{ election: this.#election, origin: this.#origin },
    });
    this.#orders = new OriginOrders({ turns, relay: this.#relay, hopeful: options.hopeful });
  }

  /** This viewer's own id, for elections; empty before the server issued one. */
  set selfId(selfId: string) {
    this.#election.selfId = selfId;
  }

  /** Ids of those who elect together, as the server says; `undefined`: of whoever is linked. */
  set clique(members: readonly string[] | undefined) {
    this.#election.members = members;
  }

  /** Whether this viewer uploads; one that does not neither claims nor passes claims on. */
  set serving(serving: boolean) {
    this.#election.serving = serving;
  }

  /** What this viewer's uplink takes, in bytes per millisecond: a slow one comes late in elections. */
  set uplinkBytesPerMs(uplinkBytesPerMs: number) {
    this.#election.slow = uplinkBytesPerMs < SLOW_UPLINK_BYTES_PER_MS;
  }

  /** Expected time for the origin to send `bytes`, in milliseconds. */
  originMs(bytes: number): number {
    return this.#origin.expectedMs(bytes);
  }

  /** The origin's measured rate in bytes per millisecond; `undefined` before it sent anything of size. */
  get originLineBytesPerMs(): number | undefined {
    return this.#origin.lineBytesPerMs;
  }

  /** Whether there is anybody to share with. */
  get linked(): boolean {
    return this.#suppliers.size > 0;
  }

  get idle(): boolean {
    return this.#requests.size === 0;
  }

  /** Whether a linked peer holds any piece of the range. */
  heldByPeers(assetId: string, pieces: PieceRange): boolean {
    return this.#suppliers.hold(assetId, pieces);
  }

  /** Whether linked peers are at the asset, or were: they hold some of it, or said that they are fetching it. */
  shared(assetId: string, pieceCount: number, nowMs: number): boolean {
    return (
      this.heldByPeers(assetId, { from: 0, to: pieceCount }) || this.#claims.any(assetId, nowMs)
    );
  }

  /** What linked peers that hold some of the pieces send together, in bytes per millisecond. */
  peersBytesPerMs(assetId: string, pieces: PieceRange, nowMs: number): number {
    return this.#suppliers.rateFor(assetId, pieces, {
      nowMs,
      originRateBytesPerMs: this.#origin.rateBytesPerMs,
    });
  }

  /** @param have Pieces held of the asset; live, owned by the caller. */
  open(request: PlannedRequest, have: PieceSet, nowMs: number): Command[] {
    if (this.idle) this.#plannedMs = nowMs;
    this.#requests.set(request.id, new RequestState(request, have, nowMs));
    return this.plan(nowMs);
  }

  /** The request is over; asks that only it needed are cancelled. */
  close(requestId: number): Command[] {
    const request = this.#requests.get(requestId);
    if (!request) return [];
    this.#requests.delete(requestId);
    const { assetId } = request.asked;
    const { asked } = this.#suppliers.supplyOf(assetId, request.have);
    const needless = [...asked.keys()].filter((piece) => !this.#wanted(assetId, piece));
    const commands = needless.flatMap((piece) => this.#cancel(assetId, piece));
    const others = [...this.#requests.values()].some((other) => other.asked.assetId === assetId);
    if (!others) this.#suppliers.forget(assetId);
    if (this.idle) this.#election.reset();
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
    const { aheadEnd } = request;
    request.position = Math.max(request.position, piece);
    // Else all that it may ask for is what it might have asked for before.
    return request.aheadEnd === aheadEnd ? NOTHING : this.plan(nowMs);
  }

  /** @returns The peer, until its link ends; may be said instead of its id where it tells something. */
  addPeer(peerId: string, rttMs: number): Peer {
    this.#election.reset();
    return this.#suppliers.add(peerId, rttMs);
  }

  setRtt(peerId: string, rttMs: number): void {
    this.#suppliers.get(peerId)?.setRtt(rttMs);
  }

  /** Goodput of a peer in bytes per millisecond, once measured. */
  rateOf(peerId: string): number | undefined {
    return this.#suppliers.get(peerId)?.rateBytesPerMs;
  }

  removePeer(peerId: string, nowMs: number): Command[] {
    if (!this.#suppliers.remove(peerId)) return [];
    this.#claims.end(peerId, nowMs);
    this.#election.reset();
    return this.plan(nowMs);
  }

  /**
   * What a peer holds of the asset, all of it; `undefined`: nothing any more.
   *
   * @param pieces Belongs to the planner from now on.
   */
  setHoldings(
    peerOrId: Peer | string,
    assetId: string,
    pieces: PieceSet | undefined,
    nowMs: number,
  ): Command[] {
    const peer = this.#suppliers.get(peerOrId);
    if (!peer) return NOTHING;
    this.#renew(peer, assetId, nowMs);
    return this.#suppliers.setHoldings(peer, assetId, pieces) ? this.plan(nowMs) : NOTHING;
  }

  /** A peer says that it holds these pieces too. It is planned with at once only if it is needed now. */
  addHoldings(peerOrId: Peer | string, assetId: string, held: HeldBits, nowMs: number): Command[] {
    const peer = this.#suppliers.get(peerOrId);
    if (!peer) return NOTHING;
    this.#renew(peer, assetId, nowMs);
    return this.#suppliers.addHoldings(peer, assetId, held, nowMs) ? this.plan(nowMs) : NOTHING;
  }

  /** A peer brings something: that is progress with what it said that it fetches, if it did. */
  #renew(peer: PeerSource, assetId: string, nowMs: number): void {
    if (nowMs >= peer.claimedUntilMs) return;
    this.#claims.renew(peer.id, assetId, nowMs);
    peer.claimedUntilMs = nowMs + LEASE_MAX_MS;
  }

  /**
   * A linked peer says that it, or somebody behind it, is fetching these pieces from the origin.
   *
   * @param claim `hops`: how many more may pass it on. It is passed on only if it is news, so it ends by itself.
   */
  claimed(peerOrId: Peer | string, claim: NeighbourClaim, nowMs: number): Command[] {
    const peer = this.#suppliers.get(peerOrId);
    return peer ? this.#relay.heard(peer, claim, nowMs) : NOTHING;
  }

  /** Pieces are on their way from the origin without the planner's doing: neighbours are told. */
  claim(assetId: string, pieces: PieceRange): Command[] {
    return this.#relay.claim(assetId, pieces);
  }

  /**
   * A response that passed through goes on from pieces.
   *
   * @param from The first piece that did not pass.
   */
  takeOver(assetId: string, from: number): Command[] {
    return this.#relay.takeOver(assetId, from);
  }

  /** What the origin owes a request, for peers who were not there when it was claimed. */
  owed(requestId: number): PieceRange[] {
    const request = this.#requests.get(requestId);
    return request ? this.#relay.owed(request) : [];
  }

  /** Nobody will request the asset again: what peers hold of it is forgotten. */
  forget(assetId: string): void {
    this.#suppliers.forgetHoldings(assetId);
  }

  /** What is known of a peer's holdings of an asset; the planner's own object. */
  holdingsOf(peerOrId: Peer | string, assetId: string): PieceSet | undefined {
    return this.#suppliers.get(peerOrId)?.heldOf(assetId);
  }

  /** What an ask was for; `undefined` if it is not open any more. */
  askOf(peerId: string, askId: number): Ask | undefined {
    return this.#suppliers.askOf(peerId, askId);
  }

  /** A peer's piece arrived and was verified (the `have` set already counts it). */
  pieceArrived(peerId: string, askId: number, bytes: number, nowMs: number): Command[] {
    const ask = this.#suppliers.settle(peerId, askId);
    if (ask) {
      this.#suppliers.arrived(ask, nowMs);
      this.#suppliers.get(peerId)?.arrived(ask, bytes, nowMs);
    }
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
    const peer = this.#suppliers.get(peerId);
    const ask = this.#suppliers.settle(peerId, askId);
    if (!peer || !ask) return [];
    this.#missed(ask);
    if (busyMs === undefined) this.#suppliers.lacks(peerId, ask, nowMs);
    else peer.refused(askId, busyMs, nowMs, this.#random);
    return this.plan(nowMs);
  }

  /** The origin sent a piece for a request (verified; the `have` set already counts it). */
  originArrived(requestId: number, piece: number, bytes: number, nowMs: number): Command[] {
    const request = this.#requests.get(requestId);
    if (!request) return [];
    request.originSent(piece, bytes, { nowMs, origin: this.#origin });
    // The first verified copy wins.
    return [...this.#cancel(request.asked.assetId, piece), ...this.plan(nowMs)];
  }

  /** The origin's part is over; what it left open is planned anew. */
  originEnded(requestId: number, complete: boolean, nowMs: number): Command[] {
    this.#requests.get(requestId)?.originEnded(complete);
    return this.plan(nowMs);
  }

  /** What a passed-through response showed of the origin's speed. */
  sampleOrigin(sample: { firstByteMs: number; bytes: number; durationMs: number }): void {
    this.#origin.sampleFirstByte(sample.firstByteMs);
    if (sample.bytes < PIECE_BYTES) return;
    this.#origin.sampleRate(sample.bytes, sample.durationMs);
    this.#origin.sampleLine(sample.bytes, sample.firstByteMs + sample.durationMs);
  }

  /** Time passes: time-outs, hedges, back-offs that ended. Call every 50-100 ms while requests run. */
  tick(nowMs: number): Command[] {
    this.#noticeSleep(nowMs);
    return [...this.#timeOut(nowMs), ...this.plan(nowMs)];
  }

  /** Gives sources to all pieces that have none; earliest deadline first. */
  plan(nowMs: number): Command[] {
    this.#noticeSleep(nowMs);
    const commands: Command[] = [];
    const byDeadline = [...this.#requests.values()];
    if (byDeadline.length > 1) byDeadline.sort((a, b) => a.deadlineMs - b.deadlineMs);
    for (const request of byDeadline) this.#planRequest(request, nowMs, commands);
    return commands;
  }

  /** What came in while nobody looked waits to be read: nobody is late, and no turn has passed. */
  #noticeSleep(nowMs: number): void {
    const asleep = nowMs - this.#plannedMs > ASLEEP_MS;
    this.#plannedMs = nowMs;
    if (!asleep) return;
    this.#suppliers.wokeMs = nowMs;
    for (const request of this.#requests.values()) request.woke(nowMs);
  }

  #planRequest(request: RequestState, nowMs: number, commands: Command[]): void {
    const supply = this.#suppliers.supplyOf(request.asked.assetId, request.have);
    const missing = request.missing();
    const { open, orphans } = sortOut(request, supply, missing, nowMs);
    const { peersOnly } = request.asked;
    if (peersOnly) open.splice(Math.max(0, AHEAD_PIECES_MAX - supply.asked.size));
    if (open.length > 0) {
      const asks = this.#asks.asksFor(request, supply, { open, missing: missing.length, nowMs });
      for (const asked of asks) commands.push(askCommand(asked));
    }
    if (peersOnly || missing.length === 0) return;
    if (orphans.length > 0) commands.push(...this.#orders.orphaned(request, orphans, nowMs));
    else request.announcedMs.clear();
    commands.push(...this.#orders.late(request, supply, { missing, nowMs }));
  }

  /** Rule 4. */
  #timeOut(nowMs: number): Command[] {
    return this.#suppliers.takeOverdue(nowMs).flatMap(({ peerId, ask }): Command[] => {
      this.#missed(ask);
      const cancel: Command = { type: "cancel", peerId, askId: ask.id };
      if (!this.#suppliers.get(peerId)?.stalled) return [cancel];
      return [
        cancel,
        { type: "drop", peerId, reason: "stalled" },
        ...this.removePeer(peerId, nowMs),
      ];
    });
  }

  #missed({ assetId, piece }: Ask): void {
    for (const request of this.#requests.values()) {
      if (request.covers(assetId, piece)) request.missed(piece);
    }
  }

  #cancel(assetId: string, piece: number): Command[] {
    const asked = this.#suppliers.takeBack(assetId, piece);
    return asked ? [{ type: "cancel", peerId: asked.peerId, askId: asked.ask.id }] : [];
  }

  #wanted(assetId: string, piece: number): boolean {
    return [...this.#requests.values()].some((request) => request.covers(assetId, piece));
  }
}

/**
 * Of the pieces that nobody was asked for: `open` are those that peers may bring, `orphans` those that only the
 * origin can.
 */
function sortOut(
  request: RequestState,
  supply: AssetSupply,
  missing: readonly number[],
  nowMs: number,
): { open: number[]; orphans: number[] } {
  const open: number[] = [];
  const orphans: number[] = [];
  for (const piece of missing) {
    if (supply.asked.has(piece)) continue;
    const held = supply.holderCount(piece) > 0;
    if (request.owed.has(piece) ? held : held && !request.overdue(piece, nowMs)) open.push(piece);
    else if (!request.owed.has(piece)) orphans.push(piece);
  }
  return { open, orphans };
}

function askCommand({ peerId, ask }: Asked): Command {
  return { type: "ask", peerId, askId: ask.id, assetId: ask.assetId, piece: ask.piece };
}
