/** Low-latency live: what is still growing passes through as it grows, and the mesh adds nothing to it. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import test from "node:test";
import { openBlank, openRig, stats } from "./support/rig.mjs";

const PLAYLIST = (base) => `#EXTM3U
#EXT-X-VERSION:9
#EXT-X-TARGETDURATION:4
#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=3.0
#EXT-X-PART-INF:PART-TARGET=1.0
#EXT-X-MEDIA-SEQUENCE:1
#EXTINF:4.0,
${base}seg1.m4s
#EXT-X-PART:DURATION=1.0,URI="${base}seg2.0.m4s"
#EXT-X-PRELOAD-HINT:TYPE=PART,URI="${base}seg2.1.m4s"
`;

/** A live origin that holds answers back until the test says that time has come. */
async function liveOrigin() {
  const held = new Map();
  const asked = new Map();
  const gate = (name) => {
    let open;
    held.set(name, { opened: new Promise((done) => (open = done)), open });
    return open;
  };
  const wait = (path) => {
    let seen;
    const promise = new Promise((done) => (seen = done));
    asked.set(path, seen);
    return promise;
  };
  const seen = [];
  const server = createServer(async (req, res) => {
    const { pathname } = new URL(req.url, "http://origin");
    seen.push(req.url);
    asked.get(pathname)?.();
    res.setHeader("Access-Control-Allow-Origin", "*");
    res.setHeader("Cache-Control", "public, max-age=60");
    if (pathname.endsWith(".m3u8")) {
      res.setHeader("Content-Type", "application/vnd.apple.mpegurl");
      if (req.url.includes("_HLS_msn")) await held.get("reload")?.opened;
      return res.end(PLAYLIST("/media/live/"));
    }
    res.setHeader("Content-Type", "video/mp4");
    if (pathname.endsWith("chunked.m4s")) {
      // CMAF: the segment grows, nobody knows its length.
      res.write(Buffer.alloc(5_000, 1));
      await held.get("chunk")?.opened;
      return res.end(Buffer.alloc(5_000, 2));
    }
    if (pathname.endsWith("seg2.1.m4s")) await held.get("part")?.opened;
    res.end(Buffer.alloc(20_000, 3));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    ...{ gate, wait, seen },
    url: `http://localhost:${server.address().port}`,
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

test("a low-latency stream passes through: held-back reloads, preloaded parts, growing segments", async (t) => {
  const origin = await liveOrigin();
  t.after(() => origin.close());
  const rig = await openRig();
  t.after(() => rig.close());
  const include = `/media/** ${origin.url}/**`;
  const page = await openBlank(await rig.profile(), rig, { options: { include } });
  const text = (path) =>
    page.evaluate(async (url) => (await fetch(url)).text(), `${origin.url}${path}`);

  const open = origin.gate("reload");
  assert.match(await text("/media/live/index.m3u8"), /PRELOAD-HINT/);
  const reloaded = origin.wait("/media/live/index.m3u8");
  const reload = text("/media/live/index.m3u8?_HLS_msn=3&_HLS_part=0");
  await reloaded;
  open();
  assert.equal(await reload, PLAYLIST("/media/live/"));

  // The origin must be asked before the part exists, or the stream is late by a round trip.
  const ready = origin.gate("part");
  const hinted = origin.wait("/media/live/seg2.1.m4s");
  const part = page.evaluate(
    async (url) => (await (await fetch(url)).arrayBuffer()).byteLength,
    `${origin.url}/media/live/seg2.1.m4s`,
  );
  await hinted;
  ready();
  assert.equal(await part, 20_000);
  const parts = origin.seen.filter((url) => url.includes("seg2.1"));
  assert.equal(parts.length, 1, "the part was asked for once, by the player");

  // The first chunk of a growing segment is there while the rest does not exist.
  const grown = origin.gate("chunk");
  const first = await page.evaluate(async (url) => {
    window.growing = (await fetch(url)).body.getReader();
    const { value } = await window.growing.read();
    return value.byteLength;
  }, `${origin.url}/media/live/chunked.m4s`);
  assert.ok(first > 0);
  grown();
  const rest = await page.evaluate(async () => {
    let bytes = 0;
    for (let next = await window.growing.read(); !next.done; next = await window.growing.read())
      bytes += next.value.byteLength;
    return bytes;
  });
  assert.equal(first + rest, 10_000);
  const { bytes } = await stats(page);
  assert.equal(bytes.mesh + bytes.cache, 0);
});
