import { expect } from "chai";
import { utf8 } from "../../../src/core/digest.js";
import { Manifests } from "../../../src/mesh/trust/manifests.js";
import { Trust } from "../../../src/mesh/trust/trust.js";
import { bytesOfPiece, pieceCountOf } from "../../../src/protocol/asset.js";
import type { Attestation } from "../../../src/protocol/attestation.js";
import { PIECE_BYTES, WINDOW_BYTES, WINDOW_PIECES } from "../../../src/protocol/limits.js";
import { verifyPiece } from "../../../src/protocol/verify.js";
import { makeAsset, makeKey } from "../../support/assets.js";
import { MANIFEST_URL, makePublisher } from "../../support/manifests.js";
import { bytesFrom } from "../../support/random.js";
import { rejection } from "../../support/waiting.js";

const NOW_MS = 1_700_000_000_000;
const at = (name: string) => new URL(name, MANIFEST_URL).href;
const SEGMENT = bytesFrom(1, 3 * PIECE_BYTES + 5);

async function setUp({ urls = [MANIFEST_URL], memory = new Map<string, string>() } = {}) {
  const clock = { nowMs: NOW_MS };
  const publisher = await makePublisher(() => clock.nowMs);
  const make = (publicKey = publisher.publicKey) =>
    new Manifests({
      ...{ urls, publicKey, nowMs: () => clock.nowMs, fetch: publisher.fetch },
      memory: () => ({
        getItem: (key) => memory.get(key) ?? null,
        setItem: (key, value) => void memory.set(key, value),
      }),
    });
  return { clock, publisher, make, manifests: make(), memory };
}

const codeOf = async (promise: Promise<unknown>) =>
  ((await rejection(promise)) as { code?: string }).code;

describe("manifests", () => {
  it("Manifests.find() gives hashes that verify the file's pieces and no others", async () => {
    const { publisher, manifests } = await setUp();
    await publisher.publish({ "a b/1.ts": SEGMENT, "2.ts": bytesFrom(2, 10) });
    const { window } = (await manifests.find(at("a%20b/1.ts"), 0)) ?? {};
    if (!window) throw new Error("covered");
    expect(window.attestation.headers).to.deep.equal([
      ["content-type", "video/mp2t"],
      ["x-from", "manifest"],
    ]);
    for (let piece = 0; piece < pieceCountOf(SEGMENT.byteLength); piece++) {
      const { start, end } = bytesOfPiece(piece, SEGMENT.byteLength);
      expect(await verifyPiece(window, piece, SEGMENT.slice(start, end))).to.not.equal(undefined);
      const flipped = SEGMENT.slice(start, end);
      flipped[0] = (flipped[0] ?? 0) ^ 1;
      expect(await verifyPiece(window, piece, flipped)).to.equal(undefined);
    }
    expect(publisher.asked).to.have.length(2);
    await manifests.find(at("2.ts"), 0);
    expect(publisher.asked, "one part, read once").to.have.length(2);
  });

  it("Manifests.find() reads one chunk of a big file, for the window that is wanted", async () => {
    const { publisher, manifests } = await setUp();
    const big = bytesFrom(3, 17 * WINDOW_BYTES + 1);
    await publisher.publish({ "big.mp4": big });
    for (const window of [0, 16, 17]) {
      const found = await manifests.find(at("big.mp4"), window);
      const piece = window * WINDOW_PIECES;
      const { start, end } = bytesOfPiece(piece, big.byteLength);
      const verified = found && (await verifyPiece(found.window, piece, big.slice(start, end)));
      expect(verified, `window ${window}`).to.not.equal(undefined);
    }
    expect(publisher.asked.filter((url) => url.endsWith(".bin"))).to.have.length(2);
    expect(await codeOf(manifests.find(at("big.mp4"), 18))).to.equal("protocol/malformed");
  }).timeout(30_000);

  it("Manifests does not cover other places, queries, ambiguous paths and names that are missing", async () => {
    const { publisher, manifests } = await setUp();
    await publisher.publish({ "1.ts": SEGMENT });
    expect(manifests.mayCover("https://other.example/x"), "nothing is known yet").to.equal(true);
    const urls = ["../1.ts", "1.ts?v=1", "a%2f1.ts", "%zz.ts", "", "none.ts", "zzz.ts"].map(at);
    for (const url of [...urls, "https://other.example/film/1.ts"]) {
      expect(await manifests.find(url, 0), url).to.equal(undefined);
      expect(manifests.mayCover(url), url).to.equal(false);
    }
    expect(manifests.mayCover(at("1.ts"))).to.equal(true);
  });

  it("A2 (R3): a manifest that the pinned key did not sign closes the mesh, until a right one comes", async () => {
    const { publisher, manifests, clock } = await setUp();
    const other = await makePublisher(() => clock.nowMs);
    const head = await publisher.publish({ "1.ts": SEGMENT });
    await other.publish({ "1.ts": SEGMENT });
    const wrong: [what: string, body: string][] = [
      ["another key", new TextDecoder().decode(other.served.get(MANIFEST_URL))],
      ["an earlier sequence", JSON.stringify({ ...head, sequence: 0 })],
      ["a later end", JSON.stringify({ ...head, expiresMs: head.expiresMs + 1 })],
      ["another base", JSON.stringify({ ...head, base: "https://evil.example/" })],
      ["other headers", JSON.stringify({ ...head, headers: [] })],
      ["no parts", JSON.stringify({ ...head, parts: [] })],
      ["no signature", JSON.stringify({ ...head, signature: undefined })],
      ["not JSON", "<!doctype html>"],
    ];
    for (const [what, body] of wrong) {
      clock.nowMs += 120_000;
      publisher.served.set(MANIFEST_URL, utf8(body));
      expect(await codeOf(manifests.find(at("1.ts"), 0)), what).to.equal("integrity/signature");
      expect([manifests.closed, manifests.mayCover(at("any"))], what).to.deep.equal([true, true]);
    }
    clock.nowMs += 120_000;
    await publisher.publish({ "1.ts": SEGMENT });
    expect(await manifests.find(at("1.ts"), 0)).to.not.equal(undefined);
    expect(manifests.closed).to.equal(false);
  });

  it("A5 (R10): a replayed manifest is refused by a profile that saw a newer one, also after a reload", async () => {
    const { publisher, manifests, make, clock } = await setUp();
    await publisher.publish({ "1.ts": SEGMENT });
    const old = publisher.served.get(MANIFEST_URL) as Uint8Array<ArrayBuffer>;
    await publisher.publish({ "1.ts": bytesFrom(9, 100) });
    const found = await manifests.find(at("1.ts"), 0);
    expect(found?.window.attestation.length).to.equal(100);
    publisher.served.set(MANIFEST_URL, old);
    clock.nowMs += 20_000;
    const again = await manifests.find(at("1.ts"), 0);
    expect(again?.window.attestation.length, "an edge that is behind changes nothing").to.equal(
      100,
    );
    const reloaded = make();
    expect(await codeOf(reloaded.find(at("1.ts"), 0))).to.equal("integrity/signature");
    expect(reloaded.closed).to.equal(true);
  });

  it("Manifests takes what expired, is not there or cannot be loaded for absent: the index may speak", async () => {
    const { publisher, manifests, make, clock } = await setUp();
    expect(await manifests.find(at("1.ts"), 0), "404").to.equal(undefined);
    expect([manifests.closed, manifests.mayCover(at("1.ts"))]).to.deep.equal([false, false]);
    await publisher.publish({ "1.ts": SEGMENT }, { expiresMs: clock.nowMs - 1 });
    const expired = make();
    expect(await expired.find(at("1.ts"), 0)).to.equal(undefined);
    expect([expired.closed, expired.mayCover(at("1.ts"))]).to.deep.equal([false, false]);
    const unknown = make("AAAA"); // as in a browser that knows no Ed25519: the key cannot be imported
    await publisher.publish({ "1.ts": SEGMENT });
    expect(await unknown.find(at("1.ts"), 0)).to.equal(undefined);
    expect(unknown.closed).to.equal(false);
  });

  it("Manifests refuses parts and chunks that are not the ones of their digest", async () => {
    for (const kind of [".json", ".bin"]) {
      const { publisher, manifests } = await setUp();
      await publisher.publish({ "big.mp4": bytesFrom(3, 130 * PIECE_BYTES) });
      for (const [url, bytes] of publisher.served) {
        if (!url.includes("/nearcast-manifest/") || !url.endsWith(kind)) continue;
        const other = bytes.slice();
        other[5] = (other[5] ?? 0) ^ 1;
        publisher.served.set(url, other);
      }
      expect(await codeOf(manifests.find(at("big.mp4"), 0)), kind).to.equal("integrity/mismatch");
    }
  });

  it("Manifests looks again when a live packager may have added a file, at a bounded rate", async () => {
    const { publisher, manifests, clock } = await setUp();
    await publisher.publish({ "1.ts": SEGMENT }, { freshMs: 600_000 });
    await manifests.find(at("1.ts"), 0);
    await publisher.publish({ "1.ts": SEGMENT, "2.ts": SEGMENT }, { freshMs: 600_000 });
    expect(await manifests.find(at("2.ts"), 0), "looked a moment ago").to.equal(undefined);
    clock.nowMs += 1_000;
    expect(await manifests.find(at("2.ts"), 0)).to.not.equal(undefined);
    const heads = () => publisher.asked.filter((url) => url === MANIFEST_URL).length;
    const before = heads();
    for (let second = 0; second < 300; second++) {
      clock.nowMs += 1_000;
      await manifests.find(at("3.ts"), 0);
    }
    expect(heads() - before, "a name that stays missing").to.be.within(5, 12);
  });

  it("R9, R3: Trust refuses an index that disagrees with the manifest, and takes headers of one that agrees", async () => {
    const { publisher, manifests, clock } = await setUp();
    const key = await makeKey();
    const trust = new Trust({ pinnedKey: undefined, nowMs: () => clock.nowMs });
    trust.publisher = manifests;
    await trust.meetServer(clock.nowMs, [[key.keyId, key.publicKey]]);
    const url = at("1.ts");
    const issued = { url, issuedMs: clock.nowMs, expiresMs: clock.nowMs + 60_000 };
    const honest = await makeAsset(100_000, { seed: 5, sign: key.sign, fields: issued });
    const lying = await makeAsset(100_000, { seed: 6, sign: key.sign, fields: issued });
    const [right, wrong] = [honest.attestations[0], lying.attestations[0]] as Attestation[];
    if (!right || !wrong) throw new Error("one window each");
    await publisher.publish({ "1.ts": honest.bytes });
    expect(await trust.accept(wrong), "the publisher was not heard yet").to.equal(undefined);
    expect(trust.find(url)).to.equal(undefined);
    const published = await manifests.find(url, 0);
    if (!published) throw new Error("covered");
    const asset = trust.acceptPublished(published.window, published.freshUntilMs);
    expect(await codeOf(trust.accept(wrong))).to.equal("integrity/mismatch");
    const shorter = await makeAsset(99_999, { seed: 5, sign: key.sign, fields: issued });
    expect(await codeOf(trust.accept(shorter.attestations[0] as Attestation))).to.equal(
      "integrity/mismatch",
    );
    expect(trust.find(url)).to.equal(asset);
    expect(await trust.accept(right)).to.equal(asset);
    expect(asset.headers).to.deep.equal(right.headers);
    expect(asset.windows.get(0)).to.equal(published.window);
    // What the store kept of the index is not restored beside a publisher; what the publisher signed is.
    expect(await trust.restore(right)).to.equal(undefined);
    expect(await trust.restore(published.window.attestation)).to.equal(asset);
    expect(trust.find(url), "a page that starts looks again first").to.equal(undefined);
    trust.acceptPublished(published.window, published.freshUntilMs);
    expect(trust.find(url)).to.equal(asset);
    clock.nowMs = published.freshUntilMs;
    expect(trust.find(url), "the manifest is to be looked at again").to.equal(undefined);
    expect(trust.byId(asset.assetId)?.windows.has(0), "others are served on").to.equal(true);
    const without = new Trust({ pinnedKey: undefined, nowMs: () => clock.nowMs });
    expect(await without.restore(published.window.attestation)).to.equal(undefined);
  });

  it("A7 (R7): Trust takes active content from the publisher only, whatever the index signs", async () => {
    const { publisher, manifests, clock } = await setUp();
    const key = await makeKey();
    const alone = new Trust({ pinnedKey: undefined, nowMs: () => clock.nowMs });
    await alone.meetServer(clock.nowMs, [[key.keyId, key.publicKey]]);
    const ends = { issuedMs: clock.nowMs, expiresMs: clock.nowMs + 60_000 };
    const active: Partial<Attestation>[] = [
      { url: at("app.js") },
      { url: at("app.wasm") },
      { url: at("style.css") },
      { url: at("data.json") },
      { url: at("logo.svg") },
      { url: at("x"), headers: [["content-type", "text/html"]] },
      { url: at("y"), headers: [["content-type", "text/javascript; charset=utf-8"]] },
    ];
    for (const fields of active) {
      const signed = { sign: key.sign, fields: { ...ends, ...fields } };
      const { attestations } = await makeAsset(10, signed);
      const accepted = alone.accept(attestations[0] as Attestation);
      expect(await codeOf(accepted), JSON.stringify(fields)).to.equal("integrity/mismatch");
    }
    await publisher.publish({ "app.js": bytesFrom(1, 50) });
    const published = await manifests.find(at("app.js"), 0);
    if (!published) throw new Error("covered");
    expect(alone.acceptPublished(published.window, published.freshUntilMs)).to.have.property(
      "url",
      at("app.js"),
    );
  });
});
