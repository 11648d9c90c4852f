/** Rows 9 to 15: the index server is gone, comes back, is silent, or says what nobody signed; its Redis is gone. */
import assert from "node:assert/strict";
import { soon, stats, until } from "../../e2e/support/rig.mjs";
import { noRedis } from "../../support/redis.mjs";
import { openChaosProxy } from "../chaos-proxy.mjs";

const throughProxy = {
  prepareStage: async (stage) => {
    stage.proxy = await openChaosProxy(stage.rig.index.port);
  },
  victim: ({ proxy }) => ({ options: { server: `ws://localhost:${proxy.port}` } }),
  end: (stage) => stage?.proxy?.close(),
};

const ASSET_KEY = /:a:\{/;

/**
 * For so long a linked viewer waits for the index with a file that it has not heard of (src/mesh/delivery/request-clock.ts). A
 * node that cannot ask the others reads such a file itself: traced, its answer came after 42 to 64 ms, and of a group's first
 * file alone, since those that follow are told unasked. So the first of three requests is late as a rule, and the median is
 * if one of the others is too.
 */
const ATTESTATION_MS = 50;

/** Those who hold the files are at one node, the victim at another. */
const onTwoNodes = {
  missing: () => noRedis,
  rig: { redis: true },
  prepareStage: async ({ rig }) => {
    await soon(
      async () => (await rig.redis.keys()).some(({ key }) => ASSET_KEY.test(key)),
      "one node has told what its viewers hold",
    );
    // Beside other work a Redis may be too slow to be waited for: who comes then hears of nobody elsewhere for a while.
    for (const node of [rig.index, rig.otherNode])
      await soon(async () => (await node.health()).redis === "up", "both nodes ask Redis");
  },
  victim: ({ rig }) => ({ options: { server: rig.otherNode.url } }),
};

const isDegraded = async (node) => (await node.health()).redis === "down";

/** Both nodes have noticed; whoever is linked stays linked, and sockets stay open. */
async function noticed({ rig, victim, seeders }) {
  for (const node of [rig.index, rig.otherNode]) await soon(() => isDegraded(node), "degraded");
  for (const page of [victim, ...seeders]) assert.equal((await stats(page)).index, "open");
}

/** Runs in the page: what introduces viewers never leaves it. */
function dropIntroductions() {
  const { send } = WebSocket.prototype;
  WebSocket.prototype.send = function (data) {
    if (/"type":"(OFFER|ANSWER|CANDIDATE)"/.test(data)) return;
    send.call(this, data);
  };
}

export const serverRows = [
  {
    row: 9,
    name: "the index is dead before anybody joins",
    allowedMs: 0,
    seeders: [],
    victim: { options: { server: "ws://localhost:1" } },
  },
  {
    row: 10,
    name: "the index dies in the middle of a session",
    allowedMs: 0,
    fast: true,
    inject: async ({ rig, victim }) => {
      await rig.index.kill();
      await until(victim, () => window.nearcast.stats().index !== "open");
    },
  },
  {
    row: 11,
    name: "the index dies and is started again",
    allowedMs: 0,
    inject: async ({ rig, victim }) => {
      await rig.index.kill();
      await rig.index.start();
      await until(victim, () => window.nearcast.stats().index === "open");
    },
    check: async ({ victim }) => assert.equal((await stats(victim)).index, "open"),
  },
  {
    row: 12,
    name: "the index falls silent in the middle of a session",
    allowedMs: 100,
    fast: true,
    ...throughProxy,
    inject: ({ proxy }) => proxy.silence(),
  },
  {
    row: 12,
    name: "the index takes connections and never answers",
    allowedMs: 100,
    ...throughProxy,
    prepareStage: async (stage) => {
      await throughProxy.prepareStage(stage);
      stage.proxy.silence();
    },
    linked: 0,
  },
  {
    row: 13,
    name: "attestations are signed with another key",
    allowedMs: 0,
    victim: { options: { "attestation-key": "A".repeat(43) } },
    check: async ({ victim }) => assert.equal((await stats(victim)).bytes.mesh, 0),
  },
  {
    row: 14,
    name: "introductions are lost",
    allowedMs: 0,
    victim: { prepare: dropIntroductions },
    linked: 0,
  },
  {
    row: 15,
    name: "the Redis of two nodes is killed",
    allowedMs: ATTESTATION_MS,
    fast: true,
    ...onTwoNodes,
    inject: async (stage) => {
      await stage.rig.redis.kill();
      await noticed(stage);
    },
  },
  {
    row: 15,
    name: "the Redis of two nodes freezes while a request runs",
    allowedMs: ATTESTATION_MS,
    ...onTwoNodes,
    during: async ({ rig }) => rig.redis.pause(),
    check: noticed,
  },
  {
    row: 15,
    name: "the Redis of two nodes was never there",
    allowedMs: 0,
    ...onTwoNodes,
    prepareStage: async ({ rig }) => {
      await rig.redis.kill();
      await soon(() => isDegraded(rig.otherNode), "degraded");
    },
    linked: 0,
  },
];
