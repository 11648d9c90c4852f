/**
 * The verified pieces that a viewer holds, as src/mesh/delivery/piece-library.ts keeps them: what is new is told to
 * its neighbours, and what nobody can ask for any more is forgotten.
 * @module
 */
import { PieceSet } from "../../src/core/piece-set.js";
import type { Asset } from "../audience/catalogue.js";
import type { Viewer } from "../audience/viewer.js";
import type { World } from "../run/world.js";

export class Library {
  readonly #world: World;

  constructor(world: World) {
    this.#world = world;
  }

  have(viewer: Viewer, asset: Asset): PieceSet {
    let have = viewer.have.get(asset.index);
    if (!have) {
      have = new PieceSet(asset.pieceCount);
      viewer.have.set(asset.index, have);
    }
    return have;
  }

  /** A verified piece. @returns Whether it is new. */
  add(viewer: Viewer, asset: Asset, piece: number): boolean {
    if (!this.have(viewer, asset).add(piece)) return false;
    asset.held.add(viewer.index, piece);
    if (this.#world.config.mesh) this.#world.gossip.added(viewer, asset.index, piece);
    return true;
  }

  /** What is older than `asset` left the playlist long ago: memory of the past would grow with the run. */
  forget(viewer: Viewer, asset: Asset): void {
    const before = Math.min(asset.index, viewer.session?.asset.index ?? asset.index);
    for (const past of [viewer.attested, viewer.have, viewer.unverified]) {
      for (const index of past.keys()) if (index < before) past.delete(index);
    }
    for (; viewer.pastTo < before; viewer.pastTo++) {
      viewer.planner.forget(this.#world.catalogue.at(viewer.pastTo).id);
    }
  }
}
