/**
 * What a run says at its end, and how it is printed beside its twin.
 * @module
 */
import { PIECE_BYTES } from "../src/protocol/limits.js";
import type { World } from "./world.js";

export type Result = ReturnType<typeof resultOf>;

const round = (value: number, digits = 3) => Number(value.toFixed(digits));

export function resultOf(world: World) {
  const { stats, config, catalogue, viewers, queue, cliques } = world;
  const delivered = stats.meshBytes + stats.originFirstBytes;
  const wanted = catalogue.assets.filter((asset) => asset.wanted);
  const wantedBytes = wanted.reduce((sum, { bytes }) => sum + bytes, 0);
  const [delayP50 = 0, delayP95 = 0, delayP99 = 0] = stats.delays.quantiles(0.5, 0.95, 0.99);
  const [startupP50 = 0, startupP95 = 0] = stats.startups.quantiles(0.5, 0.95);
  const [pieceP50 = 0, pieceP95 = 0] = stats.pieceDelays.quantiles(0.5, 0.95);
  const [uploadP50 = 0, uploadP95 = 0, uploadMax = 0] = stats.uploads.quantiles(0.5, 0.95, 1);
  return {
    ...{ scenario: config.scenario, seed: config.seed, mesh: config.mesh },
    ...{ viewers: viewers.length, seconds: config.seconds, cliques: cliques.count },
    deliveredBytes: delivered,
    offload: round(1 - stats.originBytes / Math.max(1, delivered), 4),
    meshShare: round(stats.meshBytes / Math.max(1, delivered), 4),
    originBytes: stats.originBytes,
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
      ...{ originRuns: stats.originRuns, links: stats.linksOpened },
      ...{ droppedCorrupt: stats.drops.corrupt, droppedStalled: stats.drops.stalled },
      ...{ events: queue.count, eventsPeak: queue.peak },
    },
  };
}

const percent = (share: number) => `${(100 * share).toFixed(1)} %`;
const mib = (bytes: number) => `${(bytes / 2 ** 20).toFixed(0)} MiB`;

/** One line on a run that goes on. */
export function progressLine(
  atS: number,
  { offload, deliveredBytes, counts, cliques }: Result,
): string {
  const { passed, starting, first, coming, held } = counts.fetchedPieces;
  const share = (pieces: number) => ((100 * pieces * PIECE_BYTES) / deliveredBytes).toFixed(2);
  const rest = share(first + coming + held);
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
  [
    "origin: first / coming / held",
    ({ counts: { fetchedPieces: f } }) => `${f.first} / ${f.coming} / ${f.held}`,
  ],
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
