/** A viewer gives what its owner can spare, and no more. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";
import { fetchIn, holds, linked, openBlank, openRig, stats, until } from "./support/rig.mjs";

const MIB = 2 ** 20;

test("the day's upload budget ends uploads, and is kept over a reload", async (t) => {
  const root = mkdtempSync(join(tmpdir(), "nearcast-good-"));
  t.after(() => rmSync(root, { recursive: true, force: true }));
  for (const name of ["0", "1", "2", "join"])
    writeFileSync(join(root, `${name}.bin`), randomBytes(MIB));
  const rig = await openRig({ root });
  t.after(() => rig.close());
  const options = { "upload-daily-max-bytes": MIB };
  const giver = await openBlank(await rig.profile(), rig, { options });
  for (const name of ["0", "1", "2"]) await holds(giver, `/media/${name}.bin`);

  // A slow CDN, so that the peer is worth asking.
  rig.origin.throttle({ rateBytesPerS: 400_000, delayMs: 300 });
  const taker = await openBlank(await rig.profile(), rig);
  await fetchIn(taker, "/media/join.bin");
  await linked(taker, 1);
  for (const name of ["0", "1"])
    assert.equal((await fetchIn(taker, `/media/${name}.bin`)).bytes, MIB);
  const given = (await stats(giver)).bytes.uploaded;
  assert.ok(given >= MIB, `${given} bytes: the budget is there to be used`);
  // What was accepted before the budget was used up is still sent.
  assert.ok(given <= 1.6 * MIB, `${given} bytes of ${MIB} allowed`);

  await giver.reload();
  await giver.evaluate(() => window.ready);
  await fetchIn(giver, "/media/0.bin?joins");
  await linked(taker, 1);
  assert.equal((await fetchIn(taker, "/media/2.bin")).bytes, MIB);
  assert.equal((await stats(giver)).bytes.uploaded, 0, "today is over for this profile");

  assert.deepEqual([...giver.errors, ...taker.errors], []);
});

test("R52: a page that asks for nothing opens no socket; its first accelerated request does", async (t) => {
  const root = mkdtempSync(join(tmpdir(), "nearcast-good-"));
  t.after(() => rmSync(root, { recursive: true, force: true }));
  writeFileSync(join(root, "0.bin"), randomBytes(MIB));
  const rig = await openRig({ root });
  t.after(() => rig.close());
  const countSockets = () => {
    window.sockets = 0;
    window.WebSocket = class extends WebSocket {
      constructor(...args) {
        super(...args);
        window.sockets++;
      }
    };
  };
  const page = await openBlank(await rig.profile(), rig, { prepare: countSockets });
  await until(page, () => window.nearcast.stats().role === "host");
  await fetchIn(page, "/nearcast.js"); // not accelerated
  assert.equal(await page.evaluate(() => window.sockets), 0);
  assert.equal(await rig.index.metric("nearcast_viewers"), 0);
  await fetchIn(page, "/media/0.bin");
  await until(page, () => window.nearcast.stats().index === "open");
  assert.equal(await page.evaluate(() => window.sockets), 1);
});

test("R54, G3: a viewer that is alone makes no RTCPeerConnection, one that is not names no server of others in it", async (t) => {
  const rig = await openRig();
  t.after(() => rig.close());
  /** Runs in the page, before anything else. */
  const prepare = () => {
    window.connections = [];
    window.RTCPeerConnection = class extends RTCPeerConnection {
      constructor(configuration) {
        super(configuration);
        window.connections.push(configuration?.iceServers ?? []);
      }
    };
  };
  const path = "/media/gallery/none.jpg";
  const page = await openBlank(await rig.profile(), rig, { prepare });
  await fetchIn(page, path);
  await until(page, () => window.nearcast.stats().index === "open");
  assert.deepEqual(await page.evaluate(() => window.connections), []);
  await fetchIn(await openBlank(await rig.profile(), rig), path);
  await linked(page, 1);
  const made = await page.evaluate(() => window.connections);
  assert.ok(made.length > 0);
  assert.deepEqual(made.flat(), []);
});
