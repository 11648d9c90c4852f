import { expect } from "chai";
import { Solitude } from "../../../src/sw/solitude.js";

const HOST = "host";

describe("solitude", () => {
  it("Solitude covers requests for 10 s after the host said that it is alone", () => {
    const solitude = new Solitude();
    expect(solitude.covers(HOST, "a", 0), "nobody said anything").to.equal(false);
    solitude.heard(HOST, true, 1_000);
    expect(solitude.covers(HOST, "b", 1_000)).to.equal(true);
    expect(solitude.covers(HOST, "c", 10_999)).to.equal(true);
    expect(solitude.covers(HOST, "d", 11_000), "too long ago").to.equal(false);
    solitude.heard(HOST, true, 11_000);
    expect(solitude.covers("another", "e", 11_001), "another host knows other peers").to.equal(
      false,
    );
    solitude.heard(HOST, false, 11_002);
    expect(solitude.covers(HOST, "f", 11_003), "it has company").to.equal(false);
  });

  it("Solitude does not cover what was asked for in the last 10 s: the host may hold it", () => {
    const solitude = new Solitude();
    const covers = (url: string, nowMs: number) => {
      solitude.heard(HOST, true, nowMs);
      return solitude.covers(HOST, url, nowMs);
    };
    expect(covers("a", 0)).to.equal(true);
    expect(covers("a", 9_999)).to.equal(false);
    expect(covers("a", 19_998), "the last time counts").to.equal(false);
    expect(covers("a", 29_998)).to.equal(true);
  });

  it("Solitude remembers the last 256 URLs", () => {
    const solitude = new Solitude();
    solitude.heard(HOST, true, 0);
    for (let i = 0; i < 257; i++) solitude.covers(HOST, `u${i}`, 0);
    expect(solitude.covers(HOST, "u1", 1)).to.equal(false);
    expect(solitude.covers(HOST, "u0", 1)).to.equal(true);
  });
});
