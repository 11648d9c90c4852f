/** Rows 26 to 33, 38 to 45 and 52: the worker, the tabs, the clock and what a browser lacks. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { linked, openBlank, stats, until } from "../../e2e/support/rig.mjs";
import { terminateWorkers } from "../firefox.mjs";
import { timedFetch, workerWith } from "../frame.mjs";

const CHROMIUM = ["chromium"];

async function stopWorkers({ victim, browserName }) {
  if (browserName === "firefox") return terminateWorkers(victim);
  const session = await victim.createCDPSession();
  await session.send("ServiceWorker.enable");
  await session.send("ServiceWorker.stopAllWorkers");
  await session.detach();
}

/** Another tab of the victim's profile comes first and is host. */
const hostTab = {
  prepareStage: async (stage) => {
    stage.host = await openBlank(stage.profiles.victim, stage.rig);
    await until(stage.host, () => window.nearcast.stats().role === "host");
  },
  linked: 0,
};

/** From the origin alone, so slowly that something can happen meanwhile. */
const slowly = {
  seeders: [],
  inject: ({ rig }) => rig.origin.throttle({ rateBytesPerS: 500_000 }),
};

const isError = ({ error }) => error !== undefined;
const same = (ours, twin) => ours.status === twin.status && ours.hash === twin.hash;

/** All have it, the seeders too: what they fetch need not become theirs. */
const otherWorker = (...change) => ({ rig: workerWith(...change), unattested: true });

/** Runs in pages: their clock is a day off. */
function skew(days) {
  const { now } = Date;
  Date.now = () => now() + days * 86_400_000;
}

const skewed = (days) => ({
  ...otherWorker(`(${skew})(${days})`),
  victim: { prepare: skew, argument: days },
});

export const browserRows = [
  {
    row: 26,
    name: "the worker is stopped while idle",
    allowedMs: 150,
    fast: true,
    inject: stopWorkers,
  },
  {
    row: 27,
    name: "the worker is stopped in the middle of a body: an error or all bytes, never a short body; a retry succeeds",
    allowedMs: 0,
    browsers: CHROMIUM,
    samples: 1,
    ...slowly,
    during: async (stage) => {
      await until(stage.victim, () => window.progress > 100_000);
      await stopWorkers(stage);
    },
    equal: (ours, twin) => isError(ours) || same(ours, twin),
    check: async ({ victim }, { ours, twin, path }) => {
      assert.ok(isError(ours), "the body broke off, so something was tested");
      const again = await timedFetch(victim, path);
      assert.ok(same(again, twin), "the retry gets the bytes");
    },
  },
  {
    row: 27,
    name: "a body takes longer than a worker may idle: it comes whole",
    // Firefox cuts a worker's body without a word when it stops the worker; 30 s and 30 more unless told otherwise.
    // Chromium's 5 minutes are too long for a row.
    allowedMs: 1_000,
    browsers: ["firefox"],
    samples: 1,
    preferences: {
      "dom.serviceWorkers.idle_timeout": 12_000,
      "dom.serviceWorkers.idle_extended_timeout": 3_000,
    },
    seeders: [],
    inject: ({ rig }) => rig.origin.throttle({ rateBytesPerS: 2 ** 20 / 30 }),
  },
  {
    row: 28,
    name: "the worker is stopped while its answer is awaited: the request ends within 10 s, by the page's own limit at the latest",
    // Nothing in the page is patched, so nothing of ours can end it there: players have limits of their own.
    allowedMs: 10_000,
    samples: 1,
    inject: ({ rig }) => rig.origin.throttle({ delayMs: 2_500 }),
    run: async (page, path) => {
      const ours = await page.evaluate(async (url) => {
        const startMs = performance.now();
        const outcome = await fetch(`${url}?pending`, { signal: AbortSignal.timeout(9_000) })
          .then((response) => response.arrayBuffer())
          .then(
            () => "answered",
            ({ name }) => name,
          );
        return { outcome, ms: performance.now() - startMs };
      }, path);
      console.log(`   row 28: ${ours.outcome} after ${Math.round(ours.ms)} ms`);
      return ours;
    },
    during: async (stage) => {
      await new Promise((resolve) => setTimeout(resolve, 1_000));
      await stopWorkers(stage);
    },
    equal: () => true,
    check: async ({ victim, rig }, { path }) => {
      rig.origin.throttle({});
      const again = await timedFetch(victim, path);
      assert.equal(again.status, 200, "the next request is answered");
    },
  },
  {
    row: 29,
    name: "an interface that the worker needs throws",
    allowedMs: 300,
    linked: 0,
    ...otherWorker("navigator.locks.query = () => { throw new Error('a bug') };"),
  },
  {
    row: 29,
    name: "an interface that the worker needs never answers",
    allowedMs: 300,
    fast: true,
    samples: 1,
    linked: 0,
    ...otherWorker("navigator.locks.query = () => new Promise(() => {});"),
  },
  {
    row: 30,
    name: "the worker is updated during a request: the old one finishes, the new one waits",
    allowedMs: 0,
    samples: 1,
    ...slowly,
    rig: (() => {
      let version = 0;
      return {
        files: {
          "/nearcast-sw.js": () => ({
            type: "text/javascript",
            headers: { "Cache-Control": "no-cache" },
            body: `${readFileSync("dist/nearcast-sw.js", "utf8")}\n// ${version++}`,
          }),
        },
      };
    })(),
    during: ({ victim }) =>
      victim.evaluate(async () => {
        const registration = await navigator.serviceWorker.getRegistration();
        window.updateViaCache = registration.updateViaCache;
        const before = navigator.serviceWorker.controller;
        await registration.update();
        window.kept = () => before === navigator.serviceWorker.controller;
      }),
    check: async ({ victim }) => {
      await until(victim, async () => {
        const { waiting } = await navigator.serviceWorker.getRegistration();
        return waiting !== null;
      });
      assert.ok(await victim.evaluate(() => window.kept()), "the page keeps its worker");
      assert.equal(await victim.evaluate(() => window.updateViaCache), "none");
    },
  },
  {
    row: 31,
    name: "the host tab closes in the middle of a request of another tab",
    allowedMs: 250,
    fast: true,
    samples: 1,
    seeders: [{ options: { "upload-max-rate": 2_000_000 } }],
    ...hostTab,
    inject: ({ host }) => linked(host, 1),
    during: async ({ host, victim }) => {
      await until(victim, () => window.progress > 100_000);
      await host.close();
    },
  },
  {
    row: 32,
    name: "the host tab is frozen",
    allowedMs: 250,
    browsers: CHROMIUM,
    ...hostTab,
    inject: async ({ host }) => {
      await linked(host, 1);
      const session = await host.createCDPSession();
      await session.send("Page.setWebLifecycleState", { state: "frozen" });
    },
  },
  {
    row: 33,
    name: "two tabs of one profile: one mesh host",
    allowedMs: 0,
    ...hostTab,
    inject: ({ host }) => linked(host, 1),
    check: async ({ rig, victim, seeders }) => {
      assert.equal((await stats(victim)).role, "guest");
      assert.equal(await rig.index.metric("nearcast_viewers"), 1 + seeders.length);
    },
  },
  { row: 38, name: "the viewer's clock is a day ahead", allowedMs: 0, ...skewed(1) },
  { row: 38, name: "the viewer's clock is a day behind", allowedMs: 0, ...skewed(-1) },
  {
    row: 39,
    name: "there are no service workers",
    allowedMs: 0,
    linked: 0,
    victim: { prepare: () => void delete Navigator.prototype.serviceWorker },
  },
  {
    row: 40,
    name: "there is no WebRTC",
    allowedMs: 0,
    linked: 0,
    victim: {
      prepare: () => {
        delete window.RTCPeerConnection;
        delete window.webkitRTCPeerConnection;
      },
    },
  },
  {
    row: 40,
    name: "WebRTC is switched off in the browser",
    allowedMs: 0,
    seeders: [],
    browsers: ["firefox"],
    preferences: { "media.peerconnection.enabled": false },
  },
  {
    row: 41,
    name: "UDP is blocked and there is no relay",
    allowedMs: 0,
    linked: 0,
    victim: {
      prepare: () => {
        const Real = RTCPeerConnection;
        window.RTCPeerConnection = class extends Real {
          constructor(config) {
            super({ ...config, iceTransportPolicy: "relay" });
          }
        };
      },
    },
    check: async ({ victim }) => assert.equal((await stats(victim)).links, 0),
  },
  {
    row: 43,
    name: "the page is offline and online again",
    allowedMs: 250,
    browsers: CHROMIUM, // Firefox that is offline still reaches this machine's own servers
    samples: 1,
    run: async (page, path, { browser }) => {
      const worker = browser
        .targets()
        .find(
          (target) =>
            target.type() === "service_worker" && target.browserContext() === page.browserContext(),
        );
      const sessions = [await page.createCDPSession(), await worker?.createCDPSession()];
      const line = async (offline) => {
        for (const session of sessions.filter(Boolean)) {
          await session.send("Network.enable");
          const unlimited = { latency: 0, downloadThroughput: -1, uploadThroughput: -1 };
          await session.send("Network.emulateNetworkConditions", { offline, ...unlimited });
        }
      };
      await line(true);
      const dark = await timedFetch(page, `${path}?offline`);
      assert.ok(isError(dark), "offline, the request fails");
      await line(false);
      return timedFetch(page, path);
    },
  },
  {
    row: 45,
    name: "a viewer floods another one with calls",
    allowedMs: 250,
    seeders: [
      {
        prepare: () => {
          const { send } = WebSocket.prototype;
          WebSocket.prototype.send = function (data) {
            window.socket = this;
            const { type, dst, payload } = JSON.parse(data);
            if (type === "OFFER" || type === "ANSWER") window.call = { dst, payload };
            send.call(this, data);
          };
        },
      },
    ],
    inject: async ({ seeders }) =>
      seeders[0].evaluate(() => {
        for (let i = 0; i < 700; i++) {
          const payload = { ...window.call.payload, connectionId: `dc_flood${i}` };
          window.socket.send(JSON.stringify({ type: "OFFER", dst: window.call.dst, payload }));
        }
      }),
    check: ({ victim }) => victim.evaluate(() => new RTCPeerConnection().close()),
  },
  {
    row: 52,
    name: "page and worker of different versions leave each other alone",
    allowedMs: 0,
    linked: 0,
    ...otherWorker("", (text) => text.replace(/\bnearcast:1\b/g, "nearcast:999")),
  },
];
