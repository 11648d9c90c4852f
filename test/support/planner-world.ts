/**
 * A small world around the pure `Planner`: peers, an origin and a page in virtual time. Whatever the
 * planner orders is played out, and everything it must never do is noted as a violation. One run is a
 * function of its specification, seed included.
 * @module
 */
import { PieceSet } from "../../src/core/piece-set.js";
import type { Command } from "../../src/engine/planning/command.js";
import { PeerSource } from "../../src/engine/planning/peer-source.js";
import { Planner } from "../../src/engine/planning/planner.js";
import { LOOK_AHEAD_PIECES } from "../../src/engine/planning/request-state.js";
import { LINK_REQUESTS_MAX, PIECE_BYTES } from "../../src/protocol/limits.js";
import { seeded } from "./random.js";

export interface PeerSpec {
  readonly id: string;
  readonly rttMs: number;
  readonly rateBytesPerMs: number;
  /** Pieces it says it holds; all of them by default. */
  readonly holds?: readonly number[];
  /** What it does when asked. */
  readonly manner?: "honest" | "silent" | "corrupt" | "absent" | "busy";
  /** Share of asks that an honest peer answers BUSY. */
  readonly busyShare?: number;
  /** Its line is dead from the first of these times to the second, as after a lost packet; then it goes on. */
  readonly stallMs?: readonly [number, number];
  /** From then on it serves others too, and answers BUSY to that share of asks. */
  readonly crowdedMs?: { readonly fromMs: number; readonly busyShare: number };
  readonly joinMs?: number;
  readonly leaveMs?: number;
}

export interface OriginSpec {
  readonly rateBytesPerMs: number;
  readonly firstByteMs: number;
  /** Runs that fail, from the first on, after one piece. */
  readonly failures?: number;
}

export interface RequestSpec {
  readonly id: number;
  readonly assetId?: string;
  readonly from: number;
  readonly to: number;
  readonly openMs?: number;
  readonly deadlineMs: number;
  readonly patientUntilMs?: number;
  /** The page goes away. */
  readonly cancelMs?: number;
  /** The page's own pace. */
  readonly takeMsPerPiece?: number;
}

export interface WorldSpec {
  readonly seed: number;
  readonly pieceCount: number;
  readonly peers: readonly PeerSpec[];
  readonly origin: OriginSpec;
  readonly requests: readonly RequestSpec[];
  /** Until then the planner may hope for further links. */
  readonly hopefulUntilMs?: number;
}

export interface Ended {
  readonly how: "complete" | "failed" | "cancelled" | "stuck";
  readonly atMs: number;
}

export interface Outcome {
  readonly log: readonly { readonly atMs: number; readonly command: Command }[];
  readonly requests: ReadonlyMap<number, Ended>;
  /** What the planner must never do, in words; empty if all is well. */
  readonly violations: readonly string[];
  /** Pieces by who brought them. */
  readonly meshPieces: number;
  readonly originPieces: number;
}

const TICK_MS = 50;
/** A run that lasts longer is stuck. */
const WORLD_MAX_MS = 180_000;

interface Peer extends PeerSpec {
  readonly held: Set<string>;
  readonly asks: Map<number, { assetId: string; piece: number }>;
  linked: boolean;
  /** When the peer's line is free again. */
  freeMs: number;
}

interface Request extends Required<Omit<RequestSpec, "cancelMs">> {
  position: number;
  takenMs: number;
  readonly fetching: Set<number>;
  originFailures: number;
}

/** Runs until every request has ended and nothing is left to happen. */
export function runWorld(spec: WorldSpec): Outcome {
  return new World(spec).run();
}

class World {
  readonly #spec: WorldSpec;
  readonly #random: () => number;
  readonly #planner: Planner;
  readonly #events: { atMs: number; action: () => void }[] = [];
  readonly #peers = new Map<string, Peer>();
  readonly #dropped = new Set<string>();
  readonly #have = new Map<string, PieceSet>();
  readonly #requests = new Map<number, Request>();
  readonly #ended = new Map<number, Ended>();
  readonly #log: { atMs: number; command: Command }[] = [];
  readonly #violations: string[] = [];
  #nowMs = 0;
  #originFreeMs = 0;
  #originRuns = 0;
  #meshPieces = 0;
  #originPieces = 0;

  constructor(spec: WorldSpec) {
    this.#spec = spec;
    this.#random = seeded(spec.seed);
    this.#planner = new Planner({
      random: this.#random,
      hopeful: () => this.#nowMs < (spec.hopefulUntilMs ?? 0),
    });
    for (const peer of spec.peers) {
      this.#at(peer.joinMs ?? 0, () => this.#join(peer));
      if (peer.leaveMs !== undefined) this.#at(peer.leaveMs, () => this.#leave(peer.id));
    }
    for (const request of spec.requests) {
      this.#at(request.openMs ?? 0, () => this.#open(request));
      if (request.cancelMs !== undefined) {
        this.#at(request.cancelMs, () => this.#end(request.id, "cancelled"));
      }
    }
    this.#at(TICK_MS, () => this.#tick());
  }

  run(): Outcome {
    const stopWatching = watchWindows((violation) => this.#violate(violation));
    try {
      for (let next = this.#events.shift(); next; next = this.#events.shift()) {
        this.#nowMs = next.atMs;
        if (this.#nowMs > WORLD_MAX_MS) break;
        next.action();
      }
    } finally {
      stopWatching();
    }
    this.#checkEnd();
    return {
      log: this.#log,
      requests: this.#ended,
      violations: this.#violations,
      meshPieces: this.#meshPieces,
      originPieces: this.#originPieces,
    };
  }

  #checkEnd(): void {
    for (const { id } of this.#spec.requests) {
      if (!this.#ended.has(id)) this.#ended.set(id, { how: "stuck", atMs: this.#nowMs });
    }
    if (this.#requests.size > 0) return;
    for (const peer of this.#peers.values()) {
      if (peer.linked && peer.asks.size > 0) this.#violate(`${peer.id} was never told of a cancel`);
    }
    if (!this.#planner.idle) this.#violate("the planner is not idle after its last request");
    const more = this.#planner.tick(this.#nowMs + 60_000);
    if (more.length > 0) this.#violate(`${more.length} commands after the last request`);
  }

  #at(atMs: number, action: () => void): void {
    const later = this.#events.findIndex((event) => event.atMs > atMs);
    this.#events.splice(later === -1 ? this.#events.length : later, 0, { atMs, action });
  }

  #violate(what: string): void {
    this.#violations.push(`${Math.round(this.#nowMs)} ms: ${what}`);
  }

  #tick(): void {
    this.#execute(this.#planner.tick(this.#nowMs));
    if (this.#ended.size < this.#spec.requests.length) {
      this.#at(this.#nowMs + TICK_MS, () => this.#tick());
    }
  }

  #haveOf(assetId: string): PieceSet {
    const have = this.#have.get(assetId) ?? new PieceSet(this.#spec.pieceCount);
    this.#have.set(assetId, have);
    return have;
  }

  #join(spec: PeerSpec): void {
    const held = new Set<string>();
    this.#peers.set(spec.id, { ...spec, held, asks: new Map(), linked: true, freeMs: 0 });
    this.#planner.addPeer(spec.id, spec.rttMs);
    for (const assetId of new Set(this.#spec.requests.map((r) => r.assetId ?? "asset"))) {
      const pieces = new PieceSet(this.#spec.pieceCount);
      for (const piece of spec.holds ?? Array(this.#spec.pieceCount).keys()) {
        pieces.add(piece);
        held.add(`${assetId} ${piece}`);
      }
      this.#execute(this.#planner.setHoldings(spec.id, assetId, pieces, this.#nowMs));
    }
  }

  #leave(peerId: string): void {
    const peer = this.#peers.get(peerId);
    if (!peer?.linked) return;
    peer.linked = false;
    peer.asks.clear();
    this.#execute(this.#planner.removePeer(peerId, this.#nowMs));
  }

  #open(spec: RequestSpec): void {
    const { assetId = "asset", openMs = 0, patientUntilMs = 0, takeMsPerPiece = 0 } = spec;
    this.#requests.set(spec.id, {
      ...spec,
      ...{ assetId, openMs, patientUntilMs, takeMsPerPiece },
      position: spec.from,
      takenMs: this.#nowMs,
      fetching: new Set(),
      originFailures: 0,
    });
    const planned = {
      ...{ id: spec.id, assetId, deadlineMs: spec.deadlineMs, patientUntilMs },
      pieceCount: this.#spec.pieceCount,
      attestedTo: this.#spec.pieceCount,
      pieces: { from: spec.from, to: spec.to },
    };
    this.#execute(this.#planner.open(planned, this.#haveOf(assetId), this.#nowMs));
    this.#takeAll();
  }

  #end(requestId: number, how: Ended["how"]): void {
    if (!this.#requests.delete(requestId)) return;
    this.#ended.set(requestId, { how, atMs: this.#nowMs });
    this.#execute(this.#planner.close(requestId));
  }

  /** Every page takes what is there, in order and at its pace. */
  #takeAll(): void {
    for (const request of [...this.#requests.values()]) this.#take(request);
  }

  #take(request: Request): void {
    const have = this.#haveOf(request.assetId);
    const before = request.position;
    while (request.position < request.to && have.has(request.position)) {
      const dueMs = request.takenMs + request.takeMsPerPiece;
      if (dueMs > this.#nowMs) {
        this.#at(dueMs, () => {
          if (this.#requests.has(request.id)) this.#take(request);
        });
        break;
      }
      request.takenMs = request.takeMsPerPiece > 0 ? dueMs : this.#nowMs;
      request.position++;
    }
    if (request.position >= request.to) return this.#end(request.id, "complete");
    if (request.position > before) {
      this.#execute(this.#planner.advance(request.id, request.position, this.#nowMs));
    }
  }

  #execute(commands: readonly Command[]): void {
    for (const command of commands) {
      this.#log.push({ atMs: this.#nowMs, command });
      switch (command.type) {
        case "ask":
          this.#ask(command);
          break;
        case "cancel":
          if (!this.#peers.get(command.peerId)?.asks.delete(command.askId)) {
            this.#violate(`cancel of ask ${command.askId}, which is not open`);
          }
          break;
        case "fetch":
          this.#fetch(command);
          break;
        case "drop":
          this.#drop(command.peerId);
          break;
        case "fail":
          this.#fail(command.requestId);
      }
    }
  }

  #drop(peerId: string): void {
    this.#dropped.add(peerId);
    const peer = this.#peers.get(peerId);
    if (!peer?.linked) return this.#violate(`drop of ${peerId}, which is not linked`);
    peer.linked = false;
    peer.asks.clear();
    // As the shell does when the link closes.
    this.#execute(this.#planner.removePeer(peerId, this.#nowMs));
  }

  #fail(requestId: number): void {
    const request = this.#requests.get(requestId);
    if (!request) return; // two commands of one plan
    const have = this.#haveOf(request.assetId);
    const alone = Array.from({ length: request.to - request.from }, (_, i) => request.from + i)
      .filter((piece) => !have.has(piece))
      .some((piece) => !this.#held(request.assetId, piece));
    if (!alone) this.#violate(`request ${requestId} failed although peers hold all of it`);
    if (request.originFailures === 0) this.#violate(`request ${requestId} failed without origin`);
    this.#end(requestId, "failed");
  }

  #held(assetId: string, piece: number): boolean {
    return [...this.#peers.values()].some(
      (peer) => peer.linked && peer.held.has(`${assetId} ${piece}`),
    );
  }

  #ask(command: Extract<Command, { type: "ask" }>): void {
    const { peerId, askId, assetId, piece } = command;
    const peer = this.#peers.get(peerId);
    if (!peer?.linked) return this.#violate(`ask of ${peerId}, which is not linked`);
    if (this.#dropped.has(peerId)) this.#violate(`ask of ${peerId}, which was dropped`);
    if (!peer.held.has(`${assetId} ${piece}`)) {
      this.#violate(`ask of ${peerId} for piece ${piece}, which it does not hold`);
    }
    for (const other of this.#peers.values()) {
      for (const open of other.asks.values()) {
        if (open.assetId === assetId && open.piece === piece) {
          this.#violate(`piece ${piece} asked of ${peerId} and ${other.id} at once`);
        }
      }
    }
    this.#checkWanted(assetId, piece);
    peer.asks.set(askId, { assetId, piece });
    this.#answer(peer, command);
  }

  #checkWanted(assetId: string, piece: number): void {
    if (this.#haveOf(assetId).has(piece)) this.#violate(`ask for piece ${piece}, which is here`);
    const wanted = [...this.#requests.values()].some(
      (request) =>
        request.assetId === assetId &&
        piece >= request.from &&
        piece < Math.min(request.to, request.position + LOOK_AHEAD_PIECES),
    );
    if (!wanted) this.#violate(`ask for piece ${piece}, which no request looks ahead to`);
  }

  #answer(peer: Peer, { askId, assetId, piece }: Extract<Command, { type: "ask" }>): void {
    const still = (action: () => void) => () => {
      if (peer.linked && peer.asks.delete(askId)) action();
    };
    const oneWayMs = peer.rttMs / 2;
    const { fromMs = Number.POSITIVE_INFINITY, busyShare = 0 } = peer.crowdedMs ?? {};
    const share = this.#nowMs < fromMs ? (peer.busyShare ?? 0) : busyShare;
    const busy = peer.manner === "busy" || this.#random() < share;
    if (peer.manner === "silent") return;
    if (peer.manner === "absent" || busy) {
      const busyMs = busy ? 100 + this.#random() * 200 : undefined;
      const refuse = still(() => {
        if (!busy) peer.held.delete(`${assetId} ${piece}`);
        const options = { busyMs, nowMs: this.#nowMs };
        this.#execute(this.#planner.pieceRefused(peer.id, askId, options));
      });
      return this.#at(this.#nowMs + peer.rttMs, refuse);
    }
    peer.freeMs = Math.max(peer.freeMs, this.#nowMs + oneWayMs) + PIECE_BYTES / peer.rateBytesPerMs;
    const arrive = still(() => {
      if (peer.manner === "corrupt") {
        return this.#execute(this.#planner.pieceCorrupt(peer.id, this.#nowMs));
      }
      if (this.#haveOf(assetId).add(piece)) this.#meshPieces++;
      this.#execute(this.#planner.pieceArrived(peer.id, askId, PIECE_BYTES, this.#nowMs));
      this.#takeAll();
    });
    const [deadMs, aliveMs] = peer.stallMs ?? [0, 0];
    if (peer.freeMs >= deadMs) peer.freeMs = Math.max(peer.freeMs, aliveMs);
    this.#at(peer.freeMs + oneWayMs, arrive);
  }

  #fetch({ requestId, from, to }: Extract<Command, { type: "fetch" }>): void {
    const request = this.#requests.get(requestId);
    if (!request) return this.#violate(`fetch for request ${requestId}, which is not open`);
    if (from >= to || from < request.from || to > request.to) {
      this.#violate(`fetch of ${from}-${to} outside of request ${requestId}`);
    }
    for (let piece = from; piece < to; piece++) {
      if (request.fetching.has(piece)) this.#violate(`piece ${piece} fetched twice at once`);
      if (this.#haveOf(request.assetId).has(piece)) this.#violate(`fetch of ${piece}, held`);
      if (piece >= request.position + LOOK_AHEAD_PIECES) this.#violate(`fetch of ${piece}: far`);
      request.fetching.add(piece);
    }
    const fails = this.#originRuns++ < (this.#spec.origin.failures ?? 0);
    const { rateBytesPerMs, firstByteMs } = this.#spec.origin;
    let atMs = Math.max(this.#originFreeMs, this.#nowMs + firstByteMs);
    const sent = fails ? Math.min(from + 1, to - 1) : to;
    for (let piece = from; piece < sent; piece++) {
      atMs += PIECE_BYTES / rateBytesPerMs;
      this.#at(atMs, () => this.#originSent(request, piece));
    }
    this.#originFreeMs = atMs;
    this.#at(atMs, () => this.#originEnded(request, { from, to }, !fails));
  }

  #originSent(request: Request, piece: number): void {
    if (!this.#requests.has(request.id)) return;
    request.fetching.delete(piece);
    if (this.#haveOf(request.assetId).add(piece)) this.#originPieces++;
    this.#execute(this.#planner.originArrived(request.id, piece, PIECE_BYTES, this.#nowMs));
    this.#takeAll();
  }

  #originEnded(request: Request, { from, to }: { from: number; to: number }, complete: boolean) {
    if (!this.#requests.has(request.id)) return;
    for (let piece = from; piece < to; piece++) request.fetching.delete(piece);
    if (!complete) request.originFailures++;
    this.#execute(
      this.#planner.originEnded(request.id, complete ? "complete" : "failed", this.#nowMs),
    );
  }
}

/** Watches every ask of every peer: it must fit the pull window at that moment. */
function watchWindows(onViolation: (what: string) => void): () => void {
  const { asked } = PeerSource.prototype;
  PeerSource.prototype.asked = function (this: PeerSource, ask) {
    asked.call(this, ask);
    if (this.queuedBytes > this.window.bytes) onViolation(`window of ${this.id} exceeded`);
    if (this.asks.size > LINK_REQUESTS_MAX) onViolation(`too many asks of ${this.id}`);
  };
  return () => {
    PeerSource.prototype.asked = asked;
  };
}
