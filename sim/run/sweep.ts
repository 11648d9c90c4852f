/**
 * Many seeds: one line a seed, and at the end the median and the worst. With several jobs every seed has a
 * process of its own.
 * @module
 */
import { spawn } from "node:child_process";
import type { Result } from "./result.js";

/** One seed, with its twin. */
export interface Outcome {
  readonly mesh: Result;
  readonly twin: Result | undefined;
}

export interface Sweep {
  readonly outcomes: readonly Outcome[];
  /** Seeds that violated an invariant. */
  readonly failed: readonly number[];
}

/** Why a seed has no outcome, in one line. */
type Attempt = Outcome | string;

/**
 * Runs every seed.
 *
 * @param attempt Runs one of them; a string is the invariant that it violated.
 * @param onLine Hears of each seed as it ends.
 */
export async function sweep(
  seeds: readonly number[],
  options: {
    jobs: number;
    attempt: (seed: number) => Attempt | Promise<Attempt>;
    onLine: (line: string) => void;
  },
): Promise<Sweep> {
  const waiting = [...seeds];
  const outcomes: Outcome[] = [];
  const failed: number[] = [];
  const work = async () => {
    for (let seed = waiting.shift(); seed !== undefined; seed = waiting.shift()) {
      const outcome = await options.attempt(seed);
      if (typeof outcome === "string") failed.push(seed);
      else outcomes.push(outcome);
      options.onLine(
        typeof outcome === "string" ? `seed ${seed} FAILED: ${outcome}` : lineOf(outcome),
      );
    }
  };
  await Promise.all(Array.from({ length: options.jobs }, work));
  outcomes.sort((a, b) => a.mesh.seed - b.mesh.seed);
  return { outcomes, failed: failed.sort((a, b) => a - b) };
}

/** Runs a seed in a process of its own, by the command line that started this one. */
export async function attemptApart(seed: number, args: readonly string[]): Promise<Attempt> {
  const [script = ""] = process.argv.slice(1);
  // Of several jobs each has a core to itself, unless the command line says otherwise.
  const all = ["--threads", "1", ...args, "--seeds", `${seed}-${seed}`, "--json", "-"];
  const child = spawn(process.execPath, [...process.execArgv, script, ...all], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  const status = await new Promise((resolve) => {
    child.on("close", resolve);
  });
  const [outcome] = status === 0 ? (JSON.parse(stdout) as Outcome[]) : [];
  return outcome ?? stderr.trim().split("\n").at(-1) ?? "it ended without a word";
}

const percent = (share: number) => `${(100 * share).toFixed(2)} %`;

/** What a seed is judged by. */
const FIGURES: readonly (readonly [string, (outcome: Outcome) => number, (n: number) => string])[] =
  [
    ["origin", ({ mesh }) => 1 - mesh.offload, percent],
    ["stalls", ({ mesh }) => mesh.stalls, String],
    ["stalls of CDN only", ({ twin }) => twin?.stalls ?? 0, String],
    ["stall s", ({ mesh }) => mesh.stallS, String],
    ["stall s of CDN only", ({ twin }) => twin?.stallS ?? 0, String],
    ["p95 in-mesh delay ms", ({ mesh }) => mesh.meshPieceMs.p95, String],
    ["rejected bytes", ({ mesh }) => mesh.rejectedBytes, String],
  ];

function lineOf(outcome: Outcome): string {
  const { seed, viewers } = outcome.mesh;
  const cells = FIGURES.map(([name, of, text]) => `${name} ${text(of(outcome))}`);
  return `seed ${seed}: ${viewers} viewers, ${cells.join(", ")}`;
}

/** Median and worst of every figure, and how to bring a failed seed back. */
export function summaryOf({ outcomes, failed }: Sweep, args: readonly string[]): string {
  const worse = outcomes.filter(({ mesh, twin }) => twin && mesh.stallS > twin.stallS).length;
  const lines = [`${outcomes.length} seeds kept every invariant, ${failed.length} did not`];
  for (const [name, of, text] of outcomes.length > 0 ? FIGURES : []) {
    const values = outcomes.map(of).sort((a, b) => a - b);
    const median = values[values.length >> 1] ?? 0;
    lines.push(`  ${name}: median ${text(median)}, worst ${text(values.at(-1) ?? 0)}`);
  }
  if (outcomes.some(({ twin }) => twin))
    lines.push(`  seeds that stalled longer than their twin: ${worse}`);
  const again = args.filter((arg, at) => !arg.startsWith("--seeds") && args[at - 1] !== "--seeds");
  for (const seed of failed) {
    lines.push(`  replay: npm run sim -- ${[...again, "--seed", seed].join(" ")}`);
  }
  return lines.join("\n");
}
