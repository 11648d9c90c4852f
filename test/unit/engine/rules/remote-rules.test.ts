import { expect } from "chai";
import { remoteBarrier, withRemoteRules } from "../../../../src/engine/rules/remote-rules.js";
import type { RemoteConfig } from "../../../../src/protocol/signal-messages.js";

const REMOTE: RemoteConfig = {
  ...{ enabled: true, rampPercent: 100, minVersion: "", include: [], exclude: [] },
  ...{ sealed: [], uploadMaxRate: 0, uploadMaxParallel: 0 },
};
const facts = { build: "1.2.3", draw: 50 };
const absolute = (pattern: string) => `https://site.example${pattern}`;

describe("remote-rules", () => {
  it("remoteBarrier() lets everybody in by default and nobody past the kill switch", () => {
    expect(remoteBarrier(REMOTE, facts)).to.equal(undefined);
    expect(remoteBarrier({ ...REMOTE, enabled: false }, facts)).to.equal("kill switch");
  });

  it("remoteBarrier() lets in those who drew less than the ramp, so a wider ramp keeps who was in", () => {
    const inside = (rampPercent: number, draw: number) =>
      remoteBarrier({ ...REMOTE, rampPercent }, { ...facts, draw }) === undefined;
    expect(inside(0, 0)).to.equal(false);
    expect(inside(100, 99.99)).to.equal(true);
    expect(inside(50, 49.99)).to.equal(true);
    expect(inside(50, 50)).to.equal(false);
    for (let draw = 0; draw < 100; draw++) {
      for (let percent = 0; percent < 100; percent++) {
        if (inside(percent, draw)) expect(inside(percent + 1, draw)).to.equal(true);
      }
    }
  });

  it("remoteBarrier() compares versions number by number", () => {
    for (const [build, minVersion, barrier] of [
      ["1.2.3", "1.2.3", undefined],
      ["1.10.0", "1.9.9", undefined],
      ["2.0.0-rc.1", "1.99.99", undefined],
      ["1.2.3", "1.2.4", "version"],
      ["0.9.9", "1.0.0", "version"],
      ["1.2", "1.2.1", "version"],
    ] as const) {
      expect(remoteBarrier({ ...REMOTE, minVersion }, { ...facts, build }), build).to.equal(
        barrier,
      );
    }
  });

  it("withRemoteRules() replaces what is included, adds to what is excluded, lowers caps", () => {
    const own = { include: ["a"], exclude: ["b"], uploadMaxRate: 0, uploadMaxParallel: 8 };
    expect(withRemoteRules(own, REMOTE, absolute)).to.deep.equal(own);
    const remote = {
      ...{ ...REMOTE, include: ["/c/**"], exclude: ["/d"] },
      ...{ uploadMaxRate: 500, uploadMaxParallel: 3 },
    };
    expect(withRemoteRules(own, remote, absolute)).to.deep.equal({
      include: ["https://site.example/c/**"],
      exclude: ["b", "https://site.example/d"],
      uploadMaxRate: 500,
      uploadMaxParallel: 3,
    });
    const capped = withRemoteRules({ ...own, uploadMaxRate: 100 }, remote, absolute);
    expect(capped.uploadMaxRate, "the lower of both").to.equal(100);
  });
});
