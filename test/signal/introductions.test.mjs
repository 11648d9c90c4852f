// Who may call whom: only viewers that the index named to each other (rule R47; threats D2, D3, F2).
import assert from "node:assert/strict";
import test from "node:test";
import { serverFor, viewerFor } from "./support.mjs";

const GROUP = "http://127.0.0.1:1/media/";
const isType = (type) => (message) => message.type === type;
const offer = (dst) => ({
  type: "OFFER",
  dst,
  payload: { sdp: {}, type: "data", connectionId: "c", serialization: "raw" },
});
const candidate = (dst) => ({
  type: "CANDIDATE",
  dst,
  payload: { candidate: {}, type: "data", connectionId: "c" },
});

test("R47, F2: offers pass between viewers that the index introduced, in both directions", async (t) => {
  const server = await serverFor(t);
  const [a, b] = [await viewerFor(t, server), await viewerFor(t, server)];
  await a.join(GROUP);
  const { peers } = await b.join(GROUP); // only b was told of a
  assert.deepEqual(
    peers.map(([id]) => id),
    [a.id],
  );
  b.say(offer(a.id));
  assert.equal((await a.heard(isType("OFFER"))).src, b.id);
  a.say(candidate(b.id));
  assert.equal((await b.heard(isType("CANDIDATE"))).src, a.id);
});

test("R47, D3, F2: a viewer that the index did not name gets the answer for the absent", async (t) => {
  const server = await serverFor(t);
  const [victim, stranger] = [await viewerFor(t, server), await viewerFor(t, server)];
  await victim.join(GROUP);
  await stranger.join("http://127.0.0.1:1/elsewhere/");
  for (const frame of [offer(victim.id), candidate(victim.id)]) {
    stranger.say(frame);
    const { src } = await stranger.heard(isType("EXPIRE"));
    assert.equal(src, victim.id);
  }
  stranger.say({ type: "LEAVE", dst: victim.id });
  await stranger.settled();
  assert.deepEqual(victim.messages, []);
});

test("R47: a stock client cannot call a viewer of the mesh, only other stock clients", async (t) => {
  const server = await serverFor(t);
  const [viewer, one, two] = [
    await viewerFor(t, server),
    await viewerFor(t, server),
    await viewerFor(t, server),
  ];
  await viewer.join(GROUP);
  one.say(offer(viewer.id));
  await one.heard(isType("EXPIRE"));
  one.say(offer(two.id));
  await two.heard(isType("OFFER"));
  const strict = await serverFor(t, { stockClients: false });
  const [three, four] = [await viewerFor(t, strict), await viewerFor(t, strict)];
  three.say(offer(four.id));
  await three.heard(isType("EXPIRE"));
});

test("R47: a viewer stays one of the mesh when its socket was away", async (t) => {
  const server = await serverFor(t);
  const viewer = await viewerFor(t, server);
  await viewer.join(GROUP);
  viewer.ws.terminate();
  await viewer.closed;
  const back = await viewerFor(t, server, { id: viewer.id, token: viewer.token });
  const stock = await viewerFor(t, server);
  stock.say(offer(back.id));
  await stock.heard(isType("EXPIRE"));
});

test("D2: a viewer that asks for everything learns a bounded number of names", async (t) => {
  const server = await serverFor(t, {
    socketsPerAddressMax: 1_000,
    joinsPerMinutePerAddress: 1_000,
    messagesPerSecond: 1e6,
    messagesBurst: 1e6,
  });
  const crowd = await Promise.all(Array.from({ length: 150 }, () => viewerFor(t, server)));
  await Promise.all(crowd.map((member, n) => member.join(`${GROUP}${n % 30}/`)));
  const harvester = await viewerFor(t, server);
  const names = new Set();
  const startMs = Date.now();
  for (let round = 0; round < 10; round++) {
    for (let group = 0; group < 30; group++) {
      const { peers } = await harvester.join(`${GROUP}${group}/`);
      for (const [id] of peers) names.add(id);
    }
  }
  const earnedS = (Date.now() - startMs) / 1_000;
  assert.ok(names.size >= 60, `told of ${names.size}`);
  assert.ok(names.size <= 65 + earnedS, `told of ${names.size}`);
});
