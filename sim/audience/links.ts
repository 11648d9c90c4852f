/**
 * Who is linked with whom, as the index and both ends come to it (src/mesh/links/neighbours.ts). Every shard goes
 * through all of it, at the same times and with the same draws, and carries it out for its own viewers: nothing here
 * may depend on what only one shard knows.
 * @module
 */
import { RandomBag } from "../../src/core/random-bag.js";
import { type CliqueChange, Cliques } from "../../src/engine/neighbours/cliques.js";
import { Hearers } from "../page/hearers.js";
import { KIND, type World } from "../run/world.js";
import type { Member } from "./member.js";
import { lossCap, pairDraw, rttMs } from "./network.js";
import { between, hash32, type Random, seeded } from "./random.js";
import type { Link, Viewer } from "./viewer.js";

const FRESH_MS = 300;
const OPEN_TIMEOUT_MS = 5_000;
/** Round trips until the index has answered a join: TCP, TLS, WebSocket, join. */
const JOIN_ROUND_TRIPS = 4;
/** Share of viewers that vanish without a word; their neighbours notice late. */
const CRASH_SHARE = 0.2;
const PINGS_LOST_MS = { min: 5_000, max: 10_000 };

/** Links to others than the clique and its bridges that every page looks for. */
const OTHERS_WANTED = 2;

export class Links {
  readonly #world: World;
  readonly #cliques: Cliques<number>;
  readonly #random: Random;
  readonly #pending = new Set<number>();
  /** Viewers of a title that the index knows. */
  readonly #swarms = new Map<number, RandomBag<number>>();
  /** Of all that happened here: the same in all shards. */
  digest = 0;

  constructor(world: World) {
    const { config } = world;
    this.#world = world;
    this.#random = seeded(hash32(config.seed, 0xc11c));
    this.#cliques = new Cliques({
      ...{ target: config.clique, bridges: config.bridges, random: this.#random },
      distance: (a, b) => this.#rttMs(world.member(a), world.member(b)),
    });
  }

  get cliqueCount(): number {
    return this.#cliques.count;
  }

  /** The first request opens the socket. */
  connect(viewer: Viewer): void {
    if (viewer.connected) return;
    viewer.connected = true;
    const { config, nowMs, indexDown } = this.#world;
    const startMs = indexDown ? config.indexDownToS * 1e3 + 5_000 * viewer.random() : nowMs;
    viewer.indexJoinedMs = startMs + JOIN_ROUND_TRIPS * viewer.traits.serverRttMs;
    this.#world.everywhere(viewer.indexJoinedMs, KIND.indexJoined, viewer.index);
  }

  indexJoined(member: Member): void {
    this.#note(1, member.index);
    member.indexed = true;
    const viewer = this.#world.alive(member.index);
    if (viewer) {
      viewer.planner.election.selfId = viewer.id;
      viewer.planner.election.serving = viewer.traits.uploads;
    }
    this.#change(this.#cliques.join(member.index, member.title));
    const swarm = this.#swarms.get(member.title) ?? new RandomBag<number>();
    this.#swarms.set(member.title, swarm);
    swarm.add(member.index);
    this.befriend(member);
  }

  /** A viewer with too few strangers among its neighbours asks the index for some. */
  seekFriends({ member }: Viewer): void {
    if (!member.indexed || member.others.size >= OTHERS_WANTED) return;
    const { nowMs } = this.#world;
    this.#world.everywhere(nowMs + member.traits.serverRttMs, KIND.befriend, member.index);
  }

  /** Dials strangers of the same title until there are enough, as src/mesh/links/neighbours.ts does. */
  befriend(member: Member): void {
    this.#note(2, member.index);
    const swarm = this.#swarms.get(member.title);
    const lacking = OTHERS_WANTED - member.others.size;
    if (!swarm || lacking <= 0) return;
    for (const peer of swarm.sample(lacking, this.#random)) {
      if (!this.#dial(member.index, peer)) continue;
      member.others.add(peer);
      this.#world.member(peer).others.add(member.index);
    }
  }

  /** Whether links or answers are on their way that may change who holds what. */
  hopeful(viewer: Viewer): boolean {
    if (!viewer.connected) return false;
    const { nowMs } = this.#world;
    if (nowMs < viewer.indexJoinedMs) return true;
    return (
      (viewer.member.pendingLinks > 0 && viewer.links.size === 0) ||
      viewer.asking > 0 ||
      nowMs - viewer.lastGreetMs < FRESH_MS
    );
  }

  leave(member: Member): void {
    if (!member.indexed) return;
    this.#note(3, member.index);
    const crashed = this.#random() < CRASH_SHARE;
    const { min, max } = PINGS_LOST_MS;
    const noticedMs = crashed ? between(this.#random, min, max) : 0;
    for (const peer of member.links) {
      const wayMs = this.#rttMs(member, this.#world.member(peer)) / 2;
      this.#world.after(noticedMs + wayMs, KIND.linkDown, peer, member.index);
    }
    this.#world.viewers[member.index]?.removeLinks();
    member.links.clear();
    member.hearers = Hearers.NONE;
    this.#swarms.get(member.title)?.delete(member.index);
    this.#change(this.#cliques.leave(member.index));
  }

  #change({ link, unlink, changed }: CliqueChange<number>): void {
    const told = new Map<number, readonly string[]>();
    for (const member of changed) this.#tellClique(member, told);
    for (const [a, b] of unlink) {
      // Those who lose a neighbour that left notice by themselves.
      if (this.#world.present(a) && this.#world.present(b)) this.#close(a, b);
    }
    for (const [a, b] of link) this.#dial(a, b);
  }

  /** What the server tells a member whose clique changed; the same object for all of one clique. */
  #tellClique(member: number, told: Map<number, readonly string[]>): void {
    const viewer = this.#world.alive(member);
    const view = viewer && this.#cliques.viewOf(member);
    if (!view) return;
    let members = told.get(view.id);
    if (!members) {
      members = [...view.members].map(String);
      told.set(view.id, members);
    }
    viewer.planner.election.members = members;
  }

  /** @returns Whether a link is on its way now. */
  #dial(a: number, b: number): boolean {
    const { config, nowMs } = this.#world;
    const from = this.#world.present(a);
    const to = this.#world.present(b);
    if (!from || !to || a === b || from.links.has(b)) return false;
    if (from.links.size >= config.linksMax || to.links.size >= config.linksMax) return false;
    if (from.avoids(b, nowMs) || to.avoids(a, nowMs)) return false;
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

  settled(a: number, b: number, opened: boolean): void {
    this.#note(opened ? 4 : 5, a, b);
    this.#pending.delete(pairKey(a, b));
    const from = this.#world.member(a);
    const to = this.#world.member(b);
    from.pendingLinks--;
    to.pendingLinks--;
    if (!opened || !from.alive || !to.alive) {
      from.others.delete(b);
      to.others.delete(a);
      return;
    }
    const rtt = this.#rttMs(from, to);
    const cap = lossCap(rtt, from.traits.loss + to.traits.loss);
    from.links.add(b);
    to.links.add(a);
    const near = this.#open(from, to, { rtt, cap });
    const far = this.#open(to, from, { rtt, cap });
    // What either tells the other is heard after both are there.
    if (near) this.#world.gossip.greet(near);
    if (far) this.#world.gossip.greet(far);
  }

  /** This shard's end of a link, if its viewer is one of its own. */
  #open(
    { index }: Member,
    peer: Member,
    { rtt, cap }: { rtt: number; cap: number },
  ): Link | undefined {
    const viewer = this.#world.alive(index);
    if (!viewer) return undefined;
    const link: Link = {
      ...{ owner: viewer, peer: peer.index, peerId: peer.id, peerShard: peer.shard },
      ...{ source: viewer.planner.addPeer(peer.id, rtt), rttMs: rtt, capBytesPerMs: cap },
      ...{ open: true, outBytes: 0, jobs: 0, freeMs: 0 },
    };
    viewer.links.set(peer.index, link);
    viewer.lastGreetMs = this.#world.nowMs;
    peer.hearers = peer.hearers.with(link);
    this.#world.stats.linkEnds++;
    return link;
  }

  /** One end gives the other up: at once for itself, and a moment later for all. */
  drop(viewer: Viewer, peer: number, banMs: number): void {
    this.#loseEnd(viewer, peer);
    const { nowMs, windowMs } = this.#world;
    this.#world.everywhere(nowMs + windowMs, KIND.drop, viewer.index, peer, banMs);
  }

  dropped(a: number, b: number, banMs: number): void {
    this.#note(6, a, b);
    const member = this.#world.present(a);
    member?.avoid(b, this.#world.nowMs + banMs);
    this.#close(a, b);
  }

  /** Both ends lose the link. */
  #close(a: number, b: number): void {
    this.down(a, b);
    this.down(b, a);
  }

  /** One end loses the link. */
  down(index: number, peer: number): void {
    this.#note(7, index, peer);
    const member = this.#world.present(index);
    if (!member?.links.delete(peer)) return;
    member.others.delete(peer);
    member.hearers = member.hearers.without(peer);
    const viewer = this.#world.alive(index);
    if (viewer) this.#loseEnd(viewer, peer);
  }

  #loseEnd(viewer: Viewer, peer: number): void {
    const link = viewer.links.get(peer);
    if (!link) return;
    link.open = false;
    viewer.links.delete(peer);
    this.#world.asks.linkClosed(viewer, link);
    this.#world.uploads.linkClosed(viewer, link);
    this.#world.shell.run(viewer, viewer.planner.removePeer(link.peerId, this.#world.nowMs));
  }

  #rttMs(a: Member, b: Member): number {
    return rttMs(this.#world.config, a.traits.place, b.traits.place);
  }

  #note(...parts: readonly number[]): void {
    this.digest = hash32(this.digest, Math.floor(1_000 * this.#world.nowMs), ...parts);
  }
}

function pairKey(a: number, b: number): number {
  return Math.min(a, b) * 2 ** 26 + Math.max(a, b);
}
