import { expect } from "chai";
import { KeepAlive } from "../../../src/sw/pages/keep-alive.js";
import { withFakeTimers } from "../../support/fake-timers.js";

describe("KeepAlive", () => {
  it("KeepAlive asks for an event every ten seconds while any body runs, and no longer", async () => {
    await withFakeTimers(async (timers) => {
      let beats = 0;
      const alive = new KeepAlive(() => beats++);
      const [first, second] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
      void alive.until(first.promise);
      await timers.advance(5_000);
      void alive.until(second.promise);
      await timers.advance(15_000);
      expect(beats).to.equal(2);
      first.resolve();
      await timers.advance(10_000);
      expect(beats).to.equal(3);
      second.resolve();
      await timers.advance(100_000);
      expect(beats).to.equal(3);
      expect(timers.pending).to.equal(0);
    });
  });

  it("KeepAlive.until() holds the event while a body runs, and never for five minutes", async () => {
    await withFakeTimers(async (timers) => {
      const alive = new KeepAlive(() => undefined);
      const ended = Promise.withResolvers<void>();
      let held = true;
      void alive.until(ended.promise).then(() => {
        held = false;
      });
      await timers.advance(59_000);
      expect(held).to.equal(true);
      await timers.advance(2_000);
      expect(held).to.equal(false);
      ended.resolve();
      await timers.advance(0);
      expect(timers.pending).to.equal(0);
    });
  });
});
