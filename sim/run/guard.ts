/**
 * What must hold in every run. A violation ends the run, loudly, with the seed that brings it back.
 * @module
 */
import type { PeerSource as Peer } from "../../src/engine/planning/peer-source.js";
import { LINK_REQUESTS_MAX } from "../../src/protocol/limits.js";
import type { Asset } from "../audience/catalogue.js";
import type { Viewer } from "../audience/viewer.js";
import type { World } from "./world.js";

export class InvariantError extends Error {
  override readonly name = "InvariantError";
}

export class Guard {
  readonly #world: World;

  constructor(world: World) {
    this.#world = world;
  }

  /** A request is complete: none of its bytes came from a liar. */
  delivered(viewer: Viewer, asset: Asset): void {
    if (viewer.wrong.size === 0) return;
    for (let piece = 0; piece < asset.pieceCount; piece++) {
      if (viewer.wrong.has(`${asset.index} ${piece}`)) {
        this.fail(viewer, `a wrong byte of asset ${asset.index}, piece ${piece} was delivered`);
      }
    }
  }

  /** A request failed: only the origin may be the reason. */
  failed(viewer: Viewer, openedMs: number): void {
    if (this.#world.originFailedSince(openedMs)) return;
    this.fail(viewer, "a request failed although the origin was well");
  }

  /** A request is still open. */
  open(viewer: Viewer, openedMs: number, asset: Asset): void {
    const { config, nowMs } = this.#world;
    const originMs = viewer.traits.originFirstByteMs + asset.bytes / viewer.traits.originRate;
    const limitMs = config.stuckS * 1_000 + 10 * originMs;
    if (nowMs - openedMs < limitMs || config.originCap > 0) return;
    if (this.#world.originFailedSince(openedMs)) return;
    this.fail(viewer, `the request for asset ${asset.index} is open since ${openedMs / 1e3} s`);
  }

  asked(viewer: Viewer, peerId: string, open: boolean): void {
    if (!open) this.fail(viewer, `it asked ${peerId}, to whom no link is open`);
  }

  /** What is asked of a peer fits the pull window. */
  window(viewer: Viewer, peer: Peer): void {
    if (peer.queuedBytes <= peer.window.bytes) return;
    this.fail(viewer, `the window of ${peer.id} was exceeded`);
  }

  uploadQueue(viewer: Viewer, jobs: number): void {
    if (jobs > LINK_REQUESTS_MAX) this.fail(viewer, `${jobs} uploads of one link are queued`);
  }

  fail(viewer: Viewer | undefined, what: string): never {
    const { config, nowMs } = this.#world;
    const who = viewer ? `, viewer ${viewer.index}` : "";
    throw new InvariantError(`seed ${config.seed}, ${(nowMs / 1_000).toFixed(3)} s${who}: ${what}`);
  }
}
