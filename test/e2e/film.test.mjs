/** The main promise: many viewers, one copy, right bytes, no stall. */
import assert from "node:assert/strict";
import test from "node:test";
import { fileHash, media, openRig, receivedBy, soon, stats, until } from "./support/rig.mjs";

/**
 * Each viewer's first segment comes from the origin, as nobody may wait for it; the demo's own film is so
 * short that this alone is a third of a copy for two more viewers.
 */
const COPIES_MAX = media.real ? 1.35 : 1.7;

/** Played faster than life, so that the test ends; NEARCAST_REALTIME=1 plays it as people do. */
const RATE = process.env.NEARCAST_REALTIME ? 1 : 2;

test("three profiles, one after another, play the film to the end without a stall from about one copy", async (t) => {
  const rig = await openRig();
  t.after(() => rig.close());
  const pages = [];
  for (let viewer = 0; viewer < 3; viewer++) {
    const profile = await rig.profile();
    const page = await profile.open(`/hls?server=${encodeURIComponent(rig.index.url)}`);
    await page.evaluate(() => window.ready);
    await page.evaluate((src, rate) => window.play(src, rate), `/media/${media.hls}`, RATE);
    await until(page, () => video.currentTime > 1);
    pages.push(page);
  }
  await Promise.all(pages.map((page) => until(page, () => video.ended, undefined, 200_000)));

  const consumed = [];
  const counted = { origin: 0, mesh: 0 };
  for (const page of pages) {
    const segments = await receivedBy(page);
    assert.ok(segments.length > 10);
    for (const { path, hash } of segments) assert.equal(hash, fileHash(path), path);
    consumed.push(segments.reduce((sum, { bytes }) => sum + bytes, 0));
    assert.deepEqual(await page.evaluate(() => ({ stalls: window.stalls, fatal: window.fatal })), {
      stalls: [],
      fatal: [],
    });
    assert.deepEqual(page.errors, []);
    const { bytes } = await stats(page);
    counted.origin += bytes.origin;
    counted.mesh += bytes.mesh;
  }
  const served = rig.origin.counts().media.bytes;
  const copies = served / Math.max(...consumed);
  t.diagnostic(`origin copies: ${copies.toFixed(3)}, mesh bytes: ${counted.mesh}`);
  assert.ok(copies <= COPIES_MAX, `origin served ${copies} copies`);
  assert.ok(Math.abs(counted.origin - served) <= 0.02 * served, `${counted.origin} of ${served}`);

  // The server learns the same from its viewers within one reporting interval.
  await soon(async () => {
    const known = await rig.index.metric('nearcast_viewer_bytes_total{source="mesh"}');
    return Math.abs(known - counted.mesh) <= 0.02 * counted.mesh;
  }, "the server's count of mesh bytes");
});
