import { expect } from "chai";
import { LineRate } from "../../../../src/engine/planning/line-rate.js";
import type { PlaybackState } from "../../../../src/engine/playback/deadline.js";
import {
  honestRate,
  type LineFacts,
  type PaceFacts,
  paceOf,
  type StartFacts,
  startHoldMs,
} from "../../../../src/engine/playback/pace.js";
import { fc } from "../../../support/properties.js";

const playing = (aheadS: number, state: Partial<PlaybackState> = {}): PlaybackState => ({
  ...{ aheadS, rate: 1, paused: false, hidden: false },
  ...state,
});

/** A segment of 4 s at 2 Mbit/s behind a line of 3 Mbit/s. */
const SEGMENT: PaceFacts = {
  playback: playing(20),
  bytes: 1_000_000,
  durationS: 4,
  honestBytesPerMs: 375,
  parallel: 1,
};

describe("pace", () => {
  it("paceOf() is a little more than the line could do, and enough for the rung in use", () => {
    const table: [what: string, facts: Partial<PaceFacts>, bytesPerMs: number | undefined][] = [
      ["a full buffer", {}, 1.15 * 375],
      ["two bodies share the line, and each sustains its rung", { parallel: 2 }, 325],
      ["a line slower than the rung that peers brought", { honestBytesPerMs: 50 }, 325],
      ["nobody measured the line", { honestBytesPerMs: undefined }, undefined],
      ["it ran dry", { playback: playing(0, { starving: true }) }, undefined],
      ["start-up, the line is fast enough", { playback: playing(0), bytes: 200_000 }, 431.25],
      ["start-up takes two seconds at most", { playback: playing(0), bytes: 2_000_000 }, 1_000],
      ["half of a short buffer", { playback: playing(5), bytes: 2_000_000 }, 800],
      [
        "at double speed a buffer is half as long",
        { playback: playing(10, { rate: 2 }), bytes: 2_000_000 },
        800,
      ],
      ["no playlist, slow line", { durationS: undefined, honestBytesPerMs: 50 }, 100],
      ["paused", { playback: playing(0, { paused: true }) }, 431.25],
      ["a player out of sight", { playback: undefined, durationS: undefined }, 431.25],
    ];
    for (const [what, facts, expected] of table) {
      const pace = paceOf({ ...SEGMENT, ...facts });
      if (expected === undefined) expect(pace, what).to.equal(undefined);
      else expect(pace, what).to.be.closeTo(expected, 0.01);
    }
  });

  it("paceOf() never makes a body later than the line would, nor uses up the buffer", () => {
    const facts = fc.record({
      bytes: fc.integer({ min: 1, max: 2 ** 25 }),
      durationS: fc.option(fc.double({ min: 0.2, max: 20, noNaN: true }), { nil: undefined }),
      honestBytesPerMs: fc.double({ min: 1, max: 1e5, noNaN: true }),
      playback: fc
        .tuple(fc.double({ min: 0, max: 60, noNaN: true }), fc.constantFrom(0.5, 1, 2))
        .map(([aheadS, rate]) => playing(aheadS, { rate })),
      parallel: fc.constant(1),
    });
    fc.assert(
      fc.property(facts, (any) => {
        const pace = paceOf(any) ?? Number.POSITIVE_INFINITY;
        expect(pace).to.be.at.least(any.honestBytesPerMs);
        const tookMs = any.bytes / pace;
        const aheadMs = (any.playback.aheadS * 1_000) / any.playback.rate;
        expect(tookMs).to.be.at.most(Math.max(2_000, aheadMs / 2) + 1e-6);
      }),
    );
  });

  it("startHoldMs() puts a start off where the next segment would be late, by little", () => {
    // All here after 4 s, 250 bytes a millisecond; the next one is due 3.4 s after it.
    const facts: StartFacts = {
      ...{ heldBytes: 1_000_000, missingBytes: 0, elapsedMs: 4_000, durationS: 4 },
      nextMissingBytes: 900_000,
    };
    expect(startHoldMs(facts)).to.be.closeTo(200, 1e-6);
    expect(startHoldMs({ ...facts, nextMissingBytes: 850_000 }), "in time").to.equal(0);
    expect(startHoldMs({ ...facts, nextMissingBytes: 9e9 }), "a bounded share").to.equal(600);
    expect(startHoldMs({ ...facts, heldBytes: 0 }), "nothing is known").to.equal(0);
    expect(startHoldMs({ ...facts, elapsedMs: 0 })).to.equal(0);
    // A quarter is still to come, in one second.
    const coming = { ...facts, heldBytes: 750_000, elapsedMs: 3_000, missingBytes: 250_000 };
    expect(startHoldMs(coming)).to.be.closeTo(200, 1e-6);
  });

  it("honestRate() believes what was measured, then hearsay, then one rung up", () => {
    const facts: LineFacts = {
      measuredBytesPerMs: 300,
      hearsayBytesPerMs: 900,
      aboveBytesPerMs: 0,
      nextBytesPerMs: 400,
      ownBytesPerMs: 200,
    };
    const table: [what: string, more: Partial<LineFacts>, expected: number | undefined][] = [
      ["measured", {}, 300],
      ["hearsay", { measuredBytesPerMs: undefined }, 900],
      [
        "peers hold the next rung, and not necessarily the one after",
        { aboveBytesPerMs: 9e9 },
        520,
      ],
      ["peers are slower than the line", { aboveBytesPerMs: 250 }, 300],
    ];
    const unknown = { measuredBytesPerMs: undefined, hearsayBytesPerMs: undefined };
    table.push(
      ["nothing but the ladder", unknown, 520],
      ["nothing, on the best rung", { ...unknown, nextBytesPerMs: 0 }, undefined],
      ["nothing but the segment", { ...unknown, nextBytesPerMs: undefined }, 442],
      [
        "nothing at all",
        { ...unknown, nextBytesPerMs: undefined, ownBytesPerMs: undefined },
        undefined,
      ],
    );
    for (const [what, more, expected] of table) {
      const rate = honestRate({ ...facts, ...more });
      if (expected === undefined) expect(rate, what).to.equal(undefined);
      else expect(rate, what).to.be.closeTo(expected, 1e-6);
    }
  });

  it("LineRate takes a gust of pieces for what it was", () => {
    const line = new LineRate();
    for (let round = 0; round < 50; round++) {
      line.add(65_536, 349);
      line.add(65_536, 1);
    }
    expect(line.bytesPerMs).to.be.closeTo(131_072 / 350, 40);
  });

  it("LineRate believes a slower line within three pieces, and knows nothing at first", () => {
    const line = new LineRate();
    expect(line.bytesPerMs).to.equal(undefined);
    line.add(10_000, 1);
    expect(line.bytesPerMs).to.equal(undefined);
    for (let piece = 0; piece < 40; piece++) line.add(65_536, 20);
    expect(line.bytesPerMs).to.be.closeTo(3_277, 1);
    for (let piece = 0; piece < 3; piece++) line.add(65_536, 400);
    expect(line.bytesPerMs).to.be.below(400);
  });
});
