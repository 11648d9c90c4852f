/**
 * What the index attests: the first viewer that asks for a segment makes the server fetch and hash it. Bytes
 * that came before their attestation are shared once it is here.
 * @module
 */
import type { Asset } from "../audience/catalogue.js";
import type { Viewer } from "../audience/viewer.js";
import { KIND, type World } from "../run/world.js";

const ANSWER_TIMEOUT_MS = 5_000;

export class Attestations {
  readonly #world: World;

  constructor(world: World) {
    this.#world = world;
  }

  ask(viewer: Viewer, asset: Asset): void {
    const { nowMs, queue, indexDown } = this.#world;
    viewer.asking++;
    const rttMs = viewer.traits.serverRttMs;
    const sentMs = Math.max(nowMs, viewer.indexJoinedMs);
    if (indexDown || sentMs > nowMs + ANSWER_TIMEOUT_MS) {
      return this.#world.after(ANSWER_TIMEOUT_MS, KIND.attestLost, viewer.index, asset.index);
    }
    const heardMs = sentMs + rttMs / 2;
    const first = asset.attestedMs === Number.POSITIVE_INFINITY;
    if (first) this.#world.everywhere(heardMs, KIND.attest, asset.index);
    queue.push(heardMs, KIND.attestAsked, viewer.index, asset.index);
  }

  /** The server fetches and hashes an asset, if it is the first that asks. */
  attest(index: number): void {
    const { nowMs, config, catalogue } = this.#world;
    const asset = catalogue.at(index);
    asset.attestedMs = Math.min(asset.attestedMs, nowMs + config.attestMs);
  }

  /** A question has reached the server. */
  asked(viewer: Viewer, index: number): void {
    const { nowMs, queue, catalogue } = this.#world;
    const readyMs = Math.max(nowMs, catalogue.at(index).attestedMs);
    queue.push(readyMs + viewer.traits.serverRttMs / 2, KIND.attested, viewer.index, index);
  }

  arrived(viewer: Viewer, index: number): void {
    viewer.asking--;
    viewer.attested.add(index);
    const asset = this.#world.catalogue.at(index);
    const { session } = viewer;
    if (session?.asset === asset) {
      if (session.phase === "waiting") return this.#world.deliveries.decide(viewer, session.id);
      this.claim(viewer, asset);
    }
    this.verifyLate(viewer, asset);
  }

  /** Bytes that pass through turn out to be attested: neighbours hear that they are on their way. */
  claim(viewer: Viewer, asset: Asset): void {
    if (viewer.have.get(asset.index)?.complete) return;
    const pieces = { from: 0, to: asset.pieceCount };
    this.#world.shell.run(viewer, viewer.planner.relay.claim(asset.id, pieces));
  }

  /** Pieces that passed through before their attestation was known. */
  verifyLate(viewer: Viewer, asset: Asset): void {
    const pieces = viewer.unverified.get(asset.index);
    if (!pieces || !viewer.attested.has(asset.index)) return;
    viewer.unverified.delete(asset.index);
    for (let piece = 0; piece < asset.pieceCount; piece++) {
      if (pieces.has(piece)) this.#world.library.add(viewer, asset, piece);
    }
  }
}
