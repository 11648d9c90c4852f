import { expect } from "chai";
import { UploadPolicy } from "../../../../src/engine/uploads/upload-policy.js";
import { PIECE_BYTES } from "../../../../src/protocol/limits.js";
import { fc } from "../../../support/properties.js";

const policy = (options: { maxBytesPerS?: number; maxParallel?: number; random?: number } = {}) =>
  new UploadPolicy({
    maxBytesPerS: options.maxBytesPerS ?? 0,
    maxParallel: options.maxParallel ?? 4,
    random: () => options.random ?? 0.5,
    nowMs: 0,
  });

type Asking = Parameters<UploadPolicy["busyMs"]>[0];
const IDLE: Asking = { queuedBytes: 0, peers: 0, known: false, hidden: false, nowMs: 0 };

describe("upload-policy", () => {
  it("UploadPolicy.busyMs() takes what leaves within 300 ms, from no more peers than allowed", () => {
    const table: [what: string, asking: Partial<Asking>, taken: boolean][] = [
      ["idle", {}, true],
      ["300 ms queued", { queuedBytes: 750_000, peers: 1, known: true }, true],
      ["more than 300 ms queued", { queuedBytes: 750_001, peers: 1, known: true }, false],
      ["one place left", { peers: 3 }, true],
      ["all places taken", { peers: 4 }, false],
      ["all places taken, by the asker too", { peers: 4, known: true }, true],
    ];
    for (const [what, state, taken] of table) {
      expect(policy().busyMs({ ...IDLE, ...state }) === 0, what).to.equal(taken);
    }
  });

  it("UploadPolicy.busyMs() says when to come back, with jitter", () => {
    const full = { ...IDLE, queuedBytes: 10 ** 9, peers: 1, known: true };
    expect(policy({ random: 0 }).busyMs(full)).to.equal(100);
    expect(policy({ random: 0.999 }).busyMs(full)).to.equal(300);
  });

  it("UploadPolicy.busyMs() takes one piece however slow the uplink is", () => {
    const slow = policy({ maxBytesPerS: 1_000 });
    const queued = (queuedBytes: number) => slow.busyMs({ ...IDLE, queuedBytes });
    expect(queued(0)).to.equal(0);
    expect(queued(PIECE_BYTES - 1)).to.equal(0);
    expect(queued(PIECE_BYTES)).to.be.above(0);
  });

  it("UploadPolicy.busyMs() lets the asker wait for the cap of a hidden page", () => {
    const capped = policy({ maxBytesPerS: 400_000 });
    const ask = (nowMs: number, queuedBytes = 0, hidden = true) =>
      capped.busyMs({ ...IDLE, queuedBytes, known: true, hidden, nowMs });
    expect(capped.spend(100_000, 0), "the burst").to.equal(0);
    expect(ask(0, 0, false), "its own timer will do").to.equal(0);
    expect(ask(0)).to.equal(Math.ceil(PIECE_BYTES / 400));
    expect(ask(100)).to.equal(Math.ceil((PIECE_BYTES - 40_000) / 400));
    expect(ask(200)).to.equal(0);
    expect(ask(200, PIECE_BYTES), "what is queued goes first").to.be.above(100);
    const free = policy().busyMs({ ...IDLE, known: true, hidden: true });
    expect(free, "no cap").to.equal(0);
  });

  it("UploadPolicy.rateBytesPerMs is what was measured, below the cap", () => {
    const capped = policy({ maxBytesPerS: 1_000_000 });
    expect(policy().rateBytesPerMs).to.equal(2_500);
    expect(capped.rateBytesPerMs).to.equal(1_000);
    capped.sample(1_000, 10);
    expect(capped.rateBytesPerMs).to.equal(100);
    capped.sample(5, 0);
    expect(capped.rateBytesPerMs, "a time of zero shows nothing").to.equal(100);
  });

  it("UploadPolicy.spend() never waits without a cap", () => {
    const free = policy();
    for (let round = 0; round < 100; round++) expect(free.spend(10 ** 9, 0)).to.equal(0);
  });

  it("UploadPolicy.spend() lets a quarter of a second go out at once, then makes the rest wait", () => {
    const capped = policy({ maxBytesPerS: 4_000_000 });
    expect(capped.spend(1_000_000, 0)).to.equal(0);
    expect(capped.spend(400_000, 0)).to.equal(100);
    expect(capped.spend(0, 50)).to.equal(50);
    expect(capped.spend(0, 100)).to.equal(0);
    expect(capped.spend(1_000_000, 10_000), "tokens do not pile up").to.equal(0);
    expect(capped.spend(1, 10_000)).to.be.above(0);
  });

  it("UploadPolicy.spend() keeps the rate below the cap in the long run", () => {
    const capBytesPerS = fc.integer({ min: 10_000, max: 10_000_000 });
    const pieces = fc.array(fc.tuple(fc.integer({ min: 1, max: PIECE_BYTES }), fc.nat(200)), {
      minLength: 1,
    });
    fc.assert(
      fc.property(capBytesPerS, pieces, (maxBytesPerS, sent) => {
        const capped = policy({ maxBytesPerS });
        let nowMs = 0;
        let bytes = 0;
        for (const [size, pauseMs] of sent) {
          nowMs += pauseMs;
          nowMs += capped.spend(size, nowMs);
          bytes += size;
        }
        const burst = Math.max(PIECE_BYTES, maxBytesPerS / 4);
        expect(bytes).to.be.at.most(burst + (nowMs * maxBytesPerS) / 1_000 + 1);
      }),
    );
  });

  it("UploadPolicy.sampleAtLeast() only ever raises the rate", () => {
    const policy = new UploadPolicy({
      ...{ maxBytesPerS: 0, maxParallel: 4, random: () => 0, nowMs: 0 },
    });
    const assumed = policy.rateBytesPerMs;
    policy.sampleAtLeast(100 * assumed, 1_000);
    expect(policy.rateBytesPerMs).to.equal(assumed);
    policy.sampleAtLeast(5_000 * assumed, 1_000);
    expect(policy.rateBytesPerMs).to.equal(5 * assumed);
    policy.sampleAtLeast(5_000 * assumed, 0);
    expect(policy.rateBytesPerMs).to.equal(5 * assumed);
  });
});
