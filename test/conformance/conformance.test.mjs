/** http-tests/cache-tests, 0.4.5: what others wrote about caches, asked of the worker and of the sharing policy. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import { newFailures, repeated, summary } from "./report.mjs";
import { runBrowsers, runClients } from "./runs.mjs";
import { catalogue, differences } from "./suite.mjs";

const baseline = JSON.parse(readFileSync(new URL("baseline.json", import.meta.url), "utf8"));
const tests = await catalogue();

/** So many requests from the store show that "accelerated" means something; ten are usual. */
const FROM_STORE_MIN = 5;

const differing = ({ bare, idle }) => differences(bare, idle).map(([id]) => id);
const failing = ({ bare, accelerated }) =>
  newFailures(bare, accelerated)
    .map(([id]) => id)
    .filter((id) => !Object.hasOwn(baseline.accelerated, id));

test("R37: under our worker Chromium's cache behaves as without it, accelerated or not", async (t) => {
  const first = await runBrowsers();
  for (const name of ["bare", "idle", "accelerated"])
    t.diagnostic(`${name}: ${summary(first[name], tests)}`);
  let { fromStore } = first;
  t.diagnostic(`${first.chromium}; ${fromStore} requests were answered from the store`);
  assert.ok(Object.keys(first.bare).length >= baseline.browserTests, "tests that ran");
  const ask = async (only) => runBrowsers({ only });
  for (const [what, find] of Object.entries({ differing, failing })) {
    const { ids, onceOnly } = await repeated(first, { find, ask });
    if (onceOnly.length > 0) t.diagnostic(`${what} once, and not again: ${onceOnly.join(", ")}`);
    assert.deepEqual(ids, [], `${what}, three times of three`);
  }
  // Only a test that waits lets a busy attestor finish before its next request.
  const waiting = [...tests].filter(([, { waits }]) => waits).map(([id]) => id);
  for (let round = 0; round < 2 && fromStore < FROM_STORE_MIN; round++)
    fromStore += (await runBrowsers({ only: waiting })).fromStore;
  assert.ok(fromStore >= FROM_STORE_MIN, `${fromStore} requests were answered from the store`);
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
