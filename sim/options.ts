/**
 * The command line. Bad input is a {@link RangeError} with one clear line.
 * @module
 */
import { parseArgs } from "node:util";
import { configOf, DEFAULTS, type Numbers, SCENARIOS, type SimConfig } from "./config.js";

/** Below, threads wait for each other more than they do. */
export const THREADS_FROM_VIEWERS = 1_000;

export const HELP = `npm run sim -- [options]

Runs thousands of viewers with the engine of the SDK in virtual time, beside the same audience without mesh.

  --viewers N           viewers at a time (${DEFAULTS.viewers})
  --seconds N           virtual time (${DEFAULTS.seconds})
  --seed N              of all randomness (${DEFAULTS.seed})
  --seeds A-B           one run per seed instead, one line each, median and worst at the end
  --jobs N              processes for them (2)
  --threads N           of a run, 1 or 2, with the same result (2 from ${THREADS_FROM_VIEWERS} viewers on where there are two cores)
  --scenario NAME       ${SCENARIOS.join(", ")} (live)
  --bitrate MBPS        of the film (${DEFAULTS.bitrate})
  --segment S           duration of a segment (${DEFAULTS.segment})
  --uplink-median MBPS  (${DEFAULTS.uplinkMedian})
  --no-upload-share X   viewers that cannot upload, 0 to 1 (${DEFAULTS.noUploadShare})
  --clique N            members of a clique (${DEFAULTS.clique})
  --set NAME=VALUE      any number of sim/config.ts; may be repeated
  --json FILE           writes all results to FILE; "-" prints them instead of the tables
  --trace [--viewer N]  prints the events of one viewer (0)
  --progress S          says every S virtual seconds how the run stands
  --no-twin             leaves the CDN-only run out
  --help
`;

export interface Options {
  readonly help: boolean;
  readonly twin: boolean;
  readonly json: string | undefined;
  /** Of a run; `undefined`: as many as make it fast. */
  readonly threads: number | undefined;
  /** Seeds that run at the same time. */
  readonly jobs: number;
  /** Virtual seconds between two reports; 0 for none. */
  readonly progressS: number;
  readonly configs: readonly SimConfig[];
}

const BOUNDS: Readonly<Partial<Record<keyof Numbers, readonly [number, number]>>> = {
  viewers: [1, 1_000_000],
  seconds: [1, 86_400],
  seed: [0, 2 ** 31],
  bitrate: [0.05, 100],
  segment: [0.2, 60],
  uplinkMedian: [0.05, 10_000],
  noUploadShare: [0, 1],
  clique: [2, 64],
  viewer: [0, 2 ** 31],
  jobs: [1, 64],
  threads: [1, 2],
} as Partial<Record<keyof Numbers, readonly [number, number]>>;

const WHOLE = new Set(["viewers", "seed", "clique", "viewer", "jobs", "threads"]);

/** @throws {RangeError} If an option is unknown or out of its bounds. */
export function parseOptions(args: readonly string[]): Options {
  const { values } = parse(args);
  const numbers: Partial<Numbers> = {};
  for (const [flag, name] of FLAGS) {
    const text = values[flag];
    if (typeof text === "string") numbers[name] = numberOf(`--${flag}`, name, text);
  }
  for (const pair of values.set ?? []) Object.assign(numbers, assignment(pair));
  const scenario = SCENARIOS.find((name) => name === (values.scenario ?? "live"));
  if (!scenario) {
    throw new RangeError(
      `Cannot use --scenario "${values.scenario}": it is one of ${SCENARIOS.join(", ")}`,
    );
  }
  const traceViewer = values.trace ? numberOf("--viewer", "viewer", values.viewer ?? "0") : -1;
  const configs = seedsOf(values.seeds, numbers.seed ?? DEFAULTS.seed).map((seed) => ({
    ...configOf({ ...numbers, scenario, seed }),
    traceViewer,
  }));
  return {
    ...{ help: values.help ?? false, twin: !values["no-twin"], json: values.json },
    threads:
      values.threads === undefined ? undefined : numberOf("--threads", "threads", values.threads),
    jobs: numberOf("--jobs", "jobs", values.jobs ?? "2"),
    progressS: numberOf("--progress", "progress", values.progress ?? "0"),
    configs,
  };
}

const FLAGS = [
  ["viewers", "viewers"],
  ["seconds", "seconds"],
  ["seed", "seed"],
  ["bitrate", "bitrate"],
  ["segment", "segment"],
  ["uplink-median", "uplinkMedian"],
  ["no-upload-share", "noUploadShare"],
  ["clique", "clique"],
] as const;

const text = { type: "string" } as const;
const flag = { type: "boolean" } as const;

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        ...{ viewers: text, seconds: text, seed: text, seeds: text, scenario: text },
        ...{ bitrate: text, segment: text, "uplink-median": text, "no-upload-share": text },
        ...{ clique: text, json: text, viewer: text, jobs: text, progress: text, threads: text },
        set: { type: "string", multiple: true },
        ...{ trace: flag, "no-twin": flag, help: flag },
      },
    });
  } catch (error) {
    const [line = ""] = String(error instanceof Error ? error.message : error).split("\n");
    throw new RangeError(`Cannot read the options: ${line}`);
  }
}

function numberOf(shown: string, name: string, value: string): number {
  const number = value.trim() === "" ? Number.NaN : Number(value);
  const [min, max] = BOUNDS[name as keyof Numbers] ?? [0, 1e9];
  const whole = !WHOLE.has(name) || Number.isInteger(number);
  if (number >= min && number <= max && whole) return number;
  const kind = WHOLE.has(name) ? "a whole number" : "a number";
  throw new RangeError(`Cannot use ${shown} "${value}": it is ${kind} from ${min} to ${max}`);
}

function assignment(pair: string): Partial<Numbers> {
  const [, name = "", value = ""] = /^(\w+)=(.*)$/.exec(pair) ?? [];
  if (Object.hasOwn(DEFAULTS, name)) return { [name]: numberOf(`--set ${name}`, name, value) };
  throw new RangeError(`Cannot use --set "${pair}": it names no number of sim/config.ts`);
}

function seedsOf(range: string | undefined, seed: number): number[] {
  if (range === undefined) return [seed];
  const [, first, last] = /^(\d+)-(\d+)$/.exec(range) ?? [];
  const from = Number(first);
  const to = Number(last);
  if (!(from <= to && to - from < 10_000)) {
    throw new RangeError(`Cannot use --seeds "${range}": it is a range such as 1-20`);
  }
  return Array.from({ length: to - from + 1 }, (_, index) => from + index);
}
