import { expect } from "chai";
import { PieceSet } from "../../../src/core/piece-set.js";
import { fc } from "../../support/properties.js";

function setOf(pieceCount: number, pieces: Iterable<number>): PieceSet {
  const set = new PieceSet(pieceCount);
  for (const piece of pieces) set.add(piece);
  return set;
}

const listOf = (set: PieceSet) =>
  Array.from({ length: set.pieceCount }, (_, piece) => piece).filter((piece) => set.has(piece));

/** A piece count and indices, some of them out of bounds. */
const anyPieces = () =>
  fc.nat(70).chain((pieceCount) =>
    fc.record({
      pieceCount: fc.constant(pieceCount),
      pieces: fc.array(fc.integer({ min: -9, max: pieceCount + 9 })),
    }),
  );

describe("piece-set", () => {
  it("PieceSet behaves like a Set of the indices within its bounds", () => {
    const anySteps = fc.array(fc.tuple(fc.boolean(), fc.integer({ min: -2, max: 22 })));
    fc.assert(
      fc.property(fc.nat(20), anySteps, (pieceCount, steps) => {
        const set = new PieceSet(pieceCount);
        const oracle = new Set<number>();
        for (const [adds, piece] of steps) {
          const inBounds = piece >= 0 && piece < pieceCount;
          if (adds) expect(set.add(piece)).to.equal(inBounds && !oracle.has(piece));
          else expect(set.delete(piece)).to.equal(oracle.has(piece));
          if (adds && inBounds) oracle.add(piece);
          if (!adds) oracle.delete(piece);
        }
        expect(listOf(set)).to.deep.equal([...oracle].sort((a, b) => a - b));
        expect(set.size).to.equal(oracle.size);
        expect(set.complete).to.equal(oracle.size === pieceCount);
      }),
    );
  });

  it("PieceSet.has() is false for every index outside its bounds", () => {
    const full = setOf(9, Array(9).keys());
    for (const piece of [
      -1,
      -8,
      9,
      15,
      16,
      2 ** 31,
      2 ** 32,
      2 ** 32 + 1,
      -(2 ** 32),
      Number.NaN,
    ]) {
      expect(full.has(piece), `${piece}`).to.equal(false);
    }
  });

  it("PieceSet of no pieces is complete", () => {
    const set = new PieceSet(0);
    expect(set.complete).to.equal(true);
    expect(set.hasRange(0, 0)).to.equal(true);
    expect(set.toBits().byteLength).to.equal(0);
  });

  it("PieceSet.addRange() adds [from, to) clipped to the bounds", () => {
    const anyEdge = fc.integer({ min: -5, max: 45 });
    fc.assert(
      fc.property(fc.nat(40), anyEdge, anyEdge, (pieceCount, from, to) => {
        const set = new PieceSet(pieceCount);
        set.addRange(from, to);
        const expected = [...Array(pieceCount).keys()].filter((p) => p >= from && p < to);
        expect(listOf(set)).to.deep.equal(expected);
        expect(set.size).to.equal(expected.length);
      }),
    );
  });

  it("PieceSet.hasRange() is true only when every piece of [from, to) is there", () => {
    const set = setOf(20, [3, 4, 5]);
    expect(set.hasRange(3, 6)).to.equal(true);
    expect(set.hasRange(2, 6)).to.equal(false);
    expect(set.hasRange(3, 7)).to.equal(false);
    expect(set.hasRange(7, 7)).to.equal(true);
  });

  it("PieceSet.toBits() puts the first piece in the highest bit", () => {
    expect([...setOf(10, [0, 7, 9]).toBits()]).to.deep.equal([0b1000_0001, 0b0100_0000]);
    expect([...setOf(20, [8, 15, 16]).toBits(8, 16)]).to.deep.equal([0b1000_0001]);
    expect([...setOf(20, [8, 12, 13]).toBits(8, 13)]).to.deep.equal([0b1000_1000]);
  });

  it("PieceSet.addBits() adds what toBits() wrote, and toBits() clips to [from, to)", () => {
    fc.assert(
      fc.property(anyPieces(), fc.nat(8), fc.nat(70), ({ pieceCount, pieces }, byte, length) => {
        const set = setOf(pieceCount, pieces);
        const from = byte * 8;
        const to = Math.min(from + length, Math.max(from, pieceCount));
        const copy = new PieceSet(pieceCount);
        copy.addBits(set.toBits(from, to), from);
        expect(listOf(copy)).to.deep.equal(listOf(set).filter((p) => p >= from && p < to));
      }),
    );
  });

  it("PieceSet.addBits() ignores bits past pieceCount", () => {
    const set = new PieceSet(3);
    set.addBits(Uint8Array.of(0xff, 0xff));
    set.addBits(Uint8Array.of(0xff), 0xffff_fff8);
    expect(set.size).to.equal(3);
    expect([...set.toBits()]).to.deep.equal([0b1110_0000]);
  });

  it("PieceSet.toBits() is a copy", () => {
    const set = setOf(8, [0]);
    set.toBits()[0] = 0xff;
    expect(set.size).to.equal(1);
    expect(set.has(1)).to.equal(false);
  });
});
