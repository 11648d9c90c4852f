/** What a request costs that goes through Nearcast for nothing. */
import { join, openBrowser, openPage, sleep, timedFetch, using } from "../support/browser.mjs";
import { figure, median } from "../support/report.mjs";
import { SiteProcess } from "../support/site-process.mjs";

const REQUESTS = 25;
/** For two seconds a newcomer to a group hopes for company; what comes then is measured. */
const SETTLED_MS = 2_500;

export const passthrough = {
  help: "64 KiB that no peer can serve, joined but alone: time to first byte of fetch(); twin: no Nearcast",
  run: ({ runs }) =>
    using(async (track) => {
      const site = track(await SiteProcess.start());
      const ours = await openPage(track(await openBrowser()), site.page("/blank"));
      const bare = await openPage(track(await openBrowser()), site.page("/blank", { off: "" }));
      await join(ours, { path: "/media/small/0.bin?join" });
      await sleep(SETTLED_MS);
      const samples = { ours: [], twin: [], oursTotal: [], twinTotal: [] };
      for (let run = 0; run < runs; run++) {
        const [mine, theirs] = [[], []];
        for (let i = 0; i < REQUESTS; i++) {
          // A URL is used once only: a second time the store or the browser's cache would answer.
          const path = `/media/small/${i}.bin?run=${run}`;
          mine.push(await timedFetch(ours, path));
          theirs.push(await timedFetch(bare, path));
        }
        samples.ours.push(median(mine.map(({ firstMs }) => firstMs)));
        samples.twin.push(median(theirs.map(({ firstMs }) => firstMs)));
        samples.oursTotal.push(median(mine.map(({ totalMs }) => totalMs)));
        samples.twinTotal.push(median(theirs.map(({ totalMs }) => totalMs)));
      }
      const { ours: first, twin: bareFirst, oursTotal, twinTotal } = samples;
      const compare = "difference";
      return {
        figures: [
          figure("first byte, p50", "ms", {
            ours: first,
            twin: bareFirst,
            compare,
            target: "≤ +5",
          }),
          figure("last byte, p50", "ms", { ours: oursTotal, twin: twinTotal, compare }),
        ],
      };
    }),
};
