import { expect } from "chai";
import {
  deadlineOf,
  type PlaybackState,
  patienceMs,
} from "../../../../src/engine/playback/deadline.js";
import { fc } from "../../../support/properties.js";

const playing = (aheadS: number, state: Partial<PlaybackState> = {}): PlaybackState => ({
  ...{ aheadS, rate: 1, paused: false, hidden: false },
  ...state,
});

const anyPlayback = () =>
  fc.option(
    fc.record({
      aheadS: fc.double({ min: 0, max: 600, noNaN: true }),
      rate: fc.constantFrom(0, 0.25, 0.5, 1, 2, 16),
      paused: fc.boolean(),
      hidden: fc.boolean(),
    }),
    { nil: undefined },
  );

describe("deadline", () => {
  it("deadlineOf() is the origin's own time, or later if a buffer hides it", () => {
    const table: [what: string, PlaybackState | undefined, deadlineMs: number][] = [
      ["no media: 200 ms of grace", undefined, 10_400],
      ["nothing buffered: 100 ms of grace", playing(0), 10_300],
      ["less than the margin", playing(0.9), 10_300],
      ["20 s buffered", playing(20), 10_100 + 19_000],
      ["20 s at double speed", playing(20, { rate: 2 }), 10_100 + 9_000],
      ["20 s at half speed", playing(20, { rate: 0.5 }), 10_100 + 39_000],
      ["a rate of zero counts as a quarter", playing(20, { rate: 0 }), 10_100 + 79_000],
      ["paused", playing(5, { paused: true }), 10_100 + 30_000],
      ["paused at the start", playing(0, { paused: true }), 10_300],
      ["paused with a second", playing(1, { paused: true }), 10_300],
      ["hidden", playing(5, { hidden: true }), 10_100 + 30_000],
      ["hidden and starved", playing(0.5, { hidden: true }), 10_300],
    ];
    for (const [what, playback, deadlineMs] of table) {
      const facts = { openedMs: 10_000, nowMs: 10_100, playback, originMs: 200 };
      expect(deadlineOf(facts), what).to.equal(deadlineMs);
    }
  });

  it("deadlineOf() never asks for more speed than the origin has", () => {
    fc.assert(
      fc.property(anyPlayback(), fc.nat(5_000), fc.nat(5_000), (playback, pastMs, originMs) => {
        const facts = { openedMs: 1_000, nowMs: 1_000 + pastMs, playback, originMs };
        expect(deadlineOf(facts)).to.be.at.least(1_000 + originMs);
      }),
    );
  });

  it("patienceMs() is most of the slack beyond the origin's time, at most two seconds", () => {
    expect(patienceMs(1_000, 1_400, 200), "the grace is no slack").to.equal(0);
    expect(patienceMs(1_000, 1_100, 200)).to.equal(0);
    expect(patienceMs(1_000, 2_400, 200)).to.equal(700);
    expect(patienceMs(1_000, 60_000, 200)).to.equal(2_000);
  });

  it("patienceMs() always leaves the origin its time", () => {
    fc.assert(
      fc.property(fc.nat(100_000), fc.nat(20_000), (slackMs, originMs) => {
        const waitMs = patienceMs(5_000, 5_000 + slackMs, originMs);
        expect(waitMs).to.be.within(0, 2_000);
        if (waitMs > 0) expect(waitMs + originMs).to.be.at.most(slackMs);
      }),
    );
  });
});
