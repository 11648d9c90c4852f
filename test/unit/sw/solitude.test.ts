import { expect } from "chai";
import { Solitude } from "../../../src/sw/solitude.js";

const HOST = "host";

describe("solitude", () => {
  it("Solitude covers requests for 10 s after the host said that it is alone", () => {
    const solitude = new Solitude();
    expect(solitude.covers(HOST, "a", undefined, 0), "nobody said anything").to.equal(false);
    solitude.heard(HOST, true, 1_000);
    expect(solitude.covers(HOST, "b", undefined, 1_000)).to.equal(true);
    expect(solitude.covers(HOST, "c", undefined, 10_999)).to.equal(true);
    expect(solitude.covers(HOST, "d", undefined, 11_000), "too long ago").to.equal(false);
    solitude.heard(HOST, true, 11_000);
    expect(
      solitude.covers("another", "e", undefined, 11_001),
      "another host knows other peers",
    ).to.equal(false);
    solitude.heard(HOST, false, 11_002);
    expect(solitude.covers(HOST, "f", undefined, 11_003), "it has company").to.equal(false);
  });

  it("Solitude does not cover what was asked for in the last 10 s: the host may hold it", () => {
    const solitude = new Solitude();
    const covers = (url: string, nowMs: number) => {
      solitude.heard(HOST, true, nowMs);
      return solitude.covers(HOST, url, undefined, nowMs);
    };
    expect(covers("a", 0)).to.equal(true);
    expect(covers("a", 9_999)).to.equal(false);
    expect(covers("a", 19_998), "the last time counts").to.equal(false);
    expect(covers("a", 29_998)).to.equal(true);
  });

  it("Solitude covers one range of a file after another, and none that overlaps one of the last 10 s", () => {
    const solitude = new Solitude();
    const covers = (start: number, end: number | undefined, nowMs: number, url = "film") => {
      solitude.heard(HOST, true, nowMs);
      return solitude.covers(HOST, url, end === undefined ? { start } : { start, end }, nowMs);
    };
    expect(covers(0, 100, 0)).to.equal(true);
    expect(covers(100, 200, 1)).to.equal(true);
    expect(covers(199, 300, 2)).to.equal(false);
    expect(covers(0, 1, 3)).to.equal(false);
    expect(covers(0, 1, 3, "another")).to.equal(true);
    expect(covers(299, undefined, 4), "open").to.equal(false);
    expect(covers(1_000, 1_001, 5), "the open one reaches this far").to.equal(false);
    expect(covers(100, 200, 10_001), "of an earlier one the time is over").to.equal(false);
    expect(covers(200, 299, 10_002)).to.equal(true);
    expect(solitude.covers(HOST, "film", undefined, 10_003), "all of it").to.equal(false);
  });

  it("Solitude remembers the last 256 requests", () => {
    const solitude = new Solitude();
    solitude.heard(HOST, true, 0);
    for (let i = 0; i < 257; i++) solitude.covers(HOST, `u${i}`, undefined, 0);
    expect(solitude.covers(HOST, "u1", undefined, 1)).to.equal(false);
    expect(solitude.covers(HOST, "u0", undefined, 1)).to.equal(true);
  });
});
