import { expect } from "chai";
import { rateOfTransfers } from "../../../src/mesh/playback/line-hearsay.js";

const transfer = (startMs: number, endMs: number, bytes: number) => ({ startMs, endMs, bytes });

describe("line-hearsay", () => {
  it("rateOfTransfers() counts the time in which anything came, once", () => {
    const table: [what: string, transfers: ReturnType<typeof transfer>[], rate: number][] = [
      ["one body", [transfer(100, 1_100, 400_000)], 400],
      ["two beside each other", [transfer(0, 1_000, 200_000), transfer(0, 1_000, 200_000)], 400],
      [
        "a short one inside a long one",
        [transfer(0, 1_000, 300_000), transfer(400, 500, 100_000)],
        400,
      ],
      ["they overlap", [transfer(500, 1_000, 200_000), transfer(0, 600, 200_000)], 400],
    ];
    for (const [what, transfers, rate] of table) {
      expect(rateOfTransfers(transfers), what).to.be.closeTo(rate, 1e-6);
    }
    const pause = [transfer(0, 1_000, 400_000), transfer(9_000, 10_000, 400_000)];
    expect(rateOfTransfers(pause), "a pause is not the line's").to.be.closeTo(400, 1e-6);
  });

  it("rateOfTransfers() knows nothing of small bodies, however many", () => {
    const small = Array.from({ length: 100 }, (_, i) => transfer(i * 10, i * 10 + 0.1, 14_000));
    expect(rateOfTransfers(small)).to.equal(undefined);
    expect(rateOfTransfers([])).to.equal(undefined);
  });
});
