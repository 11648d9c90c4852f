/**
 * Links between viewers and what is told on them: holdings and claims. Mirrors src/mesh/links/neighbours.ts and
 * src/mesh/links/have-gossip.ts; who is to be linked comes from the cliques.
 * @module
 */
import { RandomBag } from "../src/core/random-bag.js";
import { LEASE_MAX_MS } from "../src/engine/claims.js";
import type { CliqueChange } from "../src/engine/cliques.js";
import type { Command, Peer } from "../src/engine/planner.js";
import { CLAIM_HOPS_MAX } from "../src/protocol/limits.js";
import type { Asset } from "./catalogue.js";
import { Hearers } from "./hearers.js";
import { maskOf, rangeMask } from "./held-table.js";
import { lossCap, pairDraw, rttMs } from "./network.js";
import { between, seeded } from "./random.js";
import type { Link, Viewer } from "./viewer.js";
import { KIND, type World } from "./world.js";

const GATHER_MS = 50;
const FRESH_MS = 300;
const OPEN_TIMEOUT_MS = 5_000;
/** Round trips until the index has answered a join: TCP, TLS, WebSocket, join. */
const JOIN_ROUND_TRIPS = 4;
/** Share of viewers that vanish without a word; their neighbours notice late. */
const CRASH_SHARE = 0.2;
const PINGS_LOST_MS = { min: 5_000, max: 10_000 };

/** Links to others than the clique and its bridges that every page looks for. */
const OTHERS_WANTED = 2;

/** Longer than anything is on its way. */
const HEARD_MAX_MS = 1_000;

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
  /** Those who hold all these pieces need not hear it. */
  readonly mask: Uint32Array;
  readonly hearers: Hearers;
  /** Groups of hearers that have not heard it yet. */
  pending: number;
}

export class Mesh {
  readonly #world: World;
  readonly #messages: (Message | undefined)[] = [];
  readonly #free: number[] = [];
  readonly #pending = new Set<number>();
  /** Viewers of a title that the index knows. */
  readonly #swarms = new Map<number, RandomBag<number>>();

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
    const swarm = this.#swarms.get(viewer.title) ?? new RandomBag<number>();
    this.#swarms.set(viewer.title, swarm);
    swarm.add(viewer.index);
    this.befriend(viewer);
  }

  /** Dials strangers of the same title until there are enough, as src/mesh/links/neighbours.ts does. */
  befriend(viewer: Viewer): void {
    const swarm = this.#swarms.get(viewer.title);
    const lacking = OTHERS_WANTED - viewer.others.size;
    if (!swarm || lacking <= 0 || this.#world.nowMs < viewer.indexJoinedMs) return;
    for (const peer of swarm.sample(lacking, this.#world.random)) {
      if (!this.#dial(viewer.index, peer)) continue;
      viewer.others.add(peer);
      this.#world.viewer(peer).others.add(viewer.index);
    }
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
    for (const link of viewer.links.values()) {
      link.open = false;
      queue.push(nowMs + noticedMs + link.rttMs / 2, KIND.linkDown, link.peer, viewer.index);
    }
    viewer.removeLinks();
    this.#swarms.get(viewer.title)?.delete(viewer.index);
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

  /** @returns Whether a link is on its way now. */
  #dial(a: number, b: number): boolean {
    const { config, nowMs } = this.#world;
    const from = this.#world.alive(a);
    const to = this.#world.alive(b);
    if (!from || !to || a === b || from.links.has(b)) return false;
    if (from.links.size >= config.linksMax || to.links.size >= config.linksMax) return false;
    const avoided = [from.avoidedUntilMs.get(b), to.avoidedUntilMs.get(a)];
    if (avoided.some((untilMs = 0) => untilMs > nowMs)) return false;
    const key = pairKey(a, b);
    if (this.#pending.has(key)) return false;
    this.#pending.add(key);
    from.pendingLinks++;
    to.pendingLinks++;
    const random = seeded(pairDraw(config, from, to, 1) * 2 ** 32);
    if (random() < config.pairFailShare) {
      this.#world.after(OPEN_TIMEOUT_MS, KIND.linkFailed, a, b);
      return true;
    }
    const setupMs = between(random, config.linkSetupMinMs, config.linkSetupMaxMs);
    this.#world.after(setupMs, KIND.linkUp, a, b);
    return true;
  }

  linkSettled(a: number, b: number, opened: boolean): void {
    this.#pending.delete(pairKey(a, b));
    const from = this.#world.viewer(a);
    const to = this.#world.viewer(b);
    from.pendingLinks--;
    to.pendingLinks--;
    if (!opened || !from.alive || !to.alive) {
      from.others.delete(b);
      to.others.delete(a);
      return;
    }
    const rtt = rttMs(this.#world.config, from.traits.place, to.traits.place);
    const cap = lossCap(rtt, from.traits.loss + to.traits.loss);
    const near = makeLink(from, to, { rtt, cap });
    const far = makeLink(to, from, { rtt, cap });
    for (const [viewer, link, end] of [
      [from, near, far],
      [to, far, near],
    ] as const) {
      viewer.addLink(link, end);
      link.source = viewer.planner.addPeer(link.to.id, rtt);
      viewer.lastGreetMs = this.#world.nowMs;
    }
    this.#world.stats.linksOpened++;
    this.#greet(from, far);
    this.#greet(to, near);
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
    viewer.others.delete(peer);
    viewer.removeLink(peer);
    this.#world.uploads.linkClosed(viewer, link);
    this.#world.shell.run(viewer, viewer.planner.removePeer(link.to.id, this.#world.nowMs));
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
      mask: this.#world.catalogue.at(asset).allMask,
    });
  }

  claim(viewer: Viewer, command: Extract<Command, { type: "claim" }>): void {
    if (this.#world.config.election === 0) return;
    if (command.hops === CLAIM_HOPS_MAX) {
      viewer.claimedUntilMs = this.#world.nowMs + LEASE_MAX_MS + HEARD_MAX_MS;
    }
    const { assetId, from, to, hops } = command;
    this.#send(KIND.claim, viewer, viewer.hearers, {
      ...{ asset: Number(assetId), from, to, hops, bits: undefined },
      mask: rangeMask(this.#world.catalogue.at(Number(assetId)).pieceCount, { from, to }),
    });
  }

  /** @param end The neighbour's end of the link. */
  #greet(viewer: Viewer, end: Link): void {
    const hearer = new Hearers([end]);
    for (const [asset, have] of viewer.have) {
      if (have.size > 0) this.#tell(viewer, hearer, asset, 0, have.pieceCount);
    }
    // What the origin is sending, for a neighbour that was not there when it was claimed.
    for (const claim of this.#world.deliveries.claims(viewer)) {
      viewer.claimedUntilMs = this.#world.nowMs + LEASE_MAX_MS + HEARD_MAX_MS;
      this.#send(KIND.claim, viewer, hearer, {
        ...claim,
        ...{ hops: CLAIM_HOPS_MAX, bits: undefined },
        mask: rangeMask(this.#world.catalogue.at(claim.asset).pieceCount, claim),
      });
    }
  }

  /** Who does not upload tells nobody what it holds. */
  #tell(viewer: Viewer, hearers: Hearers, asset: number, from: number, to: number): void {
    const have = viewer.have.get(asset);
    if (!have || !viewer.traits.uploads) return;
    const start = from & ~7;
    const bits = have.complete ? undefined : have.toBits(start, to);
    const { allMask } = this.#world.catalogue.at(asset);
    // Progress with what it claimed is news to whoever lacks anything of the asset.
    const claims = !bits || this.#world.nowMs < viewer.claimedUntilMs;
    const mask = claims ? allMask : maskOf(have.pieceCount, { from: start, bits });
    this.#send(KIND.have, viewer, hearers, { asset, from: start, to, bits, hops: 0, mask });
  }

  #send(
    kind: number,
    viewer: Viewer,
    hearers: Hearers,
    message: Omit<Message, "pending" | "hearers">,
  ): void {
    const { count } = hearers;
    if (count === 0) return;
    const at = this.#free.pop() ?? this.#messages.length;
    const pending = Math.ceil(count / HEARERS);
    const { asset, from, to, bits, hops, mask } = message;
    this.#messages[at] = { asset, from, to, bits, hops, mask, hearers, pending };
    for (let first = 0; first < count; first += HEARERS) {
      const slowestMs = hearers.rttMs(Math.min(first + HEARERS, count));
      this.#world.after(this.#world.controlMs(viewer, slowestMs), kind, at, first);
    }
  }

  /** A HAVE or a claim reaches some of those it was sent to. */
  heard(kind: number, at: number, first: number): void {
    const message = this.#messages[at] as Message;
    if (--message.pending === 0) {
      this.#messages[at] = undefined;
      this.#free.push(at);
    }
    const asset = this.#world.catalogue.at(message.asset);
    const { hearers } = message;
    const all = this.#world.config.tellAll === 1;
    const end = Math.min(first + HEARERS, hearers.count);
    for (let index = first; index < end; index++) {
      if (!all && !asset.held.lacks(hearers.indices[index] as number, message.mask)) continue;
      const { owner, open, source } = hearers.ends[index] as Link;
      if (!open || !source) continue;
      if (kind === KIND.claim) this.#hearsClaim(owner, source, asset, message);
      else this.#hearsHave(owner, source, asset, message);
    }
  }

  #hearsClaim(viewer: Viewer, peer: Peer, asset: Asset, { from, to, hops }: Message): void {
    const { shell, nowMs } = this.#world;
    const claim = { assetId: asset.id, from, to, hops };
    shell.run(viewer, viewer.planner.claimed(peer, claim, nowMs));
  }

  #hearsHave(viewer: Viewer, peer: Peer, asset: Asset, { bits, from }: Message): void {
    if (asset.index < viewer.pastTo) return;
    const { shell, nowMs } = this.#world;
    const { planner } = viewer;
    if (bits) {
      const held = { pieceCount: asset.pieceCount, from, bits };
      return shell.run(viewer, planner.addHoldings(peer, asset.id, held, nowMs));
    }
    if (planner.holdingsOf(peer, asset.id) === asset.all) return;
    shell.run(viewer, planner.setHoldings(peer, asset.id, asset.all, nowMs));
  }
}

function makeLink(owner: Viewer, to: Viewer, { rtt, cap }: { rtt: number; cap: number }): Link {
  return {
    ...{
      owner,
      peer: to.index,
      to,
      rttMs: rtt,
      capBytesPerMs: cap,
      open: true,
    },
    ...{ source: undefined, outBytes: 0, jobs: 0, freeMs: 0 },
  };
}

function pairKey(a: number, b: number): number {
  return Math.min(a, b) * 2 ** 26 + Math.max(a, b);
}
