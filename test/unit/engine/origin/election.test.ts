import { expect } from "chai";
import { Election, rankOf, STRIPE_PIECES } from "../../../../src/engine/origin/election.js";

const IDS = Array.from({ length: 9 }, (_, index) => `viewer-${index}`);
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

  it("Election.doubtOf() is another number for everybody, and one for a stripe", () => {
    const doubts = Array.from({ length: 1_000 }, (_, index) => {
      const election = new Election(() => []);
      election.selfId = `viewer-${index}`;
      expect(election.doubtOf("asset", 1)).to.equal(election.doubtOf("asset", 0));
      return election.doubtOf("asset", 0);
    });
    expect(Math.min(...doubts)).to.be.within(0, 0.01);
    expect(Math.max(...doubts)).to.be.within(0.99, 1);
    expect(new Set(doubts.map((doubt) => Math.floor(100 * doubt))).size).to.equal(100);
  });
});
