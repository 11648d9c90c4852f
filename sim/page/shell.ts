/**
 * Carries out a planner's commands for one viewer, as the page's host does (src/mesh/host.ts).
 * @module
 */
import type { Command } from "../../src/engine/planning/command.js";
import type { Viewer } from "../audience/viewer.js";
import type { World } from "../run/world.js";

/** A peer that sent wrong bytes, or was silent too often, is not linked again for so long. */
const BANNED_MS = 600_000;
const UNREACHABLE_MS = 60_000;

export class Shell {
  readonly #world: World;

  constructor(world: World) {
    this.#world = world;
  }

  run(viewer: Viewer, commands: readonly Command[]): void {
    for (const command of commands) this.#execute(viewer, command);
  }

  #execute(viewer: Viewer, command: Command): void {
    const { asks, deliveries, gossip, links, stats } = this.#world;
    switch (command.type) {
      case "ask":
        return asks.ask(viewer, command);
      case "cancel":
        return asks.cancel(viewer, command.askId);
      case "fetch":
        return deliveries.fetch(viewer, command);
      case "claim":
        return gossip.claim(viewer, command);
      case "fail":
        return deliveries.givenUp(viewer, command.requestId);
      case "drop": {
        const peer = Number(command.peerId);
        stats.drops[command.reason]++;
        this.#world.trace(viewer, `drops ${peer}: ${command.reason}`);
        const banMs = command.reason === "corrupt" ? BANNED_MS : UNREACHABLE_MS;
        return links.drop(viewer, peer, banMs);
      }
    }
  }
}
