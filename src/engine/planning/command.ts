/**
 * What the planner wants done: the page's shell and the simulator carry it out. This module is pure.
 * @module
 */
import type { Asked } from "./asset-supply.js";

export type Command = Readonly<
  | { type: "ask"; peerId: string; askId: number; assetId: string; piece: number }
  | { type: "cancel"; peerId: string; askId: number }
  | { type: "fetch"; requestId: number; from: number; to: number }
  | { type: "claim"; assetId: string; from: number; to: number; hops: number }
  | { type: "drop"; peerId: string; reason: "corrupt" | "stalled" }
  | { type: "fail"; requestId: number }
>;

/** Tells the peer that an ask was taken back, if there was one. */
export function cancelled(asked: Asked | undefined): Command[] {
  return asked ? [{ type: "cancel", peerId: asked.peerId, askId: asked.ask.id }] : [];
}
