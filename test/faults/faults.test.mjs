/** The part of the fault matrix that `npm test` plays; `npm run faults` plays all of it. */
import assert from "node:assert/strict";
import test from "node:test";
import { playRow } from "./frame.mjs";
import { ALLOWED_MS, playMalice } from "./malice.mjs";
import { rows } from "./rows/index.mjs";

/** A machine that runs other tests as well is late by itself; `npm run faults` allows nothing on top. */
const BUSY_MACHINE_MS = 500;

for (const row of rows.filter(({ fast }) => fast)) {
  test(`row ${row.row}: ${row.name}`, { skip: row.missing?.() || false }, async (t) => {
    const allowedMs = row.allowedMs + BUSY_MACHINE_MS;
    const { ok, problem, addedMs } = await playRow({ ...row, allowedMs }, { samples: 1 });
    t.diagnostic(`added ${addedMs} ms, allowed ${row.allowedMs} ms`);
    assert.ok(ok, problem);
  });
}

test("malice: three seeds of evil peers in real browsers yield no wrong byte", async (t) => {
  const { results, wrong, p95Ms } = await playMalice({ count: 3 });
  for (const { seed, addedMs, bent } of results)
    t.diagnostic(`seed ${seed}: added ${addedMs} ms, ${bent} frames bent`);
  assert.deepEqual(wrong, []);
  assert.ok(
    results.some(({ bent }) => bent > 0),
    "the peers were asked and misbehaved",
  );
  assert.ok(p95Ms <= ALLOWED_MS + BUSY_MACHINE_MS, `${p95Ms} ms`);
});
