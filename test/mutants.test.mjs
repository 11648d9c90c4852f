/**
 * Rule R12: the checks themselves are checked. Each mutant is the real source with one place changed; the
 * real unit tests run against it, in a page of their own, and must go red. A mutant whose place is no longer
 * in the source fails too: it has to move with the code.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { resolve } from "node:path";
import test, { after, before } from "node:test";
import { build } from "esbuild";
import puppeteer from "puppeteer-core";
import { chromeArgs, ensureChrome } from "../tools/ensure-browser.mjs";

/** A mutant that makes a test wait for ever is dead as well; the slowest green one takes a few seconds. */
const HANG_MS = 20_000;
/** What is green is not to look dead on a machine that is busy. */
const GREEN_MAX_MS = 120_000;

const VERIFY = "src/protocol/verify.ts";
const LEAF = "src/protocol/attestation.ts";
const TRUST = "src/mesh/trust/trust.ts";
const SERVER = "src/mesh/trust/attesting-server.ts";
const WINDOWS = "src/mesh/trust/live-windows.ts";
const LIBRARY = "src/mesh/delivery/piece-library.ts";
const EXCHANGE = "src/mesh/delivery/exchange.ts";
const DELIVERY = "src/sw/answer/delivery.ts";
const STORE = "src/sw/answer/from-store.ts";
const SEAL = "src/protocol/seal.ts";
const MANIFEST = "src/protocol/manifest.ts";
const MANIFESTS = "src/mesh/trust/manifests.ts";
const WHOLE = "src/sw/answer/whole-body.ts";

const UNIT = {
  verify: ["protocol/verify", "protocol/verify-mutants", "protocol/attestation"],
  trust: ["mesh/trust"],
  seal: ["protocol/seal"],
  library: ["mesh/piece-library"],
  exchange: ["integrity/peers"],
  delivery: ["sw/delivery"],
  store: ["sw/from-store"],
  publisher: ["mesh/manifests"],
  whole: ["sw/whole-body"],
};

const COMPARE = "return equalBytes(await pieceHash(piece, bytes), expected);";
const REJECT = "if (!(await matchesHash(expected, piece, bytes))) return undefined;";

/** What is changed where, and the tests that must notice. */
const MUTANTS = [
  [
    "a manifest's signature is not checked",
    MANIFESTS,
    'if (!valid) throw untrusted("signature");',
    "",
    "publisher",
  ],
  [
    "a replayed manifest is taken",
    MANIFESTS,
    'if (head.sequence < this.#remembered()) throw untrusted("replay");',
    "",
    "publisher",
  ],
  [
    "a part of a manifest need not be the signed one",
    MANIFEST,
    "if (expected && equalBytes(await sha256(bytes), expected)) return;",
    "if (expected) return;",
    "publisher",
  ],
  [
    "an index that disagrees with the publisher is believed",
    TRUST,
    "if (!same) {",
    "if (false) {",
    "publisher",
  ],
  [
    "the index may vouch for active content",
    TRUST,
    "if (isActive(url, headers)) {",
    "if (false) {",
    "publisher",
  ],
  [
    "a body need not match its integrity",
    WHOLE,
    "if (await matchesIntegrity(integrity, body)) {",
    "if (true) {",
    "whole",
  ],
  ["the verifier returns undefined", VERIFY, REJECT, "return undefined;", "verify"],
  ["the verifier accepts everything", VERIFY, COMPARE, "return true;", "verify"],
  ["a mismatch is accepted, a match is not", VERIFY, REJECT, REJECT.replace("!(", "("), "verify"],
  [
    "`?? true`: a verdict that is missing accepts",
    VERIFY,
    "if (expected === undefined || ",
    "if (expected === undefined) return { assetId: window.assetId, piece, bytes } as VerifiedPiece;\nif (",
    "verify",
  ],
  ["the length is not compared", VERIFY, " || bytes.byteLength !== end - start", "", "verify"],
  [
    "only a prefix of the hash is compared",
    VERIFY,
    "equalBytes(await pieceHash(piece, bytes), expected)",
    "equalBytes((await pieceHash(piece, bytes)).subarray(0, 2), expected.subarray(0, 2))",
    "verify",
  ],
  [
    "only the beginning of a piece is hashed",
    VERIFY,
    "pieceHash(piece, bytes)",
    "pieceHash(piece, bytes.subarray(0, 1_024))",
    "verify",
  ],
  [
    "an exception counts as accepted",
    VERIFY,
    COMPARE,
    "try { if (expected.byteLength !== 32) throw new Error(); return equalBytes(await pieceHash(piece, bytes), expected); } catch { return true; }",
    "verify",
  ],
  ["the verifier never answers", VERIFY, COMPARE, "return new Promise(() => undefined);", "verify"],
  [
    "a piece is looked up in the wrong place",
    VERIFY,
    "piece - window.firstPiece",
    "piece % 64 === 0 ? 0 : piece - window.firstPiece - 1",
    "verify",
  ],
  ["the hash does not bind the index", LEAF, "view.setUint32(1, piece);", "", "verify"],
  ["the hash does not bind the length", LEAF, "view.setUint32(5, bytes.byteLength);", "", "verify"],
  [
    "an attestation without all of its hashes is opened",
    LEAF,
    "hashes.length !== Math.max(0, to - from) ||",
    "",
    "verify",
  ],
  [
    "an attestation counts, whoever made it",
    TRUST,
    "await this.#server.check(attestation);",
    "",
    "trust",
  ],
  ["the signature is not checked", SERVER, "await this.#checkSignature(attestation);", "", "trust"],
  [
    "a wrong signature is not refused",
    SERVER,
    "if (!valid) {",
    "if (!valid && key === undefined) {",
    "trust",
  ],
  [
    "any key of the server counts, though one is pinned",
    SERVER,
    "if (this.#pinned !== undefined && publicKey !== this.#pinned) continue;",
    "",
    "trust",
  ],
  [
    "an expired attestation is accepted",
    SERVER,
    "if (attestation.expiresMs <= this.nowMs) {",
    "if (false) {",
    "trust",
  ],
  [
    "an expired window is trusted until the newest one ends",
    WINDOWS,
    "window && window.attestation.expiresMs > this.#nowMs() ? window : undefined",
    "window",
    "trust",
  ],
  [
    "windows of two versions are mixed",
    TRUST,
    "if (asset?.assetId !== assetId) {",
    "if (asset === undefined) {",
    "trust",
  ],
  [
    "what comes from disk is not verified",
    LIBRARY,
    "const verified = stored && (await verifyPiece(window, piece, stored.bytes));",
    "const verified = stored && ({ assetId: asset.assetId, piece, bytes: stored.bytes } as unknown as VerifiedPiece);",
    "library",
  ],
  ["a sealed piece leaves open", SEAL, "if (!seal) return bytes;", "return bytes;", "seal"],
  [
    "all pieces are sealed with the same stream",
    SEAL,
    "counter.set(hash.subarray(0, 12));",
    "",
    "seal",
  ],
  [
    "a sealed asset has the id that everybody can compute",
    SEAL,
    "assetId: await sealedIdOf(window.assetId, text), ",
    "",
    "seal",
  ],
  [
    "what must be sealed is trusted without its key",
    TRUST,
    "if (!sealed && this.#mustSeal(url)) {",
    "if (false) {",
    "trust",
  ],
  [
    "what turns out to be sealed goes on being served openly",
    TRUST,
    "if (sealed || !this.#mustSeal(url)) continue;",
    "continue;",
    "trust",
  ],
  [
    "a rotten piece is still promised",
    LIBRARY,
    "else this.#lose(asset.assetId, piece);",
    "",
    "library",
  ],
  [
    "a peer's bytes are taken unverified",
    EXCHANGE,
    "const verified = await verifyPiece(window, asked.piece, plain);",
    "const verified = { assetId: asset.assetId, piece: asked.piece, bytes } as never;",
    "exchange",
  ],
  [
    "a peer that lied goes on",
    EXCHANGE,
    "this.run(planner.pieceCorrupt(link.peerId, now()));",
    "",
    "exchange",
  ],
  [
    "origin bytes of another version are spliced in",
    DELIVERY,
    "if (!genuine) {",
    "if (false) {",
    "delivery",
  ],
  [
    "origin bytes without a hash join whatever their version",
    DELIVERY,
    ": sameVersion;",
    ": true;",
    "delivery",
  ],
  [
    "a rotten piece of the store reaches the page",
    STORE,
    "if (piece !== next || !(await genuine(options.windows, piece, bytes))) break;",
    "",
    "store",
  ],
  [
    "the origin may fill the store's gaps with anything",
    STORE,
    "if (!(await genuine(windows, piece, bytes))) {",
    "if (false) {",
    "store",
  ],
];

const site = createServer((_req, res) => {
  res.setHeader("content-type", "text/html; charset=utf-8");
  res.end("<!doctype html><title>mutants</title>");
});
let browser;
let url;

before(async () => {
  site.listen(0, "127.0.0.1");
  await once(site, "listening");
  url = `http://localhost:${site.address().port}/`;
  const executablePath = await ensureChrome();
  browser = await puppeteer.launch({ executablePath, args: chromeArgs(), pipe: true });
});

after(async () => {
  await browser?.close();
  site.closeAllConnections();
  site.close();
});

test("R12: the tests are green on the source as it is", async (t) => {
  const everything = [...new Set(Object.values(UNIT).flat())];
  const { passed, failure } = await runTests(everything, undefined);
  assert.equal(failure, null);
  assert.ok(passed > 60, `${passed} tests ran`);
  t.diagnostic(`${passed} tests`);
});

for (const [what, file, place, change, tests] of MUTANTS) {
  test(`A8 (R2, R12): killed: ${what}`, async (t) => {
    const source = readFileSync(file, "utf8");
    assert.equal(source.split(place).length, 2, `${file} has this place once: ${place}`);
    const mutant = { file: resolve(file), source: source.replace(place, () => change) };
    const { failure } = await runTests(UNIT[tests], mutant);
    assert.notEqual(failure, null, "the mutant lives");
    t.diagnostic(failure.slice(0, 150));
  });
}

/**
 * Runs unit tests with one source replaced, up to the first failure.
 *
 * @returns How many passed, and what failed first; `null` if nothing did.
 */
async function runTests(names, mutant) {
  const { outputFiles } = await build({
    stdin: {
      contents: names.map((name) => `import "./test/unit/${name}.test.ts";`).join("\n"),
      resolveDir: resolve("."),
    },
    // package.json says that only entries have side effects; the tests are nothing else.
    ignoreAnnotations: true,
    define: { "process.env.NODE_ENV": '"production"', NEARCAST_BUILD: '"test"' },
    tsconfig: "tsconfig.test.json",
    ...{ bundle: true, write: false, format: "iife", platform: "browser", logLevel: "silent" },
    plugins: mutant ? [replacing(mutant)] : [],
  });
  const context = await browser.createBrowserContext();
  try {
    const page = await context.newPage();
    await page.goto(url);
    return await page.evaluate(playTests, outputFiles[0].text, mutant ? HANG_MS : GREEN_MAX_MS);
  } finally {
    await context.close();
  }
}

/** Runs in the page: what the unit tests use of Mocha. */
async function playTests(bundle, hangMs) {
  const words = { timeout: () => words };
  const tests = [];
  const path = [];
  globalThis.describe = (name, body) => {
    path.push(name);
    body();
    path.pop();
  };
  globalThis.it = (name, body) => {
    tests.push([[...path, name].join(" > "), body]);
    return words;
  };
  let uncaught = Promise.withResolvers();
  const onUncaught = (event) => uncaught.reject(event.reason ?? event.error ?? event.message);
  addEventListener("error", onUncaught);
  addEventListener("unhandledrejection", onUncaught);
  const script = document.createElement("script");
  script.textContent = bundle;
  document.head.append(script);
  if (tests.length === 0) throw new Error("The bundle holds no tests");
  let passed = 0;
  for (const [name, body] of tests) {
    uncaught = Promise.withResolvers();
    uncaught.promise.catch(() => undefined);
    const hangs = setTimeout(() => uncaught.reject(new Error("still waiting")), hangMs);
    try {
      await Promise.race([body(), uncaught.promise]);
      passed++;
    } catch (error) {
      return { passed, failure: `${name}: ${error?.message ?? error}` };
    } finally {
      clearTimeout(hangs);
    }
  }
  return { passed, failure: null };
}

function replacing({ file, source }) {
  return {
    name: "mutant",
    setup({ onLoad }) {
      const filter = new RegExp(`${file.replace(/[.*+?^$()|[\]\\{}]/g, "\\$&")}$`);
      onLoad({ filter }, () => ({ contents: source, loader: "ts" }));
    },
  };
}
