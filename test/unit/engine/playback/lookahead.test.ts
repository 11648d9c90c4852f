import { expect } from "chai";
import { Lookahead, type Rendition } from "../../../../src/engine/playback/lookahead.js";

const rendition = (
  id: string,
  from: number,
  to: number,
  more: Partial<Rendition> = {},
): Rendition => ({
  ...{ id, bandwidth: 0, choice: 0, parts: [] },
  segments: Array.from({ length: to - from }, (_, i) => ({
    url: `${id}/${from + i}`,
    durationS: 4,
  })),
  ...more,
});

const learned = (...renditions: Rendition[]) => {
  const ahead = new Lookahead();
  ahead.learn({ url: "playlist", children: [], renditions });
  return ahead;
};

describe("lookahead", () => {
  it("upcoming() gives what follows in the same rendition, no further than the playlist", () => {
    const ahead = learned(rendition("low", 0, 5), rendition("high", 0, 5));
    expect(ahead.upcoming("low/1", 2)).to.deep.equal(["low/2", "low/3"]);
    expect(ahead.upcoming("low/3", 2)).to.deep.equal(["low/4"]);
    expect(ahead.upcoming("low/4", 2)).to.deep.equal([]);
    expect(ahead.upcoming("elsewhere", 2)).to.deep.equal([]);
  });

  it("learn() replaces a live playlist by its new version, and forgets what left the window", () => {
    const ahead = learned(rendition("low", 0, 5, { parts: ["part"] }));
    expect(ahead.isPart("part")).to.equal(true);
    ahead.learn({ url: "playlist", children: [], renditions: [rendition("low", 2, 7)] });
    expect(ahead.isPart("part")).to.equal(false);
    expect(ahead.segmentOf("low/1")).to.equal(undefined);
    expect(ahead.upcoming("low/4", 9)).to.deep.equal(["low/5", "low/6"]);
  });

  it("segmentOf() says whether there is a choice, as far as playlists tell", () => {
    const ahead = learned(rendition("low", 0, 1), rendition("one", 0, 1, { choice: 1 }));
    expect(ahead.segmentOf("one/0")).to.deep.equal({ durationS: 4, adaptive: false });
    expect(ahead.segmentOf("low/0")).to.deep.equal({ durationS: 4, adaptive: true });
    ahead.learn({ url: "master", children: [{ url: "low", bandwidth: 1 }], renditions: [] });
    expect(ahead.segmentOf("low/0")).to.deep.equal({ durationS: 4, adaptive: false });
    const children = ["low", "high"].map((url) => ({ url, bandwidth: 1 }));
    ahead.learn({ url: "master", children, renditions: [] });
    expect(ahead.segmentOf("low/0")).to.deep.equal({ durationS: 4, adaptive: true });
  });

  it("above() gives the same time in the next better rendition, counted from the end", () => {
    const ahead = learned(
      rendition("top#2", 0, 5, { id: "a#2", bandwidth: 9 }),
      rendition("low#0", 0, 5, { id: "a#0", bandwidth: 1 }),
      rendition("mid#1", 1, 6, { id: "a#1", bandwidth: 4 }),
      rendition("strange#1", 0, 5, { id: "b#1", bandwidth: 2 }),
    );
    expect(ahead.above("low#0/3")).to.deep.equal({ url: "mid#1/4", bandwidth: 4 });
    expect(ahead.above("top#2/3")).to.equal(undefined);
  });

  it("nextBandwidth() names the next better rung, read or only named", () => {
    const ahead = learned(
      rendition("low#0", 0, 5, { id: "a#0", bandwidth: 1 }),
      rendition("mid#1", 0, 5, { id: "a#1", bandwidth: 4 }),
      rendition("strange#1", 0, 5, { id: "b#1", bandwidth: 2 }),
    );
    expect(ahead.nextBandwidth("low#0/3")).to.equal(4);
    expect(ahead.nextBandwidth("mid#1/3")).to.equal(0);
    expect(ahead.nextBandwidth("elsewhere")).to.equal(undefined);
    const hls = learned(rendition("low", 0, 5));
    expect(hls.nextBandwidth("low/0"), "before the master is known").to.equal(undefined);
    const children = [
      { url: "high", bandwidth: 9 },
      { url: "low", bandwidth: 2 },
      { url: "mid", bandwidth: 3 },
    ];
    hls.learn({ url: "master", children, renditions: [] });
    expect(hls.nextBandwidth("low/0")).to.equal(3);
  });

  it("learn() keeps 64 renditions, those heard of last", () => {
    const ahead = learned(...Array.from({ length: 70 }, (_, i) => rendition(`r${i}`, 0, 1)));
    expect(ahead.segmentOf("r5/0")).to.equal(undefined);
    expect(ahead.segmentOf("r6/0")).to.not.equal(undefined);
  });
});
