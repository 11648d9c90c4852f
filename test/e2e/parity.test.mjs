/** What the page sees is what it would have seen without Nearcast, whoever brings the bytes. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { EventEmitter, once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import test from "node:test";
import {
  fetchIn,
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

const folder = dirname(media.hls);
const segments = readdirSync(join(media.dir, folder), { recursive: true })
  .filter((name) => /\.(m4v|m4s|ts)$/.test(name))
  .map((name) => join(folder, name));
const [first, second, third, posted] = segments;
const url = (path) => `/media/${path}`;
const bytes = (range) => ({ headers: { range: `bytes=${range}` } });

/** Requests as pages make them; those marked are never touched by the worker. */
const REQUESTS = {
  "the whole body": [url(first), {}],
  "a closed range": [url(first), bytes("100-70000")],
  "a range of one byte": [url(first), bytes("65536-65536")],
  // A file of its own: the browser's cache answers such a range with the whole body, if it has it.
  "a range past the end": [url(third), bytes("99999999-")],
  "a range that ends past the end": [url(first), bytes("1000-99999999")],
  "a suffix range (untouched)": [url(first), bytes("-500")],
  "two ranges (untouched)": [url(first), bytes("0-9,20-29")],
  "HEAD (untouched)": [url(first), { method: "HEAD" }],
  // What a page posts to is not shared for a while.
  "POST (untouched)": [url(posted), { method: "POST", body: "x" }],
  "a conditional request (untouched)": [url(first), { headers: { "if-none-match": '"x"' } }],
  "cache: no-store (untouched)": [url(first), { cache: "no-store" }],
  "cache: reload (untouched)": [url(first), { cache: "reload" }],
  "cache: no-cache": [url(first), { cache: "no-cache" }],
  "cache: only-if-cached (untouched)": [
    url("never/asked.ts"),
    { cache: "only-if-cached", mode: "same-origin" },
  ],
  "Cache-Control of the page (untouched)": [
    url(first),
    { headers: { "cache-control": "max-age=0" } },
  ],
  "Authorization (untouched)": [url(first), { headers: { authorization: "Basic eDp5" } }],
  "a request of a date (untouched)": [
    url(first),
    { headers: { "if-modified-since": "Sun, 01 Jan 2040 00:00:00 GMT" } },
  ],
  "If-Range (untouched)": [url(first), { headers: { range: "bytes=0-9", "if-range": '"x"' } }],
  "credentials: include": [url(first), { credentials: "include" }],
  "credentials: omit": [url(first), { credentials: "omit" }],
  "mode: same-origin": [url(first), { mode: "same-origin" }],
  "redirect: error, without one": [url(first), { redirect: "error" }],
  "redirect: manual, without one": [url(first), { redirect: "manual" }],
  "a redirect": [url("moved.ts"), {}],
  "a redirect, redirect: error": [url("moved.ts"), { redirect: "error" }],
  "a redirect, redirect: manual": [url("moved.ts"), { redirect: "manual" }],
  "integrity that fits nothing": [
    url(first),
    { integrity: "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=" },
  ],
  "an unknown file": [url("no/such/file.ts"), {}],
  "a playlist (untouched)": [url(media.hls), {}],
  "a URL with a query": [`${url(first)}?v=1`, {}],
};

/** Of the connection, not of the response. */
const PER_CONNECTION = ["date", "connection", "keep-alive", "transfer-encoding", "age"];

function comparable(answer) {
  for (const name of PER_CONNECTION) delete answer.headers?.[name];
  return answer;
}

/** One file has moved: the page sees the redirect as it always did. */
function intercept(req, res) {
  if (!req.url.startsWith(url("moved.ts"))) return false;
  res.writeHead(302, { location: url(second), "cache-control": "no-store" }).end();
  return true;
}

test("status, headers and bytes are the origin's own: passed through, from peers, and from the store", async (t) => {
  const rig = await openRig({ intercept });
  t.after(() => rig.close());
  const plain = await (await rig.profile()).open("/blank?off");
  const seeder = await openBlank(await rig.profile(), rig);
  const expected = {};
  for (const [what, request] of Object.entries(REQUESTS)) {
    expected[what] = comparable(await fetchIn(plain, ...request));
    assert.deepEqual(
      comparable(await fetchIn(seeder, ...request)),
      expected[what],
      `passed: ${what}`,
    );
  }

  const page = await openBlank(await rig.profile(), rig);
  await fetchIn(page, url(second)); // joins
  await linked(page, 1);
  for (const [what, request] of Object.entries(REQUESTS)) {
    const answer = comparable(await fetchIn(page, ...request));
    assert.deepEqual(answer, expected[what], `from peers: ${what}`);
  }
  await meshed(page);

  // Once everything is on disk, the same page serves itself.
  await soon(async () => {
    await fetchIn(page, url(first));
    return (await stats(page)).requests.cache > 0;
  }, "a request from the store");
  for (const [what, request] of Object.entries(REQUESTS)) {
    const answer = comparable(await fetchIn(page, ...request));
    assert.deepEqual(answer, expected[what], `from the store: ${what}`);
  }
  assert.deepEqual([...seeder.errors, ...page.errors], []);
});

test("what a page changes itself is the origin's own from then on, for the pages to come as well", async (t) => {
  const root = mkdtempSync(join(tmpdir(), "nearcast-parity-"));
  t.after(() => rmSync(root, { recursive: true }));
  const version = (number) => Buffer.alloc(200_000, number);
  const hashOf = (number) => createHash("sha256").update(version(number)).digest("hex");
  const changes = [];
  const write = () => writeFileSync(join(root, "note.bin"), version(changes.length));
  write();
  const rig = await openRig({
    root,
    intercept({ method }, res) {
      // Fresh for shared caches alone: the browser's own would not forget it either.
      const headers = {
        "cache-control": "s-maxage=3600",
        "content-length": 200_000,
        etag: `"${changes.length}"`,
      };
      if (method === "GET" || method === "HEAD") {
        res.writeHead(200, headers).end(method === "GET" ? version(changes.length) : undefined);
      } else {
        changes.push(method);
        write();
        res.writeHead(204).end();
      }
      return true;
    },
  });
  t.after(() => rig.close());
  const note = url("note.bin");
  const page = await openBlank(await rig.profile(), rig);
  await holds(page, note);
  for (const method of ["PUT", "DELETE", "POST"]) {
    assert.equal((await fetchIn(page, note, { method })).status, 204);
    assert.equal((await fetchIn(page, note)).hash, hashOf(changes.length), `after ${method}`);
  }
  assert.deepEqual(changes, ["PUT", "DELETE", "POST"]);
  await page.reload();
  await page.evaluate(() => window.ready);
  assert.equal((await fetchIn(page, note)).hash, hashOf(3), "after a reload");
  assert.deepEqual(page.errors, []);
});

test("another origin's files: readable with CORS and only what CORS shows, untouched without", async (t) => {
  const rig = await openRig();
  t.after(() => rig.close());
  const { cdn } = rig;
  const target = `${cdn}${url(first)}`;
  const options = { include: `${cdn}/media/**` };
  const plain = await (await rig.profile()).open("/blank?off");
  const seeder = await openBlank(await rig.profile(), rig, { options });
  const expected = comparable(await fetchIn(plain, target));
  assert.deepEqual(comparable(await fetchIn(seeder, target)), expected);
  await holds(seeder, target);

  const page = await openBlank(await rig.profile(), rig, { options });
  await fetchIn(page, `${cdn}${url(second)}`);
  await linked(page, 1);
  // A link is open before all that its peer holds is known, and so near an origin is as fast.
  rig.origin.throttle({ rateBytesPerS: 200_000, delayMs: 200 });
  assert.deepEqual(comparable(await fetchIn(page, target)), expected);
  await meshed(page);

  // A no-cors picture stays opaque: drawn, it taints the canvas as it always did.
  const opaque = await page.evaluate(async (address) => {
    const response = await fetch(address, { mode: "no-cors" });
    return { type: response.type, status: response.status };
  }, target);
  assert.deepEqual(opaque, { type: "opaque", status: 0 });
});

test("a page that starts while another tab's first worker starts shares with it; a site's worker that starts is kept", async (t) => {
  const scripts = new EventEmitter();
  const asked = once(scripts, "asked");
  const late = (body) => (_, res) => {
    scripts.emit("asked");
    scripts.once("release", () =>
      res.writeHead(200, { "Content-Type": "text/javascript" }).end(body),
    );
  };
  const files = {
    "/nearcast-sw.js": late(readFileSync("dist/nearcast-sw.js")),
    "/stranger-sw.js": late("self.x = 1;"),
  };
  const rig = await openRig({ files });
  t.after(() => rig.close());
  const browser = await rig.launch();
  const start = `/blank?server=${encodeURIComponent(rig.index.url)}&control-timeout-ms=1`;
  // Until then there is a registration without any worker in it; what the page asks is answered in order.
  const looked = (page) =>
    page.evaluate(async () => {
      const { active, waiting, installing } = await navigator.serviceWorker.getRegistration("/");
      return [active, waiting, installing].every((worker) => worker === null);
    });

  const profile = await rig.context(browser);
  const first = await profile.open(start);
  await asked;
  const second = await profile.open(start);
  assert.ok(await looked(second));
  // Taken for a site's own worker, it would be somebody else's after `control-timeout-ms`.
  assert.equal((await stats(second)).reason, "starting");
  const site = await rig.context(browser);
  const own = await site.open("/blank?off");
  await own.evaluate(() => void navigator.serviceWorker.register("/stranger-sw.js"));
  const stranger = await site.open(start);
  assert.ok(await looked(stranger));
  scripts.emit("release");

  for (const page of [first, second])
    await until(page, () => window.nearcast.stats().role !== "off");
  await until(stranger, () => window.nearcast.stats().reason === "another worker");
  const script = await stranger.evaluate(
    async () => (await navigator.serviceWorker.ready).active.scriptURL,
  );
  assert.equal(script, `${rig.url}/stranger-sw.js`);
  assert.deepEqual([...first.errors, ...second.errors, ...stranger.errors], []);
});

test("a site with its own worker keeps it: attach() joins Nearcast to it, and it is never replaced", async (t) => {
  const rig = await openRig();
  t.after(() => rig.close());
  const prepare = () => {
    navigator.serviceWorker.register("/site-sw.js");
  };
  const options = { worker: "/site-sw.js" };
  const seeder = await openBlank(await rig.profile(), rig, { prepare, options });
  const page = await openBlank(await rig.profile(), rig, { prepare, options });
  assert.equal(
    await page.evaluate(async () => (await fetch("/own-route")).text()),
    "the site's own",
  );
  const expected = await fetchIn(seeder, url(first));
  await holds(seeder, url(first));
  // Before it is host its requests pass it by, and start nothing.
  await until(page, () => window.nearcast.stats().role === "host");
  await fetchIn(page, url(second));
  await linked(page, 1);
  // A link is open before all that its peer holds is known, and so near an origin is as fast.
  rig.origin.throttle({ rateBytesPerS: 200_000, delayMs: 200 });
  assert.equal((await fetchIn(page, url(first))).hash, expected.hash);
  await meshed(page);

  // A worker that knows nothing of Nearcast stays, and Nearcast stays off.
  const stranger = await (await rig.profile()).open("/blank?off");
  await stranger.evaluate(async () => {
    await navigator.serviceWorker.register("/stranger-sw.js");
    await navigator.serviceWorker.ready;
  });
  await stranger.goto(`${rig.url}/blank?server=${encodeURIComponent(rig.index.url)}`);
  await stranger.evaluate(() => window.ready);
  const state = await stranger.evaluate(async () => ({
    role: window.nearcast.stats().role,
    scripts: (await navigator.serviceWorker.getRegistrations()).map(
      ({ active }) => active?.scriptURL,
    ),
  }));
  assert.deepEqual(state, { role: "off", scripts: [`${rig.url}/stranger-sw.js`] });
  assert.deepEqual([...seeder.errors, ...page.errors, ...stranger.errors], []);
});

test("a site without a bundler: the page imports dist/index.js, its own module worker dist/sw.js", async (t) => {
  const module = (body) => ({ type: "text/javascript", body });
  const rig = await openRig({
    files: {
      "/lib/index.js": module(readFileSync("dist/index.js")),
      "/lib/sw.js": module(readFileSync("dist/sw.js")),
      "/module-sw.js": module(`import { attach } from "/lib/sw.js"; attach({ claim: true });`),
    },
    pages: {
      "/modules": `<script type="module">
        import { start } from "/lib/index.js";
        await navigator.serviceWorker.register("/module-sw.js", { type: "module" });
        const server = new URLSearchParams(location.search).get("server");
        await start({ server, include: ["/media/**"], worker: "/module-sw.js" });
        window.started = true;
      </script>`,
    },
  });
  t.after(() => rig.close());
  const open = async () => {
    const path = `/modules?off&server=${encodeURIComponent(rig.index.url)}`;
    const page = await (await rig.profile()).open(path);
    await until(page, () => window.started && window.nearcast.stats().role === "host");
    return page;
  };
  const seeder = await open();
  await holds(seeder, url(first));
  const page = await open();
  await fetchIn(page, url(second));
  await linked(page, 1);
  rig.origin.throttle({ rateBytesPerS: 200_000, delayMs: 200 });
  assert.equal((await fetchIn(page, url(first))).status, 200);
  await meshed(page);
  // On the next visit the worker is there already, as a module.
  await page.reload();
  await until(page, () => window.started && window.nearcast.stats().role === "host");
  assert.deepEqual([...seeder.errors, ...page.errors], []);
});
