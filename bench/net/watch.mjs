/**
 * One showing: viewers watch the film in their homes while the origin counts. Returns what every player recorded and
 * what the origin sent; `measure` makes the figures of it.
 */
import { sleep } from "../support/browser.mjs";
import { BITRATE } from "../support/film.mjs";
import { CpuMeter, median, sum } from "../support/report.mjs";
import { HOME, Lab } from "./lab.mjs";

const VOD = "/media/film/index.m3u8";
const LIVE = "/media/film/live.m3u8";
/** Media played before the clock of a live showing starts to count. */
const JOIN_MS = 8_000;

/**
 * @param off Without Nearcast: the twin.
 * @param playS Seconds from the last viewer's start to the end.
 * @param staggerS Seconds between two viewers' starts.
 * @param wait The player starts when the worker is there.
 * @param originRate Bytes per second that the origin can send to all viewers; 0 is unlimited.
 * @param events `[atS, viewer, "leave" | "vanish" | "replace"]`, counted from the first viewer's start.
 */
export async function watch({
  viewers = 6,
  off = false,
  playS = 60,
  staggerS = 0,
  live = false,
  wait = false,
  originRate = 0,
  home = HOME,
  events = [],
}) {
  const lab = await Lab.open(Array.from({ length: viewers }, () => home));
  try {
    const { site } = lab;
    const seats = [];
    const gone = [];
    for (let i = 0; i < viewers; i++) seats.push(await sit(lab, i));
    await site.call("throttle", { rateBytesPerS: originRate });
    await site.call("reset");
    if (live) await site.call("startLive");
    const cpu = new CpuMeter();
    const startMs = Date.now();
    const url = site.page("/play", {
      src: live ? LIVE : VOD,
      ...(off && { off: "" }),
      ...(wait && { wait: "" }),
    });
    const start = ({ page }) => page.goto(url);
    const starts = seats.map((seat, i) => ({ atS: i * staggerS, run: () => start(seat) }));
    const changes = events.map(([atS, viewer, kind]) => ({
      atS,
      run: async () => {
        gone.push(await leave(lab, seats[viewer], kind));
        seats[viewer] = undefined;
        if (kind !== "replace") return;
        seats[viewer] = await sit(lab, viewer);
        await start(seats[viewer]);
      },
    }));
    const endS = (viewers - 1) * staggerS + playS;
    await Promise.all(
      [...starts, ...changes].map(async ({ atS, run }) => {
        await sleep(startMs + atS * 1_000 - Date.now());
        await run();
      }),
    );
    await sleep(startMs + endS * 1_000 - Date.now());
    const busy = cpu.busy;
    const counts = await site.call("counts");
    const stayed = await Promise.all(seats.filter(Boolean).map(recordOf));
    return {
      off,
      viewers: stayed,
      gone,
      leftAtMs: events.map(([atS]) => startMs + atS * 1_000),
      counts: counts.media,
      paths: counts.paths,
      traffic: lab.traffic,
      busy,
    };
  } finally {
    await lab.close();
  }
}

/** A browser that shows nothing yet: browsers start slowly and not evenly. */
async function sit(lab, index) {
  const browser = await lab.browser(index);
  return { index, browser, page: await browser.newPage() };
}

async function leave(lab, seat, kind) {
  const record = await recordOf(seat);
  await lab.end(seat.browser, { abruptly: kind === "vanish" });
  return record;
}

async function recordOf({ index, page }) {
  return page.evaluate((seat) => {
    const { video, record } = window;
    // A stall that is not over has lasted until now.
    for (const stall of record.stalls) stall.ms ??= performance.now() - stall.atMs;
    return { ...record, seat, playedS: video.currentTime, stats: window.nearcast?.stats() };
  }, index);
}

/** The figures of a showing. */
export function measure({ viewers, gone, leftAtMs, paths, counts, busy }) {
  const everybody = [...viewers, ...gone];
  const sizes = new Map();
  for (const { segments } of everybody)
    for (const { name, bytes } of segments) sizes.set(name, Math.max(bytes, sizes.get(name) ?? 0));
  const distinct = sum([...sizes.values()]);
  const stalls = everybody.flatMap((viewer) => viewer.stalls);
  const bySource = (source) => sum(everybody.map(({ stats }) => stats?.bytes[source] ?? 0));
  const waits = everybody.flatMap(({ segments }) => segments.map(({ totalMs }) => totalMs));
  return {
    copies: counts.bytes / distinct,
    originMB: counts.bytes / 1e6,
    startupMs: median(everybody.map(({ startupMs }) => startupMs)),
    stalls: stalls.length,
    stallMs: sum(stalls.map(({ ms = 0 }) => ms)),
    peerShare: bySource("mesh") / (bySource("mesh") + bySource("origin") + bySource("cache")),
    latencyS: median(everybody.flatMap(({ latencies }) => latencies.slice(JOIN_MS / 1_000))),
    segmentMs: median(waits),
    slowestMs: Math.max(...waits),
    ...leaving(viewers, leftAtMs),
    playedS: sum(everybody.map(({ playedS }) => playedS)),
    busy,
    perSegment: Object.fromEntries(
      [...sizes].map(([name, bytes]) => [name, copiesOf(paths, name, bytes)]).sort(),
    ),
  };
}

/** What somebody's leaving did to those who stayed: segments that were under way then, and those of all other times. */
function leaving(viewers, leftAtMs) {
  const loads = viewers.flatMap(({ openedAt, segments }) =>
    segments.map(({ startMs, totalMs }) => ({ fromMs: openedAt + startMs, totalMs })),
  );
  const underWay = ({ fromMs, totalMs }) =>
    leftAtMs.some((atMs) => fromMs <= atMs && fromMs + totalMs >= atMs);
  const msOf = (some) => some.map(({ totalMs }) => totalMs);
  const around = msOf(loads.filter(underWay));
  const failed = ({ requests, errors }) =>
    requests.filter(({ status }) => status === 0 || status >= 400).length +
    errors.filter(({ text }) => /LoadError|LoadTimeOut/.test(text)).length;
  return {
    failed: sum(viewers.map(failed)),
    leavingMs: Math.max(0, ...around),
    addedMs: median(around) - median(msOf(loads.filter((load) => !underWay(load)))),
  };
}

function copiesOf(paths, name, bytes) {
  const count = paths[`/media/film/${name}`] ?? { requests: 0, bytes: 0 };
  return { copies: count.bytes / bytes, requests: count.requests };
}

/** Bytes per second at which `viewers` could just play, times `factor`, were they one. */
export const rateOf = (factor) => Math.round((BITRATE / 8) * factor);
