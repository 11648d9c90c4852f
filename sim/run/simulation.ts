/**
 * One run: its shards go from window to window, here one after the other, in `threads.ts` side by side, with the
 * same result.
 * @module
 */
import type { SimConfig } from "../config.js";
import { check, type Result, resultOf } from "./result.js";
import { SHARDS, Shard } from "./shard.js";
import { windowMs } from "./world.js";

/** Hears of a run while it lasts. */
export interface Progress {
  /** Virtual seconds between two reports. */
  readonly everyS: number;
  /** @param sofar As if the run had ended at `atS`, but for the stalls of those who are still there. */
  onReport(atS: number, sofar: Result): void;
}

/** How many shards a run has: one if all viewers share a line, or if anything takes no time at all. */
export function shardCount(config: SimConfig): number {
  return config.originCap > 0 || windowMs(config) <= 0 ? 1 : SHARDS;
}

/** Ends of the windows of a run, and whether a report is due at each. */
export function* windows(
  config: SimConfig,
  everyS: number,
): Generator<{ endMs: number; reportMs: number | undefined }> {
  const lastMs = config.seconds * 1_000;
  const lengthMs = shardCount(config) === 1 ? 1_000 : windowMs(config);
  let reportMs = everyS * 1_000;
  for (let count = 1; ; count++) {
    const endMs = Math.min(lastMs, count * lengthMs);
    const due = endMs >= reportMs && endMs < lastMs;
    yield { endMs, reportMs: due ? reportMs : undefined };
    if (due) reportMs += everyS * 1_000;
    if (endMs === lastMs) return;
  }
}

/** @throws {InvariantError} If anything happens that must not. */
export function simulate(config: SimConfig, progress?: Progress): Result {
  const shards = shardCount(config);
  const all = Array.from({ length: shards }, (_, shard) => new Shard(config, { shard, shards }));
  const result = () =>
    resultOf(
      config,
      all.map((shard) => shard.report()),
    );
  for (const { endMs, reportMs } of windows(config, progress?.everyS ?? Infinity)) {
    for (const shard of all) shard.advance(endMs);
    exchange(all);
    if (reportMs !== undefined) progress?.onReport(reportMs / 1_000, result());
  }
  for (const shard of all) shard.end();
  const whole = result();
  check(config, whole);
  return whole;
}

function exchange(shards: readonly Shard[]): void {
  for (const from of shards) {
    for (const [to, outbox] of from.outboxes.entries()) {
      if (!outbox) continue;
      shards[to]?.receive(outbox.words);
      outbox.clear();
    }
  }
}
