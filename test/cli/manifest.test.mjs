// `nearcast manifest`, as a process; what it writes is read as a page reads it, by src/protocol/manifest.ts.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createPublicKey, randomBytes, verify } from "node:crypto";
import { once } from "node:events";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import test, { before } from "node:test";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const CLI = fileURLToPath(new URL("../../dist/cli.js", import.meta.url));
const PIECE = 65_536;
let protocol;

before(async () => {
  const { outputFiles } = await build({
    stdin: {
      contents: `export * from "./src/protocol/manifest.ts"; export * from "./src/protocol/verify.ts";`,
      resolveDir: fileURLToPath(new URL("../..", import.meta.url)),
    },
    ...{ bundle: true, format: "esm", write: false, ignoreAnnotations: true },
  });
  const code = Buffer.from(outputFiles[0].contents).toString("base64");
  protocol = await import(`data:text/javascript;base64,${code}`);
});

/** Test → its processes: a folder can be removed once nobody writes into it any more. */
const started = new WeakMap();

async function endAll(t) {
  const all = started.get(t) ?? [];
  for (const { child } of all) child.kill("SIGKILL");
  await Promise.all(all.map(({ exit }) => exit));
}

function start(t, args) {
  const child = spawn(process.execPath, [CLI, "manifest", ...args]);
  const lines = [];
  const waiting = [];
  let output = "";
  let errors = "";
  child.stdout.on("data", (data) => {
    output += data;
    lines.push(...String(data).split("\n").filter(Boolean));
    for (const wake of waiting.splice(0)) wake();
  });
  child.stderr.on("data", (data) => {
    errors += data;
  });
  const exit = once(child, "close").then(([code]) => ({ code, output: output.trim(), errors }));
  /** The next line that the process prints. */
  const line = async () => {
    while (lines.length === 0) await new Promise((resolve) => waiting.push(resolve));
    return lines.shift();
  };
  const running = { child, exit, line };
  if (!started.has(t)) {
    started.set(t, []);
    t.after(() => endAll(t));
  }
  started.get(t).push(running);
  return running;
}

const run = (t, ...args) => start(t, args).exit;

/** A folder with a key and files of random bytes. */
async function setUp(t, files = {}) {
  const folder = mkdtempSync(join(tmpdir(), "nearcast-manifest-"));
  t.after(async () => {
    await endAll(t);
    rmSync(folder, { recursive: true, force: true });
  });
  const dir = join(folder, "site");
  mkdirSync(dir);
  const put = (name, bytes) => {
    const data = typeof bytes === "number" ? randomBytes(bytes) : bytes;
    mkdirSync(dirname(join(dir, name)), { recursive: true });
    writeFileSync(join(dir, name), data);
    return data;
  };
  const contents = Object.fromEntries(
    Object.entries(files).map(([name, bytes]) => [name, put(name, bytes)]),
  );
  const keyFile = join(folder, "key.pem");
  const { output: publicKey } = await run(t, "--new-key", keyFile);
  return { folder, dir, put, contents, keyFile, publicKey };
}

/** Loads head and parts as a page does, signature included. */
async function load(dir, publicKey, out = "nearcast-manifest.json") {
  const head = protocol.decodeHead(readFileSync(join(dir, out), "utf8"));
  const key = createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x: publicKey }, format: "jwk" });
  const signature = Buffer.from(head.signature, "base64url");
  assert.ok(verify(null, protocol.manifestBytes(head), key, signature), "the signature is right");
  const thing = (name) =>
    new Uint8Array(readFileSync(join(dir, dirname(out), "nearcast-manifest", name)));
  const part = async (digest) => protocol.decodePart(thing(`${digest}.json`), digest);
  const parts = await Promise.all(head.parts.map(([, digest]) => part(digest)));
  const files = parts.flatMap(({ files }) => files);
  /** Whether the manifest vouches for exactly these bytes. */
  async function vouches(name, bytes) {
    const [, digest] = protocol.partOf(head, name) ?? [];
    const file = (await part(digest)).files.find((entry) => entry.name === name);
    for (let piece = 0; piece * PIECE < Math.max(1, bytes.byteLength); piece++) {
      const index = Math.floor(piece / 64);
      const chunk = protocol.chunkOf(file, index);
      const opened = await protocol.manifestWindow({
        ...{ head, file, url: `https://a.example/${encodeURIComponent(name)}`, window: index },
        chunk: chunk && (await protocol.decodeChunk(thing(`${chunk.digest}.bin`), chunk.digest)),
        keyId: "k",
      });
      if (bytes.byteLength === 0) return opened.attestation.length === 0;
      const own = new Uint8Array(bytes.subarray(piece * PIECE, (piece + 1) * PIECE));
      if (!(await protocol.verifyPiece(opened, piece, own))) return false;
    }
    return true;
  }
  return { head, parts, files, names: files.map(({ name }) => name), vouches };
}

test("manifest --new-key writes a key for its owner alone and prints what a site pins", async (t) => {
  const { keyFile, publicKey } = await setUp(t);
  assert.match(publicKey, /^[A-Za-z0-9_-]{43}$/);
  assert.equal(statSync(keyFile).mode & 0o777, 0o600);
  assert.equal((await run(t, "--key", keyFile)).output, publicKey);
  const again = await run(t, "--new-key", keyFile);
  assert.equal(again.code, 2);
  assert.match(again.errors, /--new-key must not exist yet: current value is ".*key\.pem"/);
});

test("manifest DIR vouches for every byte of every file, of any size, and for no other", async (t) => {
  const { dir, contents, keyFile, publicKey } = await setUp(t, {
    "empty.bin": 0,
    "film/seg 1 ü.m4s": 3 * PIECE + 1,
    "film/seg2.m4s": PIECE,
    "app.js": Buffer.from("alert(1)"),
    "8 MiB.bin": 128 * PIECE,
    "more.bin": 129 * PIECE,
    "two chunks.mp4": 66 * 2 ** 20 + 5,
  });
  const { code, output } = await run(t, dir, "--key", keyFile);
  assert.equal(code, 0);
  assert.match(output, /nearcast-manifest\.json: 7 files, \d+ bytes hashed, sequence \d+$/);
  const { vouches, files } = await load(dir, publicKey);
  for (const [name, bytes] of Object.entries(contents)) {
    assert.ok(await vouches(name, bytes), name);
    if (bytes.byteLength === 0) continue;
    const flipped = Buffer.from(bytes);
    flipped[flipped.byteLength - 1] ^= 1;
    assert.ok(!(await vouches(name, flipped)), `${name}, one bit flipped`);
  }
  const types = Object.fromEntries(files.map(({ name, type }) => [name, type]));
  assert.equal(types["app.js"], "text/javascript");
  assert.equal(types["film/seg2.m4s"], "video/iso.segment");
});

test("manifest leaves out playlists, documents, hidden files, links and itself", async (t) => {
  const { folder, dir, keyFile, publicKey } = await setUp(t, {
    "a.ts": 10,
    "index.html": 10,
    "live.m3u8": 10,
    "film.mpd": 10,
    ".env": 10,
    ".well-known/x.txt": 10,
    "sub/nearcast-manifest.json": Buffer.from("{}"),
    "sub/nearcast-manifest/x.bin": 10,
  });
  writeFileSync(join(folder, "secret"), "s");
  symlinkSync(join(folder, "secret"), join(dir, "link.bin"));
  await run(t, dir, "--key", keyFile);
  assert.deepEqual((await load(dir, publicKey)).names, ["a.ts"]);
});

test("manifest signs base, headers, freshness and expiry", async (t) => {
  const { folder, dir, keyFile, publicKey } = await setUp(t, { "a.ts": 10 });
  const out = join(folder, "out", "m.json");
  mkdirSync(dirname(out));
  const { code } = await run(
    t,
    ...[dir, "--key", keyFile, "--out", out, "--base-url", "https://CDN.example/film/"],
    ...["--fresh", "30", "--expires", "600", "--header", "Access-Control-Allow-Origin: *"],
  );
  assert.equal(code, 0);
  const { head } = await load(dirname(out), publicKey, "m.json");
  assert.equal(head.base, "https://cdn.example/film/");
  assert.equal(head.freshMs, 30_000);
  assert.equal(head.expiresMs - head.issuedMs, 600_000);
  assert.deepEqual(head.headers, [
    ["accept-ranges", "bytes"],
    ["cache-control", "public, max-age=30"],
    ["access-control-allow-origin", "*"],
  ]);
  assert.deepEqual(readdirSync(dir), ["a.ts"], "nothing is written into the folder");
});

test("manifest raises the sequence with every signature, also over another run's", async (t) => {
  const { dir, keyFile, publicKey } = await setUp(t, { "a.ts": 10 });
  await run(t, dir, "--key", keyFile);
  const first = (await load(dir, publicKey)).head;
  const file = join(dir, "nearcast-manifest.json");
  const ahead = { ...first, sequence: first.sequence + 1e9 };
  writeFileSync(file, JSON.stringify(ahead)); // as a packager with a fast clock leaves it
  await run(t, dir, "--key", keyFile);
  assert.equal((await load(dir, publicKey)).head.sequence, ahead.sequence + 1);
});

test("manifest keeps what a page reads small: 3 000 segments are parts of a few kB", async (t) => {
  const segments = Array.from({ length: 3_000 }, (_, n) => [
    `s/${String(n).padStart(5, "0")}.ts`,
    1,
  ]);
  const { dir, keyFile, publicKey } = await setUp(t, Object.fromEntries(segments));
  await run(t, dir, "--key", keyFile);
  const { head, parts, names } = await load(dir, publicKey);
  assert.equal(names.length, 3_000);
  assert.ok(JSON.stringify(head).length < 16_384);
  for (const part of parts) assert.ok(JSON.stringify(part).length <= 16_400);
  t.diagnostic(`head ${JSON.stringify(head).length} bytes, ${parts.length} parts`);
});

test("manifest --watch signs what is added, replaced and removed, reads nothing twice, ends at SIGTERM", async (t) => {
  const { dir, put, keyFile, publicKey } = await setUp(t, { "1.ts": 200_000, "2.ts": 200_000 });
  const { child, line, exit } = start(t, [dir, "--key", keyFile, "--watch", "--interval-ms", "30"]);
  let state = await load(dir, publicKey).catch(() => undefined);
  const report = async (pattern) => {
    for (;;) {
      const text = await line();
      if (pattern.test(text)) return text;
    }
  };
  await report(/: 2 files/);
  const three = put("3.ts", 100_000);
  await report(/: 3 files, 100000 bytes hashed/);
  state = await load(dir, publicKey);
  assert.ok(await state.vouches("3.ts", three));
  const before = state.head.sequence;
  const replaced = put("1.ts", 150_000);
  await report(/: 3 files, 150000 bytes hashed/);
  state = await load(dir, publicKey);
  assert.ok(await state.vouches("1.ts", replaced));
  assert.ok(state.head.sequence > before);
  unlinkSync(join(dir, "2.ts"));
  await report(/: 2 files, 0 bytes hashed/);
  state = await load(dir, publicKey);
  assert.deepEqual(state.names, ["1.ts", "3.ts"]);
  child.kill("SIGTERM");
  assert.equal((await exit).code, 0);
});

test("manifest --watch never lists a file that is still being written", async (t) => {
  const { dir, put, keyFile, publicKey } = await setUp(t, { "1.ts": 10 });
  const { line } = start(t, [dir, "--key", keyFile, "--watch", "--interval-ms", "40"]);
  await line();
  // A packager that writes for a while: each look finds another length.
  const bytes = randomBytes(400_000);
  for (let length = 20_000; length <= bytes.byteLength; length += 20_000) {
    put("2.ts", bytes.subarray(0, length));
    await new Promise((resolve) => setTimeout(resolve, 5));
    const { names, vouches } = await load(dir, publicKey);
    if (names.includes("2.ts")) assert.ok(await vouches("2.ts", readFileSync(join(dir, "2.ts"))));
  }
  for (;;) if (/: 2 files/.test(await line())) break;
  assert.ok(await (await load(dir, publicKey)).vouches("2.ts", bytes));
});

test("a head that is read while it is replaced is always one of the signed ones", async (t) => {
  const { dir, put, keyFile, publicKey } = await setUp(t, { "1.ts": 10 });
  const { line } = start(t, [dir, "--key", keyFile, "--watch", "--interval-ms", "20"]);
  await line();
  const sequences = new Set();
  for (let round = 0; round < 200 && sequences.size < 6; round++) {
    put(`${round}.ts`, 100);
    const { head } = await load(dir, publicKey); // throws for half a file or a part that is missing
    sequences.add(head.sequence);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  assert.ok(sequences.size >= 3, `${sequences.size} heads were seen`);
  assert.deepEqual(readdirSync(dir).filter((name) => name.endsWith(".tmp")).length <= 1, true);
});

test("bad input is refused with the name, the rule and the value, before anything is written", async (t) => {
  const { folder, dir, keyFile } = await setUp(t, { "a.ts": 10 });
  const notKey = join(folder, "not-a-key.pem");
  writeFileSync(notKey, "hello");
  const other = join(folder, "other.json");
  writeFileSync(other, '{"name":"package"}');
  const table = [
    [[dir], /--key must name a key file: current value is "nothing"/],
    [[dir, "--key", join(folder, "none.pem")], /--key must be a readable private key \(ENOENT\)/],
    [[dir, "--key", notKey], /--key must be a readable private key/],
    [[join(dir, "none"), "--key", keyFile], /DIR must be a folder/],
    [[join(dir, "a.ts"), "--key", keyFile], /DIR must be a folder/],
    [[dir, dir, "--key", keyFile], /DIR must be one folder/],
    [[dir, "--key", keyFile, "--base-url", "cdn"], /--base-url must be an absolute http\(s\) URL/],
    [[dir, "--key", keyFile, "--base-url", "https://a.example/x"], /--base-url must end with \//],
    [[dir, "--key", keyFile, "--fresh", "0"], /--fresh must be an integer from 1 to/],
    [[dir, "--key", keyFile, "--expires", "1.5"], /--expires must be an integer from 60 to/],
    [[dir, "--key", keyFile, "--header", "nonsense"], /--header must read "name: value"/],
    [[dir, "--key", keyFile, "--header", "Content-Type: x"], /not be content-type/],
    [[dir, "--key", keyFile, "--out", other], /--out must be a manifest or not exist/],
    [[dir, "--key", keyFile, "--nonsense"], /Cannot read flags/],
    [["--new-key", join(folder, "no", "key.pem")], /--new-key must be writable \(ENOENT\)/],
  ];
  for (const [args, message] of table) {
    const { code, errors } = await run(t, ...args);
    assert.equal(code, 2, args.join(" "));
    assert.match(errors, message);
  }
  assert.equal(readFileSync(other, "utf8"), '{"name":"package"}');
  assert.deepEqual(readdirSync(dir), ["a.ts"]);
  assert.equal((await run(t, "--help")).code, 0);
});

test("a file beyond the limit is refused by name", async (t) => {
  const { dir, keyFile } = await setUp(t, { "huge.bin": 1 });
  truncateSync(join(dir, "huge.bin"), 65 * 2 ** 30); // sparse
  const { code, errors } = await run(t, dir, "--key", keyFile);
  assert.equal(code, 2);
  assert.match(errors, /Cannot sign "huge\.bin" as files must have at most 68719476736 bytes/);
});
