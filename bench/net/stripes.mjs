/** One file from four homes at once: do their uplinks add up? */

import { seed, slowOrigin, UNUSABLE } from "../loopback/hit.mjs";
import { join, openPage, sleep, statsOf, timedFetch, using } from "../support/browser.mjs";
import { connectRaw, rawTransfer } from "../support/raw-channel.mjs";
import { figure } from "../support/report.mjs";
import { HOME, Lab } from "./lab.mjs";

const HOLDERS = 4;
const BYTES = 16 * 2 ** 20;
const UP_KBIT = 5_000;
const SUM_MBITS = (HOLDERS * UP_KBIT) / 1_000;
const FILES = 4;
const mbits = (ms) => (BYTES * 8) / ms / 1_000;

export const stripes = {
  help: "16 MiB from four holders with 5 Mbit/s up each, no origin: goodput; twin: raw channels of the same browsers",
  lab: true,
  run: ({ runs }) =>
    using(async (track) => {
      const holderHome = { ...HOME, upKbit: UP_KBIT, downKbit: 100_000 };
      const lab = track(
        await Lab.open([
          ...Array.from({ length: HOLDERS }, () => holderHome),
          { ...HOME, downKbit: 100_000 },
        ]),
      );
      const { site } = lab;
      const pages = [];
      for (let i = 0; i <= HOLDERS; i++)
        pages.push(await openPage(await lab.browser(i), site.page("/blank")));
      const receiver = pages.pop();
      const paths = Array.from({ length: Math.min(runs, FILES) }, (_, i) => `/media/huge/${i}.bin`);
      for (const path of paths) for (const holder of pages) await seed(site, holder, path);
      await join(receiver, { path: "/media/huge/none.bin", links: HOLDERS });
      for (const holder of pages) await connectRaw(holder, receiver);
      await slowOrigin(site, receiver);
      await site.call("throttle", UNUSABLE);
      await sleep(1_000);
      const before = await statsOf(receiver);
      const ours = [];
      const twin = [];
      for (const path of paths) {
        ours.push(mbits((await timedFetch(receiver, path)).totalMs));
        twin.push(mbits(await rawTransfer(receiver, { bytes: BYTES, messageBytes: 16_384 })));
      }
      const { bytes } = await statsOf(receiver);
      return {
        figures: [
          figure("16 MiB, verified", "Mbit/s", { ours, twin }),
          figure("of the uplinks' sum", "share", {
            ours: ours.map((rate) => rate / SUM_MBITS),
            target: "≥ 0.85",
          }),
          figure("bytes from the origin", "MB", {
            ours: [(bytes.origin - before.bytes.origin) / 1e6],
          }),
        ],
        details: { stats: await statsOf(receiver) },
      };
    }),
};
