/**
 * `npm run bench [-- NAME ...] [--runs N] [--play S] [--player P]`: measures Nearcast beside the same thing without it. Every table
 * shows the median of the runs, the lowest and highest, and what it is against its twin; the twin was measured in the
 * same run, in turn with ours, so that whatever else the machine does meets both. All samples go into .cache/bench/.
 */
import { existsSync } from "node:fs";
import { parseArgs } from "node:util";
import * as abr from "./abr/index.mjs";
import * as loopback from "./loopback/index.mjs";
import * as net from "./net/index.mjs";
import { labMissing } from "./net/lab.mjs";
import { PLAYERS } from "./support/players.mjs";
import { CpuMeter, printTable, writeResult } from "./support/report.mjs";

const BENCHMARKS = { ...loopback.benchmarks, ...abr.benchmarks, ...net.benchmarks };
const LOOPBACK_RUNS = 5;

const HELP = `Usage: npm run bench -- [NAME ...] [options]

${Object.entries(BENCHMARKS)
  .map(([name, { help, lab }]) => `  ${name.padEnd(16)} ${lab ? "[lab] " : ""}${help}`)
  .join("\n")}

  --runs N   runs of each (default ${LOOPBACK_RUNS}; 1 for abr, abr-peers and those marked [lab])
  --player P one player of abr and abr-peers (may be repeated; all four without it)
  --play S   seconds of playing in a [lab] showing (default 60, at most 150)

Without names everything runs that can run here. [lab] needs Linux, root and gcc: each viewer is a browser of its own in
a network namespace, behind an access link of 10 Mbit/s up, 30 Mbit/s down, 20 ms from home to home.`;

function readArguments(args) {
  const options = {
    runs: { type: "string" },
    play: { type: "string" },
    player: { type: "string", multiple: true },
    help: { type: "boolean" },
  };
  const { values, positionals } = parseArgs({ args, options, allowPositionals: true });
  const unknown = positionals.find((name) => !Object.hasOwn(BENCHMARKS, name));
  if (unknown) throw new Error(`There is no benchmark "${unknown}"; --help lists them`);
  const whole = (name, max) => {
    if (values[name] === undefined) return undefined;
    const value = Number(values[name]);
    if (Number.isInteger(value) && value >= 1 && value <= max) return value;
    throw new Error(`--${name}: must be a whole number from 1 to ${max}`);
  };
  const names = positionals.length > 0 ? positionals : Object.keys(BENCHMARKS);
  const { help, player: players } = values;
  const stranger = players?.find((name) => !Object.hasOwn(PLAYERS, name));
  if (stranger) throw new Error(`--player: must be one of ${Object.keys(PLAYERS).join(", ")}`);
  return { help, names, players, runs: whole("runs", 1_000), playS: whole("play", 150) ?? 60 };
}

async function runOne(name, { runs, ...options }) {
  const { help, lab, long, missing: missingOf, run } = BENCHMARKS[name];
  const missing = lab ? labMissing() : missingOf?.();
  console.log(`\n== ${name}: ${help}`);
  if (missing) return console.log(`   not run: ${missing}`);
  const cpu = new CpuMeter();
  const startMs = Date.now();
  const { figures, details } = await run({
    runs: runs ?? (lab || long ? 1 : LOOPBACK_RUNS),
    ...options,
  });
  printTable(figures);
  const busy = cpu.busy;
  const file = writeResult(name, { figures, busy, details });
  const seconds = Math.round((Date.now() - startMs) / 1_000);
  console.log(`   ${seconds} s, processors ${Math.round(busy * 100)} % busy; ${file}`);
}

async function main() {
  const { help, names, ...options } = readArguments(process.argv.slice(2));
  if (help) return console.log(HELP);
  if (!existsSync(new URL("../dist/server.js", import.meta.url))) {
    throw new Error('Cannot run benchmarks as dist/ is missing: run "npm run build" first');
  }
  for (const name of names) {
    try {
      await runOne(name, options);
    } catch (error) {
      // One that fails must not cost the others their run.
      console.error(`   failed: ${error.stack}`);
      process.exitCode = 1;
    }
  }
}

try {
  await main();
} catch (error) {
  console.error(error.message);
  process.exitCode = 2;
}
