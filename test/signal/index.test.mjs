// The index as viewers talk to it: joining, announcing, asking for holders.
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import test from "node:test";
import { assetIdOf, bodyOf, folderFor, SITE, serverFor, viewerFor } from "./support.mjs";

const GROUP = "http://127.0.0.1:1/media/";
const idsOf = (hints) => hints.map(([id]) => id);

/** A server that attests `a.bin` of three windows from disk, at an origin that nobody can reach. */
async function setUp(t, options = {}) {
  const root = await folderFor(t);
  await writeFile(join(root, "a.bin"), bodyOf(9 * 1_048_576));
  const server = await serverFor(t, { root, origins: [GROUP], ...options });
  const viewer = (localAddress = "127.0.0.1") => viewerFor(t, server, { localAddress });
  const url = `${GROUP}a.bin`;
  const { attestation } = await (await viewer("127.0.9.9")).want(url);
  return { server, viewer, url, assetId: assetIdOf(attestation) };
}

test("joined names the viewer, keys, ICE servers, time and configuration", async (t) => {
  const { viewer } = await setUp(t, {
    iceServers: ["stun:stun.test:3478", { urls: "turn:t.test", username: "u", credential: "c" }],
    enabled: false,
    siteSettings: { [SITE]: { rampPercent: 5 }, "http://other.test": { enabled: true } },
  });
  const a = await viewer();
  const joined = await a.join(GROUP);
  assert.equal(joined.type, "joined");
  assert.equal(joined.v, 1);
  assert.equal(joined.id, a.id);
  assert.match(joined.keys[0][0], /^[\w-]{16}$/);
  assert.match(joined.keys[0][1], /^[\w-]{43}$/);
  assert.deepEqual(joined.iceServers, [
    { urls: "stun:stun.test:3478" },
    { urls: "turn:t.test", username: "u", credential: "c" },
  ]);
  assert.ok(Math.abs(joined.nowMs - Date.now()) < 5_000);
  assert.deepEqual(joined.config, {
    enabled: false,
    rampPercent: 5,
    minVersion: "",
    include: [],
    exclude: [],
    sealed: [],
    uploadMaxRate: 0,
    uploadMaxParallel: 0,
  });
  assert.deepEqual(joined.peers, []);
});

test("join answers with members of the same groups, with their distance", async (t) => {
  const { viewer } = await setUp(t);
  const [same, near, far, elsewhere, gone, left] = [
    await viewer("127.0.0.1"),
    await viewer("127.0.0.2"),
    await viewer("127.0.1.1"),
    await viewer(),
    await viewer(),
    await viewer(),
  ];
  for (const member of [same, near, far, gone, left]) await member.join(GROUP);
  await elsewhere.join(`${GROUP}other/`);
  gone.say({ type: "LEAVE" });
  await gone.closed;
  left.say({ type: "leave", groups: [GROUP] });
  await left.settled();
  const { peers } = await (await viewer("127.0.0.1")).join(GROUP);
  const distances = new Map(peers.map(([id, distance]) => [id, distance]));
  assert.deepEqual(
    distances,
    new Map([
      [same.id, 0],
      [near.id, 1],
      [far.id, 2],
    ]),
  );
});

test("D2, B7, R67: join answers at most eight peers, at most two of a prefix while there are others", async (t) => {
  const { viewer } = await setUp(t);
  const crowd = await Promise.all(
    Array.from({ length: 30 }, (_, n) => viewer(`127.0.${n < 15 ? 0 : n}.${n + 1}`)),
  );
  await Promise.all(crowd.map((member) => member.join(GROUP)));
  const { peers } = await (await viewer("127.0.0.200")).join(GROUP);
  assert.equal(new Set(idsOf(peers)).size, 8);
  assert.equal(peers.filter(([, distance]) => distance < 2).length, 2);
});

test("join leaves nobody with fewer peers than there are: one prefix can fill an answer", async (t) => {
  const { viewer } = await setUp(t);
  const office = await Promise.all(
    Array.from({ length: 12 }, (_, n) => viewer(`127.0.0.${n + 1}`)),
  );
  await Promise.all(office.map((member) => member.join(GROUP)));
  const far = await viewer("127.0.7.7");
  await far.join(GROUP);
  const { peers } = await (await viewer("127.0.0.100")).join(GROUP);
  assert.equal(peers.length, 8);
  assert.ok(idsOf(peers).includes(far.id));
});

test("hand-outs are counted, so that a burst of joins is spread", async (t) => {
  const { viewer } = await setUp(t, { socketsPerAddressMax: 1_000 });
  const members = await Promise.all(
    Array.from({ length: 24 }, (_, n) => viewer(`127.0.${n + 1}.1`)),
  );
  const named = new Map(members.map(({ id }) => [id, 0]));
  const count = ({ peers }) => {
    for (const id of idsOf(peers)) if (named.has(id)) named.set(id, named.get(id) + 1);
  };
  for (const answer of await Promise.all(members.map((member) => member.join(GROUP))))
    count(answer);
  for (let round = 0; round < 30; round++) {
    const late = await viewer("127.0.200.1");
    count(await late.join(GROUP));
    late.say({ type: "LEAVE" });
    await late.closed;
  }
  const counts = [...named.values()]; // about 17 each; by chance alone, far wider than this
  assert.ok(Math.max(...counts) <= 40, `most: ${Math.max(...counts)}`);
  assert.ok(Math.min(...counts) >= 11, `fewest: ${Math.min(...counts)}`);
});

test("want answers holders of that window, near and idle ones first, never the asker", async (t) => {
  const { viewer, url, assetId } = await setUp(t);
  const [busy, idle, far, other, dropped] = [
    await viewer("127.0.0.2"),
    await viewer("127.0.0.3"),
    await viewer("127.0.5.5"),
    await viewer("127.0.6.6"),
    await viewer("127.0.8.8"),
  ];
  busy.announce([[assetId, "all"]], { loadPercent: 90 });
  idle.announce([[assetId, [0]]]);
  idle.announce([[assetId, [1]]], { loadPercent: 5 });
  far.announce([[assetId, [1, 2]]]);
  other.announce([[assetId, [2]]]);
  dropped.announce([[assetId, "all"]]);
  dropped.announce([], { remove: [assetId] });
  const asker = await viewer("127.0.0.1");
  asker.announce([[assetId, "all"]]);
  for (const holder of [busy, idle, far, other, dropped, asker]) await holder.settled();
  const { holders } = await asker.want(url, 1);
  assert.deepEqual(holders, [
    [idle.id, 1, 5],
    [busy.id, 1, 90],
    [far.id, 2, 0],
  ]);
  assert.deepEqual(
    new Set(idsOf((await asker.want(url, 2)).holders)),
    new Set([busy.id, far.id, other.id]),
  );
});

test("a holder is forgotten with its socket", async (t) => {
  const { viewer, url, assetId } = await setUp(t);
  const [holder, asker] = [await viewer(), await viewer()];
  holder.announce([[assetId, "all"]]);
  await holder.settled();
  assert.deepEqual(idsOf((await asker.want(url)).holders), [holder.id]);
  holder.say({ type: "LEAVE" });
  await holder.closed;
  assert.deepEqual((await asker.want(url)).holders, []);
});

test("B2, R58: beyond the caps the oldest groups and announcements are forgotten", async (t) => {
  const { viewer, url, assetId } = await setUp(t);
  const [a, b] = [await viewer(), await viewer()];
  await a.join(GROUP);
  await a.join(...Array.from({ length: 32 }, (_, n) => `${GROUP}${n}/`));
  assert.deepEqual((await b.join(GROUP)).peers, []);
  assert.deepEqual(idsOf((await b.join(`${GROUP}31/`)).peers), [a.id]);
  a.announce([[assetId, "all"]]);
  await a.settled();
  assert.equal((await b.want(url)).holders.length, 1);
  for (let batch = 0; batch < 16; batch++) {
    const name = (n) => String(batch * 256 + n).padStart(22, "0");
    a.announce(Array.from({ length: 256 }, (_, n) => [name(n), "all"]));
  }
  await a.settled();
  assert.equal((await b.want(url)).holders.length, 0);
});

test("E9: a malformed index message is answered with an error and changes nothing", async (t) => {
  const { viewer } = await setUp(t);
  const a = await viewer();
  for (const message of [
    { type: "join" },
    { type: "join", q: 1, v: 1, groups: Array.from({ length: 33 }, () => GROUP) },
    { type: "want", q: 1, url: "file:///etc/passwd", window: 0 },
    { type: "announce", add: [["x", "all"]], remove: [], loadPercent: 0 },
    { type: "toString" },
    { type: "__proto__" },
  ]) {
    a.say(message);
    assert.equal((await a.heard(({ type }) => type === "error")).code, "protocol/malformed");
  }
  const error = await a.ask({ type: "join", v: 99, groups: [] });
  assert.equal(error.code, "protocol/version");
});
