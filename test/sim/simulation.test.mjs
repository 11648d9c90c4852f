// The simulator itself: `node --test test/sim/simulation.test.mjs`.
import assert from "node:assert/strict";
import test from "node:test";
import { bundle } from "../../sim/bundle.mjs";

const { configOf, InvariantError, simulate, simulateInThreads } = await import(await bundle());

const SMALL = { viewers: 24, seconds: 40, arriveS: 10 };
const small = (options) => configOf({ ...SMALL, ...options });

test("simulate() gives the same result for the same seed, and another one for another seed", () => {
  for (const scenario of ["live", "vod", "flash", "churn", "malice"]) {
    const text = (seed) => JSON.stringify(simulate(small({ scenario, seed })));
    assert.equal(text(7), text(7), scenario);
    assert.notEqual(text(7), text(8), scenario);
  }
});

test("simulateInThreads() gives the very result of simulate(), time after time, and the same reports on the way", async () => {
  for (const scenario of ["live", "churn", "malice"]) {
    const config = small({ scenario, seed: 9 });
    const [alone, first, second] = [[], [], []];
    const watch = (reports) => ({ everyS: 10, onReport: (...report) => reports.push(report) });
    const result = simulate(config, watch(alone));
    assert.deepEqual(await simulateInThreads(config, watch(first)), result, scenario);
    assert.deepEqual(await simulateInThreads(config, watch(second)), result, scenario);
    assert.equal(alone.length, 3);
    assert.deepEqual(first, alone);
    assert.deepEqual(second, alone);
  }
});

test("simulate() has viewers of both shards ask each other: without the other shard's half most would come from the origin", () => {
  const near = simulate(small({ seed: 9, rttMinMs: 20, rttMaxMs: 60 }));
  assert.ok(near.meshShare > 0.5, `${near.meshShare} came from the mesh`);
  // A cap is a line of all viewers, so they are one shard: it must come to nearly the same as without one.
  const one = simulate(small({ seed: 9, rttMinMs: 20, rttMaxMs: 60, originCap: 100_000 }));
  assert.ok(Math.abs(one.meshShare - near.meshShare) < 0.08, `${one.meshShare}, ${near.meshShare}`);
});

test("simulateInThreads() ends with the violation that a thread saw", async () => {
  const config = small({ seed: 4, plant: "forget-request", stuckS: 5 });
  await assert.rejects(simulateInThreads(config), (error) => {
    assert.ok(error instanceof InvariantError);
    assert.match(error.message, /^seed 4, \d+\.\d{3} s, viewer \d+: .* is open since/);
    return true;
  });
});

test("simulate() keeps its invariants on 20 seeds, honest and not", () => {
  for (let seed = 1; seed <= 20; seed++) {
    const honest = simulate(small({ seed, scenario: seed % 2 ? "live" : "churn" }));
    assert.ok(honest.meshShare > 0.2, `seed ${seed}: ${honest.meshShare} came from the mesh`);
    assert.equal(honest.counts.failed, 0);
    simulate(small({ seed, scenario: "malice" }));
  }
});

test("simulate() shows the twin without mesh the same audience", () => {
  const mesh = simulate(small({ seed: 3 }));
  const twin = simulate({ ...small({ seed: 3 }), mesh: false });
  assert.equal(twin.viewers, mesh.viewers);
  assert.equal(twin.offload, 0);
  assert.equal(twin.counts.planned, 0);
  assert.ok(mesh.originBytes < 0.7 * twin.originBytes);
});

test("simulate() shows a live swarm that fetches a piece once or twice and swaps the rest in time", () => {
  const live = configOf({ viewers: 80, seconds: 50, bitrate: 3, seed: 2 });
  const { counts, deliveredBytes, requestMs } = simulate(live);
  const { first, held } = counts.fetchedPieces;
  const share = ((first + held) * 65_536) / deliveredBytes;
  // 4.9 % and 3.8 s while whoever passed a claim on renewed it by pieces of its own.
  assert.ok(share < 0.025, `${share} was ordered after the start`);
  assert.ok(requestMs.p50 < 3_200, `p50 of a segment was ${requestMs.p50} ms`);
});

test("simulate() comes to the same whether it remembers what left the playlist or not", () => {
  const result = (pastSegments) => {
    const { counts, ...rest } = simulate(small({ seed: 6, seconds: 60, pastSegments }));
    return { ...rest, counts: { ...counts, events: 0, eventsPeak: 0 } };
  };
  assert.deepEqual(result(6), result(1_000));
});

test("simulate() comes to nearly the same if viewers hear of pieces that they hold", () => {
  const mean = (tellAll, figure) => {
    const results = [1, 2, 3].map((seed) =>
      simulate(configOf({ viewers: 40, seconds: 50, bitrate: 3, seed, tellAll })),
    );
    return results.reduce((sum, result) => sum + figure(result), 0) / results.length;
  };
  const [origin, p50] = [({ offload }) => 1 - offload, ({ requestMs }) => requestMs.p50];
  const share = mean(0, origin) / mean(1, origin);
  const time = mean(0, p50) / mean(1, p50);
  assert.ok(Math.abs(share - 1) < 0.05, `${share} of the origin's bytes`);
  assert.ok(Math.abs(time - 1) < 0.05, `${time} of the median time of a segment`);
});

test("simulate() counts the bytes of liars, and delivers none of them", () => {
  const { rejectedBytes, counts } = simulate(small({ seed: 5, corruptShare: 0.3 }));
  assert.ok(rejectedBytes > 0);
  assert.ok(counts.droppedCorrupt > 0);
});

test("simulate() goes on when index and origin are down", () => {
  const outage = simulate(
    small({ seed: 2, indexDownToS: 20, originDownFromS: 25, originDownToS: 28 }),
  );
  assert.ok(outage.requests > 100);
});

const PLANTED = [
  ["accept-corrupt", { corruptShare: 0.3 }, /a wrong byte of asset \d+, piece \d+ was delivered/],
  ["ask-closed", {}, /to whom no link is open/],
  ["forget-request", { stuckS: 5 }, /is open since/],
];
for (const [plant, options, message] of PLANTED) {
  test(`simulate() sees the planted bug "${plant}" and names seed and time`, () => {
    assert.throws(
      () => simulate(small({ seed: 4, plant, ...options })),
      (error) => {
        assert.ok(error instanceof InvariantError);
        assert.match(error.message, /^seed 4, \d+\.\d{3} s, viewer \d+: /);
        assert.match(error.message, message);
        return true;
      },
    );
  });
}
