/**
 * Signed URLs (rule R34, threat C7): viewers with different tokens share where the site says which parameters only
 * authorise; and whoever the origin refuses gets the origin's refusal, whatever peers and store hold.
 */
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import test from "node:test";
import { fetchIn, linked, openBlank, openRig, soon, stats } from "./support/rig.mjs";

const BODY = randomBytes(700_000);
const HASH = createHash("sha256").update(BODY).digest("hex");
const URL_OF = (token, name = "film.bin") => `/lab/${name}?v=1&token=${token}`;

/** A login page that says of itself what the film says, and is larger than a piece. */
const LARGE = Buffer.alloc(150_000, "Log in. ");
/** Ways in which origins refuse: by status, with a page, with a large one of the film's type, by sending elsewhere. */
const REFUSALS = {
  status: (response) => response.writeHead(403, { "content-type": "text/plain" }).end("expired"),
  page: (response) => response.writeHead(200, { "content-type": "text/html" }).end("<p>Log in"),
  large: (response) =>
    response
      .writeHead(200, {
        "content-type": "application/octet-stream",
        "content-length": LARGE.length,
      })
      .end(LARGE),
  redirect: (response) => response.writeHead(302, { location: "/lab/login" }).end(),
};

/** An origin that looks at tokens, unless it is open. Keeps what it was asked. */
class TokenOrigin {
  valid = new Set(["operator"]);
  refuse = REFUSALS.status;
  asked = [];
  open = false;

  handle = (request, response) => {
    const { pathname, searchParams } = new URL(request.url, "http://origin");
    const token = searchParams.get("token");
    const { range } = request.headers;
    const ofIndex = request.headers["user-agent"] === "nearcast-attestor";
    this.asked.push({ name: pathname.slice(5), token, range, ofIndex, url: request.url });
    // What a login looks like is as public as the film: only where it was sent from tells.
    if (pathname !== "/lab/login" && !this.open && !this.valid.has(token)) {
      return this.refuse(response);
    }
    const [, from, to] = /^bytes=(\d+)-(\d*)$/.exec(range ?? "") ?? [];
    const start = Number(from ?? 0);
    const end = Math.min(to ? Number(to) + 1 : BODY.length, BODY.length);
    response.writeHead(range ? 206 : 200, {
      "content-type": "application/octet-stream",
      "cache-control": "public, max-age=600",
      etag: '"1"',
      "content-length": end - start,
      ...(range && { "content-range": `bytes ${start}-${end - 1}/${BODY.length}` }),
    });
    response.end(BODY.subarray(start, end));
  };
}

async function setUp(t, { strip = "token", open = false } = {}) {
  const origin = new TokenOrigin();
  origin.open = open;
  const rig = await openRig({ lab: origin.handle, labQuery: open ? "" : "?token=operator" });
  t.after(() => rig.close());
  const options = { include: "/lab/**", ...(strip && { "strip-params": strip }) };
  const viewer = async (token) => {
    origin.valid.add(token);
    return openBlank(await rig.profile(), rig, { options });
  };
  /** A viewer that is linked with those before it, and has asked for nothing else. */
  const joined = async (token) => {
    const page = await viewer(token);
    await fetchIn(page, URL_OF(token, "join.bin"));
    await linked(page, 1);
    return page;
  };
  return { origin, viewer, joined };
}

/** Asks for the film, past the browser's own HTTP cache. */
const film = (page, token) => fetchIn(page, URL_OF(token), { cache: "no-cache" });
const bytesOf = async (page) => (await stats(page)).bytes;

/** Runs in the page: pieces on disk. */
async function countPieces() {
  const settled = (request) =>
    new Promise((resolve, reject) => {
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => reject(request.error);
    });
  // Opening what is not there would make it, and Nearcast would find it empty of stores.
  const made = (await indexedDB.databases()).some(({ name }) => name === "nearcast-pieces");
  if (!made) return 0;
  const database = await settled(indexedDB.open("nearcast-pieces"));
  try {
    const store = database.transaction("pieces").objectStore("pieces");
    return (await settled(store.getAllKeys())).filter((key) => !key.endsWith(" tails")).length;
  } finally {
    database.close();
  }
}

async function seed(viewer) {
  const page = await viewer("A");
  assert.equal((await film(page, "A")).hash, HASH);
  await fetchIn(page, URL_OF("A", "join.bin"));
  return page;
}

test("R34: two viewers with different tokens share, each with the origin's leave", async (t) => {
  const { origin, viewer, joined } = await setUp(t);
  await seed(viewer);
  // A viewer that asks before it has heard what the peer holds is served by the origin: another one tries.
  await soon(async () => {
    const page = await joined("B");
    const before = await bytesOf(page);
    assert.equal((await film(page, "B")).hash, HASH);
    return (await bytesOf(page)).mesh - before.mesh > 500_000;
  }, "bytes of the peer");
  const mine = origin.asked.filter(({ name, token }) => name === "film.bin" && token === "B");
  assert.ok(
    mine.some(({ range }) => range === "bytes=0-0"),
    "asked with the viewer's own URL",
  );
  const ofIndex = origin.asked.filter((request) => request.ofIndex);
  assert.ok(ofIndex.length > 0);
  for (const { url } of ofIndex) assert.match(url, /\?v=1&token=operator$/);
});

test("C7: an expired token gets the origin's refusal, whatever peers and store hold", async (t) => {
  const { origin, viewer, joined } = await setUp(t);
  await seed(viewer);
  const page = await joined("B");

  const refused = async (where) => {
    for (const [kind, refuse] of Object.entries(REFUSALS)) {
      origin.refuse = refuse;
      const before = await bytesOf(page);
      const answer = await film(page, "B");
      const what = `${kind}, held by ${where}`;
      if (kind === "redirect") assert.equal(answer.redirected, true, what);
      else {
        const text = { page: "<p>Log in", large: LARGE, status: "expired" }[kind];
        assert.equal(answer.status, kind === "status" ? 403 : 200, what);
        assert.equal(answer.hash, createHash("sha256").update(text).digest("hex"), what);
      }
      const { mesh, cache } = await bytesOf(page);
      assert.deepEqual([mesh, cache], [before.mesh, before.cache], what);
    }
    origin.refuse = REFUSALS.status;
    const bare = await fetchIn(page, "/lab/film.bin?v=1", { cache: "no-cache" });
    assert.equal(bare.status, 403, `no token, held by ${where}`);
  };

  origin.valid.delete("B");
  await refused("the peer");
  // The peer holds it indeed: with leave it comes from there, or has come before it was known that there is none.
  origin.valid.add("B");
  const before = await bytesOf(page);
  await soon(async () => {
    assert.equal((await film(page, "B")).hash, HASH);
    const { mesh, cache } = await bytesOf(page);
    return mesh + cache - before.mesh - before.cache > 500_000;
  }, "bytes of the peer");

  // On disk the worker finds it without the host.
  const pieces = 2 * Math.ceil(BODY.length / 65_536);
  await soon(async () => (await page.evaluate(countPieces)) >= pieces, "all pieces on disk");
  origin.valid.delete("B");
  await refused("the store");
  origin.valid.add("B2");
  const cached = (await bytesOf(page)).cache;
  await soon(async () => {
    assert.equal((await film(page, "B2")).hash, HASH);
    return (await bytesOf(page)).cache - cached > 500_000;
  }, "bytes of the store");
  assert.deepEqual(page.errors, []);
});

test("R34: without the option nothing is shared across tokens", async (t) => {
  const { viewer } = await setUp(t, { strip: "", open: true });
  await seed(viewer);
  const page = await viewer("B");
  // The same token links them: what is shared, is shared by the whole URL.
  await fetchIn(page, URL_OF("A", "join.bin"));
  await linked(page, 1);
  const before = (await bytesOf(page)).mesh;
  assert.equal((await film(page, "B")).hash, HASH);
  assert.equal((await bytesOf(page)).mesh, before, "another token");
  // A viewer that asks before it has heard what the peer holds is served by the origin: another one tries.
  await soon(async () => {
    const other = await viewer("C");
    await fetchIn(other, URL_OF("A", "join.bin"));
    await linked(other, 1);
    assert.equal((await film(other, "A")).hash, HASH);
    return (await bytesOf(other)).mesh > 500_000;
  }, "the same token");
});
