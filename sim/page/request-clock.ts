/**
 * When a request's bytes are needed, and how long it may wait for help, as src/mesh/delivery/request-clock.ts judges.
 * @module
 */
import { deadlineOf, patienceMs } from "../../src/engine/playback/deadline.js";
import { PIECE_BYTES } from "../../src/protocol/limits.js";
import type { Viewer } from "../audience/viewer.js";
import type { World } from "../run/world.js";
import type { Session } from "./deliveries.js";

/** A round trip to the index, as a rule. */
const ATTESTATION_MS = 50;
/** Before the length is known. */
const EXPECTED_BYTES = 2 ** 20;

export class RequestClock {
  readonly #world: World;

  constructor(world: World) {
    this.#world = world;
  }

  deadlineMs(viewer: Viewer, session: Session): number {
    const { nowMs } = this.#world;
    const known = session.phase !== "waiting" || viewer.attested.has(session.asset.index);
    const bytes = known ? session.asset.pieceCount * PIECE_BYTES : EXPECTED_BYTES;
    const originMs = viewer.planner.origin.expectedMs(bytes);
    const playback = viewer.player.playback(nowMs);
    return deadlineOf({ openedMs: session.startedMs, nowMs, playback, originMs });
  }

  /** Until then it may wait for links and holders that are on their way. */
  patientUntilMs(viewer: Viewer, session: Session): number {
    const originMs = viewer.planner.origin.expectedMs(session.asset.pieceCount * PIECE_BYTES);
    const { startedMs } = session;
    return startedMs + patienceMs(startedMs, this.deadlineMs(viewer, session), originMs);
  }

  /** How long it may wait for its attestation: not at all when bytes are urgent and nobody is linked. */
  attestationMs(viewer: Viewer, session: Session): number {
    const originMs = viewer.planner.origin.expectedMs(EXPECTED_BYTES);
    const leastMs = viewer.planner.linked ? ATTESTATION_MS : 0;
    const patientMs = patienceMs(this.#world.nowMs, this.deadlineMs(viewer, session), originMs);
    return Math.max(leastMs, patientMs);
  }
}
