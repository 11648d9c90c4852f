import { expect } from "chai";
import { rateOfTransfers } from "../../../src/mesh/playback/line-hearsay.js";

const transfer = (startMs: number, endMs: number, bytes: number, waitedMs = 10) => ({
  ...{ waitedMs, startMs, endMs, bytes },
});

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

  it("rateOfTransfers() does not take the start of a connection for the line", () => {
    // 130 kB from a server 100 ms away take 300 ms over any line that is fast.
    const started = [transfer(0, 300, 130_000, 100)];
    expect(rateOfTransfers(started)).to.equal(undefined);
    const long = [...started, transfer(400, 4_400, 1_600_000, 120)];
    expect(rateOfTransfers(long)).to.be.closeTo(400, 1e-6);
  });

  it("rateOfTransfers() knows nothing of small bodies, however many", () => {
    const small = Array.from({ length: 100 }, (_, i) => transfer(i * 10, i * 10 + 0.1, 14_000));
    expect(rateOfTransfers(small)).to.equal(undefined);
    expect(rateOfTransfers([])).to.equal(undefined);
  });
});
