import { expect } from "chai";
import type { WorkerConfig } from "../../../src/protocol/worker-messages.js";
import { loadWorkerConfig } from "../../../src/store/worker-config-store.js";
import { PageWishes } from "../../../src/sw/pages/page-wishes.js";

const ON: WorkerConfig = {
  ...{ enabled: true, include: ["/media/**"], exclude: [], signed: [], stripParams: [] },
};
const OFF: WorkerConfig = { ...ON, enabled: false };

const failed = (error: unknown): never => {
  throw error;
};

describe("page-wishes", () => {
  it("PageWishes.heed() leaves on disk what was said last, also while an earlier word is written", async () => {
    const wishes = new PageWishes(failed);
    await wishes.heed(ON);
    expect(await loadWorkerConfig()).to.deep.equal(ON);
    for (const [before, last] of [
      [OFF, ON],
      [ON, OFF],
      [ON, OFF],
    ] as const) {
      const earlier = wishes.heed(before);
      await wishes.loaded;
      await Promise.resolve();
      await Promise.all([earlier, wishes.heed(last)]);
      expect(await loadWorkerConfig()).to.deep.equal(last);
    }
    const next = new PageWishes(failed);
    await next.loaded;
    expect(next.known).to.equal(true);
  });
});
