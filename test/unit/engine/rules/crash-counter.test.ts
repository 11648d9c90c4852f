import { expect } from "chai";
import { isOff, parseCrashes, withCrash } from "../../../../src/engine/rules/crash-counter.js";

const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;
const none = parseCrashes(undefined);

/** The record after crashes at these times. */
const after = (...timesMs: number[]) => timesMs.reduce(withCrash, none);

describe("crash counter", () => {
  it("withCrash() is off for a day after three crashes within five minutes", () => {
    const nowMs = 1e12;
    expect(isOff(after(nowMs, nowMs + MINUTE_MS), nowMs + MINUTE_MS)).to.equal(false);
    const record = after(nowMs, nowMs + MINUTE_MS, nowMs + 2 * MINUTE_MS);
    expect(isOff(record, nowMs + 2 * MINUTE_MS)).to.equal(true);
    expect(isOff(record, nowMs + 2 * MINUTE_MS + DAY_MS - 1)).to.equal(true);
    expect(isOff(record, nowMs + 2 * MINUTE_MS + DAY_MS)).to.equal(false);
  });

  it("withCrash() forgets crashes of more than five minutes ago", () => {
    const times = [0, 5, 10, 15].map((minutes) => 1e12 + minutes * MINUTE_MS);
    expect(isOff(after(...times), times.at(-1) ?? 0)).to.equal(false);
  });

  it("isOff() is not misled by a clock that was set back", () => {
    const record = after(2e12, 2e12, 2e12);
    expect(isOff(record, 1e12)).to.equal(false);
    expect(isOff(withCrash(record, 1e12), 1e12)).to.equal(false);
  });

  it("parseCrashes() reads what was stored, and takes anything else for nothing", () => {
    const record = after(1e12, 1e12 + 1);
    expect(parseCrashes(JSON.stringify(record))).to.deep.equal(record);
    const wrong = ["", "{", "null", "[]", "7", '{"crashes":7,"offUntilMs":0}', '{"crashes":[]}'];
    const long = JSON.stringify({ crashes: Array(1_000).fill(1), offUntilMs: 0 });
    for (const text of [...wrong, long]) expect(parseCrashes(text), text).to.deep.equal(none);
  });
});
