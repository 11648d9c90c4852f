import { expect } from "chai";
import { Claims } from "../../../src/engine/claims.js";
import { rankOf, STRIPE_PIECES } from "../../../src/engine/election.js";

const IDS = Array.from({ length: 9 }, (_, index) => `viewer-${index}`);
/** 100 ms to the first byte, 20 ms a piece. */
const PACE = { firstByteMs: 100, pieceMs: 20 };
const others = (self: string) => IDS.filter((id) => id !== self);

describe("election", () => {
  it("rankOf() gives every member of a neighbourhood another rank, by the same ranking", () => {
    for (let piece = 0; piece < 200; piece += STRIPE_PIECES) {
      const ranks = IDS.map((self) => rankOf(self, others(self), "asset", piece));
      expect([...ranks].sort((a, b) => a - b)).to.deep.equal([0, 1, 2, 3, 4, 5, 6, 7, 8]);
    }
  });

  it("rankOf() is one for the pieces of a stripe, and differs between stripes and assets", () => {
    const rank = (piece: number, assetId = "asset") =>
      rankOf("viewer-0", others("viewer-0"), assetId, piece);
    for (let piece = 0; piece < 64; piece++) {
      expect(rank(piece)).to.equal(rank(piece - (piece % STRIPE_PIECES)));
    }
    const stripes = Array.from({ length: 16 }, (_, stripe) => stripe * STRIPE_PIECES);
    expect(new Set(stripes.map((piece) => rank(piece))).size).to.be.above(3);
    expect(stripes.map((piece) => rank(piece, "b"))).to.not.deep.equal(stripes.map((p) => rank(p)));
  });

  it("rankOf() shares the first ranks out fairly", () => {
    const firsts = new Map(IDS.map((id) => [id, 0]));
    for (let stripe = 0; stripe < 900; stripe++) {
      for (const id of IDS) {
        if (rankOf(id, others(id), "asset", stripe * STRIPE_PIECES) === 0) {
          firsts.set(id, (firsts.get(id) ?? 0) + 1);
        }
      }
    }
    for (const [id, count] of firsts) expect(count, id).to.be.within(60, 140);
  });

  it("rankOf() is 0 for a viewer without neighbours", () => {
    expect(rankOf("", [], "asset", 5)).to.equal(0);
  });
});

describe("claims", () => {
  it("Claims hold for a lease of two seconds after the last progress", () => {
    const claims = new Claims(() => PACE);
    claims.add("a", "asset", { from: 4, to: 8 }, 0);
    const covered = [3, 4, 7, 8].map((piece) => claims.covers("asset", piece, 1_999));
    expect(covered).to.deep.equal([false, true, true, false]);
    expect(claims.covers("asset", 4, 2_000)).to.equal(false);
    claims.renew("a", "asset", 1_500);
    claims.renew("b", "asset", 3_000);
    claims.renew("a", "other", 3_000);
    expect(claims.covers("asset", 4, 3_499)).to.equal(true);
    expect(claims.covers("asset", 4, 3_500)).to.equal(false);
    claims.renew("a", "asset", 3_500);
    expect(claims.covers("asset", 4, 3_501), "what has ended stays ended").to.equal(false);
  });

  it("Claims hold for as long as a slow origin needs for three pieces, eight seconds at most", () => {
    let pieceMs = 1_300;
    const claims = new Claims(() => ({ firstByteMs: 100, pieceMs }));
    claims.add("a", "asset", { from: 0, to: 4 }, 0);
    expect(claims.endMs("asset", 0)).to.equal(3_900);
    pieceMs = 60_000;
    claims.renew("a", "asset", 1_000);
    expect(claims.endMs("asset", 0)).to.equal(9_000);
  });

  it("Claims are overdue after twice the time in which the origin would have sent the piece, renewed or not", () => {
    const claims = new Claims(() => PACE);
    claims.add("a", "asset", { from: 4, to: 8 }, 1_000);
    expect(claims.overdue("asset", 4, 1_140)).to.equal(false);
    expect(claims.overdue("asset", 4, 1_141)).to.equal(true);
    expect(claims.overdue("asset", 7, 1_141), "its turn comes later").to.equal(false);
    expect(claims.overdue("asset", 7, 1_261)).to.equal(true);
    expect(claims.overdue("asset", 8, 9_000), "nobody claimed it").to.equal(false);
    claims.renew("a", "asset", 1_150);
    claims.add("a", "asset", { from: 4, to: 8 }, 1_150);
    claims.add("b", "asset", { from: 4, to: 8 }, 1_150);
    expect(claims.overdue("asset", 4, 1_160), "a claim repeated wins no time").to.equal(true);
  });

  it("Claims end with their owner and are remembered for the next in rank", () => {
    const claims = new Claims(() => PACE);
    claims.add("a", "asset", { from: 0, to: 4 }, 0);
    claims.end("a", 700);
    expect(claims.covers("asset", 0, 701)).to.equal(false);
    expect(claims.endMs("asset", 0)).to.equal(700);
    expect(claims.endMs("asset", 4)).to.equal(undefined);
    expect(claims.any("asset", 701)).to.equal(true);
    expect(claims.any("asset", 60_000), "forgotten in the end").to.equal(false);
  });

  it("Claims of one asset are bounded", () => {
    const claims = new Claims(() => PACE);
    for (let at = 0; at < 300; at++) claims.add("a", "asset", { from: at, to: at + 1 }, 0);
    expect(claims.covers("asset", 299, 1)).to.equal(true);
    expect(claims.covers("asset", 0, 1)).to.equal(false);
  });
});
