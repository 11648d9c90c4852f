import { expect } from "chai";
import { type ByteRange, bytesOfPiece } from "../../../src/protocol/asset.js";
import { PIECE_BYTES } from "../../../src/protocol/limits.js";
import { PieceReader } from "../../../src/store/piece-reader.js";
import type { StoredPiece } from "../../../src/store/piece-records.js";
import { storedBody } from "../../../src/sw/answer/from-store.js";
import { makeAsset } from "../../support/assets.js";
import { fakeOrigin, type OriginOptions } from "../../support/origins.js";
import { integerFrom, seeded } from "../../support/random.js";
import { readAll, sameBytes, settle, until } from "../../support/waiting.js";

const PIECES = 20;
const LENGTH = (PIECES - 1) * PIECE_BYTES + 999;

/** A reader of some pieces of one asset; `lost` are promised and not there. */
class FakeReader extends PieceReader {
  readonly reads: [from: number, to: number][] = [];
  readonly #pieces: ReadonlyMap<number, Uint8Array<ArrayBuffer>>;

  constructor(pieces: ReadonlyMap<number, Uint8Array<ArrayBuffer>>) {
    super({ onError: (error) => expect.fail(String(error)) });
    this.#pieces = pieces;
  }

  override async readPieces(_assetId: string, _length: number, from: number, to: number) {
    this.reads.push([from, to]);
    const found: StoredPiece[] = [];
    for (let piece = from; piece < to; piece++) {
      const bytes = this.#pieces.get(piece);
      if (bytes) found.push({ piece, bytes });
    }
    return found;
  }
}

async function setUp({
  covered = { start: 0, end: LENGTH } as ByteRange,
  lost = [] as readonly number[],
  origin: originOptions = {} as OriginOptions,
  flip = undefined as number | undefined,
  rotten = [] as readonly number[],
  windows = true,
} = {}) {
  const asset = await makeAsset(LENGTH);
  const there = new Map(
    Array.from({ length: PIECES }, (_, piece) => [piece, asset.pieceOf(piece)] as const).filter(
      ([piece]) => !lost.includes(piece),
    ),
  );
  for (const piece of rotten) {
    const bytes = there.get(piece);
    if (bytes) bytes[bytes.byteLength >> 1] = (bytes[bytes.byteLength >> 1] ?? 0) ^ 1;
  }
  const originBytes = asset.bytes.slice();
  if (flip !== undefined) originBytes[flip] = (originBytes[flip] ?? 0) ^ 255;
  const origin = fakeOrigin(originBytes, originOptions);
  const reader = new FakeReader(there);
  const count = { cache: 0, origin: 0, ends: 0 };
  const body = storedBody({
    ...{ reader, covered, fetchRange: origin.fetchRange },
    asset: { ...asset, expiresMs: 0 },
    windows: windows
      ? asset.attestations.map((attestation) => ({
          ...{ assetId: asset.assetId, attestation, bits: new Uint8Array(8) },
          ...{ bytes: 0, usedMs: 0, expiresMs: attestation.expiresMs },
        }))
      : [],
    onBytes: (source, bytes) => {
      count[source] += bytes;
    },
    onEnd: () => {
      count.ends++;
    },
  });
  return {
    asset,
    origin,
    reader,
    count,
    body,
    expected: asset.bytes.slice(covered.start, covered.end),
  };
}

describe("from-store", () => {
  it("storedBody() gives exactly the covered bytes, for any range", async () => {
    for (let seed = 1; seed <= 20; seed++) {
      const random = seeded(seed);
      const start = integerFrom(random, 0, LENGTH - 1);
      const end = integerFrom(random, start + 1, LENGTH);
      const { body, expected, origin, count } = await setUp({ covered: { start, end } });
      const { bytes, error } = await readAll(body);
      expect(error).to.equal(undefined);
      expect(sameBytes(bytes, expected), `seed ${seed}: ${start}-${end}`).to.equal(true);
      expect(origin.asked).to.deep.equal([]);
      expect(count).to.deep.equal({ cache: end - start, origin: 0, ends: 1 });
    }
  });

  it("storedBody() takes what is gone, and what follows it, from the origin", async () => {
    for (const lost of [0, 7, 8, 13, PIECES - 1]) {
      const { body, expected, origin, count } = await setUp({ lost: [lost] });
      const { bytes, error } = await readAll(body);
      expect(error, `piece ${lost}`).to.equal(undefined);
      expect(sameBytes(bytes, expected), `piece ${lost}`).to.equal(true);
      const { start } = bytesOfPiece(lost, LENGTH);
      expect(origin.asked).to.deep.equal([{ start, end: LENGTH }]);
      expect(count).to.deep.equal({ cache: start, origin: LENGTH - start, ends: 1 });
    }
  });

  it("storedBody() takes a piece whose bits rotted on disk from the origin (fault 37)", async () => {
    for (const piece of [0, 7, 8, PIECES - 1]) {
      const { body, expected, origin } = await setUp({ rotten: [piece] });
      const { bytes, error } = await readAll(body);
      expect(error, `piece ${piece}`).to.equal(undefined);
      expect(sameBytes(bytes, expected), `piece ${piece}`).to.equal(true);
      const { start } = bytesOfPiece(piece, LENGTH);
      expect(origin.asked).to.deep.equal([{ start, end: LENGTH }]);
    }
  });

  it("storedBody() cuts the origin's pieces to the covered range too", async () => {
    const covered = { start: 2 * PIECE_BYTES + 100, end: 4 * PIECE_BYTES + 7 };
    const options = { covered, lost: [2, 3, 4], origin: { ignoresRange: true } };
    const { body, expected } = await setUp(options);
    expect(sameBytes((await readAll(body)).bytes, expected)).to.equal(true);
  });

  it("storedBody() errors, and never ends short, when the origin cannot fill the gap", async () => {
    const table: [what: string, options: Parameters<typeof setUp>[0], code: string | undefined][] =
      [
        ["another version", { flip: 6 * PIECE_BYTES }, "integrity/mismatch"],
        ["another version at its end", { flip: LENGTH - 1 }, "integrity/mismatch"],
        ["a wrong status", { origin: { status: 404 } }, "origin/failed"],
        ["another length", { origin: { totalLength: 5 } }, "integrity/version"],
        ["a short body", { origin: { shortAfter: 3 * PIECE_BYTES } }, "origin/short"],
        ["a broken line", { origin: { failsAfter: 60_000 } }, undefined],
        ["no attestation", { windows: false }, "integrity/mismatch"],
      ];
    for (const [what, options, code] of table) {
      const { body, expected, count } = await setUp({ lost: [5], ...options });
      const { bytes, error } = await readAll(body);
      expect(error, what).to.be.instanceOf(Error);
      if (code) expect(error, what).to.have.property("code", code);
      expect(bytes.byteLength, what).to.be.below(LENGTH);
      expect(sameBytes(bytes, expected.subarray(0, bytes.byteLength)), what).to.equal(true);
      expect(count.ends, what).to.equal(1);
    }
  });

  it("storedBody() reads a few pieces at a time, at the page's pace", async () => {
    const { body, reader } = await setUp();
    const page = body.getReader();
    await page.read();
    await settle();
    expect(reader.reads).to.deep.equal([[0, 8]]);
    await page.cancel();
  });

  it("storedBody() stops everything when the page cancels, and tells of it once", async () => {
    const { body, origin, count } = await setUp({ lost: [8], origin: { stallsAfter: 20_000 } });
    const page = body.getReader();
    for (let piece = 0; piece < 8; piece++) await page.read();
    await until("the origin is asked", () => origin.asked.length > 0);
    await page.cancel();
    await until("the origin's body is cancelled", () => origin.cancelled.length > 0);
    await settle();
    expect(count).to.deep.equal({ cache: 8 * PIECE_BYTES, origin: 0, ends: 1 });
  });

  it("storedBody() of an empty asset is an empty body", async () => {
    const { body, count } = await setUp({ covered: { start: 0, end: 0 } });
    expect((await readAll(body)).bytes.byteLength).to.equal(0);
    expect(count).to.deep.equal({ cache: 0, origin: 0, ends: 1 });
  });
});
