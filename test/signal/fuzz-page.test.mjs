// Whatever a server or a peer sends, the page's codecs decode it or say that they do not: no other exception, no memory
// left behind (threats F1, F6; rule R55). The sources themselves, bundled for Node.
import assert from "node:assert/strict";
import test from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { build } from "esbuild";
import { FRAMES, GROWTH_MAX_BYTES, makeFuzzer } from "./fuzzer.mjs";

const ID = "AAAAAAAAAAAAAAAAAAAAAA";
const REMOTE = {
  ...{ enabled: true, rampPercent: 100, minVersion: "1.0.0", include: ["/a/**"], exclude: [] },
  ...{ sealed: [], uploadMaxRate: 0, uploadMaxParallel: 0 },
};
const attestation = {
  ...{ v: 1, url: "http://a.test/a/1.ts", version: '"x"', length: 100, window: 0 },
  ...{ headers: [["etag", '"x"']], hashes: ["A".repeat(43)], issuedMs: 1, expiresMs: 2 },
  ...{ keyId: "k", signature: "A".repeat(86) },
};

/** One valid message of the server of every kind. */
const SERVER_MESSAGES = [
  {
    ...{ type: "joined", q: 1, v: 1, id: "a".repeat(48), nowMs: 1, keys: [["k", "A".repeat(43)]] },
    ...{ iceServers: [{ urls: "turn:t", username: "u", credential: "c" }] },
    ...{ peers: [["a".repeat(48), 1, 5]], config: REMOTE },
  },
  { type: "wanted", q: 1, url: attestation.url, window: 0, attestation, holders: [] },
  { type: "attested", attestation },
  { type: "config", config: REMOTE },
  { type: "retry", withinMs: 5 },
  {
    type: "neighbours",
    neighbourhood: {
      ...{ clique: 1, epoch: 1, members: [["a".repeat(48), 1, true]], around: [2] },
      bridges: [["b".repeat(48), 2, false, 3]],
    },
  },
  { type: "error", q: 1, code: "x", message: "y" },
];

/** One valid frame of a peer of every kind, as `encodeControl` takes them. */
const FRAMES_OF_PEERS = [
  { type: "hello", version: 1 },
  { type: "have", assetId: ID, pieceCount: 100, from: 8, bits: new Uint8Array([255, 1]) },
  { type: "drop", assetId: ID },
  { type: "request", id: 1, assetId: ID, piece: 5 },
  { type: "cancel", id: 1 },
  { type: "reject", id: 1, reason: "busy", retryMs: 5 },
  { type: "ping", token: 1 },
  { type: "pong", token: 1 },
  { type: "claim", assetId: ID, from: 1, to: 5, hops: 0 },
];

setFlagsFromString("--expose_gc");
const collect = runInNewContext("gc");

/** Bytes that are still held when everything that can go is gone. */
function kept() {
  collect();
  const { heapUsed, external, arrayBuffers } = process.memoryUsage();
  return heapUsed + external + arrayBuffers;
}

async function codecs() {
  const contents = ["peer-codec", "signal-decoder", "worker-messages"]
    .map((name) => `export * from "./src/protocol/${name}.js";`)
    .join("\n");
  const { outputFiles } = await build({
    stdin: { contents, resolveDir: process.cwd() },
    ...{ bundle: true, format: "esm", platform: "node", write: false },
  });
  const code = Buffer.from(outputFiles[0].contents).toString("base64");
  return import(`data:text/javascript;base64,${code}`);
}

/** Decodes many inputs. @returns How many were taken. */
function decodeAll(decode, make, check = () => {}) {
  let taken = 0;
  for (let round = 0; round < FRAMES; round++) {
    const input = make();
    try {
      check(decode(input), input);
      taken++;
    } catch (error) {
      assert.equal(error.code, "protocol/malformed", String(error.stack));
    }
  }
  return taken;
}

test(`F6, R55: ${FRAMES} bent messages of each kind are decoded or refused, and nothing is kept`, async (t) => {
  const { decodeServerMessage, isEnvelope } = await codecs();
  const before = kept();
  for (const [seed, template] of SERVER_MESSAGES.entries()) {
    const { mutated, scrambled, random } = makeFuzzer(seed + 1);
    const taken = decodeAll(decodeServerMessage, () => {
      const message = random() < 0.7 ? { ...mutated(template), type: template.type } : template;
      if (random() > 0.3) return message;
      try {
        return JSON.parse(scrambled(JSON.stringify(message)));
      } catch {
        return undefined;
      }
    });
    assert.ok(taken > FRAMES / 20 && taken < FRAMES, `${template.type}: ${taken} of ${FRAMES}`);
    for (let round = 0; round < FRAMES; round++)
      isEnvelope(mutated({ nearcast: 1, type: "hello" }));
  }
  assert.ok(kept() - before < GROWTH_MAX_BYTES);
  t.diagnostic(`${((kept() - before) / 2 ** 20).toFixed(1)} MiB more`);
});

test(`F6, R55: ${FRAMES} bent frames of each kind are decoded as they were encoded, or refused`, async (t) => {
  const { decodeControl, encodeControl, decodeBlock, encodeBlock } = await codecs();
  const before = kept();
  const bend = ({ random }, frame) => {
    const bytes = frame.slice(0, random() < 0.2 ? random() * frame.length : frame.length);
    for (let edits = random() * 3; edits > 0 && bytes.length > 0; edits--) {
      bytes[Math.floor(random() * bytes.length)] = random() * 256;
    }
    if (random() < 0.9) return bytes;
    const longer = new Uint8Array(bytes.length + Math.floor(random() * 40));
    longer.set(bytes);
    return longer;
  };
  for (const [seed, frame] of FRAMES_OF_PEERS.entries()) {
    const fuzzer = makeFuzzer(seed + 50);
    const encoded = encodeControl(frame);
    const make = () => bend(fuzzer, encoded);
    const taken = decodeAll(decodeControl, make, (decoded, input) => {
      assert.deepEqual(encodeControl(decoded), input, "one message, one encoding");
    });
    assert.ok(taken > 0, frame.type);
  }
  const fuzzer = makeFuzzer(99);
  const block = encodeBlock({ id: 1, offset: 16_384, data: new Uint8Array(500) });
  assert.ok(decodeAll(decodeBlock, () => bend(fuzzer, block)) > 0);
  const { random } = fuzzer;
  const noise = () => Uint8Array.from({ length: random() * 64 }, () => random() * 256);
  decodeAll(decodeControl, noise);
  decodeAll(decodeBlock, noise);
  assert.ok(kept() - before < GROWTH_MAX_BYTES);
  t.diagnostic(`${((kept() - before) / 2 ** 20).toFixed(1)} MiB more`);
});
