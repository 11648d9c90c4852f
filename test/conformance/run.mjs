/**
 * `npm run conformance`: all four runs of http-tests/cache-tests as a table, and every difference by name.
 * Exits with 1 if there is a failure that `baseline.json` does not explain.
 * @module
 */
import { readFileSync } from "node:fs";
import { newFailures, summary } from "./report.mjs";
import { runBrowsers, runClients } from "./runs.mjs";
import { catalogue, differences } from "./suite.mjs";

const baseline = JSON.parse(readFileSync(new URL("baseline.json", import.meta.url), "utf8"));
const tests = await catalogue();
const { chromium, bare, idle, accelerated, fromStore } = await runBrowsers();
const [apart, together] = await Promise.all([runClients(false), runClients(true)]);

console.log(`http-cache-tests 0.4.5, ${chromium}, Node ${process.version}`);
const runs = { bare, idle, accelerated, apart: apart.results, together: together.results };
for (const [name, results] of Object.entries(runs)) {
  console.log(`${name.padEnd(12)} ${summary(results, tests)}`);
}
console.log(`${fromStore} requests from the store, ${together.shared} from the other client`);

let unexplained = 0;
const tell = (title, before, after, known) => {
  console.log(`\n${title}: ${differences(before, after).length} differences`);
  const worse = new Set(newFailures(before, after).map(([id]) => id));
  for (const [id, was, is] of differences(before, after)) {
    const reason = worse.has(id) ? (known[id] ?? "NOT EXPLAINED") : "";
    if (worse.has(id) && known[id] === undefined) unexplained++;
    console.log(`  ${id} (${tests.get(id).kind}): ${was} -> ${is} ${reason}`.trimEnd());
  }
};
tell("Worker without acceleration, against the bare browser", bare, idle, {});
tell("Worker with acceleration, against the bare browser", bare, accelerated, baseline.accelerated);
tell("Clients that share, against clients apart", apart.results, together.results, baseline.shared);
process.exitCode = unexplained > 0 ? 1 : 0;
