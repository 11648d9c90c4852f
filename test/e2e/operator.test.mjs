/** What the operator of a site can do while pages are open: switch off and on, ramp, rules, join tokens. */
import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import test from "node:test";
import { mintJoinToken } from "../../dist/server.js";
import { fetchIn, linked, media, openBlank, openRig, soon, stats, until } from "./support/rig.mjs";

const SECRET = "a secret of the site, longer than 32 characters";
const PUSH_MS = 30_000; // the promise is 60 s
const ASK_MS = 60_000; // a page without a socket asks every 30 s

const URL_A = `/media/${media.mp4}`;
const FOLDER = `/media/${dirname(media.hls)}`;
/** Another file, below the folder of the playlist. */
const URL_B = `/media/${
  readdirSync(join(media.dir, dirname(media.hls)), { recursive: true })
    .filter((name) => /\.(m4v|m4s|ts)$/.test(name))
    .map((name) => join(dirname(media.hls), name))[0]
}`;
const range = (start) => ({ headers: { range: `bytes=${start}-${start + 99_999}` } });

/** A rig whose server has a file of settings; `configure` writes it. */
async function openConfigured(t) {
  const folder = mkdtempSync(join(tmpdir(), "nearcast-operator-"));
  const file = join(folder, "server.json");
  const configure = (settings) => writeFileSync(file, JSON.stringify(settings));
  configure({});
  const rig = await openRig({ indexArgs: ["--config", file] });
  t.after(async () => {
    await rig.close();
    rmSync(folder, { recursive: true, force: true });
  });
  return { rig, configure };
}

const isOff = (page, reason, timeoutMs = PUSH_MS) =>
  until(
    page,
    (why) => window.nearcast.stats().role === "off" && window.nearcast.stats().reason === why,
    reason,
    timeoutMs,
  );
const isOn = (page, timeoutMs = PUSH_MS) =>
  until(page, () => window.nearcast.stats().role === "host", undefined, timeoutMs);

/** Whether the worker touched a request of the page: what it has to do with shows in its timing. */
async function touched(page, url = URL_A, init = range(0)) {
  const { status } = await fetchIn(page, url, init);
  assert.equal(status, 206);
  const before = (await stats(page)).requests.total;
  // The worker reports when the body is over; a second request comes after the report of the first.
  await fetchIn(page, url, init);
  await page.evaluate(() => new Promise((done) => setTimeout(done)));
  return (await stats(page)).requests.total > before;
}

test("H2, R39, I8: the kill switch stops open pages at once and new ones from their first request, and back on works by itself", async (t) => {
  const { rig, configure } = await openConfigured(t);
  const pages = [
    await openBlank(await rig.profile(), rig),
    await openBlank(await rig.profile(), rig),
  ];
  for (const page of pages) await fetchIn(page, URL_A, range(0));
  await Promise.all(pages.map((page) => linked(page, 1)));

  const startedMs = Date.now();
  configure({ enabled: false });
  await Promise.all(pages.map((page) => isOff(page, "kill switch")));
  t.diagnostic(`off after ${Date.now() - startedMs} ms`);
  for (const page of pages) {
    await until(page, () => window.nearcast.stats().links === 0);
    assert.equal(await touched(page), false, "the worker passes through");
  }
  // A page that starts now has heard it from the last one: nothing of it is accelerated, nothing joins.
  const [stayed, moved] = pages;
  await moved.reload();
  await moved.evaluate(() => window.ready);
  await isOff(moved, "kill switch");
  assert.equal(await touched(moved), false);
  assert.equal((await stats(moved)).index, "closed");

  const againMs = Date.now();
  configure({});
  await isOn(stayed);
  t.diagnostic(`on after ${Date.now() - againMs} ms`);
  await isOn(moved, ASK_MS);
  t.diagnostic(`on without a socket after ${Date.now() - againMs} ms`);
  await fetchIn(moved, URL_A, range(200_000));
  await Promise.all(pages.map((page) => linked(page, 1)));
  for (const page of pages) assert.deepEqual(page.errors, []);
});

test("S22: a ramp takes in the viewers that drew low numbers and keeps them when it widens; rules reach open pages", async (t) => {
  const { rig, configure } = await openConfigured(t);
  const drawing = (draw) => ({
    prepare: (number) => localStorage.setItem("nearcast-draw", number),
    argument: String(draw),
  });
  const low = await openBlank(await rig.profile(), rig, drawing(10));
  const high = await openBlank(await rig.profile(), rig, drawing(90));
  for (const page of [low, high]) assert.equal(await touched(page), true);
  configure({ rampPercent: 50 });
  await isOff(high, "ramp");
  assert.equal(await touched(low), true);
  assert.equal(await touched(high), false);
  configure({ rampPercent: 95, minVersion: "0.0.1" });
  await isOn(high);
  configure({ minVersion: "999.0.0" });
  await Promise.all([low, high].map((page) => isOff(page, "version")));
  configure({ exclude: [URL_A] });
  await isOn(low);
  assert.equal(await touched(low), false, "excluded");
  // The operator's list stands in for the page's own.
  configure({ include: [`${FOLDER}/**`] });
  await soon(() => touched(low, URL_B), "the new list counts");
  assert.equal(await touched(low), false, "not included any more");
  assert.deepEqual([...low.errors, ...high.errors], []);
});

test("C1, R59: pages join with tokens of their site, a fresh one each time; without one the mesh is off and requests work", async (t) => {
  let minted = 0;
  let site = "";
  const token = (_req, res) => {
    minted++;
    void mintJoinToken({ site, secret: SECRET }).then((text) => res.end(text));
  };
  const rig = await openRig({
    indexArgs: ["--join-secret", SECRET, "--require-token"],
    files: { "/token": token, "/no-token": (_req, res) => void res.writeHead(401).end() },
  });
  t.after(() => rig.close());
  site = rig.url;
  const open = async (options) => openBlank(await rig.profile(), rig, { options });
  const pages = [await open({ "token-url": "/token" }), await open({ "token-url": "/token" })];
  for (const page of pages) await fetchIn(page, URL_A, range(0));
  await Promise.all(pages.map((page) => linked(page, 1)));
  assert.equal(minted, 2);

  for (const options of [{}, { "token-url": "/no-token" }]) {
    const outsider = await open(options);
    assert.equal((await fetchIn(outsider, URL_A, range(0))).status, 206);
    await until(outsider, () => /token/.test(window.nearcast.stats().reason ?? ""));
    assert.equal((await stats(outsider)).role, "off");
    assert.equal(await touched(outsider), false);
    assert.deepEqual(outsider.errors, []);
  }

  await rig.index.kill();
  await rig.index.start();
  await Promise.all(
    pages.map((page) => until(page, () => window.nearcast.stats().index === "open")),
  );
  assert.equal(minted, 4, "each socket showed a token of its own");
});
