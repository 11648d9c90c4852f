/**
 * One run: takes event after event out of the future until its end.
 * @module
 */
import { Audience } from "./audience.js";
import type { SimConfig } from "./config.js";
import { Deliveries } from "./deliveries.js";
import { Mesh } from "./mesh.js";
import { type Result, resultOf } from "./result.js";
import { Shell } from "./shell.js";
import { Uploads } from "./uploads.js";
import type { Viewer } from "./viewer.js";
import { KIND, World } from "./world.js";

/** Hears of a run while it lasts. */
export interface Progress {
  /** Virtual seconds between two reports. */
  readonly everyS: number;
  /** @param sofar As if the run had ended at `atS`, but for the stalls of those who are still there. */
  onReport(atS: number, sofar: Result): void;
}

/** @throws {InvariantError} If anything happens that must not. */
export function simulate(config: SimConfig, progress?: Progress): Result {
  const world = new World(config);
  world.shell = new Shell(world);
  world.mesh = new Mesh(world);
  world.uploads = new Uploads(world);
  world.deliveries = new Deliveries(world);
  world.audience = new Audience(world);
  world.audience.start();
  const stopWatching = world.guard.watchWindows();
  try {
    const { queue } = world;
    const endMs = config.seconds * 1_000;
    const everyMs = progress ? progress.everyS * 1_000 : Number.POSITIVE_INFINITY;
    let reportMs = everyMs;
    while (queue.next() && queue.atMs <= endMs) {
      world.nowMs = queue.atMs;
      if (world.nowMs >= reportMs) {
        progress?.onReport(reportMs / 1_000, resultOf(world));
        reportMs += everyMs;
      }
      dispatch(world);
    }
    world.nowMs = endMs;
  } finally {
    stopWatching();
  }
  for (const viewer of world.viewers) {
    if (!viewer?.alive) continue;
    viewer.player.settle(world.nowMs);
    world.stats.left(viewer);
    const { session } = viewer;
    if (session) world.guard.open(viewer, session.openedMs, session.asset);
  }
  world.guard.end();
  return resultOf(world);
}

function dispatch(world: World): void {
  const { kind, a, b, c } = world.queue;
  switch (kind) {
    case KIND.request:
      return world.uploads.requested(a, b);
    case KIND.pieceOut:
      return world.uploads.pieceOut(a, b);
    case KIND.pieceIn:
      return world.uploads.pieceIn(a, b);
    case KIND.cancel:
      return world.uploads.cancelled(a, b);
    case KIND.reject:
      return world.uploads.rejected(a, b, c);
    case KIND.have:
    case KIND.claim:
      return world.mesh.heard(kind, a, b);
    case KIND.linkUp:
    case KIND.linkFailed:
      return world.mesh.linkSettled(a, b, kind === KIND.linkUp);
    case KIND.origin:
      return world.deliveries.origin.step(a);
    case KIND.join:
      return world.audience.join(a);
    case KIND.forget:
      world.viewers[a] = undefined;
      return;
  }
  const viewer = world.alive(a);
  if (viewer) dispatchToViewer(world, viewer, kind, b);
}

function dispatchToViewer(world: World, viewer: Viewer, kind: number, b: number): void {
  switch (kind) {
    case KIND.leave:
      return world.audience.leave(viewer);
    case KIND.poll:
      return world.audience.poll(viewer);
    case KIND.want:
      viewer.wanting = false;
      return world.audience.want(viewer);
    case KIND.tick:
      return world.deliveries.tick(viewer);
    case KIND.flush:
      return world.mesh.flush(viewer);
    case KIND.indexJoined:
      return world.mesh.indexJoined(viewer);
    case KIND.uplinkFree:
      return world.uploads.uplinkFree(viewer);
    case KIND.decide:
      return world.deliveries.decide(viewer, b);
    case KIND.attested:
      return world.deliveries.attestations.arrived(viewer, b);
    case KIND.attestLost:
      viewer.asking--;
      return;
    case KIND.linkDown:
      return world.mesh.down(viewer.index, b);
  }
}
