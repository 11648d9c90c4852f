// What the tests of the server share: a server that is closed again, viewers that wait for messages, a
// scripted origin, and the checks that a viewer would make.
import { createHash, createPublicKey, randomUUID, verify } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { WebSocket } from "ws";
import { startServer } from "../../dist/server.js";

export const SITE = "http://site.test";
export const PIECE_BYTES = 65_536;
export const WINDOW_BYTES = 64 * PIECE_BYTES;

const LIMIT_MS = 5_000;

/** A server that ends with the test. */
export async function serverFor(t, options = {}) {
  const server = await startServer({ port: 0, sites: [SITE], ...options });
  t.after(() => server.close());
  return server;
}

/** A folder that ends with the test. */
export async function folderFor(t) {
  const folder = await mkdtemp(join(tmpdir(), "nearcast-test-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** An origin that answers as `script` says; it notes every request. */
export async function originFor(t, script) {
  const requests = [];
  const server = createServer((request, response) => {
    requests.push(request);
    script(request, response);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${server.address().port}`, requests };
}

export async function idFrom(server) {
  const response = await fetch(`${server.url}/peerjs/id`, { headers: { origin: SITE } });
  return response.text();
}

/** A socket as PeerJS opens it; `heard` waits for a message, `closed` for the end. */
export async function connect(t, server, options = {}) {
  const { token = randomUUID(), origin = SITE, key = "peerjs", localAddress } = options;
  const id = options.id ?? (await idFrom(server));
  const address = server.url.replace("http", "ws");
  const ws = new WebSocket(`${address}/peerjs?key=${key}&id=${id}&token=${token}&version=1.5.5`, {
    origin,
    localAddress,
  });
  t.after(() => ws.terminate());
  const messages = [];
  const waiting = new Set();
  ws.on("message", (data) => {
    messages.push(JSON.parse(String(data)));
    for (const check of waiting) check();
  });
  ws.on("error", () => {});
  const closed = new Promise((resolve) => ws.once("close", (code) => resolve(code)));

  /** The first message not taken yet for which `fits` holds; it is taken. */
  const heard = (fits) =>
    new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        waiting.delete(check);
        reject(new Error(`Cannot hear ${fits}: heard ${JSON.stringify(messages).slice(0, 500)}`));
      }, LIMIT_MS);
      const check = () => {
        const place = messages.findIndex(fits);
        if (place < 0) return;
        clearTimeout(timer);
        waiting.delete(check);
        resolve(messages.splice(place, 1)[0]);
      };
      waiting.add(check);
      check();
    });
  const say = (message) => ws.send(typeof message === "string" ? message : JSON.stringify(message));
  let q = 0;
  const ask = (message) => {
    const question = ++q;
    say({ ...message, q: question });
    return heard((answer) => answer.q === question);
  };
  /** Everything said before has been handled once this resolves: the server answers in order. */
  const settled = () => ask({ type: "join", v: 1, groups: [] });
  const join = (...groups) => ask({ type: "join", v: 1, groups });
  const want = (url, window = 0) => ask({ type: "want", url, window });
  const announce = (add, more = {}) =>
    say({ type: "announce", add, remove: [], loadPercent: 0, ...more });
  return { id, token, ws, messages, heard, say, ask, settled, join, want, announce, closed };
}

/** A viewer whose socket is open in the sense of PeerJS. */
export async function viewerFor(t, server, options) {
  const viewer = await connect(t, server, options);
  await viewer.heard(({ type }) => type === "OPEN");
  return viewer;
}

/** The HTTP status with which an upgrade is refused. */
export async function refusedUpgrade(server, { path = "/peerjs", ...options } = {}) {
  const ws = new WebSocket(server.url.replace("http", "ws") + path, options);
  ws.on("error", () => {});
  const [, response] = await once(ws, "unexpected-response");
  ws.terminate();
  return response.statusCode;
}

/** Whether a viewer would accept the attestation, by the keys of `joined`. */
export function isSignedBy(keys, attestation) {
  const x = new Map(keys).get(attestation.keyId);
  const key = createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x }, format: "jwk" });
  const { url, version, length, headers, window, hashes, issuedMs, expiresMs, keyId } = attestation;
  const signed = JSON.stringify([
    url,
    version,
    length,
    headers,
    window,
    hashes,
    issuedMs,
    expiresMs,
    keyId,
  ]);
  const bytes = Buffer.from(`nearcast attestation 1\n${signed}`);
  return verify(null, bytes, key, Buffer.from(attestation.signature, "base64url"));
}

/** The hashes that an attestation of this window must hold, written down independently. */
export function hashesOf(body, window = 0) {
  const hashes = [];
  const end = Math.min(body.length, (window + 1) * WINDOW_BYTES);
  for (let at = window * WINDOW_BYTES; at < end; at += PIECE_BYTES) {
    const piece = body.subarray(at, Math.min(at + PIECE_BYTES, end));
    const prefix = Buffer.alloc(9);
    prefix.writeUInt32BE(at / PIECE_BYTES, 1);
    prefix.writeUInt32BE(piece.length, 5);
    hashes.push(createHash("sha256").update(prefix).update(piece).digest("base64url"));
  }
  return hashes;
}

/** The id of an asset as `protocol/asset.ts` defines it. */
export function assetIdOf({ url, version, length }) {
  const text = `nearcast asset\n${url}\n${version}\n${length}`;
  return createHash("sha256").update(text).digest().subarray(0, 16).toString("base64url");
}

/** Uniform in [0, 1), the same for the same seed (mulberry32). */
export function seeded(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Bytes that compress badly and differ from piece to piece. */
export function bodyOf(length, seed = 1) {
  const random = seeded(seed);
  const body = Buffer.alloc(length);
  for (let at = 0; at + 4 <= length; at += 4) body.writeUInt32LE(random() * 2 ** 32, at);
  return body;
}
