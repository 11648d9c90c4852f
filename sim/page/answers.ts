/**
 * The worker's part of a request (src/sw/answer/delivery.ts): the page takes the pieces in order, and the worker goes
 * on alone with the origin when its host is silent or gives up. How a request ends is known here.
 * @module
 */
import type { Viewer } from "../audience/viewer.js";
import type { World } from "../run/world.js";
import type { Session } from "./deliveries.js";

const SILENCE_MS = 2_500;

export class Answers {
  readonly #world: World;

  constructor(world: World) {
    this.#world = world;
  }

  /** Something new is here: the page takes what it can. */
  arrived(viewer: Viewer): void {
    const { session } = viewer;
    if (!session) return;
    session.heardMs = this.#world.nowMs;
    if (session.phase !== "passing") this.progress(viewer, session);
  }

  /** The page takes what is next in order. */
  progress(viewer: Viewer, session: Session): void {
    const { library, shell, nowMs } = this.#world;
    const have = library.have(viewer, session.asset);
    const before = session.next;
    while (session.next < session.asset.pieceCount && have.has(session.next)) session.next++;
    if (session.next === session.asset.pieceCount) return this.complete(viewer, session);
    if (session.next === before || session.phase !== "planned") return;
    shell.run(viewer, viewer.planner.advance(session.id, session.next, nowMs));
  }

  /** Goes alone if the host was silent for too long. */
  tick(viewer: Viewer, session: Session): void {
    const silent = this.#world.nowMs - session.heardMs >= SILENCE_MS;
    if (viewer.session === session && silent) this.goAlone(viewer, session);
  }

  /** Fetches from the origin what is not here. */
  goAlone(viewer: Viewer, session: Session): void {
    if (session.alone) return;
    session.alone = true;
    const { stats, library, deliveries } = this.#world;
    stats.alone++;
    this.#world.trace(viewer, `goes alone with ${session.asset.id}`);
    const have = library.have(viewer, session.asset);
    let from = session.next;
    while (from < session.asset.pieceCount && have.has(from)) from++;
    let to = session.asset.pieceCount;
    while (to > from && have.has(to - 1)) to--;
    if (from < to) deliveries.origin.start(viewer, session, { from, to });
  }

  complete(viewer: Viewer, session: Session): void {
    const { stats, guard, nowMs, shell, audience, deliveries, config } = this.#world;
    if (viewer.session !== session) return;
    if (config.plant === "forget-request") return;
    guard.delivered(viewer, session.asset);
    stats.completed(nowMs - session.openedMs);
    this.#world.trace(viewer, `has ${session.asset.id} after ${(nowMs - session.openedMs) | 0} ms`);
    viewer.session = undefined;
    viewer.player.add(nowMs);
    shell.run(viewer, viewer.planner.close(session.id));
    deliveries.attestations.verifyLate(viewer, session.asset);
    audience.want(viewer);
  }

  /** Only the network can make a request fail. */
  failed(viewer: Viewer, session: Session): void {
    const { stats, guard, shell, audience } = this.#world;
    guard.failed(viewer, session.openedMs);
    stats.failed++;
    viewer.session = undefined;
    shell.run(viewer, viewer.planner.close(session.id));
    audience.retry(viewer);
  }
}
