/**
 * The four players, each driven through its public interface and shown as one: `window.player.start(src)`, and what
 * happens in `window.playing`. Used by the benchmarks and by the end-to-end tests.
 */

/** Player → its script, and the kind of manifest it is shown with. */
export const PLAYERS = {
  "hls.js": { file: "node_modules/hls.js/dist/hls.min.js", manifest: "hls" },
  shaka: { file: "node_modules/shaka-player/dist/shaka-player.compiled.js", manifest: "dash" },
  "dash.js": {
    file: "node_modules/dashjs/dist/modern/umd/dash.all.min.js",
    manifest: "dash",
  },
  "video.js": { file: "node_modules/video.js/dist/video.min.js", manifest: "hls" },
};

/** @returns The body of a page with that player; `script` is where its file is served. */
export function playerBody(name, script) {
  return `<video id="video" class="video-js" muted playsinline width="320"></video><script src="${script}"></script>
    <script>
      window.ready = new Promise((done) => addEventListener("nearcast:ready", done, { once: true }));
      (${watch})(); window.player = (${adapters})()[${JSON.stringify(name)}];
    </script>`;
}

/** Runs in the page: what a viewer would see, whatever player drives the element. */
function watch() {
  performance.setResourceTimingBufferSize(10_000);
  const playing = { startupMs: undefined, startMs: 0, stalls: [], errors: [], samples: [] };
  window.playing = playing;
  const element = () => document.querySelector("video");
  const now = () => Math.round(performance.now());
  window.aheadS = () => {
    const { buffered, currentTime } = element();
    for (let i = 0; i < buffered.length; i++) {
      if (buffered.start(i) <= currentTime + 0.3 && buffered.end(i) > currentTime)
        return buffered.end(i) - currentTime;
    }
    return 0;
  };
  let stall;
  // Captured at the document: a player may replace the element.
  const listen = (type, listener) => document.addEventListener(type, listener, { capture: true });
  listen("playing", () => {
    playing.startupMs ??= now() - playing.startMs;
    if (stall) stall.ms = now() - stall.atMs;
    stall = undefined;
  });
  listen("waiting", () => {
    const { seeking, ended } = element();
    // Dry means that bytes were late; a full buffer that waits is a busy machine.
    if (playing.startupMs === undefined || seeking || ended || stall || window.aheadS() > 0.5)
      return;
    stall = { atMs: now(), positionS: element().currentTime, ms: undefined };
    playing.stalls.push(stall);
  });
  window.startPlaying = (src, options) => {
    playing.startMs = now();
    window.player.start(src, options);
    setInterval(() => {
      const { currentTime, videoHeight } = element();
      playing.samples.push({
        atMs: now() - playing.startMs,
        positionS: currentTime,
        height: videoHeight,
        aheadS: window.aheadS(),
        estimate: Math.round(window.player.estimate() ?? 0),
      });
    }, 500);
  };
  /** Every request of a segment in the order of asking: [ms, file name, ms until its last byte]. */
  window.segments = () =>
    performance
      .getEntriesByType("resource")
      .filter(({ name }) => /\.(m4s|m4v|m4a|ts)$/.test(name))
      .map(({ name, startTime, responseEnd }) => [
        Math.round(startTime - playing.startMs),
        name.split("/").at(-1),
        Math.round(responseEnd - startTime),
      ]);
}

/** Runs in the page: one way to start each player, and its own estimate of the bandwidth in bit/s. */
function adapters() {
  const { playing } = window;
  const element = () => document.querySelector("video");
  const failed = (text) => playing.errors.push(String(text));
  const play = (rate) => {
    element().defaultPlaybackRate = rate;
    element().playbackRate = rate;
    element().play().catch(failed);
  };
  let instance;
  return {
    "hls.js": {
      start(src, { rate = 1, bufferS = 20 } = {}) {
        instance = new window.Hls({ maxBufferLength: bufferS, maxMaxBufferLength: bufferS });
        instance.on("hlsError", (_, { fatal, details }) => fatal && failed(details));
        instance.on("hlsManifestParsed", () => play(rate));
        instance.loadSource(src);
        instance.attachMedia(element());
      },
      estimate: () => instance.bandwidthEstimate,
    },
    shaka: {
      async start(src, { rate = 1, bufferS = 20 } = {}) {
        window.shaka.polyfill.installAll();
        instance = new window.shaka.Player();
        instance.addEventListener("error", ({ detail }) => failed(`shaka ${detail.code}`));
        await instance.attach(element());
        instance.configure({ streaming: { bufferingGoal: bufferS } });
        await instance.load(src).catch(failed);
        play(rate);
      },
      estimate: () => instance.getStats().estimatedBandwidth,
    },
    "dash.js": {
      start(src, { rate = 1, bufferS = 20 } = {}) {
        instance = window.dashjs.MediaPlayer().create();
        instance.on("error", ({ error }) => failed(error.message));
        const buffer = { bufferTimeDefault: bufferS, bufferTimeAtTopQuality: bufferS };
        instance.updateSettings({ debug: { logLevel: 0 }, streaming: { buffer } });
        instance.initialize(element(), src, false);
        instance.on("canPlay", () => play(rate));
      },
      estimate: () => instance.getAverageThroughput("video") * 1_000,
    },
    "video.js": {
      start(src, { rate = 1, bufferS = 20 } = {}) {
        window.videojs.log.level("error");
        Object.assign(window.videojs.Vhs, { GOAL_BUFFER_LENGTH: bufferS });
        Object.assign(window.videojs.Vhs, { MAX_GOAL_BUFFER_LENGTH: bufferS });
        instance = window.videojs("video", {
          html5: {
            vhs: {
              ...{ overrideNative: true, limitRenditionByPlayerDimensions: false },
              // Its own measurements, as in browsers without that interface.
              useNetworkInformationApi: false,
            },
          },
        });
        instance.on("error", () => failed(instance.error()?.message));
        instance.src({ src, type: "application/x-mpegURL" });
        instance.ready(() => play(rate));
      },
      estimate: () => instance.tech(true)?.vhs?.bandwidth,
    },
  };
}
