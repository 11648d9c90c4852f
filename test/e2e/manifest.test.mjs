/** What a publisher signed goes before everything that the index says, in real browsers. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";
import { promisify } from "node:util";
import { fetchIn, holds, linked, meshed, openBlank, openRig, soon, stats } from "./support/rig.mjs";

const run = promisify(execFile);
const sha256 = (bytes) => createHash("sha256").update(bytes).digest("hex");

/** A site whose files are signed, and pages that pin the key. */
async function setUp(t, names) {
  const root = mkdtempSync(join(tmpdir(), "nearcast-signed-"));
  const keys = mkdtempSync(join(tmpdir(), "nearcast-keys-"));
  const keyFile = join(keys, "key.pem");
  const cli = (...args) => run(process.execPath, ["dist/cli.js", "manifest", ...args]);
  const { stdout } = await cli("--new-key", keyFile);
  const sign = () => cli(root, "--key", keyFile, "--fresh", "2");
  const put = (name, bytes = randomBytes(700_000)) => {
    writeFileSync(join(root, name), bytes);
    return sha256(bytes);
  };
  const hashes = Object.fromEntries(names.map((name) => [name, put(name)]));
  await sign();
  const rig = await openRig({ root });
  t.after(async () => {
    await rig.close();
    for (const folder of [root, keys]) rmSync(folder, { recursive: true, force: true });
  });
  const options = {
    manifest: "/media/nearcast-manifest.json",
    "manifest-key": stdout.trim(),
  };
  const open = async (more = {}) =>
    openBlank(await rig.profile(), rig, { options: { ...options, ...more } });
  return { root, rig, sign, put, hashes, open };
}

test("A7 (R7): signed active content is shared, byte for byte; unsigned never is", async (t) => {
  const { rig, put, hashes, open } = await setUp(t, ["app.js", "lib.wasm", "join.bin"]);
  hashes["late.js"] = put("late.js"); // after the signature
  const seeder = await open();
  for (const name of Object.keys(hashes)) {
    assert.equal((await fetchIn(seeder, `/media/${name}`)).hash, hashes[name]);
  }
  for (const name of ["app.js", "lib.wasm"]) await holds(seeder, `/media/${name}`);
  const page = await open();
  await fetchIn(page, "/media/join.bin");
  await linked(page, 1);
  const before = (await stats(page)).bytes.mesh;
  // A link is open before all that its peer holds is known, and so near an origin is as fast: what it begins, peers end.
  rig.origin.throttle({ rateBytesPerS: 100_000, delayMs: 200 });
  for (const name of ["app.js", "lib.wasm"]) {
    const answer = await fetchIn(page, `/media/${name}`);
    assert.equal(answer.hash, hashes[name]);
    const type = name.endsWith(".js") ? "text/javascript" : "application/wasm";
    assert.equal(answer.headers["content-type"].split(";")[0], type);
  }
  await soon(
    async () => (await stats(page)).bytes.mesh - before > 700_000,
    "signed bytes of the peer",
  );
  rig.origin.throttle({});
  const afterSigned = (await stats(page)).bytes.mesh;
  assert.equal((await fetchIn(page, "/media/late.js")).hash, hashes["late.js"]);
  assert.equal((await stats(page)).bytes.mesh, afterSigned, "nobody signed it");
  assert.deepEqual([...seeder.errors, ...page.errors], []);
});

test("A7 (R7): active content is taken over in mid-body only where the publisher signed it", async (t) => {
  // A script under a name that says nothing: the index attests it, as what a script fetches.
  const script = () => {
    const body = Buffer.from(`window.ran = (window.ran ?? 0) + 1; // ${"x".repeat(1_500_000)}`);
    randomBytes(100_000)
      .toString("hex")
      .split("")
      .forEach((letter, index) => {
        body[1_000 + 7 * index] = letter.charCodeAt(0);
      });
    return body;
  };
  const { rig, sign, put, hashes, open } = await setUp(t, ["join.bin"]);
  hashes["signed.bin"] = put("signed.bin", script());
  await sign();
  hashes["unsigned.bin"] = put("unsigned.bin", script());
  const seeder = await open();
  for (const name of Object.keys(hashes)) {
    assert.equal((await fetchIn(seeder, `/media/${name}`)).hash, hashes[name]);
    await holds(seeder, `/media/${name}`);
  }
  rig.origin.throttle({ rateBytesPerS: 100_000 });
  const runIn = async (page, name) => {
    await page.evaluate(
      (src) =>
        new Promise((resolve, reject) => {
          const element = document.createElement("script");
          Object.assign(element, { src, onload: resolve, onerror: reject });
          document.head.append(element);
        }),
      `/media/${name}`,
    );
    assert.equal(await page.evaluate(() => window.ran), 1, `${name} ran`);
  };
  // Only such a worker sees scripts at all.
  const worker = "/nearcast-sw.js?signed";
  // Each is a newcomer's first request, so it begins at the origin.
  const signed = await open({ worker });
  await runIn(signed, "signed.bin");
  await meshed(signed, 500_000);
  const data = await open({ worker });
  assert.equal((await fetchIn(data, "/media/unsigned.bin")).hash, hashes["unsigned.bin"]);
  await meshed(data, 500_000); // the same bytes, as data
  rig.origin.throttle({ rateBytesPerS: 250_000 });
  const unsigned = await open({ worker });
  await runIn(unsigned, "unsigned.bin");
  await linked(unsigned, 1);
  assert.equal((await stats(unsigned)).bytes.mesh, 0, "an unsigned script does not");
  assert.deepEqual([...signed.errors, ...data.errors, ...unsigned.errors], []);
});

test("A2 (R3): a manifest with a wrong signature closes the mesh, and the page works", async (t) => {
  const { root, hashes, open } = await setUp(t, ["1.bin", "2.bin"]);
  const file = join(root, "nearcast-manifest.json");
  const head = JSON.parse(readFileSync(file, "utf8"));
  writeFileSync(file, JSON.stringify({ ...head, sequence: head.sequence + 1 }));
  const pages = [await open(), await open()];
  for (const page of pages) {
    for (const name of Object.keys(hashes)) {
      assert.equal((await fetchIn(page, `/media/${name}`)).hash, hashes[name]);
    }
    const { bytes } = await stats(page);
    assert.deepEqual([bytes.mesh, bytes.rejected], [0, 0]);
    assert.deepEqual(page.errors, []);
  }
});

test("A3 (R9): a file that was replaced and signed anew comes in its new version only", async (t) => {
  const { rig, sign, put, hashes, open } = await setUp(t, ["film.bin", "join.bin"]);
  const seeder = await open();
  for (const name of Object.keys(hashes)) {
    assert.equal((await fetchIn(seeder, `/media/${name}`)).hash, hashes[name]);
  }
  const replaced = put("film.bin", randomBytes(700_000));
  await sign();
  const page = await open();
  await fetchIn(page, "/media/join.bin");
  await linked(page, 1);
  rig.origin.reset();
  assert.equal((await fetchIn(page, "/media/film.bin")).hash, replaced);
  assert.ok(rig.origin.counts().total.bytes >= 700_000, "nobody else has the new version");
});

test("SRI goes before all: a body that matches comes from the mesh, one that does not never reaches the page", async (t) => {
  // The link is open before all that its peer holds is known: a few files, until one comes from the peer.
  const names = Array.from({ length: 8 }, (_, index) => `a${index}.bin`);
  const { rig, root, hashes, open } = await setUp(t, [...names, "b.bin", "join.bin"]);
  const integrityOf = (name) =>
    `sha256-${createHash("sha256")
      .update(readFileSync(join(root, name)))
      .digest("base64")}`;
  const seeder = await open();
  for (const name of Object.keys(hashes)) await holds(seeder, `/media/${name}`);
  const page = await open();
  await fetchIn(page, "/media/join.bin");
  await linked(page, 1);
  rig.origin.throttle({ rateBytesPerS: 500_000, delayMs: 200 });
  const before = (await stats(page)).bytes.mesh;
  await soon(async () => {
    const name = names.shift();
    assert.ok(name, "one of the files comes from the peer");
    const right = await fetchIn(page, `/media/${name}`, { integrity: integrityOf(name) });
    assert.equal(right.hash, hashes[name]);
    return (await stats(page)).bytes.mesh - before > 500_000;
  }, "bytes of the peer");
  const wrong = await fetchIn(page, "/media/b.bin", { integrity: integrityOf("a0.bin") });
  assert.equal(wrong.error, "TypeError", "as in a browser without Nearcast");
  assert.equal((await fetchIn(page, "/media/b.bin")).hash, hashes["b.bin"]);
});
