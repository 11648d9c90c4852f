/** What the results of two runs say of each other. @module */
import { differences, verdictOf } from "./suite.mjs";

/** Ids that pass, or could not be made, in the first run and fail in the second: `[id, before, after]`. */
export function newFailures(before, after) {
  return differences(before, after).filter(([, , is]) => is !== "pass");
}

/** Counts by kind: `required 151/160` and so on. Only `required` speaks of rules; the rest of habits. */
export function summary(results, tests) {
  const counts = new Map();
  for (const [id, result] of Object.entries(results)) {
    const { kind } = tests.get(id);
    const [passed, all] = counts.get(kind) ?? [0, 0];
    counts.set(kind, [passed + (verdictOf(result) === "pass" ? 1 : 0), all + 1]);
  }
  return [...counts]
    .sort()
    .map(([kind, [passed, all]]) => `${kind} ${passed}/${all}`)
    .join(", ");
}
