import { expect } from "chai";
import {
  queueMsOf,
  UplinkRecord,
  UploadGovernor,
} from "../../../../src/engine/uploads/upload-governor.js";
import { fc } from "../../../support/properties.js";

const healthy = { extraMs: 20, urgent: false, rateBytesPerMs: 1_000 };

/** An uplink of `capacity` bytes per ms whose queue shows as delay; `rate` is what wants to leave. */
function line(capacity: number) {
  let queueBytes = 0;
  return {
    /** One second. @returns The delay at its end. */
    send(rate: number): number {
      queueBytes = Math.max(0, queueBytes + (rate - capacity) * 1_000);
      // The line's own buffer: a second, as bad routers have it; what exceeds it is lost.
      queueBytes = Math.min(queueBytes, capacity * 1_000);
      return queueBytes / capacity;
    },
  };
}

describe("upload-governor", () => {
  it("UploadGovernor.tick() limits nothing on a healthy line", () => {
    const governor = new UploadGovernor();
    const ticks = fc.record({
      extraMs: fc.option(fc.double({ min: 0, max: 25, noNaN: true }), { nil: undefined }),
      urgent: fc.boolean(),
      rateBytesPerMs: fc.double({ min: 1, max: 1e5, noNaN: true }),
    });
    fc.assert(
      fc.property(ticks, (facts) => {
        governor.tick(facts);
        return governor.limitBytesPerMs === undefined;
      }),
    );
  });

  it("queueMsOf() leaves out the time of one block of ours, 50 ms at most", () => {
    expect(queueMsOf(106, 625), "5 Mbit/s").to.be.closeTo(79.8, 0.1);
    expect(queueMsOf(20, 625)).to.equal(0);
    expect(queueMsOf(200, 12_500), "100 Mbit/s").to.be.closeTo(198.7, 0.1);
    expect(queueMsOf(500, 32), "a crawling line").to.equal(450);
  });

  it("UploadGovernor.tick() gives back a quarter at most, and half while the page waits", () => {
    const governor = new UploadGovernor();
    governor.tick({ ...healthy, extraMs: 200 });
    expect(governor.limitBytesPerMs).to.equal(750);
    governor.tick({ ...healthy, extraMs: 100 });
    expect(governor.limitBytesPerMs).to.equal(750);
    governor.tick({ ...healthy, extraMs: 50, urgent: true });
    expect(governor.limitBytesPerMs).to.equal(375);
  });

  it("UploadGovernor.tick() lets go when the delay is gone", () => {
    const governor = new UploadGovernor();
    for (let i = 0; i < 3; i++) governor.tick({ ...healthy, extraMs: 500 });
    expect(governor.limitBytesPerMs).to.be.closeTo(1_000 * 0.75 ** 3, 1e-9);
    let ticks = 0;
    while (governor.limitBytesPerMs !== undefined && ticks < 60) {
      governor.tick({ ...healthy, extraMs: undefined });
      ticks++;
    }
    expect(ticks).to.be.below(60);
  });

  it("UploadGovernor keeps any line busy and its delay small: at least 80 % used, at most 300 ms", () => {
    fc.assert(
      fc.property(fc.integer({ min: 100, max: 50_000 }), (capacity) => {
        const governor = new UploadGovernor();
        const uplink = line(capacity);
        let extraMs = 0;
        let [sent, worstMs] = [0, 0];
        for (let second = 0; second < 120; second++) {
          const rate = Math.min(
            capacity * 1.2,
            governor.limitBytesPerMs ?? Number.POSITIVE_INFINITY,
          );
          extraMs = uplink.send(rate);
          governor.tick({ extraMs, urgent: false, rateBytesPerMs: Math.min(rate, capacity) });
          if (second < 20) continue; // it had to find out
          sent += Math.min(rate, capacity);
          worstMs = Math.max(worstMs, extraMs);
        }
        expect(sent / (100 * capacity), "share of the line").to.be.above(0.8);
        expect(worstMs, "delay").to.be.below(300);
      }),
    );
  });

  it("UploadGovernor never stops all uploads", () => {
    const governor = new UploadGovernor();
    for (let i = 0; i < 100; i++)
      governor.tick({ extraMs: 5_000, urgent: true, rateBytesPerMs: 10 });
    expect(governor.limitBytesPerMs).to.equal(32);
  });

  it("UplinkRecord.poor() is so for a minute after a fifth of the requests was late", () => {
    const record = new UplinkRecord();
    const count = (served: number, late: number, nowMs: number) => {
      for (let i = 0; i < late; i++) record.count("late", nowMs);
      for (let i = 0; i < served; i++) record.count("served", nowMs);
    };
    count(27, 5, 0);
    expect(record.poor(0), "84 % in time").to.equal(false);
    count(0, 16, 1_000);
    expect(record.poor(1_000)).to.equal(true);
    expect(record.poor(60_999)).to.equal(true);
    expect(record.poor(61_000)).to.equal(false);
    count(200, 0, 61_000);
    expect(record.poor(61_000)).to.equal(false);
  });

  it("UplinkRecord.poor() does not judge by a handful", () => {
    const record = new UplinkRecord();
    for (let i = 0; i < 31; i++) record.count("late", 0);
    expect(record.poor(0)).to.equal(false);
  });
});
