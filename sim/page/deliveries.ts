/**
 * The host's part of one request of a player: passed through or planned in pieces, as
 * src/mesh/delivery/delivery-session.ts decides. What the worker does is in sim/page/answers.ts.
 * @module
 */

import { PieceSet } from "../../src/core/piece-set.js";
import { SLOW_ORIGIN_MS } from "../../src/engine/origin/origin-source.js";
import { worthTakingOver } from "../../src/engine/origin/take-over.js";
import type { Command } from "../../src/engine/planning/command.js";
import { PIECE_BYTES } from "../../src/protocol/limits.js";
import type { Asset } from "../audience/catalogue.js";
import type { Link, Viewer } from "../audience/viewer.js";
import type { FetchReason } from "../run/stats.js";
import { KIND, type World } from "../run/world.js";
import { Attestations } from "./attestations.js";
import { Origin } from "./origin.js";
import { RequestClock } from "./request-clock.js";

export interface Session {
  readonly id: number;
  readonly asset: Asset;
  readonly openedMs: number;
  phase: "waiting" | "passing" | "planned" | "alone";
  /** When the mesh took over what passed through before; the request's opening else. */
  startedMs: number;
  /** When the head of a response that passes through came; -1 before. */
  headMs: number;
  /** Piece after the last one that passed through. */
  passed: number;
  /** Next piece that the page takes. */
  next: number;
  heardMs: number;
  /** Pieces that the origin was asked for. */
  readonly ordered: PieceSet;
  /** The worker went on without the host. */
  alone: boolean;
}

/** A piece that came from a peer. */
interface PeerPiece {
  readonly askId: number;
  readonly bytes: number;
  readonly genuine: boolean;
}

/** The page ticks twice as often. */
const TICK_MS = 100;
/** A viewer that came less than this ago is filling its buffer, with links still on their way. */
const STARTING_MS = 10_000;

export class Deliveries {
  readonly #world: World;
  readonly #clock: RequestClock;
  readonly origin: Origin;
  readonly attestations: Attestations;

  constructor(world: World) {
    this.#world = world;
    this.#clock = new RequestClock(world);
    this.origin = new Origin(world);
    this.attestations = new Attestations(world);
  }

  open(viewer: Viewer, asset: Asset): void {
    const { config, nowMs, links, gossip } = this.#world;
    const session: Session = {
      ...{ id: ++viewer.lastSession, asset, openedMs: nowMs, phase: "waiting" as const },
      ...{ next: 0, heardMs: nowMs, alone: false, startedMs: nowMs, headMs: -1, passed: 0 },
      ordered: new PieceSet(asset.pieceCount),
    };
    viewer.session = session;
    asset.wanted = true;
    this.#world.trace(viewer, `wants ${asset.id}, ahead ${viewer.player.aheadMs(nowMs) | 0} ms`);
    if (!config.mesh) return this.#passThrough(viewer, session);
    links.connect(viewer);
    if (viewer.traits.manner === "lie") gossip.lie(viewer, asset.index);
    if (!viewer.ticking) {
      viewer.ticking = true;
      this.#world.after(TICK_MS, KIND.tick, viewer.index);
    }
    if (viewer.attested.has(asset.index)) return this.decide(viewer, session.id);
    this.attestations.ask(viewer, asset);
    const waitMs = this.#clock.attestationMs(viewer, session);
    if (waitMs <= 0) return this.decide(viewer, session.id);
    this.#world.after(waitMs, KIND.decide, viewer.index, session.id);
  }

  /** Attestation is here, or patience is over. */
  decide(viewer: Viewer, sessionId: number): void {
    const { session } = viewer;
    if (!session || session.id !== sessionId || session.phase !== "waiting") return;
    if (!viewer.attested.has(session.asset.index) || !this.#answerable(viewer, session)) {
      this.#passThrough(viewer, session);
      if (viewer.attested.has(session.asset.index)) this.attestations.claim(viewer, session.asset);
      return;
    }
    this.#plan(viewer, session);
  }

  #answerable(viewer: Viewer, session: Session): boolean {
    const { planner } = viewer;
    const { asset } = session;
    const { library, config, links, nowMs } = this.#world;
    const pieces = { from: 0, to: asset.pieceCount };
    if (library.have(viewer, asset).complete || planner.heldByPeers(asset.id, pieces)) return true;
    const elects = config.election === 1 && planner.linked;
    if (this.#clock.patientUntilMs(viewer, session) <= nowMs) {
      return elects && planner.origin.expectedMs(asset.bytes) > SLOW_ORIGIN_MS;
    }
    return links.hopeful(viewer) || elects;
  }

  /** A response that passes through goes on from pieces once somebody can help (docs/decisions/0014). */
  #reconsider(viewer: Viewer, session: Session): void {
    const { asset, headMs, passed } = session;
    const { nowMs, config, shell } = this.#world;
    const { planner } = viewer;
    const able = config.mesh && planner.linked && viewer.attested.has(asset.index) && headMs >= 0;
    if (!able) return;
    let heldPieces = 0;
    for (let piece = passed; piece < asset.pieceCount; piece++) {
      if (planner.heldByPeers(asset.id, { from: piece, to: piece + 1 })) heldPieces++;
    }
    const observed = { observedMs: nowMs - headMs, observedBytes: passed * PIECE_BYTES };
    const restPieces = asset.pieceCount - passed;
    const worth = worthTakingOver({
      ...observed,
      ...{ restPieces, heldPieces, restBytes: restPieces * PIECE_BYTES },
      shared: planner.shared(asset.id, asset.pieceCount, nowMs),
    });
    if (!worth) return;
    planner.origin.passed({
      firstByteMs: headMs - session.openedMs,
      bytes: Math.max(PIECE_BYTES, observed.observedBytes),
      durationMs: observed.observedMs,
    });
    session.startedMs = nowMs;
    session.next = passed;
    session.heardMs = nowMs;
    shell.run(viewer, planner.relay.takeOver(asset.id, passed));
    this.attestations.verifyLate(viewer, asset);
    this.#world.trace(viewer, `takes ${asset.id} over at ${passed}`);
    this.#plan(viewer, session);
  }

  #plan(viewer: Viewer, session: Session): void {
    const { asset } = session;
    const have = this.#world.library.have(viewer, asset);
    session.phase = "planned";
    this.#world.stats.planned++;
    this.#world.trace(viewer, `plans ${asset.id}`);
    const request = {
      ...{ id: session.id, assetId: asset.id, pieceCount: asset.pieceCount },
      pieces: { from: 0, to: asset.pieceCount },
      attestedTo: asset.pieceCount,
      deadlineMs: this.#clock.deadlineMs(viewer, session),
      patientUntilMs: this.#clock.patientUntilMs(viewer, session),
      tookOver: session.headMs >= 0,
    };
    this.#world.shell.run(viewer, viewer.planner.open(request, have, this.#world.nowMs));
    this.#world.answers.progress(viewer, session);
  }

  #passThrough(viewer: Viewer, session: Session): void {
    session.phase = "passing";
    this.#world.stats.passed++;
    this.#world.stats.passedPieces += session.asset.pieceCount;
    this.#world.trace(viewer, `passes ${session.asset.id} through`);
    this.origin.start(viewer, session, { from: 0, to: session.asset.pieceCount });
  }

  /** What is being fetched from the origin for the viewer, as far as it is known to be worth sharing. */
  claims(viewer: Viewer): { asset: number; from: number; to: number }[] {
    const { session, planner, attested, traits } = viewer;
    if (!session || !traits.uploads || this.#world.config.election === 0) return [];
    const asset = session.asset.index;
    if (session.phase === "planned") {
      return planner.owed(session.id).map((run) => ({ asset, ...run }));
    }
    const rest = { from: session.passed, to: session.asset.pieceCount };
    const passing = session.phase === "passing" && attested.has(asset) && rest.from < rest.to;
    return passing ? [{ asset, ...rest }] : [];
  }

  /** The planner orders pieces of the origin. */
  fetch(viewer: Viewer, command: Extract<Command, { type: "fetch" }>): void {
    const { session } = viewer;
    if (session?.id !== command.requestId) return;
    this.#world.trace(viewer, `fetches ${session.asset.id}/${command.from}-${command.to}`);
    session.heardMs = this.#world.nowMs;
    for (let piece = command.from; piece < command.to; piece++) {
      this.#world.stats.fetched[this.#reasonFor(viewer, session, piece)]++;
    }
    this.origin.start(viewer, session, command);
  }

  /** What the mesh had to offer when the planner chose the origin for a piece. */
  #reasonFor(viewer: Viewer, { asset }: Session, piece: number): FetchReason {
    if (this.#world.nowMs - viewer.joinedAtMs < STARTING_MS) return "starting";
    const held = viewer.planner.heldByPeers(asset.id, { from: piece, to: piece + 1 });
    return held ? "held" : "first";
  }

  /** The planner gives up: the worker goes on alone. */
  givenUp(viewer: Viewer, requestId: number): void {
    const { session } = viewer;
    if (session?.id !== requestId || session.phase !== "planned") return;
    session.phase = "alone";
    this.#world.shell.run(viewer, viewer.planner.close(session.id));
    this.#world.answers.goAlone(viewer, session);
  }

  tick(viewer: Viewer): void {
    const { session } = viewer;
    const { nowMs, guard, shell, answers } = this.#world;
    if (!session) {
      viewer.ticking = false;
      return;
    }
    this.#world.after(TICK_MS, KIND.tick, viewer.index);
    guard.open(viewer, session.openedMs, session.asset);
    if (viewer.traits.manner === "flood") this.#flood(viewer, session.asset);
    if (session.phase === "passing") this.#reconsider(viewer, session);
    if (session.phase !== "planned") return;
    viewer.planner.setDeadline(session.id, this.#clock.deadlineMs(viewer, session));
    shell.run(viewer, viewer.planner.tick(nowMs));
    answers.tick(viewer, session);
  }

  /** A piece came from a peer: verified before anybody sees it. */
  peerPiece(viewer: Viewer, { peerId }: Link, { askId, bytes, genuine }: PeerPiece): void {
    const { planner } = viewer;
    const { stats, shell, nowMs, config, catalogue, library, answers } = this.#world;
    const ask = planner.askOf(peerId, askId);
    if (!ask) {
      stats.duplicateBytes += bytes;
      return;
    }
    if (!genuine && config.plant !== "accept-corrupt") {
      stats.rejectedBytes += bytes;
      this.#world.trace(viewer, `gets wrong bytes from ${peerId}`);
      return shell.run(viewer, planner.pieceCorrupt(peerId, nowMs));
    }
    const asset = catalogue.at(Number(ask.assetId));
    if (!genuine) viewer.wrong.add(`${asset.index} ${ask.piece}`);
    const first = library.add(viewer, asset, ask.piece);
    if (first) stats.meshPiece(bytes, nowMs - Math.max(viewer.session?.openedMs ?? nowMs, 0));
    else stats.duplicateBytes += bytes;
    shell.run(viewer, planner.pieceArrived(peerId, askId, bytes, nowMs));
    answers.arrived(viewer);
  }

  /** Asks for everything, and keeps others waiting for what it does not fetch. */
  #flood(viewer: Viewer, asset: Asset): void {
    this.#world.asks.flood(viewer, asset);
    const pieces = { from: 0, to: asset.pieceCount };
    this.#world.shell.run(viewer, viewer.planner.relay.claim(asset.id, pieces));
  }
}
