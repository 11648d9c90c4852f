/** What a viewer notices when parts of Nearcast die, lie or are missing: nothing. */
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import test from "node:test";
import {
  fetchIn,
  fileHash,
  holds,
  linked,
  media,
  openBlank,
  openRig,
  soon,
  stats,
  until,
} from "./support/rig.mjs";

const BIG = media.mp4;

/** Other files of some size, for requests that nobody has asked before. */
const folder = dirname(media.hls);
const segments = readdirSync(join(media.dir, folder), { recursive: true })
  .filter((name) => /\.(m4v|m4s|ts)$/.test(name))
  .map((name) => join(folder, name));

test("the server dies in mid-play and comes back: nobody stalls, links and announcements return within 15 s", async (t) => {
  const rig = await openRig();
  t.after(() => rig.close());
  const watch = async () => {
    const page = await (await rig.profile()).open(
      `/hls?server=${encodeURIComponent(rig.index.url)}`,
    );
    await page.evaluate(() => window.ready);
    await page.evaluate((src) => window.play(src), `/media/${media.hls}`);
    await until(page, () => video.currentTime > 1);
    return page;
  };
  const pages = [await watch(), await watch()];
  await Promise.all(pages.map((page) => linked(page, 1)));

  await rig.index.kill();
  await Promise.all(
    pages.map((page) => until(page, () => window.nearcast.stats().index !== "open")),
  );
  const before = await Promise.all(pages.map((page) => page.evaluate(() => video.currentTime)));
  await Promise.all(
    pages.map((page, index) =>
      until(page, (seconds) => video.currentTime > seconds + 3, before[index]),
    ),
  );
  // The links outlive the server.
  for (const page of pages) assert.equal((await stats(page)).links, 1);
  // A browser takes its time to start, and this one is no part of what is timed.
  const late = await openBlank(await rig.profile(), rig);

  const startedMs = Date.now();
  await rig.index.start();
  await Promise.all(
    pages.map((page) =>
      until(page, () => window.nearcast.stats().index === "open", undefined, 15_000),
    ),
  );
  // A newcomer finds both, so they are announced again.
  await fetchIn(late, `/media/${segments[0]}`);
  await linked(late, 2);
  t.diagnostic(`back after ${Date.now() - startedMs} ms`);
  assert.ok(Date.now() - startedMs < 15_000);
  for (const page of pages) {
    assert.deepEqual(await page.evaluate(() => window.stalls), []);
    assert.deepEqual(page.errors, []);
  }
});

test("a server that forgot its key gives its viewers new ids, and they are linked again within 15 s", async (t) => {
  const rig = await openRig({ forgetful: true });
  t.after(() => rig.close());
  const pages = [
    await openBlank(await rig.profile(), rig),
    await openBlank(await rig.profile(), rig),
  ];
  const join = (page, segment) => fetchIn(page, `/media/${segments[segment]}`);
  for (const page of pages) await join(page, 0);
  await Promise.all(pages.map((page) => linked(page, 1)));
  const neighbour = (page) => page.evaluate(() => window.nearcast.links()[0]?.peerId);
  const before = await Promise.all(pages.map(neighbour));
  await rig.index.kill();
  await until(pages[0], () => window.nearcast.stats().index !== "open");
  const startedMs = Date.now();
  await rig.index.start();
  const renewed = (page, at) =>
    until(
      page,
      (peerId) => {
        const [link] = window.nearcast.links();
        return window.nearcast.stats().index === "open" && link && link.peerId !== peerId;
      },
      before[at],
    );
  await Promise.all(pages.map(renewed));
  t.diagnostic(`back after ${Date.now() - startedMs} ms`);
  assert.ok(Date.now() - startedMs < 15_000);
  // What one loads from now on, the other gets from it, as soon as it has heard of it.
  rig.origin.throttle({ rateBytesPerS: 2_000_000, delayMs: 100 });
  let next = 0;
  await soon(
    async () => {
      await holds(pages[0], `/media/${segments[++next]}`);
      await join(pages[1], next);
      return (await stats(pages[1])).bytes.mesh > 0;
    },
    "bytes of the other viewer",
    30_000,
  );
  for (const page of pages) assert.deepEqual(page.errors, []);
});

test("the host tab closes in mid-download: the request finishes, the other tab is host within 2 s", async (t) => {
  const rig = await openRig({ rateBytesPerS: 4_000_000 });
  t.after(() => rig.close());
  const seeder = await openBlank(await rig.profile(), rig, {
    options: { "upload-max-rate": 1_000_000 },
  });
  assert.equal((await fetchIn(seeder, `/media/${BIG}`)).hash, fileHash(BIG));

  const profile = await rig.profile();
  const host = await openBlank(profile, rig);
  await until(host, () => window.nearcast.stats().role === "host");
  const guest = await openBlank(profile, rig);
  await fetchIn(guest, `/media/${BIG}`, { headers: { range: "bytes=0-9" } }); // joins
  await linked(host, 1);
  assert.equal((await stats(guest)).role, "guest");

  await guest.evaluate((url) => {
    window.progress = 0;
    window.body = (async () => {
      const chunks = [];
      for await (const chunk of (await fetch(url)).body) {
        chunks.push(chunk);
        window.progress += chunk.byteLength;
      }
      const digest = new Uint8Array(
        await crypto.subtle.digest("SHA-256", await new Blob(chunks).arrayBuffer()),
      );
      return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
    })();
  }, `/media/${BIG}`);
  await until(guest, () => window.progress > 300_000);
  const closedMs = Date.now();
  await host.close();
  await until(guest, () => window.nearcast.stats().role === "host", undefined, 2_000);
  t.diagnostic(`took over after ${Date.now() - closedMs} ms`);
  assert.equal(await guest.evaluate(() => window.body), fileHash(BIG));
  assert.deepEqual(guest.errors, []);
});

test("a peer that flips one bit is dropped, its bytes are never seen, the request completes", async (t) => {
  const rig = await openRig();
  t.after(() => rig.close());
  const evil = await openBlank(await rig.profile(), rig, { prepare: flipOneBit });
  assert.equal((await fetchIn(evil, `/media/${segments[0]}`)).hash, fileHash(segments[0]));
  assert.equal((await fetchIn(evil, `/media/${segments[1]}`)).hash, fileHash(segments[1]));

  const victim = await openBlank(await rig.profile(), rig);
  await fetchIn(victim, `/media/${segments[2]}`); // joins
  await linked(victim, 1);
  const answer = await fetchIn(victim, `/media/${segments[1]}`);
  assert.equal(answer.status, 200);
  assert.equal(answer.hash, fileHash(segments[1]));
  const { bytes, links } = await stats(victim);
  t.diagnostic(JSON.stringify(bytes));
  assert.ok(bytes.rejected > 0, "the flipped piece arrived and was thrown away");
  assert.equal(bytes.mesh, 0);
  assert.equal(links, 0, "the peer is dropped");
  assert.deepEqual(victim.errors, []);
});

/** Runs in the evil peer's page: one bit of every block is turned. */
function flipOneBit() {
  const { send } = RTCDataChannel.prototype;
  RTCDataChannel.prototype.send = function (data) {
    if (this.label !== "bulk") return send.call(this, data);
    const bytes = new Uint8Array(data).slice();
    bytes[bytes.byteLength - 1] ^= 1;
    return send.call(this, bytes);
  };
}

const MISSING = {
  "WebRTC is absent": {
    prepare: () => {
      delete window.RTCPeerConnection;
      delete window.webkitRTCPeerConnection;
    },
  },
  "service workers are absent": {
    prepare: () => {
      delete Navigator.prototype.serviceWorker;
    },
  },
  "Web Locks are absent": { prepare: () => void delete Navigator.prototype.locks },
  "the server is unreachable": { server: "ws://localhost:1" },
  "the worker file is missing": { worker: "/no-such-worker.js" },
};

for (const [what, { prepare, ...options }] of Object.entries(MISSING)) {
  test(`the page works as without Nearcast when ${what}`, async (t) => {
    const rig = await openRig();
    t.after(() => rig.close());
    const plain = await (await rig.profile()).open("/blank?off");
    const page = await openBlank(await rig.profile(), rig, { prepare, options });
    for (const init of [
      {},
      { headers: { range: "bytes=10-99999" } },
      { headers: { range: "bytes=100-" } },
    ]) {
      const path = `/media/${segments[0]}`;
      const [with_, without] = await Promise.all([
        fetchIn(page, path, init),
        fetchIn(plain, path, init),
      ]);
      delete with_.headers.date;
      delete without.headers.date;
      assert.deepEqual(with_, without);
    }
    assert.equal((await fetchIn(page, "/media/no-such-file.ts")).status, 404);
    assert.deepEqual(page.errors, []);
    if (options.server === undefined) assert.equal((await stats(page)).role, "off");
  });
}

test("a file of many windows outlives the server: attested or not, its bytes are the origin's", async (t) => {
  const root = mkdtempSync(join(tmpdir(), "nearcast-big-"));
  t.after(() => rmSync(root, { recursive: true, force: true }));
  const bytes = randomBytes(24 * 2 ** 20);
  writeFileSync(join(root, "big.bin"), bytes);
  const hash = createHash("sha256").update(bytes).digest("hex");
  const rig = await openRig({ root });
  t.after(() => rig.close());
  const seeder = await openBlank(await rig.profile(), rig);
  assert.equal((await fetchIn(seeder, "/media/big.bin")).hash, hash);

  const page = await openBlank(await rig.profile(), rig);
  await fetchIn(page, "/media/big.bin", { headers: { range: "bytes=0-9" } }); // joins
  await linked(page, 1);
  // Read slowly, so that the server dies while most windows are not attested yet.
  await page.evaluate(async () => {
    window.reader = (await fetch("/media/big.bin")).body.getReader();
    window.chunks = [(await window.reader.read()).value];
  });
  await rig.index.kill();
  await until(page, () => window.nearcast.stats().index !== "open");
  const received = await page.evaluate(async () => {
    for (;;) {
      const { done, value } = await window.reader.read();
      if (done) break;
      window.chunks.push(value);
    }
    const body = await new Blob(window.chunks).arrayBuffer();
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", body));
    return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
  });
  assert.equal(received, hash);
  assert.deepEqual(page.errors, []);
});

test("the origin is down: a viewer is served by peers", async (t) => {
  const rig = await openRig();
  t.after(() => rig.close());
  const seeder = await openBlank(await rig.profile(), rig);
  await holds(seeder, `/media/${segments[0]}`);
  const page = await openBlank(await rig.profile(), rig);
  await fetchIn(page, `/media/${segments[1]}`);
  await linked(page, 1);
  rig.origin.throttle({ rateBytesPerS: 1, delayMs: 600_000 });
  const answer = await fetchIn(page, `/media/${segments[0]}`);
  assert.equal(answer.hash, fileHash(segments[0]));
  await soon(async () => (await stats(page)).bytes.mesh > 0, "bytes from the peer");
});
