// Several nodes that share one Redis: what viewers of one node learn of those of another, and say to them.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import test from "node:test";
import { mintJoinToken, startServer } from "../../dist/server.js";
import { noRedis, PROGRAMS, redisFor } from "../support/redis.mjs";
import {
  ASSET,
  eventually,
  GROUP,
  health,
  holdersFor,
  metric,
  nodesFor,
} from "./redis-support.mjs";
import { bodyOf, connect, isSignedBy, originFor, SITE, serverFor, viewerFor } from "./support.mjs";

const OFFER = {
  sdp: { type: "offer", sdp: "v=0\r\n" },
  type: "data",
  connectionId: "dc_1",
  label: "x",
  reliable: true,
  serialization: "raw",
};

const isTypeOf = (type) => (message) => message.type === type;

/** Two viewers on two nodes; the second was told of the first. */
async function strangers(t, options) {
  const { redis, nodes } = await nodesFor(t, options);
  const [a, b] = [await viewerFor(t, nodes[0]), await viewerFor(t, nodes[1])];
  await a.join(GROUP);
  await b.join(GROUP);
  a.announce([[ASSET, "all"]]);
  await eventually(
    () => holdersFor(b),
    (ids) => ids.includes(a.id),
  );
  return { redis, nodes, a, b };
}

/** Offers until one expires: a socket, or Redis, may not have noticed yet that somebody is gone. */
const expired = (from, dst) =>
  eventually(async () => {
    from.say({ type: "OFFER", dst, payload: OFFER });
    await from.settled();
    return from.messages.some(({ type, src }) => type === "EXPIRE" && src === dst);
  }, Boolean);

for (const program of PROGRAMS) {
  test(`${program}: holders of one node are found at another, window by window`, {
    skip: noRedis,
  }, async (t) => {
    const redis = await redisFor(t, { program });
    const { nodes } = await nodesFor(t, { redis });
    const [a, b, c] = [
      await viewerFor(t, nodes[0]),
      await viewerFor(t, nodes[0]),
      await viewerFor(t, nodes[1]),
    ];
    for (const viewer of [a, b, c]) await viewer.join(GROUP);
    a.announce([[ASSET, "all"]], { loadPercent: 30 });
    b.announce([[ASSET, [3, 700]]]);
    const at = (window) => () => holdersFor(c, ASSET, window);
    await eventually(at(3), (ids) => String(ids.sort()) === String([a.id, b.id].sort()));
    await eventually(at(700), (ids) => ids.length === 2);
    assert.deepEqual(await holdersFor(c, ASSET, 4), [a.id]);
    assert.deepEqual(await holdersFor(c, "BBBBBBBBBBBBBBBBBBBBBB"), []);
    const answer = await c.ask({ type: "want", url: "http://x.test/", window: 4, assetId: ASSET });
    assert.deepEqual(answer.holders, [[a.id, 0, 30]], "same address, and the load it announced");
    a.announce([], { remove: [ASSET] });
    b.ws.terminate();
    await eventually(at(3), (ids) => ids.length === 0);
  });
}

test("the newcomer is told of viewers at other nodes, beside those of its own", {
  skip: noRedis,
}, async (t) => {
  const { nodes } = await nodesFor(t, { options: { socketsPerAddressMax: 100 } });
  const far = await viewerFor(t, nodes[0]);
  await far.join(GROUP);
  for (let n = 0; n < 9; n++) await (await viewerFor(t, nodes[1])).join(GROUP);
  const { peers } = await eventually(
    async () => (await viewerFor(t, nodes[1])).join(GROUP),
    ({ peers }) => peers.some(([id]) => id === far.id),
  );
  assert.equal(peers.length, 8);
});

test("Redis is read only where a node's own viewers do not suffice, and once for all who ask at a time", {
  skip: noRedis,
}, async (t) => {
  const { nodes } = await nodesFor(t);
  const reads = () => metric(nodes[0], 'nearcast_shared_index_total{use="read"}');
  const asker = await viewerFor(t, nodes[0]);
  await asker.join(GROUP);
  for (let n = 0; n < 4; n++) {
    const holder = await viewerFor(t, nodes[0]);
    await holder.join(GROUP);
    holder.announce([[ASSET, "all"]]);
    await holder.settled();
  }
  const before = await reads();
  for (let n = 0; n < 5; n++) assert.equal((await holdersFor(asker)).length, 4);
  assert.equal(await reads(), before);
  const startMs = performance.now();
  for (let n = 0; n < 20; n++) await holdersFor(asker, "BBBBBBBBBBBBBBBBBBBBBB");
  const rounds = 1 + Math.ceil((performance.now() - startMs) / 700);
  // Two keys: holders of all of it, and of the windows around.
  assert.ok((await reads()) - before <= 2 * rounds);
});

test("OFFER, ANSWER, CANDIDATE and LEAVE reach viewers of other nodes, in order and with a stamped source", {
  skip: noRedis,
}, async (t) => {
  const { nodes, a, b } = await strangers(t);
  b.say({ type: "OFFER", dst: a.id, src: "forged", payload: OFFER });
  for (let n = 0; n < 20; n++) {
    b.say({
      type: "CANDIDATE",
      dst: a.id,
      payload: { candidate: { n }, type: "data", connectionId: "dc_1" },
    });
  }
  const offer = await a.heard(isTypeOf("OFFER"));
  assert.deepEqual(offer, { type: "OFFER", src: b.id, dst: a.id, payload: OFFER });
  for (let n = 0; n < 20; n++) {
    const { src, payload } = await a.heard(isTypeOf("CANDIDATE"));
    assert.deepEqual([src, payload.candidate.n], [b.id, n]);
  }
  // Nobody told a of b: that b has called is enough.
  a.say({
    type: "ANSWER",
    dst: b.id,
    payload: { sdp: { type: "answer", sdp: "v=0\r\n" }, type: "data" },
  });
  assert.equal((await b.heard(isTypeOf("ANSWER"))).src, a.id);
  a.say({ type: "LEAVE", dst: b.id });
  assert.equal((await b.heard(isTypeOf("LEAVE"))).src, a.id);
  assert.equal(await metric(nodes[0], 'nearcast_hops_total{outcome="received"}'), 21);
  assert.equal(await metric(nodes[0], "nearcast_nodes"), 2);
});

test("a Redis without sharded channels, as before version 7, carries signaling too", {
  skip: noRedis,
}, async (t) => {
  const redis = await redisFor(t, { args: ["--rename-command", "SPUBLISH", ""] });
  const { nodes, a, b } = await strangers(t, { redis });
  assert.deepEqual(await redis.ask("PUBSUB", "SHARDCHANNELS"), []);
  b.say({ type: "OFFER", dst: a.id, payload: OFFER });
  assert.equal((await a.heard(isTypeOf("OFFER"))).src, b.id);
  await nodes[0].close();
  await expired(b, a.id);
});

test("who is absent at another node, a stranger or gone with its node expires at once", {
  skip: noRedis,
}, async (t) => {
  const { nodes, a, b } = await strangers(t);
  const expires = (dst) => expired(b, dst);
  const stranger = await viewerFor(t, nodes[0]);
  await stranger.join();
  await expires(stranger.id);
  a.ws.close();
  await a.closed;
  await expires(a.id);

  const other = await viewerFor(t, nodes[0]);
  await other.join(GROUP);
  other.announce([["CCCCCCCCCCCCCCCCCCCCCC", "all"]]);
  await eventually(
    () => holdersFor(b, "CCCCCCCCCCCCCCCCCCCCCC"),
    (ids) => ids.includes(other.id),
  );
  await nodes[0].close();
  await expires(other.id);
});

test("two stock clients that never join reach each other across nodes, unless that is off", {
  skip: noRedis,
}, async (t) => {
  const { redis, nodes } = await nodesFor(t);
  const [a, b] = [await viewerFor(t, nodes[0]), await viewerFor(t, nodes[1])];
  b.say({ type: "OFFER", dst: a.id, payload: OFFER });
  assert.equal((await a.heard(isTypeOf("OFFER"))).src, b.id);
  const strict = await nodesFor(t, { redis, options: { stockClients: false } });
  const [c, d] = [await viewerFor(t, strict.nodes[0]), await viewerFor(t, strict.nodes[1])];
  d.say({ type: "OFFER", dst: c.id, payload: OFFER });
  await d.heard(isTypeOf("EXPIRE"));
});

test("an id has one viewer on all nodes: refused to others, moved by its own token, the last socket counts", {
  skip: noRedis,
}, async (t) => {
  const { nodes } = await nodesFor(t);
  const first = await viewerFor(t, nodes[0], { token: "its own" });
  const { id } = first;
  const thief = await connect(t, nodes[1], { id, token: "another" });
  assert.equal((await thief.heard(() => true)).type, "ID-TAKEN");
  const foreign = await connect(t, nodes[1], { id, token: "its own", origin: SITE });
  assert.equal((await foreign.heard(() => true)).type, "OPEN");
  assert.equal(await first.closed, 4001, "the socket at the other node was replaced");
  foreign.ws.close();
  await foreign.closed;
  const reserved = await connect(t, nodes[0], { id, token: "another" });
  assert.equal((await reserved.heard(() => true)).type, "ID-TAKEN", "for a minute");
  const back = await connect(t, nodes[0], { id, token: "its own" });
  assert.equal((await back.heard(() => true)).type, "OPEN");
});

test("a viewer that moved is spoken to where it is", { skip: noRedis }, async (t) => {
  const { nodes, a, b } = await strangers(t, { count: 3 });
  const moved = await viewerFor(t, nodes[2], { id: a.id, token: a.token });
  assert.equal(await a.closed, 4001);
  await moved.join(GROUP);
  // The first may be answered by the old place, which knows of nothing: EXPIRE, and the next one finds it.
  const sent = async () => {
    b.say({ type: "OFFER", dst: a.id, payload: OFFER });
    await b.settled();
    return moved.messages.some(isTypeOf("OFFER"));
  };
  await eventually(sent, Boolean);
});

test("R59: a join token that was used at one node is refused at another", {
  skip: noRedis,
}, async (t) => {
  const joinSecret = "a secret of at least thirty-two characters";
  const options = { joinSecret, requireToken: true };
  const { redis, nodes } = await nodesFor(t, { options });
  const token = await mintJoinToken({ site: SITE, secret: joinSecret, ttlSeconds: 120 });
  const ask = async (node) =>
    (await viewerFor(t, node)).ask({ type: "join", v: 1, groups: [], token });
  assert.equal((await ask(nodes[0])).type, "joined");
  assert.match((await ask(nodes[1])).message, /used before/);
  const [{ ttlMs }] = (await redis.keys()).filter(({ key }) => key.includes(":j:"));
  assert.ok(ttlMs > 170_000 && ttlMs <= 180_000, `${ttlMs}`);
  // A stock client shows it in the URL.
  const shown = await mintJoinToken({ site: SITE, secret: joinSecret });
  assert.equal(
    (await (await connect(t, nodes[0], { token: shown })).heard(() => true)).type,
    "OPEN",
  );
  const again = await connect(t, nodes[1], { token: shown });
  assert.equal((await again.heard(() => true)).type, "ERROR");
});

test("nodes with one key file sign and recognise alike; what one attests the other's viewers trust", {
  skip: noRedis,
}, async (t) => {
  const body = bodyOf(100_000);
  const origin = await originFor(t, (_request, response) => {
    response.writeHead(200, {
      "content-length": body.length,
      etag: '"1"',
      "cache-control": "max-age=60",
      "content-type": "video/mp4",
      "access-control-allow-origin": "*",
    });
    response.end(body);
  });
  const { nodes } = await nodesFor(t, { options: { origins: [`${origin.url}/`] } });
  const [a, b] = [await viewerFor(t, nodes[0]), await viewerFor(t, nodes[1])];
  const [joinedA, joinedB] = [await a.join(GROUP), await b.join(GROUP)];
  assert.deepEqual(joinedA.keys, joinedB.keys);
  const { attestation } = await a.want(`${origin.url}/film.mp4`);
  assert.ok(isSignedBy(joinedB.keys, attestation));
  const { attestation: other } = await b.want(`${origin.url}/film.mp4`);
  assert.deepEqual(other.hashes, attestation.hashes);
});

test("without a key file nodes work together as far as they can, and say what they cannot", {
  skip: noRedis,
}, async (t) => {
  const redis = await redisFor(t);
  const lines = [];
  const options = { redis: redis.url, log: (line) => lines.push(line) };
  const nodes = [await serverFor(t, options), await serverFor(t, options)];
  const [a, b] = [await viewerFor(t, nodes[0]), await viewerFor(t, nodes[1])];
  await a.join(GROUP);
  await b.join(GROUP);
  a.announce([[ASSET, "all"]]);
  await eventually(
    () => holdersFor(b),
    (ids) => ids.includes(a.id),
  );
  b.say({ type: "OFFER", dst: a.id, payload: OFFER });
  await a.heard(isTypeOf("OFFER"));
  assert.ok(lines.some((line) => line.includes("key file")));
});

test("deployments with different keys share a Redis and nothing else", {
  skip: noRedis,
}, async (t) => {
  const { redis, nodes } = await nodesFor(t, { count: 1 });
  const { nodes: foreign } = await nodesFor(t, { count: 1, redis });
  const [a, b] = [await viewerFor(t, nodes[0]), await viewerFor(t, foreign[0])];
  await a.join(GROUP);
  await b.join(GROUP);
  a.announce([[ASSET, "all"]]);
  await eventually(
    () => redis.keys(),
    (keys) => keys.some(({ key }) => key.includes(`a:{${ASSET}}`)),
  );
  assert.deepEqual(await holdersFor(b), []);
  const scopes = new Set(
    (await redis.keys()).map(({ key }) => key.split(":").slice(0, 2).join(":")),
  );
  assert.equal(scopes.size, 2);
});

test("health, metrics and dashboard say how Redis is", { skip: noRedis }, async (t) => {
  const { nodes } = await nodesFor(t);
  await eventually(
    () => health(nodes[0]),
    ({ redis }) => redis === "up",
  );
  const { code, status } = await health(nodes[0]);
  assert.deepEqual([code, status], [200, "ok"]);
  assert.equal(await metric(nodes[0], "nearcast_redis_up"), 1);
  assert.ok((await metric(nodes[0], "nearcast_redis_latency_seconds")) < 1);
  const { redis } = await (await fetch(`${nodes[0].url}/dashboard/data`)).json();
  assert.deepEqual(Object.keys(redis).sort(), ["keys", "latencyMs", "nodes", "state"]);
  const alone = await serverFor(t);
  assert.deepEqual(await health(alone), { code: 200, status: "ok", viewers: 0 });
});

test("a server that is alone never loads the client of Redis", { skip: noRedis }, async (t) => {
  const redis = await redisFor(t);
  const loadedBy = (more) => {
    const script = `
      import { createRequire } from "node:module";
      import { startServer } from "./dist/server.js";
      const server = await startServer({ port: 0, sites: ["*"], ...${JSON.stringify(more)} });
      const { cache } = createRequire(import.meta.url);
      console.log(Object.keys(cache).filter((file) => file.includes("@redis")).length);
      await server.close();
    `;
    return Number(execFileSync(process.execPath, ["--input-type=module", "-e", script]));
  };
  assert.equal(loadedBy({}), 0);
  assert.ok(loadedBy({ redis: redis.url }) > 10);
});

test("the URL is checked, and no password is ever shown", async () => {
  for (const redis of [
    "",
    "http://host",
    "redis://",
    "host:6379",
    "redis://u:secret@",
    "redis://a#b",
  ]) {
    await assert.rejects(startServer({ port: 0, sites: ["*"], redis }), (error) => {
      assert.equal(error.code, "config/invalid");
      assert.match(error.message, /`redis` must/);
      assert.doesNotMatch(error.message, /secret/);
      return true;
    });
  }
});
