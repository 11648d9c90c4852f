import { expect } from "chai";
import type { PlaybackState } from "../../../src/engine/playback/deadline.js";
import { aheadOf, watchPlayback } from "../../../src/mesh/playback/playback.js";
import { withFakeTimers } from "../../support/fake-timers.js";

interface Media {
  buffered: readonly (readonly [start: number, end: number])[];
  currentTime: number;
  paused: boolean;
  seeking: boolean;
  readyState: number;
  playbackRate: number;
  ended: boolean;
  src: string;
  duration: number;
}

const PLAYING: Media = {
  duration: 100,
  ...{ buffered: [[0, 10]], currentTime: 4, paused: false, seeking: false, readyState: 4 },
  ...{ playbackRate: 1, ended: false, src: "x" },
};

/** A video element whose properties a test sets. */
function fakeVideo(state: Partial<Media> = {}) {
  const media: Media = { ...PLAYING, ...state };
  const video = document.createElement("video");
  for (const name of Object.keys(media) as (keyof Media)[]) {
    if (name === "buffered") continue;
    Object.defineProperty(video, name, { get: () => media[name] });
  }
  Object.defineProperty(video, "buffered", {
    get: () => ({
      length: media.buffered.length,
      start: (index: number) => media.buffered[index]?.[0],
      end: (index: number) => media.buffered[index]?.[1],
    }),
  });
  return { video, media };
}

/** Watches a document that holds nothing but what the test puts there. */
async function watching(
  action: (world: {
    states: (PlaybackState | undefined)[];
    stalls: () => number;
    add: (state?: Partial<Media>, parent?: ParentNode) => ReturnType<typeof fakeVideo>;
    advance: (ms: number) => Promise<void>;
  }) => Promise<void>,
): Promise<void> {
  await withFakeTimers(async (timers) => {
    const states: (PlaybackState | undefined)[] = [];
    let stalls = 0;
    const stop = new AbortController();
    const place = document.body.appendChild(document.createElement("div"));
    watchPlayback(
      {
        onState: (state) => void states.push(state),
        onStall: () => {
          stalls++;
        },
      },
      stop.signal,
    );
    const add = (state: Partial<Media> = {}, parent: ParentNode = place) => {
      const made = fakeVideo(state);
      parent.append(made.video);
      made.video.dispatchEvent(new Event("loadstart"));
      return made;
    };
    try {
      await action({ states, stalls: () => stalls, add, advance: (ms) => timers.advance(ms) });
    } finally {
      stop.abort();
      place.remove();
    }
    expect(timers.pending, "no timer outlives the watch").to.equal(0);
  });
}

describe("playback", () => {
  it("aheadOf() counts what plays through from here", () => {
    const table: [what: string, state: Partial<Media>, aheadS: number][] = [
      ["one range", {}, 6],
      ["nothing buffered", { buffered: [] }, 0],
      ["outside of every range", { currentTime: 20 }, 0],
      ["before the first range", { currentTime: 0, buffered: [[5, 9]] }, 0],
      [
        "a small gap",
        {
          buffered: [
            [0, 10],
            [10.2, 15],
          ],
        },
        11,
      ],
      [
        "a gap",
        {
          buffered: [
            [0, 10],
            [10.5, 15],
          ],
        },
        6,
      ],
      ["just before a range", { currentTime: 4.8, buffered: [[5, 9]] }, 4.2],
      ["seeking into the buffer", { seeking: true }, 6],
      ["seeking past it", { seeking: true, currentTime: 11 }, 0],
      ["not decoded yet", { readyState: 1 }, 6],
    ];
    for (const [what, state, aheadS] of table) {
      expect(aheadOf(fakeVideo(state).video), what).to.be.closeTo(aheadS, 1e-9);
    }
  });

  it("watchPlayback() reports the neediest playing element, and only changes", async () => {
    await watching(async ({ states, add, advance }) => {
      expect(states, "no media, no news").to.deep.equal([]);
      const { media } = add();
      add({ currentTime: 9, paused: true });
      expect(states).to.deep.equal([{ aheadS: 6, rate: 1, paused: false, hidden: false }]);
      await advance(1_000);
      expect(states).to.have.length(1);
      media.currentTime = 5.04;
      media.playbackRate = 2;
      await advance(250);
      expect(states.at(-1)).to.deep.equal({ aheadS: 5, rate: 2, paused: false, hidden: false });
      media.paused = true;
      await advance(250);
      expect(states.at(-1), "all paused: the neediest of all").to.deep.include({
        ...{ aheadS: 1, paused: true },
      });
      media.ended = true;
      await advance(250);
      expect(states.at(-1)).to.deep.include({ aheadS: 1 });
    });
  });

  it("watchPlayback() finds elements in open shadow roots, and forgets what is gone", async () => {
    await watching(async ({ states, add, advance }) => {
      const outer = document.body.appendChild(document.createElement("div"));
      const inner = outer.attachShadow({ mode: "open" }).appendChild(document.createElement("p"));
      const { video, media } = add({}, inner.attachShadow({ mode: "open" }));
      await advance(2_000);
      expect(states).to.have.length(1);
      media.paused = true;
      video.remove();
      await advance(250);
      expect(states.at(-1)).to.equal(undefined);
      outer.remove();
    });
  });

  it("watchPlayback() finds elements in frames of the same origin, and says that they are there", async () => {
    await watching(async ({ states, add, advance }) => {
      const frame = document.body.appendChild(document.createElement("iframe"));
      add({}, frame.contentDocument?.body);
      await advance(2_000);
      expect(states).to.deep.equal([
        { aheadS: 6, rate: 1, paused: false, hidden: false, framed: true },
      ]);
      frame.remove();
    });
  });

  it("watchPlayback() needs nothing more of what is buffered to its end", async () => {
    await watching(async ({ states, add, advance }) => {
      const { media } = add({ duration: 10, currentTime: 9.5 });
      await advance(2_000);
      expect(states.at(-1)?.aheadS).to.equal(3_600);
      media.duration = 100;
      await advance(250);
      expect(states.at(-1)?.aheadS).to.equal(0.5);
    });
  });

  it("watchPlayback() tells an element that ran dry from one that starts or seeks", async () => {
    await watching(async ({ states, add, advance }) => {
      const { video, media } = add({ readyState: 2, buffered: [[0, 4]] });
      await advance(2_000);
      expect(states.at(-1)).to.not.have.property("starving");
      video.dispatchEvent(new Event("playing"));
      await advance(250);
      expect(states.at(-1)).to.have.property("starving", true);
      media.seeking = true;
      await advance(250);
      expect(states.at(-1)).to.not.have.property("starving");
    });
  });

  it("watchPlayback() tells of a stall only after an element had started", async () => {
    await watching(async ({ stalls, add }) => {
      const { video, media } = add();
      const fire = (name: string) => video.dispatchEvent(new Event(name));
      fire("waiting");
      expect(stalls(), "start-up").to.equal(0);
      fire("playing");
      fire("waiting");
      expect(stalls()).to.equal(1);
      media.seeking = true;
      fire("waiting");
      expect(stalls(), "a seek").to.equal(1);
    });
  });
});
