import { expect } from "chai";
import type { PlaybackState } from "../../../src/engine/playback/deadline.js";
import type { SegmentFacts } from "../../../src/engine/playback/lookahead.js";
import { type PacedBody, Pacing } from "../../../src/mesh/playback/pacing.js";
import { type FakeTimers, withFakeTimers } from "../../support/fake-timers.js";

const BODY: PacedBody = {
  ...{ url: "film/1", clientId: "page", bytes: 1_000_000, contentType: "video/mp4" },
};
const PLAYING: PlaybackState = { aheadS: 20, rate: 1, paused: false, hidden: false };

async function pacing(
  action: (world: {
    pacing: Pacing;
    add: (body?: Partial<PacedBody>) => { rates: (number | undefined)[]; end: () => void };
    timers: FakeTimers;
    state: {
      playback: PlaybackState | undefined;
      segment: SegmentFacts | undefined;
      origin: number | undefined;
      above: number;
      next: number | undefined;
      hearsay: number | undefined;
      holdMs: number;
    };
  }) => Promise<void>,
): Promise<void> {
  localStorage.removeItem("nearcast-origin-rate");
  await withFakeTimers(async (timers) => {
    const state = {
      playback: PLAYING as PlaybackState | undefined,
      segment: { durationS: 4, adaptive: true } as SegmentFacts | undefined,
      origin: 400 as number | undefined,
      above: 0,
      next: 2_000 as number | undefined,
      hearsay: undefined as number | undefined,
      holdMs: 0,
    };
    const subject = new Pacing({
      playbackOf: () => state.playback,
      segmentOf: () => state.segment,
      originBytesPerMs: () => state.origin,
      aboveBytesPerMs: () => state.above,
      nextBytesPerMs: () => state.next,
      hearsayBytesPerMs: () => state.hearsay,
      holdMs: () => state.holdMs,
      now: () => timers.nowMs,
    });
    const add = (body: Partial<PacedBody> = {}) => {
      const rates: (number | undefined)[] = [];
      const ended = new AbortController();
      subject.add(
        { ...BODY, ...body },
        ({ bytesPerMs }) => rates.push(bytesPerMs && Math.round(bytesPerMs)),
        ended.signal,
      );
      return { rates, end: () => ended.abort() };
    };
    await action({ pacing: subject, add, timers, state });
  });
  localStorage.removeItem("nearcast-origin-rate");
}

describe("pacing", () => {
  it("Pacing advises at once, again when things change, and stops when the body ends", () =>
    pacing(async ({ add, timers, state }) => {
      const { rates, end } = add();
      expect(rates).to.deep.equal([460]);
      await timers.advance(1_000);
      expect(rates).to.have.length(1);
      state.origin = 800;
      await timers.advance(250);
      expect(rates.at(-1)).to.equal(920);
      state.playback = { ...PLAYING, aheadS: 0, starving: true };
      await timers.advance(250);
      expect(rates.at(-1)).to.equal(undefined);
      end();
      expect(timers.pending).to.equal(0);
    }));

  it("Pacing follows peers for as long as they sustain the rung above", () =>
    pacing(async ({ add, timers, state }) => {
      state.above = 1_000;
      const { rates } = add();
      state.above = 0;
      await timers.advance(250);
      expect(rates).to.deep.equal([1_150, 460]);
    }));

  it("Pacing lets two bodies of a page share the line", () =>
    pacing(async ({ add, timers }) => {
      const video = add();
      const audio = add({ bytes: 50_000 });
      await timers.advance(250);
      expect(audio.rates.at(-1)).to.equal(230);
      expect(video.rates.at(-1)).to.equal(325); // 1.3 of its own bitrate
      audio.end();
      await timers.advance(250);
      expect(video.rates.at(-1)).to.equal(460);
    }));

  it("Pacing leaves alone what no adaptive player measures", () =>
    pacing(async ({ add, state }) => {
      const free = (what: string, body: Partial<PacedBody> = {}) =>
        expect(add(body).rates, what).to.deep.equal([undefined]);
      state.segment = { durationS: 4, adaptive: false };
      free("one rendition only");
      state.segment = undefined;
      free("an image", { contentType: "image/png" });
      free("a download", { contentType: "application/zip" });
      state.playback = undefined;
      free("a page without a player");
      state.segment = { durationS: 4, adaptive: true };
      expect(add().rates, "a player out of sight").to.deep.equal([460]);
    }));

  it("Pacing goes by what the browser tells of the line until the origin was measured", () =>
    pacing(async ({ add, timers, state }) => {
      state.origin = undefined;
      state.hearsay = 500;
      const { rates } = add();
      state.origin = 400;
      await timers.advance(250);
      expect(rates).to.deep.equal([575, 460]);
    }));

  it("Pacing lets a player try one rung up where nobody knows the line, and no more", () =>
    pacing(async ({ add, timers, state }) => {
      state.origin = undefined;
      state.next = 400;
      const { rates } = add();
      expect(rates).to.deep.equal([598]); // 1.3 of the next rung, and 1.15
      state.next = 0;
      await timers.advance(250);
      expect(rates.at(-1), "there is no better rung").to.equal(undefined);
    }));

  it("Pacing promises one rung of what peers sustain", () =>
    pacing(async ({ add, state }) => {
      state.above = 100_000;
      state.next = 600;
      expect(add().rates).to.deep.equal([897]);
    }));

  it("Pacing remembers the origin's rate for the next page", () =>
    pacing(async ({ pacing: first, state }) => {
      first.remember();
      const next = new Pacing({
        ...{ playbackOf: () => PLAYING, segmentOf: () => state.segment },
        ...{ originBytesPerMs: () => undefined, hearsayBytesPerMs: () => 9_999 },
        ...{ aboveBytesPerMs: () => 0, nextBytesPerMs: () => 0 },
        ...{ holdMs: () => 0, now: () => 0 },
      });
      const rates: (number | undefined)[] = [];
      const { signal } = new AbortController();
      next.add(BODY, ({ bytesPerMs }) => rates.push(bytesPerMs && Math.round(bytesPerMs)), signal);
      expect(rates).to.deep.equal([460]);
    }));

  it("Pacing holds back the end of what a player starts with, whether it chooses renditions or not", () =>
    pacing(async ({ pacing: subject, timers, state }) => {
      state.segment = { durationS: 4, adaptive: false };
      state.playback = { ...PLAYING, aheadS: 0 };
      const said: (number | undefined)[] = [];
      const ended = new AbortController();
      const awaited = { ...BODY, pieces: { from: 0, to: 16 } };
      subject.add(awaited, ({ holdMs }) => said.push(holdMs), ended.signal);
      expect(said, "nothing is known yet").to.deep.equal([0]);
      state.holdMs = 1_000;
      await timers.advance(250);
      expect(said.at(-1)).to.equal(1_000);
      state.holdMs = 960; // nearly as was said
      await timers.advance(250);
      expect(said).to.have.length(2);
      state.holdMs = 0;
      await timers.advance(250);
      expect(said.at(-1), "all is here: at once").to.equal(0);
      expect(said).to.have.length(3);
      ended.abort();
      // What is in the store is not awaited.
      state.holdMs = 1_000;
      const stored: (number | undefined)[] = [];
      subject.add(BODY, ({ holdMs }) => stored.push(holdMs), new AbortController().signal);
      expect(stored).to.deep.equal([undefined]);
    }));
});
