/**
 * A part of the audience that runs by itself for a window of time: what leaves it in a window reaches others after
 * that window has ended at the earliest. Who comes, goes and is linked every shard works out for all.
 * @module
 */
import { Audience } from "../audience/audience.js";
import { Links } from "../audience/links.js";
import type { Viewer } from "../audience/viewer.js";
import type { SimConfig } from "../config.js";
import { Answers } from "../page/answers.js";
import { Asks } from "../page/asks.js";
import { Deliveries } from "../page/deliveries.js";
import { Gossip } from "../page/gossip.js";
import { Library } from "../page/library.js";
import { Shell } from "../page/shell.js";
import { Uploads } from "../page/uploads.js";
import { eachMessage, type Outbox } from "./outbox.js";
import type { ShardReport } from "./result.js";
import { KIND, MESSAGE, World } from "./world.js";

/** Shards of a run; the same whether threads run them or not, as results depend on it a little. */
export const SHARDS = 2;

export class Shard {
  readonly #world: World;

  constructor(config: SimConfig, place: { shard: number; shards: number }) {
    const world = new World(config, place);
    world.shell = new Shell(world);
    world.links = new Links(world);
    world.gossip = new Gossip(world);
    world.asks = new Asks(world);
    world.uploads = new Uploads(world);
    world.library = new Library(world);
    world.deliveries = new Deliveries(world);
    world.answers = new Answers(world);
    world.audience = new Audience(world);
    world.audience.start();
    this.#world = world;
  }

  /** By shard; none for this one. The caller empties them once a window has ended. */
  get outboxes(): readonly (Outbox | undefined)[] {
    return this.#world.outboxes;
  }

  /** Goes through all events before `untilMs`. @throws {InvariantError} */
  advance(untilMs: number): void {
    const world = this.#world;
    const { queue } = world;
    while (queue.next(untilMs)) {
      world.nowMs = queue.atMs;
      dispatch(world);
    }
    world.nowMs = untilMs;
  }

  /** What another shard had to say when the window ended. */
  receive(words: Float64Array): void {
    const { queue, uploads, gossip } = this.#world;
    eachMessage(words, (kind, fields) => {
      if (kind === MESSAGE.ask) return uploads.arrived(fields);
      if (kind === MESSAGE.word) return gossip.arrived(fields);
      const at = (place: number) => fields[place] as number;
      queue.push(at(0), at(1), at(2), at(3), at(4));
    });
  }

  /** After the last event. @throws {InvariantError} */
  end(): void {
    const { viewers, stats, guard, nowMs } = this.#world;
    for (const viewer of viewers) {
      if (!viewer?.alive) continue;
      viewer.player.settle(nowMs);
      stats.left(viewer);
      const { session } = viewer;
      if (session) guard.open(viewer, session.openedMs, session.asset);
    }
  }

  report(): ShardReport {
    const { stats, queue, catalogue, members, links } = this.#world;
    return {
      ...{ stats: stats.plain(), events: queue.count, eventsPeak: queue.peak },
      wanted: catalogue.assets.flatMap(({ wanted, index }) => (wanted ? [index] : [])),
      ...{ viewers: members.length, cliques: links.cliqueCount, digest: links.digest },
    };
  }
}

function dispatch(world: World): void {
  const { kind, a, b } = world.queue;
  switch (kind) {
    case KIND.request:
      return world.uploads.requested(a);
    case KIND.pieceOut:
      return world.uploads.pieceOut(a);
    case KIND.have:
    case KIND.claim:
      return world.gossip.heard(kind, a, b);
    case KIND.origin:
      return world.deliveries.origin.step(a);
  }
  if (kind === KIND.join || kind === KIND.leave || kind >= KIND.forget) {
    return dispatchToAll(world, kind, a);
  }
  const viewer = world.alive(a);
  if (viewer) dispatchToViewer(world, viewer, kind, b);
}

/** What happens in every shard. */
function dispatchToAll(world: World, kind: number, a: number): void {
  const { b, c } = world.queue;
  switch (kind) {
    case KIND.join:
      return world.audience.join(a);
    case KIND.leave:
      return world.audience.leave(a);
    case KIND.forget:
      return world.audience.forget(a);
    case KIND.linkUp:
    case KIND.linkFailed:
      return world.links.settled(a, b, kind === KIND.linkUp);
    case KIND.linkDown:
      return world.links.down(a, b);
    case KIND.drop:
      return world.links.dropped(a, b, c);
    case KIND.attest:
      return world.deliveries.attestations.attest(a);
  }
  const member = world.present(a);
  if (!member) return;
  if (kind === KIND.indexJoined) world.links.indexJoined(member);
  else world.links.befriend(member);
}

function dispatchToViewer(world: World, viewer: Viewer, kind: number, b: number): void {
  const { c } = world.queue;
  switch (kind) {
    case KIND.pieceNear:
      return world.asks.pieceNear(viewer, b, c);
    case KIND.pieceIn:
      return world.asks.pieceIn(viewer, b, c);
    case KIND.reject:
      return world.asks.rejected(viewer, b, c);
    case KIND.cancel:
      return world.uploads.cancelled(viewer, b, c);
    case KIND.uplinkFree:
      return world.uploads.uplinkFree(viewer);
    case KIND.tick:
      return world.deliveries.tick(viewer);
    case KIND.flush:
      return world.gossip.flush(viewer);
    case KIND.poll:
      return world.audience.poll(viewer);
    case KIND.want:
      viewer.wanting = false;
      return world.audience.want(viewer);
    case KIND.decide:
      return world.deliveries.decide(viewer, b);
    case KIND.attestAsked:
      return world.deliveries.attestations.asked(viewer, b);
    case KIND.attested:
      return world.deliveries.attestations.arrived(viewer, b);
    case KIND.attestLost:
      viewer.asking--;
      return;
  }
}
