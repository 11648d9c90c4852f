/** What Nearcast costs the requests it has nothing to do with. */
import { join, openBrowser, openPage, timedFetch, using } from "../support/browser.mjs";
import { figure, median } from "../support/report.mjs";
import { SiteProcess } from "../support/site-process.mjs";

const REQUESTS = 25;

export const unmatched = {
  help: "64 KiB from a path outside `include`: first byte of fetch() with the worker; twin: without a worker",
  run: ({ runs }) =>
    using(async (track) => {
      const site = track(await SiteProcess.start());
      const ours = await openPage(track(await openBrowser()), site.page("/blank"));
      const bare = await openPage(track(await openBrowser()), site.page("/blank", { off: "" }));
      await join(ours, { path: "/media/warm/0.bin" });
      const [mine, theirs] = [[], []];
      const firstByte = async (page, run) => {
        const samples = [];
        for (let i = 0; i < REQUESTS; i++)
          samples.push(await timedFetch(page, `/other/small/${i}.bin?run=${run}`));
        return median(samples.map(({ firstMs }) => firstMs));
      };
      for (let run = 0; run < runs; run++) {
        mine.push(await firstByte(ours, run));
        theirs.push(await firstByte(bare, run));
      }
      return {
        figures: [
          figure("first byte, p50", "ms", { ours: mine, twin: theirs, compare: "difference" }),
        ],
      };
    }),
};
