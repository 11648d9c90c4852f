/** From samples to a small table and a JSON file. */
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { cpus, loadavg } from "node:os";
import { fileURLToPath } from "node:url";

const RESULTS = new URL("../../.cache/bench/", import.meta.url);

export function median(values) {
  const sorted = values.filter(Number.isFinite).sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  if (sorted.length === 0) return Number.NaN;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

export const sum = (values) => values.reduce((total, value) => total + value, 0);

const shown = (value) =>
  Number.isFinite(value)
    ? value.toLocaleString("en", { maximumSignificantDigits: 3, useGrouping: false })
    : "-";

/**
 * One figure beside its twin.
 *
 * @param ours, twin Samples, one per run.
 * @param compare `"ratio"`, or `"difference"` where the twin may be near zero.
 */
export function figure(name, unit, { ours, twin = [], compare = "ratio", target = "" }) {
  const [mine, theirs] = [median(ours), median(twin)];
  const versus = compare === "ratio" ? mine / theirs : mine - theirs;
  return { name, unit, ours, twin, median: mine, twinMedian: theirs, compare, versus, target };
}

export function printTable(figures) {
  const spread = (values) =>
    values.length > 1 ? ` (${shown(Math.min(...values))}–${shown(Math.max(...values))})` : "";
  const versus = ({ compare, versus }) => {
    if (!Number.isFinite(versus)) return "";
    return compare === "ratio" ? `× ${shown(versus)}` : `${versus >= 0 ? "+" : ""}${shown(versus)}`;
  };
  const rows = figures.map((row) => [
    row.name,
    `${shown(row.median)}${spread(row.ours)}`,
    row.twin.length > 0 ? `${shown(row.twinMedian)}${spread(row.twin)}` : "",
    versus(row),
    row.unit,
    row.target,
  ]);
  const table = [["", "Nearcast", "twin", "against it", "unit", "target"], ...rows];
  const widths = table[0].map((_, column) => Math.max(...table.map((row) => row[column].length)));
  for (const row of table)
    console.log(`  ${row.map((cell, i) => cell.padEnd(widths[i])).join("  ")}`.trimEnd());
}

/** @returns Where the result was written. */
export function writeResult(name, result) {
  mkdirSync(RESULTS, { recursive: true });
  const time = new Date().toISOString().replace(/[:.]/g, "-");
  const file = fileURLToPath(new URL(`${name}-${time}.json`, RESULTS));
  const machine = { cores: cpus().length, load: loadavg(), node: process.version };
  writeFileSync(
    file,
    JSON.stringify({ name, time, build: buildId(), machine, ...result }, null, 1),
  );
  return file;
}

/** Which build was measured: both scripts of a viewer, by hash. */
function buildId() {
  const hash = createHash("sha256");
  for (const name of ["nearcast.js", "nearcast-sw.js"])
    hash.update(readFileSync(new URL(`../../dist/${name}`, import.meta.url)));
  return hash.digest("hex").slice(0, 12);
}

/** Share of all cores in use since `start`: near 1, times say more about the machine than about the code. */
export class CpuMeter {
  #start = times();

  get busy() {
    const end = times();
    return 1 - (end.idle - this.#start.idle) / (end.total - this.#start.total);
  }
}

function times() {
  const all = cpus().flatMap(({ times }) => Object.entries(times));
  return {
    total: sum(all.map(([, ms]) => ms)),
    idle: sum(all.filter(([kind]) => kind === "idle").map(([, ms]) => ms)),
  };
}
