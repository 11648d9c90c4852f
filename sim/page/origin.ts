/**
 * The origin: per viewer a time to the first byte and a rate, perhaps a cap for all viewers together, and
 * times when it fails. One run is one response; it stops when peers have brought the rest.
 * @module
 */
import { PieceSet } from "../../src/core/piece-set.js";
import type { PieceRange } from "../../src/protocol/asset.js";
import type { Asset } from "../audience/catalogue.js";
import type { Viewer } from "../audience/viewer.js";
import { bytesPerMs } from "../config.js";
import { KIND, type World } from "../run/world.js";
import type { Session } from "./deliveries.js";

interface Run {
  readonly viewer: Viewer;
  readonly session: Session;
  readonly from: number;
  readonly to: number;
  next: number;
  readonly startedMs: number;
  /** It passes through: nobody needs it any more once the mesh has taken over. */
  readonly passing: boolean;
  firstByteMs: number;
}

export class Origin {
  readonly #world: World;
  readonly #runs: (Run | undefined)[] = [];
  readonly #free: number[] = [];
  #freeMs = 0;

  constructor(world: World) {
    this.#world = world;
  }

  start(viewer: Viewer, session: Session, { from, to }: PieceRange): void {
    const at = this.#free.pop() ?? this.#runs.length;
    const startedMs = this.#world.nowMs;
    session.ordered.addRange(from, to);
    const passing = session.phase === "passing";
    const run = { viewer, session, from, to, next: from - 1, startedMs, passing, firstByteMs: 0 };
    this.#runs[at] = run;
    this.#world.stats.originRuns++;
    this.#world.after(viewer.traits.originFirstByteMs, KIND.origin, at);
  }

  /** The first byte of a run, or its next piece, is here. */
  step(at: number): void {
    const run = this.#runs[at];
    if (!run) return;
    const { viewer, session } = run;
    const over = viewer.session !== session || (run.passing && session.phase !== "passing");
    if (!viewer.alive || over) return this.#release(at);
    if (this.#world.originDown) return this.#end(at, run, false);
    if (run.next < run.from) {
      run.firstByteMs = this.#world.nowMs - run.startedMs;
      if (run.passing) session.headMs = this.#world.nowMs;
    } else {
      if (run.passing) session.passed = run.next + 1;
      this.#arrived(run);
    }
    if (viewer.session !== session) return this.#release(at);
    run.next++;
    if (run.next >= run.to || this.#needless(run)) return this.#end(at, run, true);
    this.#send(at, run);
  }

  /** Books the next piece on the origin's line, the viewer's share of it, and the viewer's downlink. */
  #send(at: number, { viewer, session, next }: Run): void {
    const { nowMs, catalogue, queue, config } = this.#world;
    const bytes = catalogue.bytesOf(session.asset, next);
    let readyMs = nowMs;
    if (config.originCap > 0) {
      this.#freeMs = Math.max(this.#freeMs, nowMs) + bytes / bytesPerMs(config.originCap);
      readyMs = this.#freeMs;
    }
    const sendMs = bytes / viewer.traits.originRate;
    const sentMs = Math.max(readyMs, Math.max(viewer.originFreeMs, nowMs) + sendMs);
    viewer.originFreeMs = sentMs;
    // What a capped origin sends late must not keep peers' bytes from the downlink until then.
    if (config.originCap > 0) return queue.push(sentMs, KIND.origin, at);
    const receiveMs = bytes / viewer.traits.downlink;
    viewer.downlinkFreeMs = Math.max(
      sentMs,
      Math.max(viewer.downlinkFreeMs, sentMs - receiveMs) + receiveMs,
    );
    queue.push(viewer.downlinkFreeMs, KIND.origin, at);
  }

  #arrived({ viewer, session, next: piece }: Run): void {
    const { stats, catalogue, nowMs, shell, library, answers, config } = this.#world;
    const { asset } = session;
    const bytes = catalogue.bytesOf(asset, piece);
    const attested = viewer.attested.has(asset.index) || !config.mesh;
    const first = attested ? library.add(viewer, asset, piece) : this.#keep(viewer, asset, piece);
    stats.originPiece(bytes, first);
    if (session.phase === "planned") {
      shell.run(viewer, viewer.planner.originArrived(session.id, piece, bytes, nowMs));
    }
    answers.arrived(viewer);
  }

  /** Without an attestation a piece is delivered but neither stored nor announced. */
  #keep(viewer: Viewer, asset: Asset, piece: number): boolean {
    let pieces = viewer.unverified.get(asset.index);
    if (!pieces) {
      pieces = new PieceSet(asset.pieceCount);
      viewer.unverified.set(asset.index, pieces);
    }
    return pieces.add(piece);
  }

  /** Whether peers have brought all that is left. */
  #needless({ viewer, session, next, to }: Run): boolean {
    return (
      session.phase !== "passing" && !!viewer.have.get(session.asset.index)?.hasRange(next, to)
    );
  }

  #end(at: number, run: Run, complete: boolean): void {
    this.#release(at);
    const { viewer, session } = run;
    const { answers, shell, nowMs } = this.#world;
    session.heardMs = nowMs;
    if (session.phase === "passing") {
      if (!complete) return answers.failed(viewer, session);
      this.#sample(run);
      return answers.complete(viewer, session);
    }
    if (session.phase === "planned") {
      shell.run(
        viewer,
        viewer.planner.originEnded(session.id, complete ? "complete" : "failed", nowMs),
      );
    }
    if (!complete && session.alone && viewer.session === session) {
      answers.failed(viewer, session);
    }
  }

  /** What a passed-through response shows of the origin's speed. */
  #sample({ viewer, session, startedMs, firstByteMs }: Run): void {
    const durationMs = this.#world.nowMs - startedMs - firstByteMs;
    viewer.planner.origin.passed({ firstByteMs, bytes: session.asset.bytes, durationMs });
  }

  #release(at: number): void {
    this.#runs[at] = undefined;
    this.#free.push(at);
  }
}
