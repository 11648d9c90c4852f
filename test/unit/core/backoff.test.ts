import { expect } from "chai";
import { backoffMs } from "../../../src/core/backoff.js";
import { fc } from "../../support/properties.js";

describe("backoff", () => {
  it("backoffMs() is minMs when random is 0, whatever the attempt", () => {
    for (const attempt of [0, 1, 10, 1_000]) {
      expect(backoffMs(attempt, { minMs: 500, maxMs: 60_000, random: () => 0 })).to.equal(500);
    }
  });

  it("backoffMs() doubles its ceiling with each attempt up to maxMs", () => {
    const middles = [0, 1, 2, 3, 4].map((attempt) =>
      backoffMs(attempt, { minMs: 100, maxMs: 1_000, random: () => 0.5 }),
    );
    expect(middles).to.deep.equal([150, 250, 450, 550, 550]);
  });

  it("backoffMs() stays within [minMs, maxMs] for every attempt", () => {
    const anyRandom = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
    fc.assert(
      fc.property(
        fc.nat(),
        anyRandom,
        fc.nat(10_000),
        fc.nat(100_000),
        (attempt, at, minMs, more) => {
          const waitMs = backoffMs(attempt, { minMs, maxMs: minMs + more, random: () => at });
          expect(waitMs).to.be.within(minMs, minMs + more);
        },
      ),
    );
  });
});
