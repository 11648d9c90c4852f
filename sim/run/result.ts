/**
 * What a run says at its end, and how it is printed beside its twin.
 * @module
 */
import { PIECE_BYTES } from "../../src/protocol/limits.js";
import { Catalogue } from "../audience/catalogue.js";
import type { SimConfig } from "../config.js";
import { InvariantError } from "./guard.js";
import { type PlainStats, Stats } from "./stats.js";

/** What one shard has to say, as plain values. */
export interface ShardReport {
  readonly stats: PlainStats;
  readonly events: number;
  readonly eventsPeak: number;
  /** Assets that anybody asked for. */
  readonly wanted: readonly number[];
  /** The same in all shards. */
  readonly viewers: number;
  readonly cliques: number;
  readonly digest: number;
}

export type Result = ReturnType<typeof resultOf>;

const round = (value: number, digits = 3) => Number(value.toFixed(digits));

/** @throws {InvariantError} If the shards do not agree on who came, left and was linked. */
export function resultOf(config: SimConfig, reports: readonly ShardReport[]) {
  const stats = new Stats();
  for (const report of reports) stats.include(report.stats);
  const { viewers, cliques, digest } = reports[0] as ShardReport;
  if (reports.some((report) => report.digest !== digest)) {
    throw new InvariantError(`seed ${config.seed}: the shards disagree on who is linked`);
  }
  const events = reports.reduce((sum, report) => sum + report.events, 0);
  const eventsPeak = reports.reduce((sum, report) => sum + report.eventsPeak, 0);
  const delivered = stats.meshBytes + stats.originFirstBytes;
  const catalogue = new Catalogue(config);
  const wanted = new Set(reports.flatMap((report) => report.wanted));
  const wantedBytes = [...wanted].reduce((sum, index) => sum + catalogue.at(index).bytes, 0);
  const [delayP50 = 0, delayP95 = 0, delayP99 = 0] = stats.delays.quantiles(0.5, 0.95, 0.99);
  const [startupP50 = 0, startupP95 = 0] = stats.startups.quantiles(0.5, 0.95);
  const [pieceP50 = 0, pieceP95 = 0] = stats.pieceDelays.quantiles(0.5, 0.95);
  const [uploadP50 = 0, uploadP95 = 0, uploadMax = 0] = stats.uploads.quantiles(0.5, 0.95, 1);
  return {
    ...{ scenario: config.scenario, seed: config.seed, mesh: config.mesh },
    ...{ viewers, seconds: config.seconds, cliques },
    deliveredBytes: delivered,
    offload: round(1 - stats.originBytes / Math.max(1, delivered), 4),
    meshShare: round(stats.meshBytes / Math.max(1, delivered), 4),
    originBytes: stats.originBytes,
    meshBytes: stats.meshBytes,
    originCopies: round(stats.originBytes / Math.max(1, wantedBytes), 2),
    duplicateShare: round(stats.duplicateBytes / Math.max(1, delivered), 4),
    rejectedBytes: stats.rejectedBytes,
    startupMs: { p50: round(startupP50, 0), p95: round(startupP95, 0) },
    stalls: stats.stalls,
    stallS: round(stats.stallMs / 1_000, 1),
    requests: stats.delays.count,
    requestMs: { p50: round(delayP50, 0), p95: round(delayP95, 0), p99: round(delayP99, 0) },
    meshPieceMs: { p50: round(pieceP50, 0), p95: round(pieceP95, 0) },
    uploadMiB: {
      p50: round(uploadP50 / 2 ** 20, 1),
      p95: round(uploadP95 / 2 ** 20, 1),
      max: round(uploadMax / 2 ** 20, 1),
    },
    counts: {
      ...{ planned: stats.planned, passed: stats.passed, alone: stats.alone, failed: stats.failed },
      ...{ asks: stats.asks, cancels: stats.cancels, busy: stats.busy, absent: stats.absent },
      fetchedPieces: { ...stats.fetched, passed: stats.passedPieces },
      ...{ originRuns: stats.originRuns, links: stats.linkEnds / 2 },
      ...{ droppedCorrupt: stats.drops.corrupt, droppedStalled: stats.drops.stalled },
      ...{ events, eventsPeak },
    },
  };
}

/** Pieces per viewer by which origin bytes may exceed what was delivered. */
const HEDGE_PIECES = 4;
/** Events that may wait at a time, per viewer that was ever there. */
const EVENTS_PER_VIEWER_MAX = 4_000;

/** What must hold of a whole run. @throws {InvariantError} */
export function check(config: SimConfig, result: Result): void {
  const { deliveredBytes: delivered, originBytes, meshBytes, viewers, counts } = result;
  const hedgedBytes = viewers * HEDGE_PIECES * PIECE_BYTES;
  if (originBytes > 1.02 * delivered + 0.02 * meshBytes + hedgedBytes) {
    throw new InvariantError(
      `seed ${config.seed}: the origin sent ${originBytes} bytes where ${delivered} were needed`,
    );
  }
  if (counts.eventsPeak > EVENTS_PER_VIEWER_MAX * viewers + 1_000) {
    throw new InvariantError(
      `seed ${config.seed}: ${counts.eventsPeak} events waited at the same time`,
    );
  }
}

const percent = (share: number) => `${(100 * share).toFixed(1)} %`;
const mib = (bytes: number) => `${(bytes / 2 ** 20).toFixed(0)} MiB`;

/** One line on a run that goes on. */
export function progressLine(
  atS: number,
  { offload, deliveredBytes, counts, cliques }: Result,
): string {
  const { passed, starting, first, held } = counts.fetchedPieces;
  const share = (pieces: number) => ((100 * pieces * PIECE_BYTES) / deliveredBytes).toFixed(2);
  const rest = share(first + held);
  const origin = (100 * (1 - offload)).toFixed(2);
  return `${atS} s: ${cliques} cliques, ${mib(deliveredBytes)} delivered, origin ${origin} % (first segments ${share(passed)}, start ${share(starting)}, rest ${rest})`;
}

const LINES: readonly (readonly [string, (result: Result) => string])[] = [
  ["offload", ({ offload }) => percent(offload)],
  ["bytes from mesh", ({ meshShare }) => percent(meshShare)],
  ["delivered", ({ deliveredBytes }) => mib(deliveredBytes)],
  ["origin sent", ({ originBytes }) => mib(originBytes)],
  ["origin copies per segment", ({ originCopies }) => originCopies.toFixed(2)],
  ["duplicates", ({ duplicateShare }) => percent(duplicateShare)],
  ["start-up ms p50 / p95", ({ startupMs: { p50, p95 } }) => `${p50} / ${p95}`],
  ["stalls, seconds", ({ stalls, stallS }) => `${stalls}, ${stallS}`],
  ["request ms p50 / p95 / p99", ({ requestMs: { p50, p95, p99 } }) => `${p50} / ${p95} / ${p99}`],
  ["mesh piece ms p50 / p95", ({ meshPieceMs: { p50, p95 } }) => `${p50} / ${p95}`],
  [
    "uploaded MiB p50 / p95 / max",
    ({ uploadMiB: { p50, p95, max } }) => `${p50} / ${p95} / ${max}`,
  ],
  ["planned / passed / alone", ({ counts: c }) => `${c.planned} / ${c.passed} / ${c.alone}`],
  [
    "origin: passed / starting",
    ({ counts: { fetchedPieces: f } }) => `${f.passed} / ${f.starting}`,
  ],
  ["origin: first / held", ({ counts: { fetchedPieces: f } }) => `${f.first} / ${f.held}`],
  ["asks / busy / absent", ({ counts: c }) => `${c.asks} / ${c.busy} / ${c.absent}`],
  ["dropped corrupt / stalled", ({ counts: c }) => `${c.droppedCorrupt} / ${c.droppedStalled}`],
];

/** A table of the run, beside its twin if there is one. */
export function report(mesh: Result, twin: Result | undefined): string {
  const runs = twin ? [mesh, twin] : [mesh];
  const row = (name: string, cells: readonly string[]) =>
    `  ${name.padEnd(40)}${cells.map((cell) => cell.padStart(26)).join("")}`;
  return [
    `${mesh.scenario}, seed ${mesh.seed}: ${mesh.viewers} viewers in ${mesh.cliques} cliques, ${mesh.seconds} s`,
    row("", ["mesh", "CDN only"].slice(0, runs.length)),
    ...LINES.map(([name, text]) => row(name, runs.map(text))),
  ].join("\n");
}
