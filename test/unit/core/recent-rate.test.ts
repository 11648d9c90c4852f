import { expect } from "chai";
import { RecentRate } from "../../../src/core/recent-rate.js";
import { integerFrom, seeded } from "../../support/random.js";

describe("recent-rate", () => {
  it("RecentRate of an even stream is its rate, from the first half-life on", () => {
    for (let seed = 1; seed <= 50; seed++) {
      const random = seeded(seed);
      const [sinceMs, everyMs, amount] = [
        integerFrom(random, 0, 1e6),
        5,
        integerFrom(random, 1, 1e5),
      ];
      const rate = new RecentRate({ halfLifeMs: 500, sinceMs });
      for (let nowMs = sinceMs + everyMs; nowMs < sinceMs + 5_000; nowMs += everyMs) {
        rate.add(amount, nowMs);
        if (nowMs < sinceMs + 500) continue;
        expect(rate.perMs(nowMs), `seed ${seed}`).to.be.closeTo(amount / everyMs, 0.02 * amount);
      }
    }
  });

  it("RecentRate halves with each half-life of silence, and forgets nothing by being asked", () => {
    const rate = new RecentRate({ halfLifeMs: 500, sinceMs: 0 });
    for (let nowMs = 0; nowMs <= 20_000; nowMs += 10) rate.add(100, nowMs);
    const full = rate.perMs(20_000);
    for (const silences of [1, 2, 3]) {
      expect(rate.perMs(20_000 + silences * 500)).to.be.closeTo(full / 2 ** silences, 0.01);
    }
    expect(rate.perMs(20_000)).to.equal(full);
  });

  it("RecentRate knows nothing of before it was begun anew", () => {
    const rate = new RecentRate({ halfLifeMs: 500, sinceMs: 0 });
    rate.add(1e9, 400);
    rate.restart(1_000);
    expect([rate.perMs(1_000), rate.perMs(2_000), rate.ageMs(1_600)]).to.deep.equal([0, 0, 600]);
    for (let nowMs = 1_010; nowMs <= 2_000; nowMs += 10) rate.add(100, nowMs);
    expect(rate.perMs(2_000)).to.be.closeTo(10, 0.2);
  });

  it("RecentRate is 0 where nothing came, at the beginning and later", () => {
    const rate = new RecentRate({ halfLifeMs: 500, sinceMs: 7 });
    expect([rate.perMs(7), rate.perMs(3), rate.perMs(9_000)]).to.deep.equal([0, 0, 0]);
    rate.add(10, 7);
    expect(rate.perMs(7), "no time has passed").to.equal(0);
  });
});
