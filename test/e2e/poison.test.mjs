/** Poison: bytes and hashes of one attacker, bodies that an origin cut, error pages. Nothing of it is kept or shown. */
import assert from "node:assert/strict";
import { createHash, generateKeyPairSync, randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";
import { closed, faulty, short, status } from "../faults/failing-origin.mjs";
import { fetchIn, holds, linked, meshed, openBlank, openRig, soon, stats } from "./support/rig.mjs";

const PIECE_BYTES = 65_536;
const FILE_BYTES = 2 ** 20;
const sha256 = (bytes) => createHash("sha256").update(bytes).digest("hex");

function folderFor(t) {
  const folder = mkdtempSync(join(tmpdir(), "nearcast-poison-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** What `nearcast serve` takes as a key file, and what sites pin of it. */
function newKey() {
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  const pem = privateKey.export({ type: "pkcs8", format: "pem" });
  return { pem, pinned: publicKey.export({ format: "jwk" }).x };
}

/** Runs in pages: this viewer is the attacker's, whose own CDN sends what is on the attacker's disk. */
function enlist() {
  // biome-ignore lint/suspicious/noDocumentCookie: as a site would that has no cookieStore
  document.cookie = "attacker=1; path=/";
}

test("A2 (R3): bytes and the hashes that fit them, both by an attacker, reach nobody who pins the site's key", async (t) => {
  const root = folderFor(t);
  const names = Array.from({ length: 12 }, (_, index) => `${index}.bin`);
  const right = randomBytes(FILE_BYTES);
  const wrong = Buffer.from(right);
  for (let at = 0; at < FILE_BYTES; at += PIECE_BYTES) wrong[at] ^= 1;
  for (const name of ["join.bin", ...names]) writeFileSync(join(root, name), wrong);
  const [ofAttacker, ofSite] = [newKey(), newKey()];
  const keyFile = join(folderFor(t), "key.pem");
  writeFileSync(keyFile, ofAttacker.pem);
  // The index is the attacker's: it signs what is on its disk, and everybody else's CDN sends the right bytes.
  const rig = await openRig({
    root,
    indexArgs: ["--key-file", keyFile],
    intercept: (req, res) => {
      if (/attacker=1/.test(req.headers.cookie ?? "")) return false;
      const { write } = res;
      let at = Number(/^bytes=(\d+)/.exec(req.headers.range ?? "")?.[1] ?? 0);
      res.write = function (chunk, done) {
        const part = right.subarray(at, at + chunk.length);
        at += chunk.length;
        return write.call(this, part, done);
      };
      return false;
    },
  });
  t.after(() => rig.close());
  const attacker = await openBlank(await rig.profile(), rig, { prepare: enlist });
  for (const name of names) {
    assert.equal((await fetchIn(attacker, `/media/${name}`)).hash, sha256(wrong));
    await holds(attacker, `/media/${name}`);
  }
  const viewer = async (pinned) => {
    const options = { "attestation-key": pinned };
    const page = await openBlank(await rig.profile(), rig, { options });
    await fetchIn(page, "/media/join.bin");
    return page;
  };

  const safe = await viewer(ofSite.pinned);
  for (const name of names) {
    assert.equal((await fetchIn(safe, `/media/${name}`)).hash, sha256(right));
  }
  const { bytes } = await stats(safe);
  assert.deepEqual([bytes.mesh, bytes.rejected], [0, 0]);

  await safe.close();

  // A link is open before all that its peer holds is known: a slow CDN, and several tries.
  rig.origin.throttle({ rateBytesPerS: 4_000_000, delayMs: 40 });
  // Control: who pins the attacker's key gets the attacker's bytes, so all of it works.
  const victim = await viewer(ofAttacker.pinned);
  await linked(victim, 1);
  const left = [...names];
  await soon(async () => {
    const name = left.shift();
    assert.ok(name, "one of the files comes from the attacker");
    return (await fetchIn(victim, `/media/${name}`)).hash === sha256(wrong);
  }, "the attacker's bytes");

  // Alone with such an index a viewer has its CDN's bytes, and Nearcast does not take itself for broken.
  await attacker.close();
  await victim.close();
  const alone = await viewer(ofAttacker.pinned);
  for (const name of names) {
    assert.equal((await fetchIn(alone, `/media/${name}`)).hash, sha256(right));
  }
  assert.equal((await stats(alone)).role, "host");
  assert.deepEqual([...safe.errors, ...victim.errors, ...alone.errors], []);
});

/** Runs in the page: SHA-256 of every piece on disk. */
async function hashesOnDisk() {
  const settled = (request) =>
    new Promise((resolve, reject) => {
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => reject(request.error);
    });
  // Opening what is not there would make it, and Nearcast would find it empty of stores.
  const made = (await indexedDB.databases()).some(({ name }) => name === "nearcast-pieces");
  if (!made) return [];
  const database = await settled(indexedDB.open("nearcast-pieces"));
  try {
    const store = database.transaction("pieces").objectStore("pieces");
    const [keys, records] = await Promise.all([store.getAllKeys(), store.getAll()].map(settled));
    const record = new Map(keys.map((key, index) => [key, records[index]]));
    // The last bytes of a window's pieces lie together.
    const [whole, tail, count] = [65_536, 256, 64];
    const tailOf = (key) => {
      const [asset, window, piece] = key.split(" ");
      const at = (Number(piece) % count) * tail;
      // Pieces are written first: without its tail one is not there yet, to the store either.
      return record.get(`${asset} ${window} tails`)?.subarray(at, at + tail);
    };
    const digests = keys
      .filter((key) => !key.endsWith(" tails"))
      .map((key) => [record.get(key), key])
      .map(([body, key]) => [body, ...(body.byteLength === whole - tail ? [tailOf(key)] : [])])
      .filter((parts) => !parts.includes(undefined))
      .map((parts) => new Blob(parts).arrayBuffer())
      .map(async (piece) => crypto.subtle.digest("SHA-256", await piece));
    return (await Promise.all(digests)).map((digest) =>
      Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join(""),
    );
  } finally {
    database.close();
  }
}

/** An error page that says of itself what the file says. */
const errorPage = () =>
  faulty((_, res) => {
    res.writeHead(200, {
      "content-type": "application/octet-stream",
      "cache-control": "public, max-age=3600",
      "content-length": FILE_BYTES,
    });
    res.end(Buffer.alloc(FILE_BYTES, "Sorry. "));
    return true;
  });

const POISONS = {
  "a body that is cut off": closed,
  "a body that is short and looks whole": short,
  "a 503": () => status(503),
  "an error page with status 200": errorPage,
};

test("A6 (R8): of a cut body only true pieces are kept, of an error page none, and neighbours get the right file", async (t) => {
  const root = folderFor(t);
  const files = Object.fromEntries(
    [...Object.keys(POISONS).keys(), "good", "join"].map((name) => [
      `${name}.bin`,
      randomBytes(FILE_BYTES),
    ]),
  );
  for (const [name, bytes] of Object.entries(files)) writeFileSync(join(root, name), bytes);
  const truePieces = new Set();
  for (const bytes of Object.values(files)) {
    for (let at = 0; at < FILE_BYTES; at += PIECE_BYTES)
      truePieces.add(sha256(bytes.subarray(at, at + PIECE_BYTES)));
  }
  let poison;
  const rig = await openRig({
    root,
    intercept: (req, res) => poison?.rig.intercept(req, res) ?? false,
  });
  t.after(() => rig.close());
  const first = await openBlank(await rig.profile(), rig);
  for (const [index, [what, make]] of Object.entries(POISONS).entries()) {
    poison = make();
    poison.inject({ rig });
    const answer = await fetchIn(first, `/media/${index}.bin`);
    assert.notEqual(answer.hash, sha256(files[`${index}.bin`]), `${what}: the origin has failed`);
    poison = undefined;
  }
  // What came after them is on disk: whatever was to be kept of them is there as well.
  await fetchIn(first, "/media/good.bin");
  const good = [];
  for (let at = 0; at < FILE_BYTES; at += PIECE_BYTES)
    good.push(sha256(files["good.bin"].subarray(at, at + PIECE_BYTES)));
  let kept = [];
  await soon(async () => {
    kept = await first.evaluate(hashesOnDisk);
    return good.every((hash) => kept.includes(hash));
  }, "the good file is on disk");
  assert.deepEqual(
    kept.filter((hash) => !truePieces.has(hash)),
    [],
  );
  t.diagnostic(`${kept.length} pieces kept, ${good.length} of them of the good file`);

  const second = await openBlank(await rig.profile(), rig);
  await fetchIn(second, "/media/join.bin");
  await linked(second, 1);
  for (const name of Object.keys(files)) {
    const answer = await fetchIn(second, `/media/${name}`);
    assert.equal(answer.hash, sha256(files[name]), name);
  }
  await meshed(second);
  const { bytes } = await stats(second);
  assert.equal(bytes.rejected, 0);
});
