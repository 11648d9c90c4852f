/** One warm link: what verification, framing, the worker and the stream leave of a raw data channel. */
import {
  join,
  openBrowser,
  openPage,
  sleep,
  statsOf,
  timedFetch,
  using,
} from "../support/browser.mjs";
import { connectRaw, rawTransfer } from "../support/raw-channel.mjs";
import { figure } from "../support/report.mjs";
import { SiteProcess } from "../support/site-process.mjs";

const BYTES = 8 * 2 ** 20;
/** As many as there are; a file is measured once. */
const FILES = 16;
/** Writing begins 0.2 s after the last request and takes as long again. */
const STORED_MS = 1_500;
const mbits = (ms) => (BYTES * 8) / ms / 1_000;

export const hit = {
  help: "8 MiB over one warm link, verified, into fetch(): goodput; twin: a raw RTCDataChannel of the same browsers",
  run: ({ runs }) =>
    using(async (track) => {
      const site = track(await SiteProcess.start());
      const seeder = await openPage(track(await openBrowser()), site.page("/blank"));
      const receiver = await openPage(track(await openBrowser()), site.page("/blank"));
      const count = Math.min(runs, FILES);
      const paths = Array.from({ length: count }, (_, run) => `/media/large/${run}.bin`);
      // Before the receiver comes: it learns what there is, attestations included, when it joins.
      for (const path of paths) await seed(site, seeder, path);
      await join(receiver, { path: "/media/large/none.bin", links: 1 });
      await connectRaw(seeder, receiver);
      await slowOrigin(site, receiver);
      await site.call("throttle", UNUSABLE);
      const before = await statsOf(receiver);
      const samples = { ours: [], raw16: [], raw64: [] };
      const raw = (messageBytes) => rawTransfer(receiver, { bytes: BYTES, messageBytes });
      for (const path of paths) {
        samples.ours.push(mbits((await timedFetch(receiver, path)).totalMs));
        // What was received is written to disk after it was delivered: not in the twin's time.
        await sleep(STORED_MS);
        samples.raw16.push(mbits(await raw(16_384)));
        samples.raw64.push(mbits(await raw(65_536)));
      }
      const fromOrigin = (await statsOf(receiver)).bytes.origin - before.bytes.origin;
      const { ours, raw16, raw64 } = samples;
      return {
        figures: [
          figure("8 MiB, against 16 KiB messages", "Mbit/s", {
            ours,
            twin: raw16,
            target: "≥ × 0.8",
          }),
          figure("8 MiB, against 64 KiB messages", "Mbit/s", {
            ours,
            twin: raw64,
            target: "≥ × 0.8",
          }),
          figure("bytes of it from the origin", "MB", { ours: [fromOrigin / 1e6] }),
        ],
      };
    }),
};

/** So slow that nobody waits for it, and never done in time. */
export const UNUSABLE = { rateBytesPerS: 10_000, delayMs: 60_000 };

/**
 * Lets the receiver learn that the origin takes seconds: it asks the origin only when peers would be later, and what is
 * measured here is the link.
 */
export async function slowOrigin(site, receiver) {
  await site.call("throttle", { rateBytesPerS: 60_000, delayMs: 3_000 });
  for (let i = 0; i < 2; i++) await timedFetch(receiver, `/media/warm/${i}.bin?slow`);
}

/** The seeder has the file, and others have had time to hear of it. */
export async function seed(site, seeder, path) {
  await site.call("throttle", {});
  await timedFetch(seeder, path);
  await sleep(500);
}
