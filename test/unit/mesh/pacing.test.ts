import { expect } from "chai";
import type { PlaybackState } from "../../../src/engine/deadline.js";
import type { SegmentFacts } from "../../../src/engine/lookahead.js";
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
    };
    const subject = new Pacing({
      playbackOf: () => state.playback,
      segmentOf: () => state.segment,
      originBytesPerMs: () => state.origin,
      aboveBytesPerMs: () => state.above,
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
      state.origin = undefined;
      free("nobody measured the origin");
    }));

  it("Pacing remembers the origin's rate for the next page", () =>
    pacing(async ({ pacing: first, state }) => {
      first.remember();
      const next = new Pacing({
        ...{ playbackOf: () => PLAYING, segmentOf: () => state.segment },
        ...{ originBytesPerMs: () => undefined, aboveBytesPerMs: () => 0 },
      });
      const rates: (number | undefined)[] = [];
      const { signal } = new AbortController();
      next.add(BODY, ({ bytesPerMs }) => rates.push(bytesPerMs && Math.round(bytesPerMs)), signal);
      expect(rates).to.deep.equal([460]);
    }));
});
