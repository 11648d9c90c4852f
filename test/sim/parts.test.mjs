// Parts of the simulator: `node --test test/sim/parts.test.mjs`.
import assert from "node:assert/strict";
import test from "node:test";
import { bundle } from "../../sim/bundle.mjs";

const { EventQueue } = await import(await bundle());

/** Uniform in [0, 1) and the same in every run (Park and Miller). */
function seeded(seed) {
  let state = seed;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
}

test("EventQueue gives events in time order, those of one time in the order they came", () => {
  const queue = new EventQueue();
  const random = seeded(11);
  const expected = [];
  for (let index = 0; index < 100_000; index++) {
    const atMs = Math.floor(random() * 5_000);
    queue.push(atMs, 1, index);
    expected.push({ atMs, index });
  }
  expected.sort((a, b) => a.atMs - b.atMs || a.index - b.index);
  for (const { atMs, index } of expected) {
    assert.ok(queue.next());
    assert.deepEqual([queue.atMs, queue.a], [atMs, index]);
  }
  assert.equal(queue.next(), false);
});
