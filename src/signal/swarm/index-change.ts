/**
 * What changed in the index of one node, for those who tell others. This module is pure.
 * @module
 */
import type { HeldWindows } from "../../protocol/signal-messages.js";
import type { Locality } from "./locality.js";

/** A viewer holds more of an asset, or nothing of it any more; entered a group, or left it. */
export interface IndexChange {
  readonly viewer: { readonly id: string; readonly locality: Locality };
  readonly kind: "holds" | "dropped" | "entered" | "left";
  /** Asset id, or group. */
  readonly name: string;
  /** Of the asset; `"all"` also for groups. */
  readonly windows: HeldWindows;
}

/** A viewer of this node as others may be told of it. */
export interface Presence {
  readonly id: string;
  readonly locality: Locality;
  readonly loadPercent: number;
  readonly held: "all" | ReadonlySet<number>;
}
