/**
 * Whether a player chooses as it would without us: the same film behind the same thin line, once with Nearcast (its
 * bytes in the viewer's own store, or with a peer) and once from the CDN alone, at the same time on lines of their own.
 */
import { openBrowser, openPage, sleep, statsOf, using } from "../support/browser.mjs";
import { PLAYERS } from "../support/players.mjs";
import { figure, sum } from "../support/report.mjs";
import { SiteProcess } from "../support/site-process.mjs";
import {
  DURATION_S,
  ensureLadder,
  ladderMissing,
  RUNGS,
  SEGMENT_S,
  segmentPaths,
} from "./ladder.mjs";

/** The third rung fits, the fourth does not. */
const LINE_BITS = 3_000_000;
const LINE = { rateBytesPerS: LINE_BITS / 8, delayMs: 30 };
/** Less than the lowest rung. */
const SLOW_PEER = { "upload-max-rate": 40_000 };
/**
 * Where the film is already, and what is thin: the viewer's line, or nothing but the origin, which no browser can
 * know before it has asked.
 */
const SCENES = {
  store: { line: { ...LINE, pages: true }, holders: [] },
  mesh: { line: { ...LINE, pages: true }, holders: [{}] },
  "mesh with a slow peer": { line: { ...LINE, pages: true }, holders: [{}, SLOW_PEER] },
  "mesh beside a slow CDN": { line: LINE, holders: [{}] },
};
/** What others watched before: the rungs that the line carries. */
const HELD_RUNGS = [0, 1, 2];

const MANIFESTS = { hls: "/media/film/master.m3u8", dash: "/media/film/manifest.mpd" };

/** A showing of one player up to `endS` seconds. */
function showing(name, { line, holders }, endS) {
  return using(async (track) => {
    const root = ensureLadder();
    const [site, twinSite] = await Promise.all([
      SiteProcess.start({ root }),
      SiteProcess.start({ root }),
    ]);
    track(site);
    track(twinSite);
    const viewer = track(await openBrowser());
    const twin = track(await openBrowser());
    const paths = segmentPaths(HELD_RUNGS);
    const opened = async (browser, options) => {
      const page = await openPage(browser, site.page("/blank", options));
      await fetchAll(page, paths);
      return page;
    };
    for (const options of holders) await opened(track(await openBrowser()), options);
    const before = holders.length === 0 ? await opened(viewer) : undefined;
    // Nobody waits here for a film to come over the thin line; what it was watched over is measured at the end.
    await site.call("throttle", line);
    if (before) await fetchAll(before, [`${paths.at(-1)}?measured`, `${paths.at(-2)}?measured`]);
    await sleep(1_500);
    await before?.close();
    await twinSite.call("throttle", line);
    const src = MANIFESTS[PLAYERS[name].manifest];
    const [page, twinPage] = await Promise.all([
      openPage(viewer, site.page(`/player/${name}`)),
      openPage(twin, twinSite.page(`/player/${name}`, { off: "" })),
    ]);
    const play = async (where) => {
      await where.evaluate((url) => window.startPlaying(url), src);
      await where
        .waitForFunction(
          (untilS) => document.querySelector("video").currentTime > untilS,
          { timeout: 110_000 },
          endS,
        )
        .catch(() => undefined); // what was played until then is the result
      return where.evaluate(() => ({ ...window.playing, segments: window.segments() }));
    };
    const [ours, theirs] = await Promise.all([play(page), play(twinPage)]);
    return { ours: { ...ours, stats: await statsOf(page) }, theirs };
  });
}

async function fetchAll(page, paths) {
  for (const path of paths) await page.evaluate((url) => window.timedFetch(url), path);
}

/** What one player did. */
function summary({ startupMs, stalls, errors, samples, segments }) {
  const rungs = segments
    .map(([, file]) => /^chunk-stream(\d)/.exec(file)?.[1])
    .filter((rung) => rung !== undefined)
    .map(Number);
  const estimates = samples.map(({ estimate }) => estimate).filter((estimate) => estimate > 0);
  return {
    startupMs,
    stalls: stalls.length,
    stallMs: sum(stalls.map(({ ms }) => ms ?? 0)),
    errors,
    rungs: rungs.join(""),
    switches: rungs.filter((rung, i) => i > 0 && rung !== rungs[i - 1]).length,
    meanKbits: sum(rungs.map((rung) => RUNGS[rung])) / rungs.length / 1_000,
    // What neither the line nor the mesh can go on with.
    tooHigh: rungs.filter((rung) => rung > Math.max(...HELD_RUNGS)).length,
    estimateMax: Math.max(...estimates, 0) / 1_000,
    playedS: samples.at(-1)?.positionS ?? 0,
  };
}

const ROWS = [
  ["start-up", "ms", "startupMs"],
  ["bitrate asked for, mean", "kbit/s", "meanKbits"],
  ["segments beyond what line and mesh sustain", "", "tooHigh"],
  ["switches", "", "switches"],
  ["stalls", "", "stalls"],
  ["stalled", "ms", "stallMs"],
  ["player's estimate, highest", "kbit/s", "estimateMax"],
  ["played", "s", "playedS"],
];

async function run({ runs, playS, players = Object.keys(PLAYERS) }, scenes) {
  const figures = [];
  const details = [];
  for (const name of players) {
    for (const held of scenes) {
      const samples = { ours: [], theirs: [] };
      for (let i = 0; i < runs; i++) {
        const { ours, theirs } = await showing(name, SCENES[held], Math.min(playS, DURATION_S - 2));
        const both = { ours: summary(ours), theirs: summary(theirs) };
        samples.ours.push(both.ours);
        samples.theirs.push(both.theirs);
        details.push({ name, held, both, ours, theirs });
        const { cache, mesh, origin } = ours.stats.bytes;
        console.log(`   ${name}, film in the ${held}; a rung per segment of ${SEGMENT_S} s`);
        console.log(`     Nearcast ${both.ours.rungs}  ${both.ours.errors.join("; ")}`);
        console.log(`     twin     ${both.theirs.rungs}  ${both.theirs.errors.join("; ")}`);
        const share = (bytes) => Math.round((100 * bytes) / (cache + mesh + origin));
        console.log(
          `     bytes: store ${share(cache)} %, peers ${share(mesh)} %, origin ${share(origin)} %`,
        );
      }
      for (const [label, unit, key] of ROWS) {
        const pick = (list) => list.map((entry) => entry[key]);
        const compare =
          ["ms", "kbit/s", "s"].includes(unit) && key !== "stallMs" ? "ratio" : "difference";
        figures.push(
          figure(`${name}, ${held}: ${label}`, unit, {
            ours: pick(samples.ours),
            twin: pick(samples.theirs),
            compare,
          }),
        );
      }
    }
  }
  return { figures, details };
}

export const benchmarks = {
  abr: {
    help: "four players, four renditions, a line of 3 Mbit/s, the film in store or mesh: what they choose",
    missing: ladderMissing,
    long: true,
    run: (options) => run(options, ["store", "mesh"]),
  },
  "abr-peers": {
    help: "the same, with a slow peer beside a fast one, and with a slow CDN behind a fast line",
    missing: ladderMissing,
    long: true,
    run: (options) => run(options, ["mesh with a slow peer", "mesh beside a slow CDN"]),
  },
};
