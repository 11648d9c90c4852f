/**
 * Who comes when, what they watch, and how their players read the playlist. It draws from streams of its
 * own, so that the twin without a mesh has the same audience, and every shard knows all who come and go.
 * @module
 */

import { KIND, type World } from "../run/world.js";
import { Member } from "./member.js";
import { between, exponential, hash32, type Random, seeded, zipf } from "./random.js";
import { traitsOf, Viewer } from "./viewer.js";

const RETRY_MS = 1_000;
/** How far behind the live edge a player starts. */
const LIVE_SYNC_SEGMENTS = 3;
/** Mean time until a viewer that left is replaced. */
const REPLACE_MS = 5_000;
/** All that was on its way to or from a viewer that left has ended by then. */
const FORGET_MS = 30_000;

export class Audience {
  readonly #world: World;
  readonly #random: Random;
  readonly #title: (random: Random) => number;

  constructor(world: World) {
    this.#world = world;
    this.#random = seeded(hash32(world.config.seed, 0xa0d1));
    this.#title = zipf(world.config.titles, world.config.zipf);
  }

  /** Books the arrivals. */
  start(): void {
    const { viewers, seconds, scenario, arriveS } = this.#world.config;
    for (let index = 0; index < viewers; index++) {
      this.#arrive(this.#arrivalMs(index / viewers, scenario, { seconds, arriveS }));
    }
  }

  /** A flash crowd is six times the audience that was there before; films are begun at any time. */
  #arrivalMs(
    share: number,
    scenario: string,
    { seconds, arriveS }: { seconds: number; arriveS: number },
  ): number {
    const random = this.#random;
    const endMs = 1_000 * seconds;
    if (scenario === "vod") return random() * 0.6 * endMs;
    if (scenario !== "flash" || share < 1 / 6) return random() * Math.min(arriveS * 1e3, endMs);
    return Math.min(0.9 * endMs, 0.25 * endMs + exponential(random, 0.1 * endMs));
  }

  #arrive(atMs: number): void {
    this.#world.queue.push(atMs, KIND.join, this.#title(this.#random));
  }

  join(title: number): void {
    const { members, viewers, config, nowMs, links } = this.#world;
    const index = members.length;
    const traits = traitsOf(config, index);
    const shard = traits.region % this.#world.shards;
    const member = new Member({ index, title, traits, shard });
    members.push(member);
    this.#world.after(traits.sessionMs, KIND.leave, index);
    const own = shard === this.#world.shard;
    const hopeful = (viewer: Viewer) => links.hopeful(viewer);
    viewers.push(own ? new Viewer(config, { member, nowMs, hopeful }) : undefined);
    if (own) this.#world.after(traits.originFirstByteMs, KIND.poll, index);
  }

  leave(index: number): void {
    const { config, nowMs, links } = this.#world;
    const member = this.#world.member(index);
    const viewer = this.#world.alive(index);
    member.alive = false;
    if (viewer) this.#bye(viewer);
    links.leave(member);
    this.#world.after(FORGET_MS, KIND.forget, index);
    const steady = config.scenario !== "vod" && config.scenario !== "flash";
    if (steady) this.#arrive(nowMs + exponential(this.#random, REPLACE_MS));
  }

  #bye(viewer: Viewer): void {
    const { nowMs, stats, uploads } = this.#world;
    viewer.alive = false;
    viewer.player.settle(nowMs);
    stats.left(viewer);
    uploads.left(viewer);
    viewer.session = undefined;
  }

  /** All that was on its way to or from a viewer has ended. */
  forget(index: number): void {
    this.#world.members[index] = undefined;
    this.#world.viewers[index] = undefined;
  }

  /** The player reads the playlist. */
  poll(viewer: Viewer): void {
    const { catalogue, nowMs } = this.#world;
    const { player } = viewer;
    const { from, to } = catalogue.published(nowMs);
    const news = to > player.known;
    player.known = to;
    const liveStart = Math.max(from, to - LIVE_SYNC_SEGMENTS);
    if (player.next < 0) player.next = catalogue.live ? liveStart : 0;
    else if (player.next < from && !viewer.session) player.next = liveStart; // it fell behind
    this.want(viewer);
    this.#world.links.seekFriends(viewer);
    if (!catalogue.live) return;
    const past = from - this.#world.config.pastSegments;
    if (news && past > 0) {
      this.#world.library.forget(viewer, catalogue.segment(viewer.member.title, past));
    }
    const jitter = between(viewer.pollRandom, 0.95, 1.05);
    this.#world.after(catalogue.segmentMs * (news ? jitter : jitter / 2), KIND.poll, viewer.index);
  }

  /** Asks for the next segment, if there is one and room for it. */
  want(viewer: Viewer): void {
    const { player } = viewer;
    const { nowMs, deliveries, catalogue } = this.#world;
    if (viewer.session || viewer.wanting || player.next < 0 || player.next >= player.known) return;
    const roomInMs = player.roomInMs(nowMs);
    if (roomInMs > 0) {
      viewer.wanting = true;
      return this.#world.after(roomInMs + 1, KIND.want, viewer.index);
    }
    deliveries.open(viewer, catalogue.segment(viewer.member.title, player.next));
  }

  retry(viewer: Viewer): void {
    viewer.wanting = true;
    this.#world.after(RETRY_MS, KIND.want, viewer.index);
  }
}
