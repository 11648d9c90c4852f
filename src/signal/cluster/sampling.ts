/**
 * Which of this node's viewers the others are told of: a few of each kind, between them all windows that
 * anybody here has. This module is pure.
 * @module
 */
import type { HeldWindows } from "../../protocol/signal-messages.js";
import type { Presence } from "../swarm/index-change.js";
import { BUCKET_WINDOWS, type Bucket } from "./names.js";

/** A viewer in a sample, with what it has of the bucket: everything, or bits. */
export interface Sampled {
  readonly viewer: Presence;
  readonly windows: "all" | bigint;
}

/** The buckets that windows are in. */
export function bucketsOf(windows: HeldWindows | ReadonlySet<number>): ReadonlySet<Bucket> {
  if (windows === "all") return new Set<Bucket>(["all"]);
  return new Set(Array.from(windows, (window) => Math.floor(window / BUCKET_WINDOWS)));
}

/** Whether the bits, in hexadecimal, have a window. */
export function hasWindow(windows: string, window: number): boolean {
  if (windows === "all") return true;
  return ((BigInt(`0x${windows}`) >> BigInt(window % BUCKET_WINDOWS)) & 1n) === 1n;
}

/**
 * Chooses at most `max` viewers that hold something of a bucket: first those who add a window that no one
 * chosen before has, then others.
 *
 * @param viewers In random order, so that not always the same are named.
 *
 * Cost: O(viewers × windows of the bucket).
 */
export function sampleOf(viewers: readonly Presence[], bucket: Bucket, max: number): Sampled[] {
  const holding = viewers.flatMap((viewer): Sampled[] => {
    const windows = windowsIn(viewer.held, bucket);
    return windows === undefined ? [] : [{ viewer, windows }];
  });
  if (bucket === "all") return holding.slice(0, max);
  let covered = 0n;
  const [useful, others]: [Sampled[], Sampled[]] = [[], []];
  for (const each of holding) {
    const bits = each.windows as bigint;
    (bits & ~covered ? useful : others).push(each);
    covered |= bits;
  }
  return [...useful, ...others].slice(0, max);
}

function windowsIn(held: Presence["held"], bucket: Bucket): "all" | bigint | undefined {
  if (bucket === "all" || held === "all") return bucket === held ? "all" : undefined;
  let bits = 0n;
  for (let at = 0; at < BUCKET_WINDOWS; at++) {
    if (held.has(bucket * BUCKET_WINDOWS + at)) bits |= 1n << BigInt(at);
  }
  return bits === 0n ? undefined : bits;
}
