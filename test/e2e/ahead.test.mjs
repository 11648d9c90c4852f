/** Behind a slow origin the next segment is read ahead, over a line that would be idle else. */
import assert from "node:assert/strict";
import { readFileSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import test from "node:test";
import { fetchIn, fileHash, linked, media, openBlank, openRig, soon } from "./support/rig.mjs";

const PLAYLIST = mediaPlaylist(media.hls);
const SEGMENTS = entriesOf(PLAYLIST).slice(0, 3);
const url = (path) => `/media/${path}`;
const lengthOf = (path) => statSync(join(media.dir, path)).size;

const sum = (numbers) => numbers.reduce((all, one) => all + one, 0);

/** A media playlist: the one that is given, or the first of a master's. */
function mediaPlaylist(path) {
  const [first] = entriesOf(path);
  return first.endsWith(".m3u8") ? mediaPlaylist(first) : path;
}

function entriesOf(path) {
  const lines = readFileSync(join(media.dir, path), "utf8").split("\n");
  return lines
    .filter((line) => line && !line.startsWith("#"))
    .map((line) => join(dirname(path), line));
}

test("two viewers of a slow origin bring the next segment before a page asks, once for both", async (t) => {
  const rig = await openRig();
  t.after(() => rig.close());
  const viewers = [];
  for (let i = 0; i < 2; i++) {
    const page = await openBlank(await rig.profile(), rig);
    // A player that has nothing to play yet, as far as anybody can see.
    await page.evaluate(() => {
      const video = document.createElement("video");
      video.srcObject = new MediaStream();
      document.body.append(video);
      window.requested = 0;
      window.nearcast.addEventListener("request", ({ detail }) => {
        window.requested += detail.bytes.origin;
      });
    });
    await fetchIn(page, url(PLAYLIST));
    await fetchIn(page, `${url(SEGMENTS[0])}?joins`, { headers: { range: "bytes=0-9" } });
    viewers.push(page);
  }
  for (const page of viewers) await linked(page, 1);
  const [current, next, later] = SEGMENTS;
  const sentOf = (path) => rig.origin.counts().paths[url(path)]?.bytes ?? 0;
  rig.origin.reset();
  rig.origin.throttle({ rateBytesPerS: lengthOf(current) / 8 });
  const answers = await Promise.all(viewers.map((page) => fetchIn(page, url(current))));
  for (const { hash } of answers) assert.equal(hash, fileHash(current));

  const length = lengthOf(next);
  await soon(() => sentOf(next) >= length, "the next segment, that nobody has asked for", 40_000);
  assert.equal(sentOf(later), 0, "and not the one after it");
  assert.ok(sentOf(next) < 1.2 * length, `${sentOf(next) / length} copies`);
  const counted = (page) =>
    page.evaluate(() => window.nearcast.stats().bytes.origin - window.requested);
  await soon(
    async () => sum(await Promise.all(viewers.map(counted))) > 0.9 * length,
    "pages' statistics that tell of what no request of theirs brought",
  );
  const sent = sentOf(next);
  const asked = await Promise.all(viewers.map((page) => fetchIn(page, url(next))));
  for (const { hash } of asked) assert.equal(hash, fileHash(next));
  assert.ok(sentOf(next) - sent < 0.2 * length, "the pages have it of each other");
});
