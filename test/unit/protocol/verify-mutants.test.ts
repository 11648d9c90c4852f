import { expect } from "chai";
import { sha256 } from "../../../src/core/digest.js";
import { bytesOfPiece } from "../../../src/protocol/asset.js";
import { pieceLeaf } from "../../../src/protocol/attestation.js";
import { PIECE_BYTES } from "../../../src/protocol/limits.js";
import { verifyPiece } from "../../../src/protocol/verify.js";
import { makeAsset } from "../../support/assets.js";

const LENGTHS = [1, 2, 1_000, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 3 * PIECE_BYTES];

describe("verify, against mutants", () => {
  it("verifyPiece() refuses every piece with its first, middle or last byte changed, in any bit", async () => {
    let refused = 0;
    for (const length of LENGTHS) {
      const asset = await makeAsset(length);
      const [window] = asset.windows;
      if (!window) throw new Error("one window");
      for (let piece = 0; piece * PIECE_BYTES < length; piece++) {
        const { start, end } = bytesOfPiece(piece, length);
        const positions = new Set([0, Math.floor((end - start) / 2), end - start - 1]);
        for (const at of positions) {
          for (let bit = 0; bit < 8; bit++) {
            const bytes = asset.pieceOf(piece);
            bytes[at] = (bytes[at] ?? 0) ^ (1 << bit);
            const result = await verifyPiece(window, piece, bytes);
            expect(result, `piece ${piece} of ${length}: byte ${at}, bit ${bit}`).to.equal(
              undefined,
            );
            refused++;
          }
        }
        expect(await verifyPiece(window, piece, asset.pieceOf(piece))).to.have.property("piece");
      }
    }
    expect(refused).to.equal(200);
  });

  it("verifyPiece() refuses every piece that is one byte shorter or longer, at either end", async () => {
    for (const length of LENGTHS) {
      const asset = await makeAsset(length);
      const [window] = asset.windows;
      if (!window) throw new Error("one window");
      for (let piece = 0; piece * PIECE_BYTES < length; piece++) {
        const bytes = asset.pieceOf(piece);
        const longer = new Uint8Array(bytes.byteLength + 1);
        longer.set(bytes);
        const shifted = new Uint8Array(bytes.byteLength + 1);
        shifted.set(bytes, 1);
        for (const mutant of [bytes.slice(1), bytes.slice(0, -1), longer, shifted]) {
          expect(await verifyPiece(window, piece, mutant), `${piece} of ${length}`).to.equal(
            undefined,
          );
        }
      }
    }
  });

  it("verifyPiece() refuses a hash that differs in any one byte, the last one too", async () => {
    const asset = await makeAsset(100);
    const [window] = asset.windows;
    if (!window) throw new Error("one window");
    for (let at = 0; at < 32; at++) {
      const hash = asset.hashOf(0).slice();
      hash[at] = (hash[at] ?? 0) ^ 1;
      const other = { ...window, hashes: [hash] };
      expect(await verifyPiece(other, 0, asset.pieceOf(0)), `byte ${at}`).to.equal(undefined);
    }
  });

  it("verifyPiece() refuses a piece of another length even where its hash is attested", async () => {
    const asset = await makeAsset(100);
    const [window] = asset.windows;
    if (!window) throw new Error("one window");
    for (const bytes of [asset.bytes.slice(0, 99), new Uint8Array(101), new Uint8Array()]) {
      const hashes = [await sha256(pieceLeaf(0, bytes))];
      expect(await verifyPiece({ ...window, hashes }, 0, bytes)).to.equal(undefined);
    }
  });

  it("verifyPiece() refuses two pieces that changed places", async () => {
    const asset = await makeAsset(3 * PIECE_BYTES);
    const [window] = asset.windows;
    if (!window) throw new Error("one window");
    for (const [piece, other] of [
      [0, 1],
      [1, 2],
      [2, 0],
    ] as const) {
      expect(await verifyPiece(window, piece, asset.pieceOf(other))).to.equal(undefined);
    }
  });
});
