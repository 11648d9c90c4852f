/** Two browsers at two nodes of the server, which share a Redis, share a file. */
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";
import { noRedis } from "../support/redis.mjs";
import { fetchIn, linked, meshed, openBlank, openRig, soon, stats } from "./support/rig.mjs";

const FILE_BYTES = 2 ** 20;
const NAMES = ["join", "a", "b", "c"];
/** Nodes tell all of it when Redis is back; what is lost in that moment is told again half a minute later. */
const TOLD_MS = 45_000;

/** A site with files of its own, and their hashes by path. */
async function siteFor(t) {
  const root = mkdtempSync(join(tmpdir(), "nearcast-nodes-"));
  const hashes = {};
  for (const name of NAMES) {
    const bytes = randomBytes(FILE_BYTES);
    writeFileSync(join(root, `${name}.bin`), bytes);
    hashes[`/media/${name}.bin`] = createHash("sha256").update(bytes).digest("hex");
  }
  const rig = await openRig({ root, redis: true });
  t.after(async () => {
    await rig.close();
    rmSync(root, { recursive: true, force: true });
  });
  return { rig, hashes };
}

test("two browsers at two nodes share a file; when Redis is gone they go on, and when it is back, too", {
  skip: noRedis,
}, async (t) => {
  const { rig, hashes } = await siteFor(t);
  const browser = await rig.launch();
  const openAt = async (node) =>
    openBlank(await rig.context(browser), rig, { options: { server: node.url } });
  const load = async (page, name) => {
    const path = `/media/${name}.bin`;
    assert.equal((await fetchIn(page, path)).hash, hashes[path]);
  };
  const told = (name) =>
    soon(
      async () =>
        (await rig.redis.keys()).filter(({ key }) => key.includes(":a:")).length >= NAMES.length,
      name,
      TOLD_MS,
    );
  const first = await openAt(rig.index);
  for (const name of NAMES) await load(first, name);
  await told("the first node tells what its viewer holds");
  // From here the origin is slower than a peer.
  rig.origin.throttle({ rateBytesPerS: 1_000_000, delayMs: 50 });
  const second = await openAt(rig.otherNode);
  await load(second, "join");
  await linked(second, 1);
  await linked(first, 1);
  await load(second, "a");
  await meshed(second);
  assert.ok((await rig.index.metric('nearcast_hops_total{outcome="received"}')) > 0);
  assert.equal(await rig.index.metric("nearcast_nodes"), 2);

  await rig.redis.kill();
  for (const node of [rig.index, rig.otherNode]) {
    await soon(async () => (await node.health()).status === "degraded", "degraded");
  }
  const before = (await stats(second)).bytes.mesh;
  await load(second, "b");
  for (const page of [first, second]) {
    const { index, links } = await stats(page);
    assert.equal(index, "open", "no socket falls with Redis");
    assert.ok(links >= 1, "nor a link");
  }
  await meshed(second, before + 1);

  await rig.redis.start();
  // Either node alone could tell of all files.
  for (const node of [rig.index, rig.otherNode]) {
    await soon(async () => (await node.health()).status === "ok", "well again");
  }
  await told("the nodes tell again what their viewers hold");
  const third = await openAt(rig.otherNode);
  await load(third, "join");
  // One of its own node, one of the other.
  await linked(third, 2);
  await load(third, "c");
  for (const page of [first, second, third]) assert.deepEqual(page.errors, []);
});
