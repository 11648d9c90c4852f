import { expect } from "chai";
import type { PeerLink } from "../../../src/mesh/links/peer-link.js";
import { Uploader } from "../../../src/mesh/uploads/uploader.js";
import type { AttestedWindow } from "../../../src/protocol/attestation.js";
import { LINK_REQUESTS_MAX, PIECE_BYTES } from "../../../src/protocol/limits.js";
import type { ControlFrame } from "../../../src/protocol/peer-codec.js";
import { type OutgoingPiece, toPeer } from "../../../src/protocol/seal.js";
import { makeAsset } from "../../support/assets.js";
import { type FakeTimers, withFakeTimers } from "../../support/fake-timers.js";
import { settle } from "../../support/waiting.js";

/** A link that notes what is sent; `hold()` makes sending wait until `release()`. */
function fakeLink() {
  const lifetime = new AbortController();
  const sent: number[] = [];
  const frames: ControlFrame[] = [];
  let gate = Promise.withResolvers<void>();
  gate.resolve();
  const link = {
    closed: lifetime.signal,
    bufferedBytes: 0,
    send: (frame: ControlFrame) => void frames.push(frame),
    async sendPiece(id: number, _bytes: Uint8Array, signal: AbortSignal) {
      const stop = AbortSignal.any([signal, lifetime.signal]);
      await Promise.race([
        gate.promise,
        new Promise((_, reject) => stop.addEventListener("abort", () => reject(stop.reason))),
      ]);
      sent.push(id);
    },
  };
  return {
    ...{ sent, frames, link: link as unknown as PeerLink },
    hold: () => {
      gate = Promise.withResolvers();
    },
    release: () => gate.resolve(),
    close: () => lifetime.abort(new Error("closed")),
  };
}

async function setUp(
  timers: FakeTimers,
  options: {
    maxBytesPerS?: number;
    maxParallel?: number;
    missing?: readonly number[];
    hidden?: boolean;
  } = {},
) {
  const asset = await makeAsset(PIECE_BYTES);
  const piece = await toPeer(asset.windows[0] as AttestedWindow, await asset.verified(0));
  const uploaded: number[] = [];
  const reads: number[] = [];
  const uploader = new Uploader({
    maxBytesPerS: options.maxBytesPerS ?? 0,
    maxParallel: options.maxParallel ?? 4,
    random: () => 0.5,
    hidden: () => options.hidden ?? false,
    now: () => timers.nowMs,
    read: async (_assetId: string, index: number): Promise<OutgoingPiece | undefined> => {
      reads.push(index);
      return options.missing?.includes(index) ? undefined : piece;
    },
    onUploaded: (bytes) => uploaded.push(bytes),
  });
  const ask = (link: PeerLink, ...ids: readonly number[]) => {
    for (const id of ids) uploader.accept(link, id, asset.assetId, id);
  };
  return { uploader, ask, uploaded, reads };
}

describe("uploader", () => {
  it("Uploader serves a link's requests in order and counts what left", async () => {
    await withFakeTimers(async (timers) => {
      const { ask, uploaded, reads } = await setUp(timers);
      const peer = fakeLink();
      peer.hold();
      ask(peer.link, 1, 2, 2, 3);
      await settle();
      expect(reads, "read ahead of their turn, once each").to.deep.equal([1, 2, 3]);
      expect(peer.sent).to.deep.equal([]);
      peer.release();
      await settle();
      expect(peer.sent).to.deep.equal([1, 2, 3]);
      expect(uploaded).to.deep.equal([PIECE_BYTES, PIECE_BYTES, PIECE_BYTES]);
      expect(peer.frames).to.deep.equal([]);
    });
  });

  it("Uploader answers BUSY at once when 300 ms of upload are queued", async () => {
    await withFakeTimers(async (timers) => {
      const { uploader, ask } = await setUp(timers);
      const peer = fakeLink();
      peer.hold();
      // 2 500 bytes/ms: eleven pieces fit 300 ms, and one more finds exactly that much before it.
      ask(peer.link, ...Array(20).keys());
      expect(peer.frames).to.have.length(8);
      expect(peer.frames[0]).to.deep.equal({
        ...{ type: "reject", id: 12, reason: "busy", retryMs: 200 },
      });
      expect(uploader.loadPercent).to.equal(100);
      peer.release();
      await settle();
      expect(peer.sent).to.have.length(12);
      expect(uploader.loadPercent).to.equal(0);
      ask(peer.link, 50);
      await settle();
      expect(peer.sent).to.have.length(13);
    });
  });

  it("Uploader counts what waits in the channels, and never learns a senseless rate", async () => {
    await withFakeTimers(async (timers) => {
      const { uploader, ask } = await setUp(timers);
      const peer = fakeLink();
      ask(peer.link, 1);
      await settle();
      (peer.link as { bufferedBytes: number }).bufferedBytes = 2_500 * 301;
      ask(peer.link, 2);
      expect(peer.frames.map(({ type }) => type)).to.deep.equal(["reject"]);
      // A full channel that grows while time passes has drained nothing.
      for (let round = 3; round < 8; round++) {
        await timers.advance(300);
        (peer.link as { bufferedBytes: number }).bufferedBytes = 60_000 * round;
        ask(peer.link, round);
        await settle();
        expect(uploader.loadPercent).to.be.within(0, 100);
      }
    });
  });

  it("Uploader keeps its rate in a hidden page, whose timers come once a second", async () => {
    await withFakeTimers(async (timers) => {
      const { setTimeout: exact } = globalThis;
      Object.assign(globalThis, {
        setTimeout: (callback: () => void, ms = 0) =>
          exact(callback, Math.ceil((timers.nowMs + ms) / 1_000) * 1_000 - timers.nowMs),
      });
      const { ask, uploaded } = await setUp(timers, { maxBytesPerS: 400_000, hidden: true });
      const peer = fakeLink();
      let id = 0;
      const askAgain = async () => {
        ask(peer.link, id++);
        await settle();
        const [busy] = peer.frames.splice(0);
        await timers.advance(busy?.type === "reject" ? busy.retryMs : 1);
      };
      while (timers.nowMs < 10_000) await askAgain();
      const bytesPerS = uploaded.reduce((sum, bytes) => sum + bytes, 0) / 10;
      // The cap, and at the start a quarter of a second of it at once.
      expect(bytesPerS).to.be.within(360_000, 410_000);
    });
  });

  it("Uploader learns that a line is faster than it was once, though it runs empty between pieces", async () => {
    await withFakeTimers(async (timers) => {
      const { uploader, ask } = await setUp(timers);
      const peer = fakeLink();
      const channel = peer.link as { bufferedBytes: number };
      ask(peer.link, 1);
      await settle();
      channel.bufferedBytes = PIECE_BYTES;
      await timers.advance(1_000);
      ask(peer.link, 2); // the first took a second
      await settle();
      ask(peer.link, 3);
      expect(uploader.rateBytesPerMs).to.be.closeTo(65.5, 0.1);
      expect(
        peer.frames.map(({ type }) => type),
        "busy",
      ).to.deep.equal(["reject"]);
      for (let id = 4; id < 12; id++) {
        channel.bufferedBytes = 0;
        ask(peer.link, id);
        await settle();
        await timers.advance(110);
      }
      expect(uploader.rateBytesPerMs).to.be.within(500, 600);
      // Many short pauses in a tenth of a second are one measurement, and never one of the buffers.
      for (let id = 12; id < 112; id++) {
        ask(peer.link, id);
        await settle();
        await timers.advance(11);
      }
      expect(uploader.rateBytesPerMs).to.be.within(4_000, 6_600);
    });
  });

  it("Uploader serves no more links at a time than allowed", async () => {
    await withFakeTimers(async (timers) => {
      const { ask } = await setUp(timers, { maxParallel: 2 });
      const [a, b, c] = [fakeLink(), fakeLink(), fakeLink()];
      for (const peer of [a, b]) {
        peer.hold();
        ask(peer.link, 1);
      }
      ask(c.link, 1);
      expect(c.frames.map(({ type }) => type)).to.deep.equal(["reject"]);
      ask(a.link, 2);
      expect(a.frames, "who is served already may ask on").to.deep.equal([]);
      b.release();
      await settle();
      ask(c.link, 2);
      await settle();
      expect(c.sent).to.deep.equal([2]);
      a.close();
    });
  });

  it("Uploader bounds the requests of one link", async () => {
    await withFakeTimers(async (timers) => {
      const { ask } = await setUp(timers);
      const peer = fakeLink();
      peer.hold();
      ask(peer.link, ...Array(LINK_REQUESTS_MAX + 50).keys());
      expect(peer.frames.length).to.be.above(50);
      peer.close();
    });
  });

  it("Uploader tells of a piece that is gone and goes on", async () => {
    await withFakeTimers(async (timers) => {
      const { ask } = await setUp(timers, { missing: [1] });
      const peer = fakeLink();
      ask(peer.link, 1, 2);
      await settle();
      expect(peer.frames).to.deep.equal([{ type: "reject", id: 1, reason: "absent", retryMs: 0 }]);
      expect(peer.sent).to.deep.equal([2]);
    });
  });

  it("Uploader skips what was taken back, in the queue and in mid-piece", async () => {
    await withFakeTimers(async (timers) => {
      const { uploader, ask, uploaded } = await setUp(timers);
      const peer = fakeLink();
      peer.hold();
      ask(peer.link, 1, 2, 3);
      await settle();
      uploader.cancel(peer.link, 1);
      uploader.cancel(peer.link, 2);
      uploader.cancel(peer.link, 99);
      peer.release();
      await settle();
      expect(peer.sent).to.deep.equal([3]);
      expect(uploaded).to.have.length(1);
      expect(uploader.loadPercent).to.equal(0);
    });
  });

  it("Uploader forgets a link that closed", async () => {
    await withFakeTimers(async (timers) => {
      const { uploader, ask } = await setUp(timers, { maxParallel: 1 });
      const [gone, next] = [fakeLink(), fakeLink()];
      gone.hold();
      ask(gone.link, 1, 2, 3);
      await settle();
      gone.close();
      await settle();
      expect(uploader.loadPercent).to.equal(0);
      ask(next.link, 1);
      await settle();
      expect(next.sent).to.deep.equal([1]);
      expect(gone.sent).to.deep.equal([]);
    });
  });

  it("Uploader keeps the rate cap, and stops waiting for a peer that takes its request back", async () => {
    await withFakeTimers(async (timers) => {
      const { uploader, ask } = await setUp(timers, { maxBytesPerS: PIECE_BYTES });
      const peer = fakeLink();
      ask(peer.link, 1);
      await settle();
      expect(peer.sent, "one piece may go out at once").to.deep.equal([1]);
      ask(peer.link, 2);
      await timers.advance(999);
      expect(peer.sent).to.deep.equal([1]);
      await timers.advance(1);
      expect(peer.sent).to.deep.equal([1, 2]);
      ask(peer.link, 3);
      await timers.advance(10);
      uploader.cancel(peer.link, 3);
      await timers.advance(5_000);
      expect(peer.sent).to.deep.equal([1, 2]);
      expect(timers.pending).to.equal(0);
    });
  });

  it("Uploader sends everybody away while it is disabled", async () => {
    await withFakeTimers(async (timers) => {
      const { uploader, ask } = await setUp(timers);
      const peer = fakeLink();
      uploader.enabled = false;
      expect(uploader.loadPercent).to.equal(100);
      ask(peer.link, 1);
      await settle();
      expect(peer.frames).to.deep.equal([
        { type: "reject", id: 1, reason: "busy", retryMs: 60_000 },
      ]);
      expect(peer.sent).to.deep.equal([]);
    });
  });
});
