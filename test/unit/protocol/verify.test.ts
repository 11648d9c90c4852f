import { expect } from "chai";
import { sha256, toBase64Url } from "../../../src/core/digest.js";
import { bytesOfPiece, pieceCountOf } from "../../../src/protocol/asset.js";
import {
  type AttestedWindow,
  openAttestation,
  pieceLeaf,
} from "../../../src/protocol/attestation.js";
import { WINDOW_BYTES, WINDOW_PIECES } from "../../../src/protocol/limits.js";
import { matchesHash, verifyPiece } from "../../../src/protocol/verify.js";
import { sampleAttestation } from "../../support/attestations.js";

type Bytes = Uint8Array<ArrayBuffer>;

/** An asset whose pieces all hold the same bytes, so that only index and length tell them apart. */
async function setUp(length: number, window = 0) {
  const pieceOf = (piece: number): Bytes => {
    const { start, end } = bytesOfPiece(piece, length);
    return new Uint8Array(end - start);
  };
  const first = window * WINDOW_PIECES;
  const count = Math.min(WINDOW_PIECES, pieceCountOf(length) - first);
  const hashes = await Promise.all(
    Array.from({ length: count }, async (_, index) =>
      toBase64Url(await sha256(pieceLeaf(first + index, pieceOf(first + index)))),
    ),
  );
  const opened = await openAttestation(sampleAttestation({ length, window, hashes }));
  return { window: opened, pieceOf };
}

const isVerified = async (window: AttestedWindow, piece: number, bytes: Bytes) =>
  (await verifyPiece(window, piece, bytes)) !== undefined;

describe("verify", () => {
  it("verifyPiece() returns a piece whose bytes are the attested ones", async () => {
    const { window, pieceOf } = await setUp(65_537);
    for (const piece of [0, 1]) {
      const bytes = pieceOf(piece);
      const result = await verifyPiece(window, piece, bytes);
      expect(result).to.deep.equal({ assetId: window.assetId, piece, bytes });
      expect(result?.bytes, "handed over, not copied").to.equal(bytes);
    }
  });

  it("verifyPiece() refuses a piece with any one bit changed", async () => {
    const { window, pieceOf } = await setUp(100);
    for (let bit = 0; bit < 800; bit += 37) {
      const bytes = pieceOf(0);
      bytes[bit >> 3] = 1 << (bit & 7);
      expect(await isVerified(window, 0, bytes), `bit ${bit}`).to.equal(false);
    }
  });

  it("verifyPiece() refuses a piece in another's place, even with equal bytes", async () => {
    const { window, pieceOf } = await setUp(3 * 65_536);
    const hashes = [window.hashes[1], window.hashes[0], window.hashes[2]] as Uint8Array[];
    const swapped = { ...window, hashes };
    expect(await isVerified(swapped, 0, pieceOf(0))).to.equal(false);
    expect(await isVerified(swapped, 1, pieceOf(1))).to.equal(false);
    expect(await isVerified(swapped, 2, pieceOf(2))).to.equal(true);
  });

  it("verifyPiece() refuses a piece that is one byte short or long", async () => {
    const { window } = await setUp(65_537);
    for (const [piece, length] of [
      [0, 65_535],
      [0, 65_537],
      [1, 0],
      [1, 2],
      [1, 65_536],
    ] as const) {
      expect(await isVerified(window, piece, new Uint8Array(length)), `${length}`).to.equal(false);
    }
  });

  it("verifyPiece() refuses a piece that the window does not attest", async () => {
    const { window, pieceOf } = await setUp(WINDOW_BYTES + 65_537, 1);
    expect(await isVerified(window, 64, pieceOf(64))).to.equal(true);
    expect(await isVerified(window, 65, pieceOf(65))).to.equal(true);
    for (const piece of [0, 63, 66, -1, 64.5, Number.NaN]) {
      expect(await isVerified(window, piece, new Uint8Array(65_536)), `${piece}`).to.equal(false);
    }
  });

  it("matchesHash() is false for a hash of the wrong length", async () => {
    const bytes = new Uint8Array(1);
    const hash = await sha256(pieceLeaf(0, bytes));
    expect(await matchesHash(hash, 0, bytes)).to.equal(true);
    expect(await matchesHash(hash, 1, bytes)).to.equal(false);
    expect(await matchesHash(hash.subarray(1), 0, bytes)).to.equal(false);
    expect(await matchesHash(new Uint8Array(), 0, bytes)).to.equal(false);
  });
});
