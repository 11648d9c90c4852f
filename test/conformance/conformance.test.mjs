/** http-tests/cache-tests, 0.4.5: what others wrote about caches, asked of the worker and of the sharing policy. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import { newFailures, summary } from "./report.mjs";
import { runBrowsers, runClients } from "./runs.mjs";
import { catalogue, differences } from "./suite.mjs";

const baseline = JSON.parse(readFileSync(new URL("baseline.json", import.meta.url), "utf8"));
const tests = await catalogue();

test("R37: under our worker Chromium's cache behaves as without it, accelerated or not", async (t) => {
  const { chromium, bare, idle, accelerated, fromStore } = await runBrowsers();
  for (const [name, results] of Object.entries({ bare, idle, accelerated })) {
    t.diagnostic(`${name}: ${summary(results, tests)}`);
  }
  t.diagnostic(`${chromium}; ${fromStore} requests were answered from the store`);
  assert.ok(Object.keys(bare).length >= baseline.browserTests, "tests that ran");
  assert.deepEqual(differences(bare, idle), [], "nothing is accelerated");
  const worse = newFailures(bare, accelerated).map(([id]) => id);
  const unknown = worse.filter((id) => !Object.hasOwn(baseline.accelerated, id));
  assert.deepEqual(unknown, [], "new failures");
  // How many depends on the machine's pace; that there are some shows that the run means something.
  assert.ok(fromStore >= 5, `${fromStore} requests were answered from the store`);
});

test("R32: two clients that share by our policy break no rule of a shared cache that they keep apart", async (t) => {
  const [apart, together] = await Promise.all([runClients(false), runClients(true)]);
  t.diagnostic(`apart: ${summary(apart.results, tests)}`);
  t.diagnostic(`together: ${summary(together.results, tests)}`);
  t.diagnostic(`${together.shared} answers came from the other client`);
  assert.ok(Object.keys(together.results).length >= baseline.sharedTests, "tests that ran");
  const worse = newFailures(apart.results, together.results).map(([id]) => id);
  const unknown = worse.filter((id) => !Object.hasOwn(baseline.shared, id));
  assert.deepEqual(unknown, [], "new failures");
  assert.equal(apart.shared, 0);
  assert.ok(together.shared >= 40, `${together.shared} answers came from the other client`);
});
