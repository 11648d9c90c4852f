/**
 * `npm run sim`: reads the options, runs, prints. Exit code 1: an invariant was violated; 2: bad options.
 * @module
 */
import { writeFileSync } from "node:fs";
import { resourceUsage } from "node:process";
import type { SimConfig } from "./config.js";
import { InvariantError } from "./guard.js";
import { HELP, type Options, parseOptions } from "./options.js";
import { type Result, report } from "./result.js";
import { simulate } from "./simulation.js";

/** One seed, with its twin. */
interface Outcome {
  readonly mesh: Result;
  readonly twin: Result | undefined;
}

/** @returns The exit code. */
export function main(args: readonly string[]): number {
  let options: Options;
  try {
    options = parseOptions(args);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    console.error(error.message);
    return 2;
  }
  if (options.help) {
    console.log(HELP);
    return 0;
  }
  return runAll(options);
}

function runAll({ configs, twin, json }: Options): number {
  const outcomes: Outcome[] = [];
  let failed = 0;
  for (const config of configs) {
    try {
      outcomes.push(runOne(config, { twin, quiet: json === "-" }));
    } catch (error) {
      if (!(error instanceof InvariantError)) throw error;
      failed++;
      console.error(`INVARIANT VIOLATED: ${error.message}`);
    }
  }
  const text = `${JSON.stringify(outcomes, undefined, 2)}\n`;
  if (json === "-") process.stdout.write(text);
  else if (json !== undefined) writeFileSync(json, text);
  return failed > 0 ? 1 : 0;
}

function runOne(config: SimConfig, { twin, quiet }: { twin: boolean; quiet: boolean }): Outcome {
  const startMs = performance.now();
  const startCpuS = cpuS();
  const mesh = simulate(config);
  const meshS = (performance.now() - startMs) / 1_000;
  const meshCpuS = cpuS() - startCpuS;
  const other = twin ? simulate({ ...config, mesh: false, traceViewer: -1 }) : undefined;
  if (!quiet) {
    console.log(report(mesh, other));
    const peakMiB = (resourceUsage().maxRSS / 1_024).toFixed(0);
    const perS = Math.round((config.viewers * config.seconds) / meshCpuS);
    console.log(
      `  ${meshS.toFixed(1)} s (${meshCpuS.toFixed(1)} s of CPU) for the mesh, ${perS} viewer seconds per CPU second, ${mesh.counts.events} events, peak memory ${peakMiB} MiB\n`,
    );
  }
  return { mesh, twin: other };
}

function cpuS(): number {
  const { userCPUTime, systemCPUTime } = resourceUsage();
  return (userCPUTime + systemCPUTime) / 1e6;
}
