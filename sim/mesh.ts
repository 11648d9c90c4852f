/**
 * Links between viewers and what is told on them: holdings and claims. Mirrors src/mesh/links/neighbours.ts and
 * src/mesh/links/have-gossip.ts; who is to be linked comes from the cliques.
 * @module
 */
import type { CliqueChange } from "../src/engine/cliques.js";
import type { Command } from "../src/engine/planner.js";
import { lossCap, pairDraw, rttMs } from "./network.js";
import { between, seeded } from "./random.js";
import type { Link, Viewer } from "./viewer.js";
import { KIND, type World } from "./world.js";

const NOTHING = new Uint8Array();
const GATHER_MS = 50;
const FRESH_MS = 300;
const OPEN_TIMEOUT_MS = 5_000;
/** Round trips until the index has answered a join: TCP, TLS, WebSocket, join. */
const JOIN_ROUND_TRIPS = 4;
/** Share of viewers that vanish without a word; their neighbours notice late. */
const CRASH_SHARE = 0.2;
const PINGS_LOST_MS = { min: 5_000, max: 10_000 };

/** Links that hear a message at the same time, as the slowest of them does: an event each would be too many. */
const HEARERS = 6;

/** What one HAVE or claim says; shared by all who hear it. */
interface Message {
  readonly asset: number;
  readonly from: number;
  readonly to: number;
  /** `undefined`: all pieces. */
  readonly bits: Uint8Array | undefined;
  readonly hops: number;
  readonly links: readonly Link[];
  /** Groups of hearers that have not heard it yet. */
  pending: number;
}

export class Mesh {
  readonly #world: World;
  readonly #messages: (Message | undefined)[] = [];
  readonly #free: number[] = [];
  readonly #pending = new Set<number>();

  constructor(world: World) {
    this.#world = world;
  }

  /** The first request opens the socket. */
  connect(viewer: Viewer): void {
    if (viewer.connected) return;
    viewer.connected = true;
    const { config, nowMs, indexDown, queue } = this.#world;
    const startMs = indexDown ? config.indexDownToS * 1e3 + 5_000 * viewer.random() : nowMs;
    viewer.indexJoinedMs = startMs + JOIN_ROUND_TRIPS * viewer.traits.serverRttMs;
    queue.push(viewer.indexJoinedMs, KIND.indexJoined, viewer.index);
  }

  indexJoined(viewer: Viewer): void {
    viewer.planner.selfId = viewer.id;
    viewer.planner.serving = viewer.traits.uploads;
    this.#change(this.#world.cliques.join(viewer.index, viewer.title));
  }

  /** Whether links or answers are on their way that may change who holds what. */
  hopeful(viewer: Viewer): boolean {
    if (!viewer.connected) return false;
    const { nowMs } = this.#world;
    if (nowMs < viewer.indexJoinedMs) return true;
    return (
      (viewer.pendingLinks > 0 && viewer.links.size === 0) ||
      viewer.asking > 0 ||
      nowMs - viewer.lastGreetMs < FRESH_MS
    );
  }

  leave(viewer: Viewer): void {
    const { random, queue, nowMs } = this.#world;
    const crashed = random() < CRASH_SHARE;
    const noticedMs = crashed ? between(random, PINGS_LOST_MS.min, PINGS_LOST_MS.max) : 0;
    for (const { peer, rttMs } of viewer.links.values()) {
      queue.push(nowMs + noticedMs + rttMs / 2, KIND.linkDown, peer, viewer.index);
    }
    viewer.links.clear();
    viewer.hearers = [];
    this.#change(this.#world.cliques.leave(viewer.index));
  }

  #change({ link, unlink, changed }: CliqueChange<number>): void {
    const told = new Map<number, readonly string[]>();
    for (const member of changed) this.#tellClique(member, told);
    for (const [a, b] of unlink) {
      // Those who lose a neighbour that left notice by themselves.
      if (this.#world.alive(a) && this.#world.alive(b)) this.close(a, b);
    }
    for (const [a, b] of link) this.#dial(a, b);
  }

  /** What the server tells a member whose clique changed; the same object for all of one clique. */
  #tellClique(member: number, told: Map<number, readonly string[]>): void {
    const viewer = this.#world.alive(member);
    const view = this.#world.cliques.viewOf(member);
    if (!viewer || !view) return;
    let members = told.get(view.id);
    if (!members) {
      members = [...view.members].map(String);
      told.set(view.id, members);
    }
    viewer.planner.clique = members;
  }

  #dial(a: number, b: number): void {
    const { config, nowMs } = this.#world;
    const from = this.#world.alive(a);
    const to = this.#world.alive(b);
    if (!from || !to || a === b || from.links.has(b)) return;
    if (from.links.size >= config.linksMax || to.links.size >= config.linksMax) return;
    const avoided = [from.avoidedUntilMs.get(b), to.avoidedUntilMs.get(a)];
    if (avoided.some((untilMs = 0) => untilMs > nowMs)) return;
    const key = pairKey(a, b);
    if (this.#pending.has(key)) return;
    this.#pending.add(key);
    from.pendingLinks++;
    to.pendingLinks++;
    const random = seeded(pairDraw(config, from, to, 1) * 2 ** 32);
    if (random() < config.pairFailShare) {
      return this.#world.after(OPEN_TIMEOUT_MS, KIND.linkFailed, a, b);
    }
    const setupMs = between(random, config.linkSetupMinMs, config.linkSetupMaxMs);
    this.#world.after(setupMs, KIND.linkUp, a, b);
  }

  linkSettled(a: number, b: number, opened: boolean): void {
    this.#pending.delete(pairKey(a, b));
    const from = this.#world.viewer(a);
    const to = this.#world.viewer(b);
    from.pendingLinks--;
    to.pendingLinks--;
    if (!opened || !from.alive || !to.alive) return;
    const rtt = rttMs(this.#world.config, from.traits.place, to.traits.place);
    const cap = lossCap(rtt, from.traits.loss + to.traits.loss);
    for (const [viewer, peer] of [
      [from, to],
      [to, from],
    ] as const) {
      viewer.setLink(peer.index, makeLink(peer.index, rtt, cap));
      viewer.planner.addPeer(peer.id, rtt);
      viewer.lastGreetMs = this.#world.nowMs;
    }
    this.#world.stats.linksOpened++;
    this.#greet(from, to);
    this.#greet(to, from);
  }

  /** Both ends lose the link. */
  close(a: number, b: number): void {
    this.down(a, b);
    this.down(b, a);
  }

  /** One end loses the link. */
  down(viewerIndex: number, peer: number): void {
    const viewer = this.#world.alive(viewerIndex);
    const link = viewer?.links.get(peer);
    if (!viewer || !link) return;
    link.open = false;
    viewer.setLink(peer, undefined);
    this.#world.uploads.linkClosed(viewer, link);
    this.#world.shell.run(viewer, viewer.planner.removePeer(String(peer), this.#world.nowMs));
  }

  /** A piece was verified: neighbours will hear of it. */
  added(viewer: Viewer, asset: number, piece: number): void {
    const news = viewer.news.get(asset);
    if (news) {
      news.from = Math.min(news.from, piece);
      news.to = Math.max(news.to, piece + 1);
    } else {
      viewer.news.set(asset, { from: piece, to: piece + 1 });
    }
    if (viewer.flushing) return;
    viewer.flushing = true;
    this.#world.after(GATHER_MS, KIND.flush, viewer.index);
  }

  flush(viewer: Viewer): void {
    viewer.flushing = false;
    for (const [asset, { from, to }] of viewer.news) {
      this.#tell(viewer, viewer.hearers, asset, from, to);
    }
    viewer.news.clear();
  }

  /** A liar says that it holds what it is only about to ask for. */
  lie(viewer: Viewer, asset: number): void {
    this.#send(KIND.have, viewer, viewer.hearers, {
      ...{ asset, from: 0, to: 0, bits: undefined, hops: 0 },
    });
  }

  claim(viewer: Viewer, { assetId, from, to, hops }: Extract<Command, { type: "claim" }>): void {
    if (this.#world.config.election === 0) return;
    const asset = Number(assetId);
    this.#send(KIND.claim, viewer, viewer.hearers, { asset, from, to, hops, bits: undefined });
  }

  #greet(viewer: Viewer, peer: Viewer): void {
    const link = viewer.links.get(peer.index);
    if (!link) return;
    for (const [asset, have] of viewer.have) {
      if (have.size > 0) this.#tell(viewer, [link], asset, 0, have.pieceCount);
    }
  }

  /** Who does not upload tells nobody what it holds. */
  #tell(viewer: Viewer, links: readonly Link[], asset: number, from: number, to: number): void {
    const have = viewer.have.get(asset);
    if (!have || !viewer.traits.uploads) return;
    const start = from & ~7;
    const bits = have.complete ? undefined : have.toBits(start, to);
    this.#send(KIND.have, viewer, links, { asset, from: start, to, bits, hops: 0 });
  }

  #send(
    kind: number,
    viewer: Viewer,
    links: readonly Link[],
    message: Omit<Message, "pending" | "links">,
  ): void {
    if (links.length === 0) return;
    const at = this.#free.pop() ?? this.#messages.length;
    const pending = Math.ceil(links.length / HEARERS);
    this.#messages[at] = { ...message, links, pending };
    for (let first = 0; first < links.length; first += HEARERS) {
      const slowest = links[Math.min(first + HEARERS, links.length) - 1] as Link;
      this.#world.after(this.#world.controlMs(viewer, slowest), kind, viewer.index, at, first);
    }
  }

  /** A HAVE or a claim reaches some of those it was sent to. */
  heard(kind: number, from: number, at: number, first: number): void {
    const message = this.#messages[at] as Message;
    if (--message.pending === 0) {
      this.#messages[at] = undefined;
      this.#free.push(at);
    }
    const end = Math.min(first + HEARERS, message.links.length);
    for (let index = first; index < end; index++) {
      const viewer = this.#world.alive((message.links[index] as Link).peer);
      if (viewer?.links.has(from)) this.#hears(kind, viewer, from, message);
    }
  }

  #hears(kind: number, viewer: Viewer, from: number, message: Message): void {
    const { planner } = viewer;
    const { id } = this.#world.viewer(from);
    const asset = this.#world.catalogue.at(message.asset);
    const { nowMs } = this.#world;
    const { shell } = this.#world;
    if (kind === KIND.claim) {
      const { from, to, hops } = message;
      const claim = { assetId: asset.id, from, to, hops };
      return shell.run(viewer, planner.claimed(id, claim, nowMs));
    }
    if (planner.holdingsOf(id, asset.id) === asset.all) return;
    const { bits, from: start } = message;
    const held = { pieceCount: asset.pieceCount, from: start, bits: bits ?? NOTHING };
    shell.run(
      viewer,
      bits
        ? planner.addHoldings(id, asset.id, held, nowMs)
        : planner.setHoldings(id, asset.id, asset.all, nowMs),
    );
  }
}

function makeLink(peer: number, rtt: number, capBytesPerMs: number): Link {
  return {
    ...{ peer, rttMs: rtt, capBytesPerMs, open: true },
    ...{ outBytes: 0, jobs: 0, freeMs: 0 },
  };
}

function pairKey(a: number, b: number): number {
  return Math.min(a, b) * 2 ** 26 + Math.max(a, b);
}
