import { expect } from "chai";
import { type Passing, worthTakingOver } from "../../../../src/engine/origin/take-over.js";
import { PIECE_BYTES } from "../../../../src/protocol/limits.js";

/** 4 MiB of which 256 KiB came in a second: 15 s are left. */
const SLOW: Passing = {
  observedMs: 1_000,
  observedBytes: 4 * PIECE_BYTES,
  restBytes: 60 * PIECE_BYTES,
  restPieces: 60,
  heldPieces: 60,
  shared: true,
};

describe("take-over", () => {
  it("worthTakingOver() lets a slow origin go when peers hold the rest, or want it too", () => {
    expect(worthTakingOver(SLOW)).to.equal(true);
    expect(worthTakingOver({ ...SLOW, heldPieces: 0 }), "they want it too").to.equal(true);
    expect(worthTakingOver({ ...SLOW, heldPieces: 0, shared: false })).to.equal(false);
  });

  it("worthTakingOver() stays with an origin that is nearly done", () => {
    const fast = { ...SLOW, observedBytes: 200 * PIECE_BYTES };
    expect(worthTakingOver(fast)).to.equal(false);
    expect(worthTakingOver({ ...fast, observedBytes: 100 * PIECE_BYTES })).to.equal(true);
    const swapped = { ...SLOW, heldPieces: 3, observedBytes: 40 * PIECE_BYTES };
    expect(worthTakingOver(swapped), "an election would take longer").to.equal(false);
  });

  it("worthTakingOver() knows no speed before it has watched a while", () => {
    expect(worthTakingOver({ ...SLOW, observedMs: 299 })).to.equal(false);
    expect(worthTakingOver({ ...SLOW, observedMs: 300 })).to.equal(true);
    const silent = { ...SLOW, observedBytes: 0 };
    expect(worthTakingOver({ ...silent, observedMs: 499 })).to.equal(false);
    expect(worthTakingOver({ ...silent, observedMs: 500 })).to.equal(true);
  });

  it("worthTakingOver() needs a few pieces of the rest, or all of it", () => {
    const alone = { ...SLOW, shared: false };
    expect(worthTakingOver({ ...alone, heldPieces: 3 })).to.equal(false);
    expect(worthTakingOver({ ...alone, heldPieces: 4 })).to.equal(true);
    const short = { ...alone, restPieces: 2, restBytes: 2 * PIECE_BYTES, heldPieces: 2 };
    expect(worthTakingOver({ ...short, observedBytes: PIECE_BYTES / 2 })).to.equal(true);
    expect(worthTakingOver({ ...short, restPieces: 0 })).to.equal(false);
  });
});
