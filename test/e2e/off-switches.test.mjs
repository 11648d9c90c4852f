/** Nearcast can be got rid of: by itself when it crashes, by the operator for good, and it never takes what is not its own. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import { fetchIn, media, openBlank, openRig, stats, until } from "./support/rig.mjs";

const FILE = `/media/${media.mp4}`;
const RANGE = { headers: { range: "bytes=0-70000" } };

/** The worker as the site serves it now. */
function workerFile() {
  const built = readFileSync("dist/nearcast-sw.js", "utf8");
  const state = { text: built };
  const headers = { "Cache-Control": "no-cache" };
  return {
    deploy: (text) => {
      state.text = text(built);
    },
    files: {
      "/nearcast-sw.js": () => ({ type: "text/javascript", body: state.text, headers }),
    },
  };
}

const registrations = (page) =>
  page.evaluate(async () =>
    (await navigator.serviceWorker.getRegistrations()).map(({ scope }) => scope),
  );

test("a worker that keeps failing uncaught is off for a day, and requests never notice", async (t) => {
  const worker = workerFile();
  // In front, as nobody hears of a request after somebody answered it.
  worker.deploy(
    (built) => `addEventListener("fetch", ({ request }) => {
      if (request.url.includes("crash")) Promise.reject(new Error("a bug"));
    });
    ${built}`,
  );
  const rig = await openRig({ files: worker.files });
  t.after(() => rig.close());
  const profile = await rig.profile();
  const page = await openBlank(profile, rig);
  assert.equal((await fetchIn(page, FILE, RANGE)).status, 206);
  for (let crash = 0; crash < 3; crash++) {
    assert.equal((await stats(page)).role, "host");
    assert.equal((await fetchIn(page, `${FILE}?crash=${crash}`, RANGE)).status, 206);
  }
  await until(page, () => window.nearcast.stats().reason === "crashed");
  const before = (await stats(page)).requests.total;
  assert.equal((await fetchIn(page, `${FILE}?after`, RANGE)).status, 206);
  assert.equal((await stats(page)).requests.total, before, "the worker lets it pass");

  // The next visit is without a worker; a day later there is another try.
  await page.reload();
  await page.evaluate(() => window.ready);
  assert.equal((await stats(page)).reason, "crashed");
  await page.close();
  const next = await openBlank(profile, rig);
  assert.deepEqual(await registrations(next), []);
  assert.equal((await fetchIn(next, FILE, RANGE)).status, 206);
  worker.deploy((built) => built);
  const later = await openBlank(profile, rig, {
    prepare: () => {
      const { now } = Date;
      Date.now = () => now() + 24 * 3_600_000 + 1_000;
    },
  });
  await until(later, () => window.nearcast.stats().role === "host");
  assert.deepEqual(later.errors, []);
});

test("requests that the network fails are no crashes, and those that a bug would fail come from the origin", async (t) => {
  const worker = workerFile();
  worker.deploy(
    (built) => `const { stringify } = JSON;
    JSON.stringify = (value) => {
      if (Array.isArray(value) && String(value[1]).includes("?bug")) throw new ReferenceError("a bug");
      return stringify(value);
    };
    ${built}`,
  );
  const intercept = (req, res) => {
    if (req.url.includes("?dead")) req.socket.destroy();
    else if (req.url.includes("?moved")) res.writeHead(302, { Location: "/media/" }).end();
    else return false;
    return true;
  };
  const rig = await openRig({ files: worker.files, intercept });
  t.after(() => rig.close());
  const page = await openBlank(await rig.profile(), rig);
  const crashes = () =>
    page.evaluate(() => JSON.parse(localStorage.getItem("nearcast-crashes"))?.crashes.length ?? 0);
  for (let failure = 0; failure < 3; failure++) {
    const dead = await fetchIn(page, `${FILE}?dead=${failure}`, RANGE);
    const moved = await fetchIn(page, `${FILE}?moved=${failure}`, { redirect: "error" });
    assert.deepEqual([dead, moved], [{ error: "TypeError" }, { error: "TypeError" }]);
  }
  // What the worker says of those comes before what it says of this.
  assert.equal((await fetchIn(page, `${FILE}?bug`, RANGE)).status, 206);
  await until(page, () => localStorage.getItem("nearcast-crashes") !== null);
  assert.equal(await crashes(), 1);
  assert.equal((await stats(page)).role, "host");
  assert.deepEqual(page.errors, []);
});

test("uncaught errors of the script itself and hosts that vanish count as crashes, the site's own errors do not", async (t) => {
  const rig = await openRig();
  t.after(() => rig.close());
  const profile = await rig.profile();
  const page = await openBlank(profile, rig);
  const crashes = () =>
    page.evaluate(() => JSON.parse(localStorage.getItem("nearcast-crashes"))?.crashes.length ?? 0);
  await page.evaluate(() => {
    const fail = (filename) => dispatchEvent(new ErrorEvent("error", { filename }));
    fail(`${location.origin}/site.js`);
    fail(`${location.origin}/nearcast.js`);
  });
  assert.equal(await crashes(), 1);
  // A host tab that says goodbye is no crash; one whose process dies is.
  await page.reload();
  await until(page, () => window.nearcast.stats().role === "host");
  assert.equal(await crashes(), 1);
  const guest = await openBlank(profile, rig);
  await page.bringToFront();
  await page.goto("chrome://crash").catch(() => undefined);
  await until(guest, () => window.nearcast.stats().role === "host");
  assert.equal(
    await guest.evaluate(() => JSON.parse(localStorage.getItem("nearcast-crashes")).crashes.length),
    2,
  );
});

test("the self-destroying worker ends the mesh, deletes its own databases and nothing else, and unregisters itself", async (t) => {
  const worker = workerFile();
  const rig = await openRig({ files: worker.files });
  t.after(() => rig.close());
  const profile = await rig.profile();
  const page = await openBlank(profile, rig);
  await fetchIn(page, FILE, RANGE);
  const databases = () =>
    page.evaluate(async () => (await indexedDB.databases()).map(({ name }) => name).sort());
  await page.evaluate(async () => {
    const opened = indexedDB.open("site");
    await new Promise((done) => {
      opened.onsuccess = done;
    });
    opened.result.close();
    await caches.open("site");
  });
  // It is written a moment after the first visit's start.
  await until(page, async () =>
    (await indexedDB.databases()).some(({ name }) => name === "nearcast-config"),
  );

  worker.deploy(() => readFileSync("dist/nearcast-sw-destroy.js", "utf8"));
  await page.evaluate(async () => (await navigator.serviceWorker.getRegistration()).update());
  await until(page, () => window.nearcast.stats().reason === "removed");
  await until(page, async () => (await navigator.serviceWorker.getRegistrations()).length === 0);
  await until(page, async () => (await indexedDB.databases()).length === 1);
  assert.deepEqual(await databases(), ["site"]);
  assert.deepEqual(await page.evaluate(() => caches.keys()), ["site"]);
  assert.equal((await fetchIn(page, FILE, RANGE)).status, 206);
  await page.goto(`${rig.url}/blank?off`);
  assert.equal(await page.evaluate(() => navigator.serviceWorker.controller), null);
  assert.equal((await fetchIn(page, FILE, RANGE)).status, 206);
  assert.deepEqual(page.errors, []);
});

test("a pause shows in every tab of the profile and after a reload, until it ends", async (t) => {
  const rig = await openRig();
  t.after(() => rig.close());
  const profile = await rig.profile();
  const one = await openBlank(profile, rig);
  const other = await openBlank(profile, rig);
  const isPaused = () => window.nearcast.stats().reason === "paused";
  await one.evaluate(() => window.nearcast.pause());
  await until(one, isPaused);
  await until(other, isPaused);
  await other.reload();
  await other.evaluate(() => window.ready);
  await until(other, isPaused);
  await other.evaluate(() => window.nearcast.resume());
  for (const page of [one, other]) {
    await until(page, () => window.nearcast.stats().role !== "off");
    assert.deepEqual(page.errors, []);
  }
});
