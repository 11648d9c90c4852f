// The command line of the simulator: `node --test test/sim/options.test.mjs`.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { resolve } from "node:path";
import test from "node:test";
import { fileURLToPath } from "node:url";

const script = resolve(fileURLToPath(import.meta.url), "../../../sim/run.mjs");

function run(...args) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [script, ...args], {
    encoding: "utf8",
  });
  return { status, stdout, stderr };
}

test("bad options end with one clear line and exit code 2", () => {
  const bad = [
    [["--viewers", "many"], /--viewers "many": it is a whole number from 1/],
    [["--scenario", "war"], /--scenario "war": it is one of live, vod/],
    [["--seeds", "9-1"], /--seeds "9-1": it is a range/],
    [["--threads", "3"], /--threads "3": it is a whole number from 1 to 2/],
    [["--set", "nonsense=1"], /it names no number/],
    [["--wrong"], /Cannot read the options: Unknown option '--wrong'/],
  ];
  for (const [args, message] of bad) {
    const { status, stdout, stderr } = run(...args);
    assert.equal(status, 2, args.join(" "));
    assert.equal(stdout, "");
    assert.match(stderr, message);
    assert.equal(stderr.trim().split("\n").length, 1, stderr);
  }
});

test("--help prints every option, --json - prints nothing but JSON", () => {
  const help = run("--help");
  assert.equal(help.status, 0);
  for (const option of ["--viewers", "--seeds", "--json", "--trace"]) {
    assert.ok(help.stdout.includes(option));
  }
  const { status, stdout } = run("--viewers", "5", "--seconds", "10", "--json", "-");
  assert.equal(status, 0);
  const [{ mesh, twin }] = JSON.parse(stdout);
  assert.equal(mesh.viewers, twin.viewers);
});

test("--trace prints the events of one viewer", () => {
  const { status, stdout } = run(
    ...["--viewers", "8", "--seconds", "20", "--trace", "--viewer", "2", "--no-twin"],
  );
  assert.equal(status, 0);
  assert.match(stdout, /\d+\.\d{3} wants \d+/);
});

const SWEEP = ["--seeds", "3-5", "--viewers", "8", "--seconds", "15", "--scenario", "malice"];

test("--seeds prints one line a seed and the worst of all, the same with one process and with several", () => {
  const [alone, apart] = ["1", "2"].map((jobs) => run(...SWEEP, "--jobs", jobs));
  for (const { status, stdout } of [alone, apart]) {
    assert.equal(status, 0);
    assert.equal(stdout.match(/^seed [345]: .* stalls of CDN only \d/gm)?.length, 3, stdout);
    assert.match(stdout, /^3 seeds kept every invariant, 0 did not$/m);
    assert.match(stdout, /origin: median [\d.]+ %, worst [\d.]+ %/);
  }
  const sorted = ({ stdout }) => stdout.split("\n").sort();
  assert.deepEqual(sorted(apart), sorted(alone));
});

test("--seeds goes on after a seed that violates an invariant, and says how to bring it back", () => {
  // Nobody may wait for peers longer than a very fast origin needs: the guard takes that for stuck.
  const strict = ["--set", "stuckS=0", "--set", "originMedian=500", "--set", "downlinkMedian=500"];
  const { status, stdout } = run(...SWEEP, "--scenario", "live", ...strict, "--jobs", "2");
  assert.equal(status, 1);
  const failed = stdout.match(
    /^seed \d FAILED: .*seed \d, \d+\.\d{3} s, viewer \d+: .* is open since/gm,
  );
  assert.ok(failed && failed.length > 0, stdout);
  assert.equal(stdout.match(/^ {2}replay: npm run sim -- .*--seed \d$/gm)?.length, failed.length);
  assert.ok(!/replay: .*--seeds/.test(stdout));
});
