/** The film as one MP4 in a plain video element: seeking, and every range exact, whoever brings it. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import { fetchIn, linked, media, openBlank, openRig, stats, until } from "./support/rig.mjs";

const FILM = `/media/${media.mp4}`;
const film = readFileSync(join(media.dir, media.mp4));

const expected = (start, end) => ({
  status: 206,
  bytes: end - start,
  range: `bytes ${start}-${end - 1}/${film.byteLength}`,
  hash: createHash("sha256").update(film.subarray(start, end)).digest("hex"),
});

const seen = ({ status, bytes, headers, hash }) => ({
  status,
  bytes,
  range: headers?.["content-range"],
  hash,
});

test("the MP4 plays in a plain <video>, seeks to ten places and back, and a later profile gets ranges from peers", async (t) => {
  const rig = await openRig();
  t.after(() => rig.close());
  const watch = async () => {
    const profile = await rig.profile();
    const page = await profile.open(`/mp4?server=${encodeURIComponent(rig.index.url)}`);
    await page.evaluate(() => window.ready);
    await page.evaluate((src) => {
      video.src = src;
      return video.play();
    }, FILM);
    return page;
  };
  const first = await watch();
  await until(first, () => video.currentTime > 0.5);
  const duration = await first.evaluate(() => video.duration);
  for (let place = 1; place <= 10; place++) {
    // There and back again: 0.9, 0.1, 0.8, 0.2, …
    const at = duration * (place % 2 === 1 ? 1 - (place + 1) / 22 : place / 22);
    await first.evaluate((seconds) => {
      video.currentTime = seconds;
    }, at);
    await until(first, (seconds) => !video.seeking && video.currentTime >= seconds, at);
  }
  assert.equal(await first.evaluate(() => video.error), null);
  // The first viewer holds all of it before the second one comes.
  for (let start = 0; start < film.byteLength; start += 4 * 2 ** 20) {
    const end = Math.min(start + 4 * 2 ** 20, film.byteLength);
    const answer = await fetchIn(first, FILM, { headers: { range: `bytes=${start}-${end - 1}` } });
    assert.deepEqual(seen(answer), expected(start, end));
  }
  await until(first, () => window.nearcast.stats().role === "host");

  const page = await watch();
  await linked(page, 1);
  // It plays what the first one brought: far ahead of its needs, so from peers that are nearer than the origin.
  rig.origin.throttle({ rateBytesPerS: 2_000_000, delayMs: 200 });
  await page.evaluate(() => {
    video.currentTime = video.duration * 0.6;
  });
  await until(page, () => !video.seeking && video.currentTime > video.duration * 0.6 + 1);
  // A range that was asked for before all is known may be the origin's; those after it are not.
  await until(page, () => window.nearcast.stats().bytes.mesh > 0);
  t.diagnostic(`late profile: ${JSON.stringify((await stats(page)).bytes)}`);
  const half = Math.floor(film.byteLength / 2);
  const ranges = [
    [0, 1],
    [65_535, 65_537],
    [half, half + 500_000],
    [film.byteLength - 1, film.byteLength],
  ];
  for (const [start, end] of ranges) {
    const answer = await fetchIn(page, FILM, { headers: { range: `bytes=${start}-${end - 1}` } });
    assert.deepEqual(seen(answer), expected(start, end), `${start}-${end}`);
  }
  // An open range is answered with a 206 that may stop early, and says where.
  const open = await fetchIn(page, FILM, { headers: { range: `bytes=${half}-` } });
  assert.deepEqual(seen(open), expected(half, half + open.bytes));
  assert.ok(open.bytes <= 4 * 2 ** 20);
  // What lies past the end is the origin's to refuse.
  const past = await fetchIn(page, FILM, { headers: { range: `bytes=${film.byteLength}-` } });
  assert.equal(past.status, 416);

  assert.deepEqual([...first.errors, ...page.errors], []);
});

test("an MP4 in the page's markup, asked for before any host is there, comes in parts, so that it is shared", async (t) => {
  const asked = [];
  const rig = await openRig({
    pages: { "/markup": `<video id="video" src="${FILM}" autoplay muted playsinline></video>` },
    intercept: ({ url, headers }) => {
      if (url === FILM) asked.push(headers.range);
      return false;
    },
  });
  t.after(() => rig.close());
  const profile = await rig.profile();
  const page = await openBlank(profile, rig);
  await page.goto(`${rig.url}/markup?server=${encodeURIComponent(rig.index.url)}`);
  await until(page, () => video.currentTime > 0.5);
  await until(page, () => window.nearcast?.stats().requests.total > 0);
  assert.equal(await page.evaluate(() => video.error), null);
  for (const range of asked) assert.match(range, /^bytes=\d+-\d+$/);
  assert.deepEqual(page.errors, []);
});
