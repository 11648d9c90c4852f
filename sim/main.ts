/**
 * `npm run sim`: reads the options, runs, prints. Exit code 1: an invariant was violated; 2: bad options.
 * @module
 */
import { writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { resourceUsage } from "node:process";
import type { SimConfig } from "./config.js";
import { HELP, type Options, parseOptions, THREADS_FROM_VIEWERS } from "./options.js";
import { InvariantError } from "./run/guard.js";
import { progressLine, report } from "./run/result.js";
import { type Progress, simulate } from "./run/simulation.js";
import { attemptApart, type Outcome, summaryOf, sweep } from "./run/sweep.js";
import { simulateInThreads } from "./run/threads.js";

/** @returns The exit code. */
export async function main(args: readonly string[]): Promise<number> {
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
  const { configs, twin, json, progressS, threads } = options;
  if (configs.length > 1) return await runSeeds(options, args);
  try {
    const verbose = json !== "-";
    const outcome = await run(options.configs[0] as SimConfig, {
      twin,
      verbose,
      progressS,
      threads,
    });
    write(json, [outcome]);
    return 0;
  } catch (error) {
    console.error(`INVARIANT VIOLATED: ${violationOf(error)}`);
    return 1;
  }
}

async function runSeeds({ configs, jobs, twin, json, threads }: Options, args: readonly string[]) {
  const bySeed = new Map(configs.map((config) => [config.seed, config]));
  const onLine = (line: string) => {
    if (json !== "-") console.log(line);
  };
  const attempt = async (seed: number) => {
    if (jobs > 1) return await attemptApart(seed, args);
    try {
      const config = bySeed.get(seed) as SimConfig;
      return await run(config, { twin, verbose: false, progressS: 0, threads });
    } catch (error) {
      return violationOf(error);
    }
  };
  const result = await sweep([...bySeed.keys()], { jobs, attempt, onLine });
  onLine(summaryOf(result, args));
  write(json, result.outcomes);
  return result.failed.length > 0 ? 1 : 0;
}

/** @throws What is no violation of an invariant. */
function violationOf(error: unknown): string {
  if (error instanceof InvariantError) return error.message;
  throw error;
}

function write(json: string | undefined, outcomes: readonly Outcome[]): void {
  const text = `${JSON.stringify(outcomes, undefined, 2)}\n`;
  if (json === "-") process.stdout.write(text);
  else if (json !== undefined) writeFileSync(json, text);
}

/** One seed, with its twin. */
async function run(
  config: SimConfig,
  {
    twin,
    verbose,
    progressS,
    threads,
  }: Omit<Options, "configs" | "help" | "jobs" | "json"> & {
    verbose: boolean;
  },
): Promise<Outcome> {
  const start = (threads ?? threadsFor(config)) > 1 ? simulateInThreads : simulate;
  const startMs = performance.now();
  const startCpuS = cpuS();
  const progress: Progress = {
    everyS: progressS,
    onReport: (atS, sofar) =>
      console.error(`${progressLine(atS, sofar)}, ${(cpuS() - startCpuS).toFixed(0)} s of CPU`),
  };
  const mesh = await start(config, progressS > 0 ? progress : undefined);
  const meshS = (performance.now() - startMs) / 1_000;
  const meshCpuS = cpuS() - startCpuS;
  const other = twin ? await start({ ...config, mesh: false, traceViewer: -1 }) : undefined;
  if (verbose) {
    console.log(report(mesh, other));
    const peakMiB = (resourceUsage().maxRSS / 1_024).toFixed(0);
    const perS = Math.round((config.viewers * config.seconds) / meshCpuS);
    console.log(
      `  ${meshS.toFixed(1)} s (${meshCpuS.toFixed(1)} s of CPU) for the mesh, ${perS} viewer seconds per CPU second, ${mesh.counts.events} events, peak memory ${peakMiB} MiB\n`,
    );
  }
  return { mesh, twin: other };
}

/** What makes a run fast; a trace is to be read as it is printed. */
function threadsFor({ viewers, traceViewer }: SimConfig): number {
  const large = viewers >= THREADS_FROM_VIEWERS && traceViewer < 0;
  return large ? availableParallelism() : 1;
}

function cpuS(): number {
  const { userCPUTime, systemCPUTime } = resourceUsage();
  return (userCPUTime + systemCPUTime) / 1e6;
}
