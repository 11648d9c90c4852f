import { expect } from "chai";
import { bytesOfPiece, pieceCountOf } from "../../../src/protocol/asset.js";
import { PIECE_BYTES } from "../../../src/protocol/limits.js";
import { bodyStartOf, PieceCutter, readRange } from "../../../src/sw/origin/origin-reader.js";
import { bodyOf, fakeOrigin, type OriginOptions } from "../../support/origins.js";
import { fc } from "../../support/properties.js";
import { bytesFrom, integerFrom, seeded } from "../../support/random.js";
import { rejection, sameBytes, until } from "../../support/waiting.js";

const LENGTH = 4 * PIECE_BYTES + 123;
const BODY = bytesFrom(7, LENGTH);

/** Cuts `BODY` from `start` to `end` into pieces, pushed in chunks of the given sizes, again and again. */
function cut(start: number, end: number, chunkSizes: readonly number[]): number[] {
  const pieces: number[] = [];
  const cutter = new PieceCutter({
    length: LENGTH,
    start,
    emit: (piece, bytes) => {
      const range = bytesOfPiece(piece, LENGTH);
      expect(sameBytes(bytes, BODY.subarray(range.start, range.end)), `piece ${piece}`).to.equal(
        true,
      );
      pieces.push(piece);
    },
  });
  for (let at = start, turn = 0; at < end; turn++) {
    const size = chunkSizes[turn % chunkSizes.length] ?? 1;
    cutter.push(BODY.subarray(at, Math.min(at + size, end)));
    at = Math.min(at + size, end);
    expect(cutter.position).to.equal(at);
  }
  return pieces;
}

/** Reads a range as the worker does. */
async function read(
  range: { start: number; end: number },
  options: OriginOptions = {},
  signal: AbortSignal = new AbortController().signal,
) {
  const origin = fakeOrigin(BODY, options);
  const response = await origin.fetchRange(range, signal);
  const chunks: Uint8Array[] = [];
  const bodyStart = bodyStartOf(response, range, LENGTH);
  await readRange(response, { ...range, bodyStart }, (chunk) => void chunks.push(chunk), signal);
  const bytes = new Uint8Array(await new Blob(chunks as BlobPart[]).arrayBuffer());
  return { bytes, origin };
}

describe("origin-reader", () => {
  it("PieceCutter gives the same pieces however the bytes are cut", () => {
    const anySizes = fc.array(fc.integer({ min: 1, max: 3 * PIECE_BYTES }), {
      minLength: 1,
      maxLength: 6,
    });
    fc.assert(
      fc.property(anySizes, (sizes) => {
        // Chunks of a few bytes only would take for ever.
        expect(cut(0, LENGTH, [...sizes, 50_000])).to.deep.equal([0, 1, 2, 3, 4]);
      }),
      { numRuns: 50 },
    );
    expect(cut(0, LENGTH, [LENGTH])).to.deep.equal([0, 1, 2, 3, 4]);
    expect(cut(0, LENGTH, [PIECE_BYTES])).to.deep.equal([0, 1, 2, 3, 4]);
    expect(cut(4 * PIECE_BYTES, LENGTH, [1])).to.deep.equal([4]);
  });

  it("PieceCutter emits the whole pieces of any part of an asset, and no others", () => {
    const random = seeded(3);
    for (let round = 0; round < 100; round++) {
      const start = integerFrom(random, 0, LENGTH - 1);
      const end = integerFrom(random, start + 1, LENGTH);
      const whole = Array.from({ length: pieceCountOf(LENGTH) }, (_, piece) => piece).filter(
        (piece) => {
          const range = bytesOfPiece(piece, LENGTH);
          return range.start >= start && range.end <= end;
        },
      );
      expect(cut(start, end, [integerFrom(random, 5_000, 99_000)])).to.deep.equal(whole);
    }
  });

  it("PieceCutter gives the last piece of an asset of unknown length when that ends", () => {
    for (const length of [0, 1, PIECE_BYTES, PIECE_BYTES + 1, LENGTH]) {
      const pieces: [number, Uint8Array][] = [];
      const emit = (piece: number, bytes: Uint8Array) => pieces.push([piece, bytes]);
      const cutter = new PieceCutter({ length: undefined, start: 0, emit });
      for (let at = 0; at < length; at += 50_000) {
        cutter.push(BODY.subarray(at, Math.min(at + 50_000, length)));
      }
      cutter.end();
      cutter.end();
      expect(pieces.map(([piece]) => piece)).to.deep.equal([...Array(pieceCountOf(length)).keys()]);
      for (const [piece, bytes] of pieces) {
        const { start, end } = bytesOfPiece(piece, length);
        expect(sameBytes(bytes, BODY.subarray(start, end)), `${piece} of ${length}`).to.equal(true);
      }
    }
  });

  it("PieceCutter ignores bytes past the asset's end", () => {
    const pieces: number[] = [];
    const cutter = new PieceCutter({ length: 10, start: 0, emit: (piece) => pieces.push(piece) });
    cutter.push(new Uint8Array(25));
    cutter.push(new Uint8Array(25));
    expect(pieces).to.deep.equal([0]);
    expect(cutter.position).to.equal(10);
  });

  it("PieceCutter copies: a chunk may be reused", () => {
    let emitted: Uint8Array | undefined;
    const cutter = new PieceCutter({
      ...{ length: 4, start: 0 },
      emit: (_, bytes) => {
        emitted = bytes;
      },
    });
    const chunk = Uint8Array.of(1, 2);
    cutter.push(chunk);
    chunk.fill(9);
    cutter.push(Uint8Array.of(3, 4));
    expect([...(emitted ?? [])]).to.deep.equal([1, 2, 3, 4]);
  });

  it("readRange() reads exactly the range from a 206, and from a 200 that ignored it", async () => {
    const range = { start: 70_001, end: 200_003 };
    for (const options of [{}, { ignoresRange: true }, { hidesContentRange: true }]) {
      const { bytes } = await read(range, options);
      expect(sameBytes(bytes, BODY.subarray(range.start, range.end))).to.equal(true);
    }
  });

  it("readRange() stops a body that goes on after the range", async () => {
    const { origin } = await read({ start: 0, end: 100 }, { ignoresRange: true });
    expect(origin.cancelled).to.have.length(1);
  });

  it("readRange() refuses a body that ends early", async () => {
    const error = await rejection(read({ start: 0, end: 100_000 }, { shortAfter: 99_999 }));
    expect(error).to.have.property("code", "origin/short");
  });

  it("readRange() rejects with the failure of the line", async () => {
    const error = await rejection(read({ start: 0, end: 100_000 }, { failsAfter: 20_000 }));
    expect(error).to.be.instanceOf(TypeError);
  });

  it("readRange() refuses a response without a body", async () => {
    const response = new Response(null, { status: 200 });
    const { signal } = new AbortController();
    const reading = readRange(
      response,
      { start: 0, end: 1, bodyStart: 0 },
      () => undefined,
      signal,
    );
    expect(await rejection(reading)).to.have.property("code", "origin/failed");
  });

  it("readRange() cancels the body and rejects with the reason when it is aborted", async () => {
    const stop = new AbortController();
    const cancelled: unknown[] = [];
    const response = new Response(
      bodyOf(BODY, { stallsAfter: 20_000 }, (reason) => cancelled.push(reason)),
    );
    let bytes = 0;
    const reading = readRange(
      response,
      { start: 0, end: LENGTH, bodyStart: 0 },
      (chunk) => {
        bytes += chunk.byteLength;
      },
      stop.signal,
    );
    await until("the first chunk is here", () => bytes > 0);
    stop.abort(new Error("enough"));
    expect(await rejection(reading)).to.have.property("message", "enough");
    expect(cancelled).to.have.length(1);
  });

  it("readRange() waits for the consumer of a chunk", async () => {
    const gates: PromiseWithResolvers<void>[] = [];
    const { signal } = new AbortController();
    const reading = readRange(
      new Response(bodyOf(BODY.subarray(0, 30_000), { chunkBytes: 10_000 })),
      { start: 0, end: 30_000, bodyStart: 0 },
      () => {
        const gate = Promise.withResolvers<void>();
        gates.push(gate);
        return gate.promise;
      },
      signal,
    );
    for (const count of [1, 2, 3]) {
      await until("the next chunk is here", () => gates.length >= count);
      expect(gates).to.have.length(count);
      gates[count - 1]?.resolve();
    }
    await reading;
  });

  it("bodyStartOf() tells where a body starts, or why it cannot be used", async () => {
    const range = { start: 100, end: 200 };
    const headers = (value: string) => ({ headers: { "content-range": value } });
    const start = (status: number, init: ResponseInit = {}) =>
      bodyStartOf(new Response("x", { status, ...init }), range, 1_000);
    expect(start(200)).to.equal(0);
    expect(start(200, headers("bytes 100-199/1000"))).to.equal(0);
    expect(start(206)).to.equal(100);
    expect(start(206, headers("bytes 100-199/1000"))).to.equal(100);
    expect(start(206, headers("bytes 100-150/1000"))).to.equal(100);
    expect(start(206, headers("bytes 100-199/*"))).to.equal(100);
    for (const [status, header, code] of [
      [206, "bytes 0-99/1000", "origin/failed"],
      [206, "bytes 101-199/1000", "origin/failed"],
      [206, "bytes 100-199/1001", "integrity/version"],
      [404, "bytes 100-199/1000", "origin/failed"],
      [416, "bytes */1000", "origin/failed"],
      [500, "", "origin/failed"],
    ] as const) {
      expect(() => start(status, headers(header)), `${status} ${header}`)
        .to.throw()
        .with.property("code", code);
    }
  });
});
