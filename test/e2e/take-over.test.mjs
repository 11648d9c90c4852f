/** A response that passes through from a slow origin goes on from peers, in mid-body, without a seam. */
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import {
  fetchIn,
  fileHash,
  holds,
  linked,
  media,
  meshed,
  openBlank,
  openRig,
  soon,
  stats,
  until,
} from "./support/rig.mjs";

const sha256 = (bytes) => createHash("sha256").update(bytes).digest("hex");
const FILM = `/media/${media.mp4}`;
const length = statSync(join(media.dir, media.mp4)).size;

/** Opens the viewer that has the film. */
async function openHolder(profile, rig) {
  const page = await openBlank(profile, rig);
  assert.equal((await fetchIn(page, FILM)).hash, fileHash(media.mp4));
  await holds(page, FILM);
  return page;
}

test("a newcomer's first request begins at the origin and ends with a peer", async (t) => {
  const rig = await openRig();
  t.after(() => rig.close());
  await openHolder(await rig.profile(), rig);

  // From here on the origin alone would take a minute and more.
  rig.origin.throttle({ rateBytesPerS: length / 60 });
  rig.origin.reset();
  const newcomer = await openBlank(await rig.profile(), rig);
  const answer = await fetchIn(newcomer, FILM);
  assert.equal(answer.status, 200);
  assert.equal(answer.hash, fileHash(media.mp4));
  await linked(newcomer, 1);
  await meshed(newcomer, 0.8 * length);
  const { bytes, requests } = await stats(newcomer);
  assert.equal(requests.mixed, 1);
  assert.ok(bytes.origin > 0, "it began at the origin");
  const sent = rig.origin.counts().media.bytes;
  assert.ok(sent < 0.2 * length, `the origin was let go: it sent ${sent} of ${length}`);
});

test("what passes through because the page is busy is taken over once it is free", async (t) => {
  const rig = await openRig();
  t.after(() => rig.close());
  await openHolder(await rig.profile(), rig);
  const page = await openBlank(await rig.profile(), rig);
  // It joins, and the worker knows that it is not alone.
  await fetchIn(page, `${FILM}?joins`, { headers: { range: "bytes=0-9" } });
  await linked(page, 1);
  rig.origin.throttle({ rateBytesPerS: length / 60 });
  const answer = await page.evaluate(async (url) => {
    const response = fetch(url).then((head) => head.arrayBuffer());
    // Longer than the worker waits for its host.
    const endMs = performance.now() + 1_000;
    while (performance.now() < endMs);
    return (await response).byteLength;
  }, FILM);
  assert.equal(answer, length);
  await meshed(page, 0.8 * length);
  assert.equal((await stats(page)).requests.mixed, 1, "it began at the origin");
});

test("what passes through because the browser is slow to name the host is taken over all the same", async (t) => {
  const worker = readFileSync("dist/nearcast-sw.js", "utf8");
  // Each worker asks once.
  const slow = `const { query } = navigator.locks;
    navigator.locks.query = async () => {
      await new Promise((done) => setTimeout(done, 400));
      return query.call(navigator.locks);
    };`;
  const rig = await openRig({
    files: { "/nearcast-sw.js": { type: "text/javascript", body: `${slow}\n${worker}` } },
  });
  t.after(() => rig.close());
  await openHolder(await rig.profile(), rig);
  rig.origin.throttle({ rateBytesPerS: length / 60 });
  const page = await openBlank(await rig.profile(), rig);
  const answer = await fetchIn(page, FILM);
  assert.equal(answer.hash, fileHash(media.mp4));
  await meshed(page, 0.8 * length);
});

test("a range that passes through is taken over as well, byte for byte", async (t) => {
  const rig = await openRig();
  t.after(() => rig.close());
  const first = await openHolder(await rig.profile(), rig);
  rig.origin.throttle({ rateBytesPerS: length / 60 });
  const newcomer = await openBlank(await rig.profile(), rig);
  // Neither end lies on a piece.
  const init = { headers: { range: `bytes=100001-${length - 77_777}` } };
  const [there, here] = await Promise.all([
    fetchIn(first, FILM, init),
    fetchIn(newcomer, FILM, init),
  ]);
  assert.equal(here.status, 206);
  assert.equal(here.headers["content-range"], there.headers["content-range"]);
  assert.equal(here.hash, there.hash);
  await soon(async () => (await stats(newcomer)).bytes.mesh > 0.8 * length, "bytes of the peer");
});

test("a take-over whose peer vanishes ends at the origin", async (t) => {
  const rig = await openRig();
  t.after(() => rig.close());
  const holder = await rig.profile();
  await openHolder(holder, rig);
  rig.origin.throttle({ rateBytesPerS: length / 60 });
  const newcomer = await openBlank(await rig.profile(), rig);
  const answer = fetchIn(newcomer, FILM);
  await newcomer.waitForFunction(() => window.nearcast.stats().bytes.mesh > 0, { polling: 20 });
  await holder.browser.close();
  rig.origin.throttle({ rateBytesPerS: 0 });
  assert.equal((await answer).hash, fileHash(media.mp4));
});

test("a response whose head comes late is taken over too", async (t) => {
  const rig = await openRig();
  t.after(() => rig.close());
  await openHolder(await rig.profile(), rig);
  // The links are there long before the head.
  rig.origin.throttle({ rateBytesPerS: length / 60, delayMs: 4_000 });
  const newcomer = await openBlank(await rig.profile(), rig);
  const answer = await fetchIn(newcomer, FILM);
  assert.equal(answer.hash, fileHash(media.mp4));
  await meshed(newcomer, 0.8 * length);
});

test("a lone viewer's request does not wait for its host, which learns from it all the same", async (t) => {
  const asked = [];
  const rig = await openRig({
    intercept: (req) => {
      asked.push(req.url);
      return false;
    },
  });
  t.after(() => rig.close());
  const profile = await rig.profile();
  const host = await openBlank(profile, rig);
  const guest = await openBlank(profile, rig);
  const part = (name, range) => fetchIn(guest, `${FILM}?${name}`, { headers: { range } });
  let rounds = 0;
  const firstOfTwo = async () => {
    const round = ++rounds;
    await part(`before-${round}`, "bytes=0-65535"); // the host answers, and says whether it is alone
    asked.length = 0;
    const busy = host.evaluate(() => {
      const endMs = performance.now() + 500;
      while (performance.now() < endMs);
    });
    // What a host must shorten waits for its word, for 100 ms if there is none.
    await Promise.all([part(`open-${round}`, "bytes=0-"), part(`part-${round}`, "bytes=0-65535")]);
    await busy;
    return asked[0];
  };
  await soon(async () => (await firstOfTwo()).includes("part-"), "the host says that it is alone");
  assert.equal((await stats(guest)).bytes.cache, 0);
  await soon(async () => {
    await fetchIn(guest, FILM, { headers: { range: "bytes=0-65535" } });
    return (await stats(guest)).bytes.cache > 0;
  }, "what passed by is held");
});

test("a viewer that was alone waits for its host's plans again as soon as somebody comes", async (t) => {
  const rig = await openRig();
  t.after(() => rig.close());
  const page = await openBlank(await rig.profile(), rig);
  await page.evaluate(() => {
    window.wants = [];
    navigator.serviceWorker.addEventListener("message", ({ data }) => {
      if (data?.type === "want") window.wants.push(data);
    });
  });
  /** Whether the worker asked the origin before it asked the host. */
  const passes = async (path) => {
    await fetchIn(page, path, { headers: { range: "bytes=0-9" } });
    const wantOf = (url) => window.wants.find((want) => want.url.endsWith(url));
    await until(page, (url) => window.wants.some((want) => want.url.endsWith(url)), path);
    const want = await page.evaluate(`(${wantOf})(${JSON.stringify(path)})`);
    return want.passingMs !== undefined;
  };
  let asked = 0;
  await soon(() => passes(`${FILM}?alone=${asked++}`), "the worker knows that nobody is there");
  await fetchIn(await openBlank(await rig.profile(), rig), `${FILM}?joins`, {
    headers: { range: "bytes=0-9" },
  });
  await linked(page, 1);
  assert.equal(await passes(`${FILM}?company`), false);
});

test("what an origin sends without its length, to a viewer that is alone, is shared as all else", async (t) => {
  const body = randomBytes(500_000);
  let sent = 0;
  let headAfterMs = 0;
  const rig = await openRig({
    // As many packagers do it: in chunks, and without ranges.
    lab: async (request, response) => {
      if (request.headers["user-agent"] !== "nearcast-attestor") {
        sent += body.length;
        await delay(headAfterMs);
      }
      response.writeHead(200, { "cache-control": "max-age=600", etag: '"1"' });
      response.write(body.subarray(0, 200_000));
      response.end(body.subarray(200_000));
    },
  });
  t.after(() => rig.close());
  const path = "/lab/segment.m4s";
  const include = { options: { include: "/lab/**" } };
  const alone = await openBlank(await rig.profile(), rig, include);
  assert.equal((await fetchIn(alone, path)).hash, sha256(body));
  await holds(alone, path);
  assert.equal(sent, body.length, "what it holds is what it saw");

  const other = await openBlank(await rig.profile(), rig, include);
  await fetchIn(other, "/lab/join.m4s");
  await linked(other, 1);
  // An origin on the same machine could bring part of it first: it may be outrun, but not raced.
  headAfterMs = 5000;
  assert.equal((await fetchIn(other, path)).hash, sha256(body));
  await meshed(other, body.length);
});
