import { expect } from "chai";
import { toBase64Url } from "../../../src/core/digest.js";
import { bytesOfPiece, type PieceRange, pieceCountOf } from "../../../src/protocol/asset.js";
import type { AttestedWindow } from "../../../src/protocol/attestation.js";
import { PIECE_BYTES, WINDOW_PIECES } from "../../../src/protocol/limits.js";
import { toPeer } from "../../../src/protocol/seal.js";
import { verifyPiece } from "../../../src/protocol/verify.js";
import { makeAsset, type TestAsset } from "../../support/assets.js";
import { downloadFrom, type Outcome } from "../../support/integrity-world.js";
import { bytesFrom, integerFrom, oneOf, seeded } from "../../support/random.js";
import { sameBytes } from "../../support/waiting.js";

/** What is shared, by kind: the whole asset and the pieces of one request. */
const KINDS: readonly [kind: string, length: number, pieces: PieceRange][] = [
  ["VOD segment", 9 * PIECE_BYTES + 4_321, { from: 0, to: 10 }],
  ["live segment", 3 * PIECE_BYTES - 1, { from: 0, to: 3 }],
  ["range of a big file", (WINDOW_PIECES + 5) * PIECE_BYTES, { from: 61, to: 67 }],
  ["static asset", 777, { from: 0, to: 1 }],
];

const SEEDS = 1_000;

/** Every byte that left verification is the asset's own, and nothing is missing. */
function checkOutcome(asset: TestAsset, pieces: PieceRange, outcome: Outcome, label: string) {
  expect(outcome.delivered.size, label).to.equal(pieces.to - pieces.from);
  for (const place of [outcome.delivered, outcome.stored]) {
    for (const [piece, bytes] of place) {
      expect(sameBytes(bytes, asset.pieceOf(piece)), `${label}, piece ${piece}`).to.equal(true);
    }
  }
  for (const piece of outcome.announced) {
    expect(outcome.delivered.has(piece), `${label}: announced ${piece}`).to.equal(true);
  }
}

describe("integrity, against peers", () => {
  it(`A1 (R1, R4): one random bit of one piece, ${SEEDS} seeds over VOD, live, range and static: no wrong byte is delivered, stored or announced, and its peer alone is dropped`, async () => {
    const assets = await Promise.all(KINDS.map(([, length], seed) => makeAsset(length, { seed })));
    let flips = 0;
    for (let seed = 0; seed < SEEDS; seed++) {
      const random = seeded(seed);
      const kind = seed % KINDS.length;
      const [name, length, pieces] = KINDS[kind] as (typeof KINDS)[number];
      const asset = assets[kind] as TestAsset;
      const target = integerFrom(random, pieces.from, pieces.to - 1);
      const { start, end } = bytesOfPiece(target, length);
      const bit = integerFrom(random, 0, (end - start) * 8 - 1);
      let flipped = false;
      const evil = (piece: number) => {
        const bytes = asset.pieceOf(piece);
        if (piece !== target) return bytes;
        flipped = true;
        bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        return bytes;
      };
      const peers = { evil, honest: (piece: number) => asset.pieceOf(piece) };
      const outcome = await downloadFrom(asset, pieces, peers, seed);
      const label = `seed ${seed}, ${name}, piece ${target}, bit ${bit}`;
      checkOutcome(asset, pieces, outcome, label);
      expect([...outcome.dropped.keys()], label).to.deep.equal(flipped ? ["evil"] : []);
      expect(outcome.rejectedBytes, label).to.equal(flipped ? end - start : 0);
      if (flipped) flips++;
    }
    expect(flips, "the evil peer was really asked").to.be.greaterThan(SEEDS / 10);
  }).timeout(120_000);

  it("A1 (R19): with nothing but evil peers the request completes, from the origin", async () => {
    for (let seed = 0; seed < 40; seed++) {
      const [name, length, pieces] = KINDS[seed % KINDS.length] as (typeof KINDS)[number];
      const asset = await makeAsset(length, { seed });
      const random = seeded(seed);
      const lie = oneOf(random, ["zeros", "other piece", "short", "long", "empty"]);
      const evil = (piece: number) => {
        const bytes = asset.pieceOf(piece);
        if (lie === "zeros") return bytes.fill(0);
        if (lie === "other piece") return asset.pieceOf((piece + 1) % pieceCountOf(length));
        if (lie === "short") return bytes.slice(1);
        return lie === "long" ? new Uint8Array([...bytes, 0]) : new Uint8Array();
      };
      const lied = lie !== "other piece" || pieceCountOf(length) > 1;
      const outcome = await downloadFrom(asset, pieces, { a: evil, b: evil, c: evil }, seed);
      const label = `seed ${seed}, ${name}, ${lie}`;
      checkOutcome(asset, pieces, outcome, label);
      if (lied && outcome.asked > 0) expect(outcome.dropped.size, label).to.be.greaterThan(0);
    }
  });

  it("C4 (R1, R4): of a sealed asset ciphertext under its key is delivered open, all else drops its peer", async () => {
    for (let seed = 0; seed < 40; seed++) {
      const [name, length, pieces] = KINDS[seed % KINDS.length] as (typeof KINDS)[number];
      const asset = await makeAsset(length, { seed, seal: toBase64Url(bytesFrom(seed, 32)) });
      const other = await makeAsset(length, { seed, seal: toBase64Url(bytesFrom(seed + 1, 32)) });
      const sealedBy = (keyed: TestAsset) => async (piece: number) => {
        const window = keyed.windows[Math.floor(piece / WINDOW_PIECES)] as AttestedWindow;
        return (await toPeer(window, await keyed.verified(piece))).bytes;
      };
      const label = `seed ${seed}, ${name}`;
      const honest = sealedBy(asset);
      const good = await downloadFrom(asset, pieces, { a: honest, b: honest }, seed);
      checkOutcome(asset, pieces, good, label);
      expect([...good.dropped.keys()], label).to.deep.equal([]);
      expect(good.asked, label).to.be.greaterThan(0);

      const evil = {
        open: (piece: number) => asset.pieceOf(piece),
        wrongKey: sealedBy(other),
        shorter: async (piece: number) => (await honest(piece)).slice(1),
      };
      for (const [kind, manner] of Object.entries(evil)) {
        const bad = await downloadFrom(asset, pieces, { [kind]: manner }, seed);
        checkOutcome(asset, pieces, bad, `${label}, ${kind}`);
        expect([...bad.dropped], `${label}, ${kind}`).to.deep.equal([[kind, "corrupt"]]);
      }
    }
  }).timeout(60_000);

  it("A3 (R9): a peer with another version of the same URL brings nothing of it in", async () => {
    const length = 5 * PIECE_BYTES + 17;
    const url = "https://cdn.example/film.ts";
    const v1 = await makeAsset(length, { seed: 1, fields: { url, version: '"v1"' } });
    const v2 = await makeAsset(length, { seed: 2, fields: { url, version: '"v2"' } });
    expect(v1.assetId).to.not.equal(v2.assetId);
    const pieces = { from: 0, to: 6 };
    const outcome = await downloadFrom(v2, pieces, { old: (piece) => v1.pieceOf(piece) }, 1);
    checkOutcome(v2, pieces, outcome, "v2");
    expect([...outcome.dropped]).to.deep.equal([["old", "corrupt"]]);
    const [window] = v2.windows;
    if (!window) throw new Error("one window");
    for (let piece = 0; piece < 6; piece++) {
      expect(await verifyPiece(window, piece, v1.pieceOf(piece))).to.equal(undefined);
    }
  });
});
