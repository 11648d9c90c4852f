/** The pages of the benchmarks. `?off` leaves Nearcast out; every other parameter becomes a `data-` attribute of its tag. */

import { PLAYERS, playerBody } from "./players.mjs";

const READY = `window.ready = new Promise((done) => addEventListener("nearcast:ready", done, { once: true }));`;

const PAGES = {
  /** Nothing but the SDK, and a fetch() with a stopwatch. */
  "/blank": `<script>${READY}
    window.timedFetch = async (url, init) => {
      const startMs = performance.now();
      const reader = (await fetch(url, init)).body.getReader();
      let bytes = 0, firstMs;
      for (;;) {
        const { done, value } = await reader.read();
        firstMs ??= performance.now() - startMs;
        if (done) return { firstMs, totalMs: performance.now() - startMs, bytes };
        bytes += value.byteLength;
      }
    };
  </script>`,
  /** When the worker took control, ours or (\`?bare\`) the least there can be. */
  "/control": `<script>
    navigator.serviceWorker.addEventListener("controllerchange", () => { window.controlledMs ??= performance.now(); });
    if (location.search.includes("bare")) {
      window.scriptStartMs = performance.now();
      navigator.serviceWorker.register("/bare-sw.js");
    }
  </script>`,
  /** A film in hls.js; everything that happens is in \`window.record\`. */
  "/play": `<video id="video" muted playsinline width="320"></video><script src="/vendor/hls.js"></script>
    <script>${READY} (${play})();</script>`,
};

/** @returns The page, or `undefined` if there is none of that name. */
export function pageOf(pathname, parameters) {
  const player = pathname.replace("/player/", "");
  const body = PLAYERS[player] ? playerBody(player, `/vendor/player/${player}`) : PAGES[pathname];
  if (!body) return undefined;
  const data = { include: "/media/**", ...Object.fromEntries(parameters) };
  const attributes = Object.entries(data).map(([name, value]) => ` data-${name}="${value}"`);
  const tag = parameters.has("off")
    ? ""
    : `<script async src="/nearcast.js"${attributes.join("")}></script>`;
  return `<!doctype html><meta charset="utf-8"><title>benchmark</title><link rel="icon" href="data:,">${body}${tag}`;
}

/** Runs in the page `/play`. */
function play() {
  const { video } = window;
  const now = () => Math.round(performance.now());
  const record = {
    openedAt: performance.timeOrigin,
    startupMs: undefined,
    stalls: [],
    segments: [],
    requests: [],
    links: [],
    errors: [],
    latencies: [],
    samples: [],
  };
  window.record = record;
  const aheadS = () => {
    const { buffered, currentTime } = video;
    for (let i = 0; i < buffered.length; i++) {
      if (buffered.start(i) <= currentTime + 0.3 && buffered.end(i) > currentTime)
        return buffered.end(i) - currentTime;
    }
    return 0;
  };
  let stall;
  video.addEventListener("playing", () => {
    record.startupMs ??= now();
    if (stall) stall.ms = now() - stall.atMs;
    stall = undefined;
  });
  video.addEventListener("waiting", () => {
    if (record.startupMs === undefined || video.seeking || video.ended || stall) return;
    stall = { atMs: now(), positionS: video.currentTime, aheadS: aheadS(), ms: undefined };
    record.stalls.push(stall);
  });
  const observe = (nearcast) => {
    nearcast.addEventListener("request", ({ detail }) =>
      record.requests.push({ atMs: now(), ...detail }),
    );
    nearcast.addEventListener("link", ({ detail }) =>
      record.links.push({ atMs: now(), ...detail }),
    );
    nearcast.addEventListener("error", ({ detail }) =>
      record.errors.push({ atMs: now(), text: String(detail) }),
    );
  };
  const start = (src) => {
    const hls = new window.Hls({ enableWorker: false });
    window.hls = hls;
    hls.on("hlsFragLoaded", (_, { frag }) => {
      const { loading, total } = frag.stats;
      record.segments.push({
        name: frag.relurl,
        bytes: total,
        startMs: Math.round(loading.start),
        firstMs: Math.round(loading.first - loading.start),
        totalMs: Math.round(loading.end - loading.start),
        aheadS: aheadS(),
      });
    });
    hls.on("hlsError", (_, { details, fatal }) =>
      record.errors.push({ atMs: now(), text: details, fatal }),
    );
    hls.on("hlsManifestParsed", () => video.play());
    hls.loadSource(src);
    hls.attachMedia(video);
    setInterval(() => {
      if (record.startupMs !== undefined && hls.latency > 0) record.latencies.push(hls.latency);
      record.samples.push({
        atMs: now(),
        positionS: video.currentTime,
        aheadS: aheadS(),
        links: window.nearcast?.stats().links,
        bytes: window.nearcast?.stats().bytes,
      });
    }, 1_000);
  };
  /** The player does not wait for Nearcast, unless `?wait` says so: the first requests may pass by the worker. */
  const main = async () => {
    const parameters = new URLSearchParams(location.search);
    if (!parameters.has("off")) {
      const ready = window.ready.then(() => {
        record.readyMs = now();
        observe(window.nearcast);
      });
      if (parameters.has("wait")) await ready;
    }
    start(parameters.get("src"));
  };
  addEventListener("DOMContentLoaded", main);
}
