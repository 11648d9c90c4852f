/** What the results of two runs say of each other. @module */
import { differences, verdictOf } from "./suite.mjs";

/** Ids that pass, or could not be made, in the first run and fail in the second: `[id, before, after]`. */
export function newFailures(before, after) {
  return differences(before, after).filter(([, , is]) => is !== "pass");
}

/**
 * What `find` names in the first runs and in each of two further ones, which are asked for just that. Freshness of a second is
 * a matter of luck on a busy machine, and luck does not come three times.
 *
 * @param first Results of a run of all tests. @param find `(runs) =>` ids. @param ask `(ids) =>` results of a run of those alone.
 * @returns The ids; `onceOnly`, those that were named at first and not again.
 */
export async function repeated(first, { find, ask }) {
  const suspects = find(first);
  let ids = suspects;
  for (let round = 0; round < 2 && ids.length > 0; round++) {
    const again = find(await ask(ids));
    ids = ids.filter((id) => again.includes(id));
  }
  return { ids, onceOnly: suspects.filter((id) => !ids.includes(id)) };
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
