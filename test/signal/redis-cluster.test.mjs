// Nodes that share a Redis cluster: keys and channels lie on several masters, one of which may be gone.
import assert from "node:assert/strict";
import test from "node:test";

import { freePort, noRedis, PROGRAMS, RedisProcess } from "../support/redis.mjs";
import { eventually, GROUP, health, holdersFor, isOpen, nodesFor } from "./redis-support.mjs";
import { viewerFor } from "./support.mjs";

const OFFER = { sdp: {}, type: "data", connectionId: "dc_1", serialization: "raw" };
const SLOTS = 16_384;
const asset = (n) => `A${String(n).padStart(21, "0")}`;

/** Three masters without replicas, which go on when one of them is gone. */
async function clusterFor(t) {
  const args = ["--cluster-enabled", "yes", "--cluster-node-timeout", "1000"];
  const more = [
    "--cluster-require-full-coverage",
    "no",
    "--cluster-allow-pubsubshard-when-down",
    "yes",
  ];
  const masters = [];
  for (let n = 0; n < 3; n++) {
    const master = new RedisProcess(PROGRAMS[0], await freePort(), [...args, ...more]);
    t.after(() => master.end());
    await master.start();
    masters.push(master);
  }
  for (const [n, master] of masters.entries()) {
    const [from, to] = [Math.ceil((n * SLOTS) / 3), Math.ceil(((n + 1) * SLOTS) / 3) - 1];
    await master.ask("CLUSTER", "ADDSLOTSRANGE", String(from), String(to));
    if (n > 0) await master.ask("CLUSTER", "MEET", "127.0.0.1", String(masters[0].port));
  }
  for (const master of masters) {
    await eventually(
      () => master.ask("CLUSTER", "INFO"),
      (info) =>
        /cluster_state:ok/.test(info) &&
        /cluster_known_nodes:3/.test(info) &&
        /cluster_slots_ok:16384/.test(info),
    );
  }
  return { masters, url: masters.map(({ url }) => url).join(",") };
}

test("nodes share a cluster of three masters, and lose a third of what they share with one of them", {
  skip: noRedis,
}, async (t) => {
  const cluster = await clusterFor(t);
  const { nodes } = await nodesFor(t, {
    redis: cluster,
    options: { messagesPerSecond: 10_000, messagesBurst: 10_000 },
  });
  for (const node of nodes)
    await eventually(
      () => health(node),
      ({ redis }) => redis === "up",
    );
  const [a, b] = [await viewerFor(t, nodes[0]), await viewerFor(t, nodes[1])];
  await a.join(GROUP);
  await b.join(GROUP);
  const assets = Array.from({ length: 30 }, (_, n) => asset(n));
  a.announce(assets.map((id) => [id, "all"]));
  const found = async () => {
    const lists = [];
    for (const id of assets) lists.push(await holdersFor(b, id));
    return lists.filter((ids) => ids.includes(a.id)).length;
  };
  await eventually(found, (count) => count === 30);
  b.say({ type: "OFFER", dst: a.id, payload: OFFER });
  await a.heard(({ type }) => type === "OFFER");
  for (const { ask } of cluster.masters.map((master) => ({
    ask: (...args) => master.ask(...args),
  }))) {
    assert.ok(Number(await ask("DBSIZE")) > 0, "keys lie on every master");
  }
  const keys = (await Promise.all(cluster.masters.map((master) => master.keys()))).flat();
  for (const { key, ttlMs } of keys) assert.ok(ttlMs > 0 && ttlMs <= 120_000, key);

  await cluster.masters[0].kill();
  // What was read last is good for a moment.
  await eventually(found, (count) => count > 0 && count < 30);
  for (const node of nodes) assert.equal((await health(node)).code, 200);
  for (const viewer of [a, b]) assert.ok(isOpen(viewer));
  const late = await viewerFor(t, nodes[0]);
  await late.join(GROUP);
  assert.equal(
    (await holdersFor(late, assets[0]))[0],
    a.id,
    "a node's own viewers are found as ever",
  );
});
