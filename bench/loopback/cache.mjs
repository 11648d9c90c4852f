/** The own store against the network and against the browser's own cache. */
import { openBrowser, openPage, sleep, statsOf, timedFetch, using } from "../support/browser.mjs";
import { figure, sum } from "../support/report.mjs";
import { SiteProcess } from "../support/site-process.mjs";

const BYTES = 2 * 2 ** 20;
const REPEATS = 4;

export const cache = {
  help: "2 MiB from the own store; twins: a bare fetch from the origin, and from the browser's HTTP cache",
  run: ({ runs }) =>
    using(async (track) => {
      const site = track(await SiteProcess.start());
      const ours = await openPage(track(await openBrowser()), site.page("/blank"));
      const bare = await openPage(track(await openBrowser()), site.page("/blank", { off: "" }));
      const stored = [];
      const network = [];
      const http = [];
      for (let run = 0; run < runs; run++) {
        const path = `/media/mid/${run % 16}.bin?run=${run}`;
        await timedFetch(ours, path);
        await timedFetch(bare, path);
        await untilStored(ours, path);
        for (let i = 0; i < REPEATS; i++) {
          stored.push((await timedFetch(ours, path)).totalMs);
          network.push((await timedFetch(bare, path, { cache: "reload" })).totalMs);
          http.push((await timedFetch(bare, path)).totalMs);
        }
      }
      const { bytes } = await statsOf(ours);
      const expected = runs * REPEATS * BYTES;
      if (bytes.cache < expected)
        throw new Error(`the store served ${bytes.cache} of ${expected} bytes`);
      return {
        figures: [
          figure("2 MiB, against origin", "ms", { ours: stored, twin: network }),
          figure("2 MiB, against HTTP cache", "ms", { ours: stored, twin: http }),
        ],
        details: { requests: sum([stored.length, network.length, http.length]) },
      };
    }),
};

/** Pieces are written after the page has its bytes; the store answers once all of them are there. */
async function untilStored(page, path) {
  for (let i = 0; i < 40; i++) {
    const before = (await statsOf(page)).bytes.cache;
    await timedFetch(page, path);
    await sleep(50);
    if ((await statsOf(page)).bytes.cache - before >= BYTES) return;
  }
  throw new Error(`the store never held ${path}`);
}
