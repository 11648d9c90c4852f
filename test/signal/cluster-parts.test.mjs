// The parts of several nodes that need no Redis: what is written when, when Redis counts as down, who is named.
import assert from "node:assert/strict";
import test from "node:test";
import { build } from "esbuild";
import { seeded } from "./support.mjs";

/** Bundles one module in memory and loads it. */
async function load(name) {
  const { outputFiles } = await build({
    entryPoints: [`src/signal/${name}.ts`],
    bundle: true,
    format: "esm",
    platform: "node",
    write: false,
  });
  const code = Buffer.from(outputFiles[0].contents).toString("base64");
  return import(`data:text/javascript;base64,${code}`);
}

const [
  { Outbox },
  { LinkHealth },
  { sampleOf, bucketsOf, hasWindow },
  { Seal },
  records,
  { FarViewers },
] = await Promise.all(
  [
    "cluster/outbox",
    "redis/link-health",
    "cluster/sampling",
    "cluster/seal",
    "cluster/records",
    "cluster/far-viewers",
  ].map(load),
);

test("Outbox writes a key once for a burst, again when it gets old, and not for one viewer more", () => {
  const box = new Outbox({ max: 3, refreshMs: 100 });
  for (let n = 0; n < 50; n++) box.add("a");
  assert.deepEqual(box.take(0, 10), ["a"]);
  box.wrote("a", ["x"], { full: false, nowMs: 0 });
  assert.deepEqual(box.take(50, 10), []);
  box.add("a");
  assert.deepEqual(box.take(50, 10), ["a"]);
  box.wrote("a", ["x", "y"], { full: true, nowMs: 50 });
  box.add("a");
  box.remove("a", "stranger");
  assert.deepEqual(box.take(60, 10), []);
  box.remove("a", "y");
  assert.deepEqual(box.take(60, 10), ["a"]);
  box.wrote("a", ["x"], { full: false, nowMs: 60 });
  assert.deepEqual(box.take(160, 10), ["a"]);
  box.failed("a");
  assert.deepEqual(box.take(161, 10)[0], "a");
});

test("Outbox takes the oldest key back beyond its maximum, and keeps no more marks than that", () => {
  const box = new Outbox({ max: 3, refreshMs: 100 });
  const surplus = ["a", "b", "c", "d"].map((key) =>
    box.wrote(key, ["x"], { full: false, nowMs: 0 }),
  );
  assert.deepEqual(surplus, [undefined, undefined, undefined, "a"]);
  assert.equal(box.size, 3);
  box.wrote("b", [], { full: false, nowMs: 1 });
  assert.equal(box.size, 2);
  for (let n = 0; n < 1_000; n++) box.add(`k${n}`);
  assert.equal(box.take(1, 10_000).length, 3);
  box.writeAll();
  assert.deepEqual(box.take(1, 10).sort(), ["c", "d"]);
});

test("LinkHealth is down until asked, slow after two late answers or one that does not come, then down", () => {
  const health = new LinkHealth();
  const answer = (atMs, tookMs) => {
    health.asked(atMs);
    health.answered(atMs + tookMs);
    return health.state(atMs + tookMs);
  };
  assert.equal(health.state(0), "down");
  assert.equal(answer(0, 5), "up");
  assert.equal(answer(100, 30), "up", "one late answer may be this process's own pause");
  assert.equal(answer(200, 30), "slow");
  assert.equal(answer(300, 5), "up");
  health.asked(400);
  assert.deepEqual(
    [499, 500, 899, 900].map((ms) => health.state(ms)),
    ["up", "slow", "slow", "down"],
  );
  health.answered(1_000);
  assert.equal(health.state(1_000), "slow");
  health.failed();
  assert.equal(health.state(1_000), "down");
});

test("sampleOf() covers every window that anybody has, whoever else is there", () => {
  const random = seeded(5);
  for (let round = 0; round < 200; round++) {
    const viewers = Array.from({ length: 60 }, (_, n) => ({
      id: `viewer${n}`,
      held: new Set(Array.from({ length: 3 }, () => Math.floor(random() * 8))),
    }));
    viewers[59].held = new Set([40, 64 + 9]);
    const sample = sampleOf(viewers, 0, 16);
    assert.equal(sample.length, 16);
    const bits = sample.map(({ windows }) => windows.toString(16));
    for (const window of [0, 1, 2, 3, 4, 5, 6, 7, 40]) {
      assert.ok(
        bits.some((each) => hasWindow(each, window)),
        `window ${window}`,
      );
    }
    assert.ok(!bits.some((each) => hasWindow(each, 9)), "other buckets are apart");
  }
  assert.deepEqual([...bucketsOf([0, 63, 64, 700])], [0, 1, 10]);
  assert.deepEqual([...bucketsOf("all")], ["all"]);
  assert.equal(sampleOf([{ id: "viewer", held: "all" }], 0, 16).length, 0);
});

test("decodeSample() takes what encodeSample() made for this place and moment, and nothing else", () => {
  const random = seeded(6);
  const seal = new Seal(Buffer.from("a secret"));
  const mark = seal.mark("address", "192.0.2.1");
  const viewers = [
    { id: "v".repeat(48), address: mark, prefix: mark, loadPercent: 7, windows: "ff" },
  ];
  const at = { seal, place: "key node", nowMs: 1_000_000 };
  const text = records.encodeSample(viewers, at);
  assert.deepEqual(records.decodeSample(text, at), { atMs: 1_000_000, viewers });
  assert.equal(records.decodeSample(text, { ...at, place: "other node" }), undefined);
  assert.equal(records.decodeSample(text, { ...at, nowMs: 1_100_000 }), undefined);
  assert.equal(
    records.decodeSample(text, { ...at, seal: new Seal(Buffer.from("other")) }),
    undefined,
  );
  for (let round = 0; round < 5_000; round++) {
    const bytes = Buffer.from(text);
    bytes[Math.floor(random() * bytes.length)] ^= 1 << Math.floor(random() * 7);
    assert.equal(records.decodeSample(bytes.toString("latin1"), at), undefined);
  }
  const evil = [
    [1, 1_000_000, [["short", mark, mark, 0, "all"]]],
    [1, 1_000_000, [["v".repeat(48), mark, mark, 0, "__proto__"]]],
    { length: 3 },
    [1, 1_000_000],
  ];
  for (const each of evil) {
    assert.equal(records.decodeSample(seal.close(at.place, JSON.stringify(each)), at), undefined);
  }
});

test("FarViewers spreads a crowd over the viewers it knows, and names none of a node that is gone", () => {
  const far = new FarViewers(seeded(7));
  const [left, right] = ["0".repeat(16), "1".repeat(16)];
  const viewer = (n, atMs) => ({
    id: `viewer${n}`,
    address: `a${n}`,
    prefix: `p${n}`,
    ...{ loadPercent: 0, windows: "all", atMs },
    node: n < 16 ? left : right,
  });
  const all = (atMs) => Array.from({ length: 32 }, (_, n) => viewer(n, atMs));
  const choose = (atMs, nowMs) =>
    far
      .choose({ address: "me", prefix: "me" }, all(atMs), nowMs)
      .map(([id]) => Number(id.slice(6)));
  const named = new Map();
  for (let n = 0; n < 400; n++) {
    for (const id of choose(0, n)) named.set(id, (named.get(id) ?? 0) + 1);
  }
  assert.equal(named.size, 32);
  assert.ok(Math.max(...named.values()) < 3 * Math.min(...named.values()));
  far.lost(left, 500);
  assert.equal(choose(499, 600).length, 8);
  assert.ok(choose(499, 600).every((n) => n >= 16));
  // Started again, or heard of: it writes new records.
  assert.ok(
    Array.from({ length: 20 }, () => choose(501, 600))
      .flat()
      .some((n) => n < 16),
  );
  far.heard("viewer0", left, 700);
  assert.ok(
    Array.from({ length: 20 }, () => choose(499, 700))
      .flat()
      .some((n) => n < 16),
  );
});
