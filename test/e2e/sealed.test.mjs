/**
 * Sealed mode (threat C4): viewers whose join tokens name a film share it, each with a token of its own; a viewer's own
 * program that asks their peers for it gets ciphertext, and what its server told it opens nothing.
 */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createCipheriv, createHash, randomBytes } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";
import { promisify } from "node:util";
import { mintJoinToken } from "../../dist/server.js";
import { fetchIn, holds, linked, meshed, openBlank, openRig, soon, stats } from "./support/rig.mjs";

const PIECE_BYTES = 65_536;
const SECRET = "0123456789abcdef0123456789abcdef";
const BODIES = {
  "paid/film.bin": randomBytes(800_000),
  "free/film.bin": randomBytes(500_000),
  /** Of two windows. */
  "paid/long.bin": randomBytes(72 * PIECE_BYTES + 1_000),
};
const JOIN = randomBytes(70_000);
const HALF = 6 * PIECE_BYTES;

const sha256 = (bytes) => createHash("sha256").update(bytes).digest();
const pathOf = (name, token) => `/lab/${name}?token=${token}`;

/**
 * A CDN that looks at tokens where something is to be paid for; `delayMs` for all but its first byte, and so many bytes
 * per second for whoever is not the operator.
 */
class PayingOrigin {
  valid = new Set(["operator"]);
  delayMs = 0;
  rateBytesPerS = Number.POSITIVE_INFINITY;

  handle = (request, response) => {
    const { pathname, searchParams } = new URL(request.url, "http://origin");
    const name = pathname.slice("/lab/".length);
    if (name.startsWith("paid/") && !this.valid.has(searchParams.get("token"))) {
      return response.writeHead(403).end("pay");
    }
    const body = BODIES[name] ?? JOIN;
    const { range } = request.headers;
    const [, from, to] = /^bytes=(\d+)-(\d*)$/.exec(range ?? "") ?? [];
    const start = Number(from ?? 0);
    const end = Math.min(to ? Number(to) + 1 : body.length, body.length);
    response.writeHead(range ? 206 : 200, {
      "content-type": "application/octet-stream",
      "cache-control": "public, max-age=600",
      etag: '"1"',
      "content-length": end - start,
      ...(range && { "content-range": `bytes ${start}-${end - 1}/${body.length}` }),
    });
    const late = end - start > 1 ? this.delayMs : 0;
    const rate = searchParams.get("token") === "operator" ? Infinity : this.rateBytesPerS;
    setTimeout(() => drip(response, body.subarray(start, end), rate), late);
  };
}

/** Ends a response with bytes at a rate. */
function drip(response, bytes, bytesPerS) {
  if (bytes.length <= bytesPerS / 10) return void response.end(bytes);
  response.write(bytes.subarray(0, bytesPerS / 10));
  const timer = setTimeout(() => drip(response, bytes.subarray(bytesPerS / 10), bytesPerS), 100);
  response.once("close", () => clearTimeout(timer));
}

/**
 * Runs in a page before any script of it: keeps what the server says (`told`), what comes over links (`blocks`) and what
 * peers tell of (`haves`), and can ask a peer for pieces past the SDK (`steal`).
 */
function spy() {
  const [HAVE, REQUEST, REJECT, BLOCK, OWN_IDS] = [2, 4, 6, 9, 0xee00_0000];
  window.told = [];
  window.blocks = [];
  window.haves = [];
  const waiting = new Map();
  let lastId = OWN_IDS;
  const text = (bytes) => btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
  window.WebSocket = class extends WebSocket {
    constructor(...args) {
      super(...args);
      this.addEventListener("message", ({ data }) => window.told.push(String(data)));
    }
  };
  const hear = (event, control) => {
    const bytes = new Uint8Array(event.data);
    const view = new DataView(event.data);
    if (bytes[0] === HAVE) {
      const asset = Array.from(bytes.subarray(1, 17));
      window.haves.push({ asset, pieceCount: view.getUint32(17), control });
    }
    if (bytes[0] === BLOCK) window.blocks.push(text(bytes.subarray(9)));
    if (bytes[0] !== BLOCK && bytes[0] !== REJECT) return;
    const steal = waiting.get(view.getUint32(1));
    if (!steal) return;
    event.stopImmediatePropagation(); // the SDK did not ask for it, and would close the link
    steal(bytes[0] === BLOCK ? bytes.slice(9) : undefined);
  };
  const { createDataChannel } = RTCPeerConnection.prototype;
  RTCPeerConnection.prototype.createDataChannel = function (...args) {
    const channel = createDataChannel.apply(this, args);
    this.channels = { ...this.channels, [channel.label]: channel };
    channel.addEventListener("message", (event) => {
      if (event.data instanceof ArrayBuffer) hear(event, this.channels.control);
    });
    return channel;
  };
  /** One piece of a peer, block by block; `undefined` if it will not. */
  const piece = ({ asset, control }, index, lengthBytes) =>
    new Promise((resolve) => {
      const id = ++lastId;
      let received = "";
      let left = lengthBytes;
      waiting.set(id, (block) => {
        if (!block) return resolve(undefined);
        received += Array.from(block, (byte) => String.fromCharCode(byte)).join("");
        left -= block.byteLength;
        if (left === 0) resolve(received);
      });
      const frame = new DataView(new ArrayBuffer(25));
      frame.setUint8(0, REQUEST);
      frame.setUint32(1, id);
      for (const [at, byte] of asset.entries()) frame.setUint8(5 + at, byte);
      frame.setUint32(21, index);
      control.send(frame.buffer);
    });
  /** All pieces of what somebody told of that has so many, in base64; `undefined` if nobody gives all. */
  window.steal = async (lengthBytes) => {
    const pieceCount = Math.ceil(lengthBytes / 65_536);
    const have = window.haves.findLast((told) => told.pieceCount === pieceCount);
    let body = "";
    for (let index = 0; index < pieceCount; index++) {
      const got = await piece(have, index, Math.min(65_536, lengthBytes - index * 65_536));
      if (got === undefined) return undefined;
      body += got;
    }
    return btoa(body);
  };
}

/** The site's backend, which believes whoever asks. */
const JOIN_TOKENS = {
  "/join-token": (request, response) => {
    const paths = new URL(request.url, "http://site").searchParams.getAll("path");
    const site = `http://${request.headers.host}`;
    void mintJoinToken({ site, secret: SECRET, paths }).then((token) => response.end(token));
  },
};
const tokenUrl = (paths) => `/join-token${paths && `?path=${encodeURIComponent(paths)}`}`;

async function setUp(t) {
  const origin = new PayingOrigin();
  const rig = await openRig({
    lab: origin.handle,
    labQuery: "?token=operator",
    indexArgs: ["--seal", "/lab/paid/**", "--join-secret", SECRET],
    files: JOIN_TOKENS,
  });
  t.after(() => rig.close());
  /** A viewer that is linked with `others`; it may have the paths that its join token names. */
  const newcomer = async (paths = "") => {
    const options = { include: "/lab/**", "strip-params": "token", "token-url": tokenUrl(paths) };
    return openBlank(await rig.profile(), rig, { options, prepare: spy });
  };
  const viewer = async (token, { paths = "", others = 0 } = {}) => {
    const page = await newcomer(paths);
    await fetchIn(page, pathOf("free/join.bin", token));
    await linked(page, others);
    return page;
  };
  const entitled = (token, others) => {
    origin.valid.add(token);
    return viewer(token, { paths: "/lab/paid/**", others });
  };
  return { origin, newcomer, viewer, entitled };
}

const bytesOf = async (page) => (await stats(page)).bytes;
const load = (page, name, token, range) =>
  fetchIn(page, pathOf(name, token), {
    cache: "no-cache",
    ...(range && { headers: { Range: `bytes=${range[0]}-${range[1] - 1}` } }),
  });
const hex = (bytes) => sha256(bytes).toString("hex");
const piecesOf = (body) =>
  Array.from({ length: Math.ceil(body.length / PIECE_BYTES) }, (_, piece) =>
    body.subarray(piece * PIECE_BYTES, (piece + 1) * PIECE_BYTES),
  );

/** Whether somebody told the page of all pieces of a body of that length. */
const heardOf = (page, body) =>
  soon(
    () =>
      page.evaluate(
        (count) => window.haves.some(({ pieceCount }) => pieceCount === count),
        piecesOf(body).length,
      ),
    "a peer told of it",
  );

/** Opens or seals a body as PROTOCOL.md says, with the hashes that only its viewers know. */
function crossed(plain, body, key) {
  const pieces = piecesOf(plain).map((bytes, piece) => {
    const prefix = Buffer.alloc(9);
    prefix.writeUInt32BE(piece, 1);
    prefix.writeUInt32BE(bytes.length, 5);
    const counter = Buffer.alloc(16);
    sha256(Buffer.concat([prefix, bytes])).copy(counter, 0, 0, 12);
    const cipher = createCipheriv("aes-256-ctr", Buffer.from(key, "base64url"), counter);
    return cipher.update(piecesOf(body)[piece]);
  });
  return Buffer.concat(pieces);
}

const blocksOf = async (page) =>
  (await page.evaluate(() => window.blocks)).map((block) => Buffer.from(block, "base64"));

test("C4: two entitled viewers with different tokens share a sealed film, sealed, each from the other", async (t) => {
  const { origin, entitled } = await setUp(t);
  const film = BODIES["paid/film.bin"];
  const a = await entitled("A");
  assert.equal((await load(a, "paid/film.bin", "A", [0, HALF])).status, 206);
  const b = await entitled("B", 1);
  assert.equal((await load(b, "paid/film.bin", "B", [HALF, film.length])).status, 206);
  await Promise.all([heardOf(a, film), heardOf(b, film)]);
  origin.delayMs = 3_000; // all but the leave to show it comes sooner from the other one
  const before = await Promise.all([a, b].map(bytesOf));
  for (const [page, token] of [
    [a, "A"],
    [b, "B"],
  ]) {
    assert.equal((await load(page, "paid/film.bin", token)).hash, hex(film));
  }
  const after = await Promise.all([a, b].map(bytesOf));
  for (const [index, page] of [a, b].entries()) {
    assert.ok(after[index].mesh - before[index].mesh >= 4 * PIECE_BYTES, "from the other");
    assert.equal(after[index].rejected, 0);
    const blocks = await blocksOf(page);
    assert.ok(blocks.length >= 16);
    for (const block of blocks) assert.equal(film.indexOf(block), -1, "sealed on the link");
    assert.deepEqual(page.errors, []);
  }
});

test("C4: a viewer's own program gets ciphertext of a sealed film, and the film itself of one that is not", async (t) => {
  const { viewer, entitled } = await setUp(t);
  const holder = await entitled("A");
  for (const [name, body] of Object.entries(BODIES)) {
    assert.equal((await load(holder, name, "A")).hash, hex(body));
  }
  const thief = await viewer("none", { others: 1 });
  // Its server and its CDN are asked as anybody would ask them.
  assert.equal((await load(thief, "paid/film.bin", "none")).status, 403);
  for (const body of Object.values(BODIES)) await heardOf(thief, body);
  const steal = async (name) => {
    const stolen = await thief.evaluate((length) => window.steal(length), BODIES[name].length);
    return Buffer.from(stolen ?? "", "base64");
  };

  const open = await steal("free/film.bin");
  assert.ok(open.equals(BODIES["free/film.bin"]), "control: the program does get what is open");

  const film = BODIES["paid/film.bin"];
  const stolen = await steal("paid/film.bin");
  assert.equal(stolen.length, film.length, "the holder served it");
  for (let at = 0; at + 64 <= stolen.length; at += 4_096) {
    assert.equal(film.indexOf(stolen.subarray(at, at + 64)), -1, `byte ${at}`);
  }
  // Nothing that its server said opens it, even beside the hashes, which it does not have.
  const told = (await thief.evaluate(() => window.told)).join("\n");
  assert.match(told, /sealed: the join token does not name it/);
  assert.doesNotMatch(told, /"seal":/);
  assert.doesNotMatch(told, /"attestation":\{[^}]*paid/);
  const keys = new Set(told.match(/(?<![A-Za-z0-9_-])[A-Za-z0-9_-]{43}(?![A-Za-z0-9_-])/g));
  assert.ok(keys.size >= 2, "public key and hashes of what is open");
  for (const key of keys) assert.equal(crossed(film, stolen, key).equals(film), false);
  // It is the film: who may have it was given the key.
  const given = (await holder.evaluate(() => window.told)).join("\n");
  const [, key] = /"url":"[^"]*\/paid\/film\.bin"[^\n]*"seal":"([^"]+)"/.exec(given) ?? [];
  assert.ok(key, "the holder has its key");
  assert.ok(crossed(film, stolen, key).equals(film), "which opens what was stolen");
  assert.equal((await bytesOf(holder)).uploaded > 0, true);
});

test("C4: a sealed film that passes through goes on from a peer in mid-body, as ciphertext", async (t) => {
  const { origin, newcomer, entitled } = await setUp(t);
  const film = BODIES["paid/long.bin"];
  const holder = await entitled("A");
  await holds(holder, pathOf("paid/long.bin", "A"));
  origin.rateBytesPerS = film.length / 60;
  origin.valid.add("B");
  // Its first request, so it begins at the origin, before there is a link.
  const page = await newcomer("/lab/paid/**");
  const answer = await load(page, "paid/long.bin", "B");
  assert.deepEqual([answer.status, answer.hash], [200, hex(film)]);
  await soon(async () => (await stats(page)).requests.mixed === 1, "its count");
  const { bytes } = await stats(page);
  assert.ok(bytes.origin > 0, "it began at the origin");
  assert.ok(bytes.mesh > 0.5 * film.length, `a peer brought the rest: ${JSON.stringify(bytes)}`);
  assert.equal(bytes.rejected, 0);
  const blocks = await blocksOf(page);
  assert.ok(blocks.length >= 36);
  for (const block of blocks) assert.equal(film.indexOf(block), -1, "sealed on the link");
  assert.deepEqual([...holder.errors, ...page.errors], []);
});

test("C4: what a publisher signed and the server seals is shared as ciphertext, among those alone who have its key", async (t) => {
  const root = mkdtempSync(join(tmpdir(), "nearcast-sealed-"));
  const keys = mkdtempSync(join(tmpdir(), "nearcast-keys-"));
  const keyFile = join(keys, "key.pem");
  const cli = (...args) =>
    promisify(execFile)(process.execPath, ["dist/cli.js", "manifest", ...args]);
  mkdirSync(join(root, "paid"));
  // Only a publisher may vouch for a script.
  const bodies = { "join.bin": JOIN };
  for (const name of ["paid/film.bin", "paid/player.js"]) bodies[name] = randomBytes(600_000);
  for (const [name, body] of Object.entries(bodies)) writeFileSync(join(root, name), body);
  const { stdout } = await cli("--new-key", keyFile);
  await cli(root, "--key", keyFile);
  const rig = await openRig({
    root,
    indexArgs: ["--seal", "/media/paid/**", "--join-secret", SECRET],
    files: JOIN_TOKENS,
  });
  t.after(async () => {
    await rig.close();
    for (const folder of [root, keys]) rmSync(folder, { recursive: true, force: true });
  });
  const viewer = async (paths, others) => {
    const options = { "token-url": tokenUrl(paths) };
    options.manifest = "/media/nearcast-manifest.json";
    options["manifest-key"] = stdout.trim();
    const page = await openBlank(await rig.profile(), rig, { options, prepare: spy });
    await fetchIn(page, "/media/join.bin");
    await linked(page, others);
    return page;
  };
  const fetchAll = async (page) => {
    for (const [name, body] of Object.entries(bodies)) {
      assert.equal((await fetchIn(page, `/media/${name}`, { cache: "no-cache" })).hash, hex(body));
    }
  };
  const paid = Object.keys(bodies).filter((name) => name.startsWith("paid/"));
  const holder = await viewer("/media/paid/**", 0);
  for (const name of paid) await holds(holder, `/media/${name}`);

  // It knows the publisher's hashes as well, and has all from the origin.
  const outsider = await viewer("", 1);
  await fetchAll(outsider);
  await fetchAll(outsider);
  assert.deepEqual(
    (await blocksOf(outsider)).filter((block) => paid.some((name) => bodies[name].includes(block))),
    [],
  );
  const { bytes } = await stats(outsider);
  assert.ok(bytes.mesh <= JOIN.length, `nothing of what is sealed: ${JSON.stringify(bytes)}`);
  const told = (await outsider.evaluate(() => window.told)).join("\n");
  assert.doesNotMatch(told, /"seal":/);

  const page = await viewer("/media/paid/**", 2);
  rig.origin.throttle({ rateBytesPerS: 100_000, delayMs: 100 });
  await fetchAll(page);
  await meshed(page, 1_000_000);
  assert.equal((await stats(page)).bytes.rejected, 0);
  const blocks = await blocksOf(page);
  assert.ok(blocks.length >= 18);
  const open = blocks.filter((block) => paid.some((name) => bodies[name].includes(block)));
  assert.deepEqual(open, [], "sealed on the link");
  assert.equal((await stats(outsider)).bytes.uploaded, 0, "whoever has no key serves nothing");
  for (const { errors } of [holder, outsider, page]) assert.deepEqual(errors, []);
});
