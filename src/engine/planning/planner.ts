/**
 * The planner: gives every missing piece of every running request a source, again and again. Events and time come in
 * as arguments, commands go out; the page's shell and a simulator drive the same code. This module is pure.
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
import type { OriginOutcome } from "../../protocol/worker-messages.js";
import { ClaimRelay, type NeighbourClaim } from "../origin/claim-relay.js";
import { Claims, LEASE_MAX_MS } from "../origin/claims.js";
import { Election } from "../origin/election.js";
import { OriginSource } from "../origin/origin-source.js";
import { type Command, cancelled } from "./command.js";
import type { Ask, PeerSource } from "./peer-source.js";
import { type PlannedRequest, RequestState } from "./request-state.js";
import { RunningRequests } from "./running-requests.js";
import { SleepWatch } from "./sleep-watch.js";
import { SourceChoice } from "./source-choice.js";
import { type HeldBits, Suppliers } from "./suppliers.js";

/** Whoever has the peer's own object saves the look-up. */
type PeerOrId = PeerSource | string;

/** What most words of a neighbour ask for. */
const NOTHING = Object.freeze<Command[]>([]) as Command[];

export class Planner {
  /** How fast the origin is, as far as responses showed it. */
  readonly origin = new OriginSource();
  /** Who fetches what nobody holds: told who this viewer is, who is in its clique and what it uploads. */
  readonly election = new Election(() => this.#suppliers.ids);
  readonly #suppliers = new Suppliers();
  readonly #requests = new RunningRequests();
  readonly #claims = new Claims(() => this.origin.pace);
  /** What this viewer and its neighbours say that they are fetching from the origin. */
  readonly relay = new ClaimRelay({
    ...{ claims: this.#claims, election: this.election },
    ...{ suppliers: this.#suppliers, origin: this.origin },
    requests: () => this.#requests,
  });
  readonly #sources: SourceChoice;
  readonly #random: () => number;
  readonly #sleep = new SleepWatch();

  /**
   * @param hopeful Whether new links or holders are on their way.
   * @param random Uniform in [0, 1).
   */
  constructor(options: { random: () => number; hopeful: () => boolean }) {
    this.#random = options.random;
    this.#sources = new SourceChoice({
      ...options,
      ...{ suppliers: this.#suppliers, claims: this.#claims, relay: this.relay },
      ...{ election: this.election, origin: this.origin, requests: this.#requests },
    });
  }

  /** Whether there is anybody to share with. */
  get linked(): boolean {
    return this.#suppliers.size > 0;
  }

  get idle(): boolean {
    return this.#requests.none;
  }

  /** Whether a linked peer holds any piece of the range. */
  heldByPeers(assetId: string, pieces: PieceRange): boolean {
    return this.#suppliers.hold(assetId, pieces);
  }

  /** Whether linked peers are at the asset, or were: they hold some of it, or said that they are fetching it. */
  shared(assetId: string, pieceCount: number, nowMs: number): boolean {
    const held = this.heldByPeers(assetId, { from: 0, to: pieceCount });
    return held || this.#claims.any(assetId, nowMs);
  }

  /** What linked peers that hold some of the pieces send together, in bytes per millisecond. */
  peersBytesPerMs(assetId: string, pieces: PieceRange, nowMs: number): number {
    const originRateBytesPerMs = this.origin.rateBytesPerMs;
    return this.#suppliers.rateFor(assetId, pieces, { nowMs, originRateBytesPerMs });
  }

  /** @param have Pieces held of the asset; live, owned by the caller. */
  open(request: PlannedRequest, have: PieceSet, nowMs: number): Command[] {
    if (this.idle) this.#sleep.begin(nowMs);
    this.#requests.add(new RequestState(request, have, nowMs));
    return this.plan(nowMs);
  }

  /** The request is over; asks that only it needed are cancelled. */
  close(requestId: number): Command[] {
    const request = this.#requests.take(requestId);
    if (!request) return [];
    const { assetId } = request.asked;
    const { asked } = this.#suppliers.supplyOf(assetId, request.have);
    const needless = [...asked.keys()].filter((piece) => !this.#requests.want(assetId, piece));
    const takenBack = needless.map((piece) => this.#suppliers.takeBack(assetId, piece));
    if (!this.#requests.concern(assetId)) this.#suppliers.forget(assetId);
    if (this.idle) this.election.reset();
    return takenBack.flatMap(cancelled);
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
    return this.#requests.get(requestId)?.advance(piece) ? this.plan(nowMs) : NOTHING;
  }

  /** @returns The peer, until its link ends; may be said instead of its id where it tells something. */
  addPeer(peerId: string, rttMs: number): PeerSource {
    this.election.reset();
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
    this.election.reset();
    return this.plan(nowMs);
  }

  /**
   * What a peer holds of the asset, all of it; `undefined`: nothing any more.
   *
   * @param pieces Belongs to the planner from now on.
   */
  setHoldings(
    peerOrId: PeerOrId,
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
  addHoldings(peerOrId: PeerOrId, assetId: string, held: HeldBits, nowMs: number): Command[] {
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
  claimed(peerOrId: PeerOrId, claim: NeighbourClaim, nowMs: number): Command[] {
    const peer = this.#suppliers.get(peerOrId);
    return peer ? this.relay.heard(peer, claim, nowMs) : NOTHING;
  }

  /** What the origin owes a request, for peers who were not there when it was claimed. */
  owed(requestId: number): PieceRange[] {
    const request = this.#requests.get(requestId);
    return request ? this.relay.owed(request) : [];
  }

  /** Nobody will request the asset again: what peers hold of it is forgotten. */
  forget(assetId: string): void {
    this.#suppliers.forgetHoldings(assetId);
  }

  /** What is known of a peer's holdings of an asset; the planner's own object. */
  holdingsOf(peerOrId: PeerOrId, assetId: string): PieceSet | undefined {
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
      this.#requests.arrived(ask, bytes, nowMs);
      this.#suppliers.get(peerId)?.arrived(ask, bytes, nowMs);
    }
    return this.plan(nowMs);
  }

  /** A peer's piece did not verify: certain blame, the link goes. */
  pieceCorrupt(peerId: string, nowMs: number): Command[] {
    return this.#drop(peerId, "corrupt", nowMs);
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
    this.#requests.missed(ask);
    if (busyMs === undefined) this.#suppliers.lacks(peerId, ask, nowMs);
    else peer.refused(askId, busyMs, nowMs, this.#random);
    return this.plan(nowMs);
  }

  /** The origin sent a piece for a request (verified; the `have` set already counts it). */
  originArrived(requestId: number, piece: number, bytes: number, nowMs: number): Command[] {
    const request = this.#requests.get(requestId);
    if (!request) return [];
    request.originSent(piece, bytes, { nowMs, origin: this.origin });
    // The first verified copy wins.
    const overtaken = { nowMs, originRateBytesPerMs: this.origin.rateBytesPerMs };
    const asked = this.#suppliers.takeBack(request.asked.assetId, piece, overtaken);
    return [...cancelled(asked), ...this.plan(nowMs)];
  }

  /** One order of the origin is over; what it left open is planned anew. */
  originEnded(requestId: number, outcome: OriginOutcome, nowMs: number): Command[] {
    this.#requests.get(requestId)?.originEnded(outcome);
    return this.plan(nowMs);
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
    const requests = this.#requests.byDeadline();
    for (const request of requests) this.#sources.choose(request, nowMs, commands);
    return commands;
  }

  /** What came in while nobody looked waits to be read: nobody is late, and no turn has passed. */
  #noticeSleep(nowMs: number): void {
    if (!this.#sleep.endedAt(nowMs)) return;
    this.#suppliers.wokeMs = nowMs;
    for (const request of this.#requests) request.woke(nowMs);
  }

  /** Rule 4. */
  #timeOut(nowMs: number): Command[] {
    return this.#suppliers.takeOverdue(nowMs).flatMap((overdue): Command[] => {
      const { peerId, ask } = overdue;
      this.#requests.missed(ask);
      const stalled = this.#suppliers.get(peerId)?.stalled;
      return [...cancelled(overdue), ...(stalled ? this.#drop(peerId, "stalled", nowMs) : [])];
    });
  }

  #drop(peerId: string, reason: "corrupt" | "stalled", nowMs: number): Command[] {
    return [{ type: "drop", peerId, reason }, ...this.removePeer(peerId, nowMs)];
  }
}
