import { expect } from "chai";
import { PieceSet } from "../../../../src/core/piece-set.js";
import { OriginSource } from "../../../../src/engine/origin/origin-source.js";
import { type Ask, PeerSource } from "../../../../src/engine/planning/peer-source.js";
import { PullWindow } from "../../../../src/engine/planning/pull-window.js";
import {
  HOLDINGS_PER_PEER_MAX,
  LINK_REQUESTS_MAX,
  PIECE_BYTES,
} from "../../../../src/protocol/limits.js";
import { fc } from "../../../support/properties.js";

const ask = (id: number, askedMs = 0): Ask => ({
  ...{ id, assetId: "asset", piece: id, askedMs, timeoutMs: 400 },
});

/** Plays a link of one bottleneck: pieces queue in it once the window exceeds rate times round trip. */
function playLink(
  window: PullWindow,
  { rateBytesPerMs = 0, rttMs = 0, forMs = 0, limited = true },
) {
  let nowMs = 0;
  while (nowMs < forMs) {
    const queueMs = Math.max(rttMs, window.bytes / rateBytesPerMs);
    nowMs += PIECE_BYTES / rateBytesPerMs;
    if (limited) window.markLimited();
    window.arrived(nowMs, queueMs + PIECE_BYTES / rateBytesPerMs);
  }
  return window.bytes;
}

describe("pull-window", () => {
  it("PullWindow starts with two pieces and grows by 1.6 a round", () => {
    const window = new PullWindow();
    expect(window.bytes).to.equal(2 * PIECE_BYTES);
    expect(window.baseMs).to.equal(Number.POSITIVE_INFINITY);
    window.markLimited();
    window.arrived(100, 50);
    expect(window.bytes, "3.2, rounded").to.equal(3 * PIECE_BYTES);
    window.markLimited();
    window.arrived(120, 50);
    expect(window.bytes, "the same round").to.equal(3 * PIECE_BYTES);
    window.arrived(150, 50);
    expect(window.bytes, "5.12, rounded").to.equal(5 * PIECE_BYTES);
    expect(window.baseMs).to.equal(50);
  });

  it("PullWindow does not grow while it is not the limit", () => {
    const window = new PullWindow();
    playLink(window, { rateBytesPerMs: 10_000, rttMs: 100, forMs: 5_000, limited: false });
    expect(window.bytes).to.equal(2 * PIECE_BYTES);
  });

  it("PullWindow collapses to one piece and climbs without slow start", () => {
    const window = new PullWindow();
    playLink(window, { rateBytesPerMs: 10_000, rttMs: 100, forMs: 5_000 });
    window.collapsed();
    expect(window.bytes).to.equal(PIECE_BYTES);
    window.markLimited();
    window.arrived(10_000, window.baseMs);
    expect(window.bytes).to.be.within(PIECE_BYTES, 1.5 * PIECE_BYTES);
  });

  it("PullWindow is what the sender took, once it refused more", () => {
    const window = new PullWindow();
    playLink(window, { rateBytesPerMs: 10_000, rttMs: 100, forMs: 5_000 });
    const before = window.bytes;
    window.refused(3 * PIECE_BYTES);
    expect(before).to.be.above(3 * PIECE_BYTES);
    expect(window.bytes).to.equal(3 * PIECE_BYTES);
    window.refused(5 * PIECE_BYTES);
    expect(window.bytes, "a refusal never widens it").to.equal(3 * PIECE_BYTES);
    window.refused(0);
    expect(window.bytes).to.equal(PIECE_BYTES);
  });

  it("PullWindow fills the path and keeps its queue short", () => {
    for (const [rateBytesPerMs, rttMs] of [
      [625, 40],
      [2_500, 80],
      [12_500, 20],
      [12_500, 100],
    ] as const) {
      const bytes = playLink(new PullWindow(), { rateBytesPerMs, rttMs, forMs: 20_000 });
      const path = rateBytesPerMs * rttMs;
      expect(bytes, `${rateBytesPerMs} B/ms, ${rttMs} ms`).to.be.within(
        0.7 * path,
        2 * path + 3 * PIECE_BYTES,
      );
    }
  });

  it("PullWindow stays between one and 64 pieces, whatever the trips are", () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(500), fc.integer({ min: 1, max: 10_000 }), fc.nat(9))),
        (trips) => {
          const window = new PullWindow();
          let nowMs = 0;
          for (const [pauseMs, tripMs, dice] of trips) {
            nowMs += pauseMs;
            if (dice < 7) window.markLimited();
            if (dice === 9) window.collapsed();
            window.arrived(nowMs, tripMs);
            expect(window.bytes).to.be.within(PIECE_BYTES, 64 * PIECE_BYTES);
          }
        },
      ),
    );
  });
});

describe("peer-source", () => {
  it("PeerSource knows no rate before its first piece", () => {
    const peer = new PeerSource("a", 30);
    expect(peer.rateBytesPerMs).to.equal(undefined);
    expect(peer.expectedMs(1_000)).to.equal(30 + PIECE_BYTES / 1_000);
    peer.asked(ask(1));
    expect(peer.expectedMs(1_000)).to.equal(30 + (2 * PIECE_BYTES) / 1_000);
    peer.arrived(ask(1), PIECE_BYTES, 100);
    expect(peer.rateBytesPerMs).to.equal(PIECE_BYTES / 100);
    expect(peer.asks.size).to.equal(0);
  });

  it("PeerSource measures back-to-back pieces by the time between them", () => {
    const peer = new PeerSource("a", 30);
    for (let id = 1; id <= 20; id++) peer.asked(ask(id));
    for (let id = 1; id <= 20; id++) peer.arrived(ask(id), PIECE_BYTES, 10 * id);
    expect(peer.rateBytesPerMs).to.be.closeTo(PIECE_BYTES / 10, PIECE_BYTES / 50);
  });

  it("PeerSource takes pieces that arrive in gusts for what they are together", () => {
    const peer = new PeerSource("a", 30);
    for (let id = 1; id <= 20; id++) peer.asked(ask(id));
    // A busy page reads four of them at a time.
    for (let id = 1; id <= 20; id++) peer.arrived(ask(id), PIECE_BYTES, 400 * Math.ceil(id / 4));
    expect(peer.rateBytesPerMs).to.be.closeTo(PIECE_BYTES / 100, PIECE_BYTES / 250);
  });

  it("PeerSource has room for its window and no more", () => {
    const peer = new PeerSource("a", 30);
    peer.asked(ask(1));
    expect(peer.hasRoom()).to.equal(true);
    peer.asked(ask(2));
    expect(peer.hasRoom()).to.equal(false);
    expect(peer.queuedBytes).to.equal(2 * PIECE_BYTES);
    peer.arrived(ask(1), PIECE_BYTES, 50);
    expect(peer.window.bytes, "it was the limit, so it grew").to.be.above(2 * PIECE_BYTES);
  });

  it("PeerSource never has more than LINK_REQUESTS_MAX asks", () => {
    const peer = new PeerSource("a", 30);
    Object.defineProperty(peer.window, "bytes", { value: Number.POSITIVE_INFINITY });
    for (let id = 0; id < LINK_REQUESTS_MAX; id++) {
      expect(peer.hasRoom()).to.equal(true);
      peer.asked(ask(id));
    }
    expect(peer.hasRoom()).to.equal(false);
  });

  it("PeerSource leaves a busy peer alone for as long as it said, longer each time", () => {
    const peer = new PeerSource("a", 30);
    peer.asked(ask(1));
    peer.refused(1, 300, 1_000, () => 0.5);
    expect(peer.asks.size).to.equal(0);
    expect(peer.available(1_299)).to.equal(false);
    expect(peer.available(1_300)).to.equal(true);
    const waits = Array.from({ length: 6 }, (_, round) => {
      const nowMs = (round + 1) * 10_000;
      // The refusals of one burst are one.
      for (let burst = 0; burst < 3; burst++) peer.refused(round, 0, nowMs + burst, () => 0.5);
      return peer.backoffUntilMs - nowMs;
    });
    expect(waits).to.deep.equal([200, 400, 800, 1_600, 1_600, 1_600]);
    peer.arrived(ask(9), 1, 70_010);
    peer.refused(10, 0, 80_000, () => 0);
    expect(peer.backoffUntilMs, "a piece starts it anew, with jitter").to.equal(80_050);
  });

  it("PeerSource has room for what its window and the open asks leave, whatever happened", () => {
    const ends = {
      arrive: (peer: PeerSource, open: Ask, nowMs: number) =>
        peer.arrived(open, PIECE_BYTES, nowMs),
      refuse: (peer: PeerSource, { id }: Ask, nowMs: number) =>
        peer.refused(id, 100, nowMs, () => 0.5),
      lack: (peer: PeerSource, open: Ask, nowMs: number) => peer.lacks(open, nowMs),
      timeOut: (peer: PeerSource, { id }: Ask, nowMs: number) => peer.timedOut(id, nowMs),
      takeBack: (peer: PeerSource, { id }: Ask) => peer.takeBack(id),
      overtake: (peer: PeerSource, { id }: Ask, nowMs: number) =>
        peer.overtaken(id, { nowMs, originRateBytesPerMs: 2_500 }),
    };
    const end = fc.constantFrom(...(Object.keys(ends) as (keyof typeof ends)[]));
    let full = 0;
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(3), end, fc.nat(200)), { maxLength: 80 }), (events) => {
        const peer = new PeerSource("a", 30);
        let nowMs = 1;
        for (const [asks, how, waitMs] of events) {
          for (let count = 0; count < asks; count++) peer.asked(ask(++nowMs, nowMs));
          nowMs += waitMs;
          const [oldest] = peer.asks.values();
          if (oldest) ends[how](peer, oldest, nowMs);
          const fits = (peer.asks.size + 1) * PIECE_BYTES <= peer.window.bytes;
          const room = fits && peer.asks.size < LINK_REQUESTS_MAX;
          expect(peer.hasRoom()).to.equal(room);
          expect(peer.knownFull, "once asked, it is known").to.equal(!room);
          if (!room) full++;
        }
      }),
    );
    expect(full).to.be.above(500);
  });

  it("PeerSource goes on with a busy peer that is at work for it, at the rate that it takes", () => {
    const peer = new PeerSource("p", 20);
    for (const id of [1, 2]) peer.asked(ask(id));
    peer.refused(2, 200, 0, () => 0.5);
    expect(peer.available(1), "its next piece makes room").to.equal(true);
    expect(peer.hasRoom()).to.equal(false);
    peer.refused(1, 200, 0, () => 0.5);
    expect(peer.available(1), "others have it all").to.equal(false);
  });

  it("PeerSource takes a busy peer for as fast as what it brings between its refusals", () => {
    const peer = new PeerSource("p", 4);
    let nowMs = 0;
    for (let id = 1; id <= 20; id += 2) {
      for (const one of [id, id + 1]) peer.asked(ask(one, nowMs));
      peer.arrived(ask(id, nowMs), PIECE_BYTES, nowMs + 5);
      peer.refused(id + 1, 155, nowMs + 5, () => 0);
      nowMs = peer.backoffUntilMs;
    }
    // 64 KiB every 160 ms, however fast each of them comes.
    expect(peer.rateBytesPerMs).to.be.within(0.95 * 410, 1.2 * 410);
    // What nobody asked for in between says nothing.
    nowMs += 60_000;
    peer.asked(ask(40, nowMs));
    peer.arrived(ask(40, nowMs), PIECE_BYTES, nowMs + 5);
    expect(peer.rateBytesPerMs).to.be.above(400);
  });

  it("PeerSource that the origin overtakes has stalled if it was silent, not if it had no time to answer", () => {
    const peer = new PeerSource("a", 60);
    const overtake = (id: number, askedMs: number, nowMs: number) => {
      peer.asked(ask(id, askedMs));
      peer.overtaken(id, { nowMs, originRateBytesPerMs: 2_500 });
    };
    overtake(1, 0, 150);
    expect([peer.backoffUntilMs, peer.rateNow(150, 2_500)], "in time yet").to.deep.equal([
      0, 2_500,
    ]);
    overtake(2, 1_000, 1_300);
    expect([peer.backoffUntilMs, peer.rateNow(5_000, 2_500)], "silent").to.deep.equal([1_800, 0]);
    for (let id = 3; id < 10; id++) overtake(id, id * 1_000, id * 1_000 + 40);
    expect([peer.backoffUntilMs, peer.stalled], "asked again, and too late").to.deep.equal([
      1_800,
      false,
    ]);
    peer.asked(ask(10, 20_000));
    peer.arrived(ask(10, 20_000), PIECE_BYTES, 20_100);
    expect(peer.rateNow(20_100, 2_500), "it is back").to.be.above(0);
  });

  it("PeerSource is stalled after four stalls in a row", () => {
    const peer = new PeerSource("a", 30);
    const waits: number[] = [];
    for (let id = 1; id <= 3; id++) {
      peer.asked(ask(id));
      // Asks that are lost in one pause are one stall.
      for (let lost = 0; lost < 3; lost++) peer.timedOut(id, id * 1_000 + lost);
      waits.push(peer.backoffUntilMs - id * 1_000 - 2);
    }
    expect(peer.stalled).to.equal(false);
    expect(waits).to.deep.equal([500, 1_000, 2_000]);
    expect(peer.window.bytes).to.equal(PIECE_BYTES);
    peer.arrived(ask(4), PIECE_BYTES, 10);
    for (let id = 5; id <= 7; id++) peer.timedOut(id, id * 1_000);
    expect(peer.stalled, "a piece in between counts").to.equal(false);
    peer.timedOut(8, 8_000);
    expect(peer.stalled).to.equal(true);
    peer.refused(9, 0, 0, () => 0);
    expect(peer.stalled, "who answers is not silent").to.equal(false);
  });

  it("PeerSource remembers holdings of HOLDINGS_PER_PEER_MAX assets, the newest", () => {
    const peer = new PeerSource("a", 30);
    const pieces = new PieceSet(1);
    pieces.add(0);
    for (let asset = 0; asset < HOLDINGS_PER_PEER_MAX; asset++) {
      peer.setHoldings(`asset${asset}`, pieces);
    }
    peer.setHoldings("asset0", pieces);
    peer.setHoldings("one more", pieces);
    expect(peer.holdings.size).to.equal(HOLDINGS_PER_PEER_MAX);
    expect(peer.holds("asset1", 0)).to.equal(false);
    expect(peer.holds("asset0", 0)).to.equal(true);
    expect(peer.holds("one more", 0)).to.equal(true);
    expect(peer.holds("one more", 1)).to.equal(false);
  });
});

describe("origin-source", () => {
  it("OriginSource assumes a plain CDN until it has seen the origin", () => {
    const origin = new OriginSource();
    expect(origin.expectedMs(0)).to.equal(60);
    expect(origin.expectedMs(2_500)).to.equal(61);
    origin.sampleFirstByte(20);
    origin.sampleRate(PIECE_BYTES, 10);
    expect(origin.expectedMs(PIECE_BYTES)).to.equal(30);
  });

  it("OriginSource averages first bytes, three tenths for the newest", () => {
    const origin = new OriginSource();
    for (const ms of [100, 200]) origin.sampleFirstByte(ms);
    expect(origin.firstByteMs).to.be.closeTo(130, 1e-9);
  });

  it("OriginSource takes pieces that arrive in one gust for what they are together", () => {
    const origin = new OriginSource();
    // A busy page reads four of them at a time: a mean of their rates were sixty times what the line takes.
    for (let piece = 0; piece < 20; piece++) origin.sampleRate(PIECE_BYTES, piece % 4 ? 0.5 : 800);
    expect(origin.rateBytesPerMs).to.be.closeTo(PIECE_BYTES / 200, PIECE_BYTES / 500);
  });

  it("OriginSource that has sent all at once so far is taken for a plain CDN", () => {
    const origin = new OriginSource();
    origin.sampleRate(PIECE_BYTES, 0);
    expect(origin.rateBytesPerMs).to.equal(2_500);
  });
});
