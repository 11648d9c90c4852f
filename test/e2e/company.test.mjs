/** Equal requests at once: one is answered, the others get copies, and nobody can tell them from answers of their own. */
import assert from "node:assert/strict";
import test from "node:test";
import { makeFiles } from "../faults/frame.mjs";
import { holds, linked, openBlank, openRig, soon, stats } from "./support/rig.mjs";

const COUNT = 50;

/** Runs in the page: counts what its worker asks the host in it. */
function countWants() {
  window.wants = 0;
  navigator.serviceWorker.addEventListener("message", ({ data }) => {
    if (data?.type === "want") window.wants++;
  });
}

/** So many requests for one file at once, of which the first `givenUp` are given up at their first bytes. */
const together = (page, path, givenUp = 0) =>
  page.evaluate(
    async (target, count, few) => {
      const one = async (_, index) => {
        const stop = new AbortController();
        try {
          const response = await fetch(target, { signal: stop.signal });
          const reader = response.body.getReader();
          const chunks = [];
          for (;;) {
            const { done, value } = await reader.read();
            if (done) break;
            if (index < few) stop.abort();
            chunks.push(value);
          }
          const body = await new Blob(chunks).arrayBuffer();
          const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", body));
          const hash = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
          return `${response.status} ${hash}`;
        } catch ({ name }) {
          return name;
        }
      };
      return Promise.all(Array.from({ length: count }, one));
    },
    path,
    COUNT,
    givenUp,
  );

async function openStage(t, options) {
  const { folder, hashes, paths } = makeFiles();
  const rig = await openRig({ root: folder, ...options });
  t.after(() => rig.close());
  return { rig, hashes, paths };
}

const right = (hash) => Array(COUNT).fill(`200 ${hash}`);
/** Reports of requests come after their bodies. */
const reported = (page, total) =>
  soon(async () => (await stats(page)).requests.total >= total, "all requests are reported");

test("fifty requests for a file of a peer are one question and one transfer", async (t) => {
  const { rig, hashes, paths } = await openStage(t);
  const holder = await openBlank(await rig.profile(), rig);
  for (const path of [paths[0], "/media/join.bin"]) await holds(holder, path);
  const newcomer = await openBlank(await rig.profile(), rig);
  await together(newcomer, "/media/join.bin");
  await linked(newcomer, 1);
  await reported(newcomer, COUNT);
  const before = await stats(newcomer);
  await newcomer.evaluate(countWants);
  // From an origin that is as near as the peer, the peer need not bring anything.
  rig.origin.throttle({ rateBytesPerS: 400_000, delayMs: 200 });
  rig.origin.reset();
  assert.deepEqual(await together(newcomer, paths[0]), right(hashes[paths[0]]));
  await reported(newcomer, 2 * COUNT);
  const { bytes, requests } = await stats(newcomer);
  // A page needs a moment for fifty requests: those that come when the first is answered ask anew.
  const wants = await newcomer.evaluate(() => window.wants);
  assert.ok(wants < 10, `the host was asked ${wants} times`);
  assert.equal(requests.total - before.requests.total, COUNT);
  const [mesh, cache, origin] = ["mesh", "cache", "origin"].map(
    (by) => bytes[by] - before.bytes[by],
  );
  const said = JSON.stringify({ mesh, cache, origin });
  // What the origin sends though the peer is first is counted, but for no copy.
  const surplus = mesh + cache + origin - COUNT * 2 ** 20;
  assert.ok(surplus >= 0 && surplus <= origin, said);
  assert.ok(mesh > 0 && mesh + origin < 10 * 2 ** 20, said);
});

test("fifty requests for a file that nobody has cost the origin one, as without us", async (t) => {
  const { rig, hashes, paths } = await openStage(t, { delayMs: 40, rateBytesPerS: 4_000_000 });
  const page = await openBlank(await rig.profile(), rig);
  assert.deepEqual(await together(page, paths[0]), right(hashes[paths[0]]));
  await reported(page, COUNT);
  const { bytes, requests } = await stats(page);
  assert.equal(requests.total, COUNT);
  assert.equal(bytes.origin + bytes.cache, COUNT * 2 ** 20);
  assert.equal(rig.origin.counts().media.bytes, 2 ** 20);
});

test("who gives up takes no bytes from the others", async (t) => {
  const { rig, hashes, paths } = await openStage(t, { delayMs: 40, rateBytesPerS: 4_000_000 });
  const page = await openBlank(await rig.profile(), rig);
  for (const path of paths.slice(0, 2)) {
    const answers = await together(page, path, 10);
    assert.equal(answers[0], "AbortError", "the one that was answered");
    // A copy may come in one go: then there was nothing left to give up.
    for (const answer of answers.slice(1, 10))
      assert.ok(["AbortError", `200 ${hashes[path]}`].includes(answer), answer);
    assert.deepEqual(answers.slice(10), right(hashes[path]).slice(10));
  }
});

test("what may not be reused is answered anew for each, and the origin sees the page's own requests", async (t) => {
  const seen = [];
  let answered = 0;
  const { rig } = await openStage(t, {
    intercept: (req, res) => {
      if (!req.url.includes("?each")) return false;
      if (req.headers["user-agent"] !== "nearcast-attestor")
        seen.push([req.headers.referer, req.headers["user-agent"], req.headers.accept].join("\n"));
      const body = String(answered++).padStart(8);
      const cacheControl = req.url.includes("fresh") ? "max-age=60" : "no-store";
      res
        .writeHead(200, { "cache-control": cacheControl, "content-length": body.length })
        .end(body);
      return true;
    },
  });
  const page = await openBlank(await rig.profile(), rig);
  const each = await together(page, "/media/0.bin?each");
  assert.equal(new Set(each).size, COUNT, "fifty answers");
  assert.equal(new Set(await together(page, "/media/0.bin?each&fresh")).size, 1, "one answer");
  assert.deepEqual(
    [...new Set(seen)].length,
    1,
    `all look alike: ${[...new Set(seen)].join("; ")}`,
  );
  assert.ok(seen[0].startsWith(page.url()), "and come from the page");
});
