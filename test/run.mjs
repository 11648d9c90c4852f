/**
 * `npm test`: prepares a fresh clone, runs every step and ends with the line `N passed, N failed`.
 * Needs nothing but Node: packages, build and browser are brought by tools/ first.
 *
 *     node test/run.mjs                 everything
 *     node test/run.mjs --only signal   one step, see STEPS
 *     node test/run.mjs --skip-prepare  with packages, build and browser as they are
 * @module
 */
import { spawn } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const projectDir = resolve(dirname(fileURLToPath(import.meta.url)), "..");

/** A step that hangs must not hang `npm test`; the slowest takes about three minutes on two cores. */
const STEP_MAX_MS = 20 * 60_000;

const CONFIGS = ["pure", "page", "worker", "node", "sim", "test"];

const bin = (path) => join("node_modules", ...path.split("/"));

/**
 * The steps in order. `commands` are arguments of Node; no command means that there is nothing to run, which only an
 * `optional` step may. `count` reads the result of a finished command.
 */
const STEPS = [
  {
    name: "types",
    count: countCheck,
    commands: () =>
      CONFIGS.map((config) => [bin("@typescript/native/bin/tsc"), "-p", `tsconfig.${config}.json`]),
  },
  {
    name: "lint",
    count: countCheck,
    commands: () => [[bin("@biomejs/biome/bin/biome"), "check", "."]],
  },
  {
    name: "architecture",
    count: countNodeTests,
    commands: () => nodeTest(["test/architecture.test.mjs", "test/docs.test.mjs"]),
  },
  {
    name: "sim",
    optional: true,
    count: countNodeTests,
    commands: () => nodeTest(testFiles("test/sim")),
  },
  { name: "signal", count: countNodeTests, commands: () => nodeTest(testFiles("test/signal")) },
  { name: "cli", count: countNodeTests, commands: () => nodeTest(testFiles("test/cli")) },
  {
    name: "web",
    count: countWebTests,
    commands: () => [
      [bin("@web/test-runner/dist/bin.js"), "--config", "web-test-runner.config.mjs"],
    ],
  },
  {
    name: "mutants",
    count: countNodeTests,
    commands: () => nodeTest(["test/mutants.test.mjs"]),
  },
  {
    name: "conformance",
    count: countNodeTests,
    commands: () => nodeTest(testFiles("test/conformance"), "--test-concurrency=1"),
  },
  {
    name: "e2e",
    optional: true,
    count: countNodeTests,
    // One file at a time: each starts browsers, and two at once would measure each other.
    commands: () => nodeTest(testFiles("test/e2e"), "--test-concurrency=1"),
  },
  {
    name: "faults",
    count: countNodeTests,
    commands: () => nodeTest(testFiles("test/faults"), "--test-concurrency=1"),
  },
];

/** Node 20 takes a folder and Node 22 a glob after `--test`; both take the names of files. */
function nodeTest(files, ...options) {
  return files.length === 0 ? [] : [["--test", "--test-reporter=spec", ...options, ...files]];
}

function testFiles(folder) {
  if (!existsSync(join(projectDir, folder))) return [];
  return readdirSync(join(projectDir, folder), { recursive: true })
    .filter((file) => file.endsWith(".test.mjs"))
    .sort()
    .map((file) => join(folder, file));
}

/** A check has no tests of its own: each command counts as a part of one. */
function countCheck({ code }) {
  return code === 0 ? { passed: 1, failed: 0 } : { passed: 0, failed: 1 };
}

function countNodeTests({ output, code }) {
  const total = (name) =>
    Number(output.match(new RegExp(`^(?:#|ℹ) ${name} (\\d+)$`, "m"))?.[1] ?? 0);
  return orBroken({ passed: total("pass"), failed: total("fail") + total("cancelled") }, code);
}

function countWebTests({ output, code }) {
  const [, passed = 0, failed = 0] =
    output.match(/^web-test-runner: (\d+) passed, (\d+) failed$/m) ?? [];
  return orBroken({ passed: Number(passed), failed: Number(failed) }, code);
}

/** A command that printed no tests, or failed without saying which one, is a failure. */
function orBroken({ passed, failed }, code) {
  const broken = failed === 0 && (passed === 0 || code !== 0);
  return { passed, failed: broken ? 1 : failed };
}

async function runStep({ name, commands, count, optional = false }) {
  console.log(`\n== ${name}`);
  const results = [];
  for (const args of commands()) results.push(count(await run(args)));
  if (results.length === 0) {
    console.log(optional ? "nothing to run" : "no tests found");
    return { passed: 0, failed: optional ? 0 : 1 };
  }
  return count === countCheck ? asOne(results) : sum(results);
}

const asOne = (results) => countCheck({ code: sum(results).failed });

const sum = (results) => ({
  passed: results.reduce((total, { passed }) => total + passed, 0),
  failed: results.reduce((total, { failed }) => total + failed, 0),
});

/** Runs Node with `args`, shows what it prints and keeps it, without colours, for counting. */
function run(args) {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, args, {
      cwd: projectDir,
      stdio: ["ignore", "pipe", "pipe"],
      timeout: STEP_MAX_MS,
      killSignal: "SIGKILL",
    });
    const chunks = [];
    const keep = (target) => (chunk) => {
      target.write(chunk);
      chunks.push(chunk);
    };
    child.stdout.on("data", keep(process.stdout));
    child.stderr.on("data", keep(process.stderr));
    child.on("error", (error) => {
      console.error(`Cannot run ${basename(args[0])}: ${error.message}`);
      resolve({ output: "", code: 1 });
    });
    child.on("close", (code, signal) => {
      if (signal) console.error(`${basename(args[0])} was stopped by ${signal}`);
      resolve({ output: plain(Buffer.concat(chunks).toString()), code: code ?? 1 });
    });
  });
}

/** Text without terminal control sequences. */
function plain(text) {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: escape sequences begin with one
  return text.replace(/\u001b\[[0-9;?]*[A-Za-z]/g, "");
}

/** Packages, build, browser. Only without packages can no step run; what else is missing counts as a failure each. */
async function prepare() {
  const packages = await run([join("tools", "ensure-dependencies.mjs")]);
  if (packages.code !== 0) throw new Error("Cannot run tests as the packages are not installed");
  await run([join("tools", "ensure-redis.mjs")]); // without it its tests say that they are skipped
  const results = [await run([join("tools", "ensure-build.mjs")]), await findBrowser()];
  return { passed: 0, failed: results.filter(({ code }) => code !== 0).length };
}

/** Finds or installs the browser once, so that no step looks again. */
async function findBrowser() {
  try {
    const { ensureChrome } = await import("../tools/ensure-browser.mjs");
    process.env.CHROME_PATH ||= await ensureChrome();
    return { code: 0 };
  } catch (error) {
    console.error(error.message);
    return { code: 1 };
  }
}

function chosenSteps(only) {
  const steps = STEPS.filter(({ name }) => only === undefined || name === only);
  if (steps.length > 0) return steps;
  const names = STEPS.map(({ name }) => name).join(", ");
  throw new TypeError(`Cannot run step "${only}": it must be one of ${names}`);
}

async function main() {
  const { values } = parseArgs({
    options: { only: { type: "string" }, "skip-prepare": { type: "boolean" } },
  });
  const steps = chosenSteps(values.only);
  const results = values["skip-prepare"] ? [] : [await prepare()];
  for (const step of steps) {
    const result = await runStep(step);
    if (result.failed > 0) console.log(`!! ${step.name}: ${result.failed} failed`);
    results.push(result);
  }
  return sum(results);
}

let total = { passed: 0, failed: 1 };
try {
  total = await main();
} catch (error) {
  console.error(error.message);
}
process.exitCode = total.failed > 0 ? 1 : 0;
console.log(`\n${total.passed} passed, ${total.failed} failed`);
