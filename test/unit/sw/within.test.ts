import { expect } from "chai";
import { within } from "../../../src/sw/within.js";
import { withFakeTimers } from "../../support/fake-timers.js";

describe("within", () => {
  it("within() resolves like its promise while there is time, and leaves no timer", async () => {
    await withFakeTimers(async () => {
      let late = 0;
      expect(await within(Promise.resolve(7), 100, () => late++)).to.equal(7);
      const error = new Error("no");
      const outcome = await within(Promise.reject(error), 100, () => late++).catch((e) => e);
      expect(outcome).to.equal(error);
      expect(late).to.equal(0);
    });
  });

  it("within() resolves to undefined when the time is over, and says so once", async () => {
    await withFakeTimers(async (timers) => {
      let late = 0;
      const waiting = within(new Promise(() => undefined), 100, () => late++);
      await timers.advance(99);
      expect(late).to.equal(0);
      await timers.advance(1);
      expect(await waiting).to.equal(undefined);
      expect(late).to.equal(1);
    });
  });
});
