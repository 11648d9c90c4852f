import { expect } from "chai";
import { Arrival } from "../../../../src/engine/neighbours/arrival.js";

describe("arrival", () => {
  it("Arrival is new until it has joined, and for two seconds after it heard of others", () => {
    const arrival = new Arrival();
    expect(arrival.isNew(10)).to.equal(true);
    arrival.joined(3, 1_000);
    expect([1_000, 2_999, 3_000].map((nowMs) => arrival.isNew(nowMs))).to.deep.equal([
      ...[true, true, false],
    ]);
    arrival.left();
    expect(arrival.isNew(60_000), "the server is gone").to.equal(true);
  });

  it("Arrival waits a moment only for a crowd of which nobody was there before", () => {
    const arrival = new Arrival();
    arrival.joined(0, 1_000);
    expect([1_099, 1_100].map((nowMs) => arrival.isNew(nowMs))).to.deep.equal([true, false]);
    arrival.joined(0, 11_000);
    expect(arrival.isNew(11_000), "nobody came since").to.equal(false);
    arrival.joined(1, 21_000);
    expect([21_000, 23_000].map((nowMs) => arrival.isNew(nowMs))).to.deep.equal([true, false]);
    arrival.left();
    arrival.joined(0, 31_000);
    expect(arrival.isNew(31_000), "another server").to.equal(true);
  });
});
