import { expect } from "chai";
import { Pacer, paced } from "../../../src/sw/answer/paced.js";
import { type FakeTimers, withFakeTimers } from "../../support/fake-timers.js";
import { readAll, settle } from "../../support/waiting.js";

/** A body of 64 KiB pieces that is all there, through a pacer on a fake clock. */
async function pacing(
  action: (world: {
    timers: FakeTimers;
    pacer: Pacer;
    body: ReadableStream<Uint8Array>;
    ends: () => number;
    cancelled: () => unknown;
  }) => Promise<void>,
  { pieces = 4 } = {},
): Promise<void> {
  await withFakeTimers(async (timers) => {
    const pacer = new Pacer(() => timers.nowMs);
    let ends = 0;
    let cancelled: unknown;
    const inner = new ReadableStream<Uint8Array>({
      start(controller) {
        for (let i = 0; i < pieces; i++) controller.enqueue(new Uint8Array(65_536).fill(i));
        controller.close();
      },
      cancel(reason) {
        cancelled = reason;
      },
    });
    const body = paced(inner, pacer, () => {
      ends++;
    });
    await action({ timers, pacer, body, ends: () => ends, cancelled: () => cancelled });
  });
}

/** Counts what a reader has got so far. */
function reading(body: ReadableStream<Uint8Array>) {
  const state = { bytes: 0, done: false, text: [] as number[] };
  void (async () => {
    const reader = body.getReader();
    for (let next = await reader.read(); !next.done; next = await reader.read()) {
      state.bytes += next.value.byteLength;
      state.text.push(next.value[0] ?? -1);
    }
    state.done = true;
  })();
  return state;
}

describe("paced", () => {
  it("paced() hands a body over as a line of the advised rate would", () =>
    pacing(async ({ timers, pacer, body, ends }) => {
      pacer.advise({ type: "pace", bytesPerMs: 100 });
      const state = reading(body);
      for (const ms of [500, 500, 500, 500]) {
        await timers.advance(ms);
        await settle();
        const dueBytes = timers.nowMs * 100;
        expect(state.bytes).to.be.within(dueBytes - 16_384, dueBytes);
      }
      await timers.advance(700);
      await settle();
      expect(state).to.include({ bytes: 4 * 65_536, done: true });
      expect(ends()).to.equal(1);
      expect([...new Set(state.text)]).to.deep.equal([0, 1, 2, 3]);
    }));

  it("paced() waits for advice, and lets the body go when there is none within 250 ms", () =>
    pacing(async ({ timers, body }) => {
      const state = reading(body);
      await timers.advance(249);
      await settle();
      expect(state.bytes).to.equal(0);
      await timers.advance(1);
      await settle(20);
      expect(state).to.include({ bytes: 4 * 65_536, done: true });
    }));

  it("paced() follows advice that changes: the rest goes at once", () =>
    pacing(async ({ timers, pacer, body }) => {
      pacer.advise({ type: "pace", bytesPerMs: 1 });
      const state = reading(body);
      await timers.advance(1_000);
      expect(state.bytes).to.equal(0);
      pacer.advise({ type: "pace", bytesPerMs: undefined });
      await settle(20);
      expect(state.done).to.equal(true);
    }));

  it("paced() counts what was due at the old rate when the rate changes", () =>
    pacing(async ({ timers, pacer, body }) => {
      pacer.advise({ type: "pace", bytesPerMs: 10 });
      const state = reading(body);
      await timers.advance(1_000); // 10 000 of the first 16 384 bytes
      pacer.advise({ type: "pace", bytesPerMs: 1 });
      await timers.advance(6_300);
      await settle();
      expect(state.bytes).to.equal(0);
      await timers.advance(200);
      await settle();
      expect(state.bytes).to.equal(16_384);
    }));

  it("paced() does not hold up what is late anyway", () =>
    withFakeTimers(async (timers) => {
      const pacer = new Pacer(() => timers.nowMs);
      pacer.advise({ type: "pace", bytesPerMs: 100 });
      let give: ((bytes: Uint8Array) => void) | undefined;
      const inner = new ReadableStream<Uint8Array>({
        start: (controller) => {
          give = (bytes) => controller.enqueue(bytes);
        },
      });
      const state = reading(paced(inner, pacer));
      await timers.advance(5_000);
      give?.(new Uint8Array(65_536));
      await settle(20);
      expect(state.bytes).to.equal(65_536);
    }));

  it("paced() errors like its body, and cancels it", async () => {
    const pacer = new Pacer();
    pacer.advise({ type: "pace", bytesPerMs: undefined });
    const failed = new ReadableStream<Uint8Array>({ start: (c) => c.error(new Error("cut")) });
    const { error } = await readAll(paced(failed, pacer));
    expect(error).to.have.property("message", "cut");
    await pacing(async ({ body, cancelled, ends }) => {
      await body.cancel("enough");
      expect(cancelled()).to.equal("enough");
      expect(ends()).to.equal(1);
    });
  });

  it("paced() holds the end back for as long as the host said last", () =>
    pacing(async ({ timers, pacer, body, ends }) => {
      pacer.advise({ type: "pace", bytesPerMs: undefined, holdMs: 1_000 });
      pacer.advise({ type: "pace", bytesPerMs: undefined, holdMs: 200 });
      const read = reading(body);
      await timers.advance(199);
      expect([read.bytes, read.done, ends()]).to.deep.equal([4 * 65_536, false, 0]);
      await timers.advance(2);
      expect([read.done, ends()]).to.deep.equal([true, 1]);
    }));
});
