/** What happens in which showing; every one is shown with Nearcast and, as its twin, from the CDN alone. */
import { figure } from "../support/report.mjs";
import { measure, rateOf, watch } from "./watch.mjs";

const VOD = [
  ["origin media copies", "copies", "copies"],
  ["bytes from peers", "share", "peerShare"],
  ["start-up, median viewer", "ms", "startupMs"],
  ["stalls, all viewers", "", "stalls"],
  ["stalled, all viewers", "ms", "stallMs"],
  ["segment load, median", "ms", "segmentMs"],
  ["segment load, slowest", "ms", "slowestMs"],
  ["played, all viewers", "s", "playedS"],
  ["processors busy", "share", "busy"],
];
const LEAVERS = [
  ...VOD,
  ["requests of those who stayed that failed", "", "failed"],
  ["segment under way as somebody vanished, slowest", "ms", "leavingMs"],
  ["median of these, less that of all others", "ms", "addedMs"],
];
const LIVE = [...VOD.slice(0, 5), ["latency, median", "s", "latencyS"], ...VOD.slice(5)];

const DIFFERENCES = new Set(["stalls", "stallMs", "latencyS", "busy", "failed", "addedMs"]);

/** A newcomer in the place of a viewer who leaves, every 15 s. */
const churn = (playS) =>
  Array.from({ length: Math.max(0, Math.ceil(playS / 15) - 1) }, (_, i) => [
    15 * (i + 1),
    i % 6,
    "replace",
  ]);

const SCENARIOS = {
  vod6: {
    help: "six viewers start a 2 Mbit/s film at once",
    options: ({ playS }) => ({ playS }),
  },
  alone: {
    help: "one viewer, whom nobody can help, for 20 s: what Nearcast costs",
    options: () => ({ viewers: 1, playS: 20 }),
  },
  "vod6-staggered": {
    help: "six viewers start the film 10 s after each other",
    options: ({ playS }) => ({ playS: Math.max(20, playS - 50), staggerS: 10 }),
  },
  live6: {
    help: "six viewers of a live stream: 4 s segments, a window of 5, one epoch",
    options: ({ playS }) => ({ playS, live: true }),
    rows: LIVE,
  },
  "live-churn": {
    help: "the live stream; every 15 s one viewer leaves and a new one comes",
    options: ({ playS }) => ({ playS, live: true, events: churn(playS) }),
    rows: LIVE,
  },
  "slow-origin": {
    help: "six viewers at once of an origin that can send 1.2 times the film's bitrate in all",
    // As on every visit but the first: the worker is there before the player.
    options: ({ playS }) => ({ playS, originRate: rateOf(1.2), wait: true }),
  },
  leavers: {
    help: "six viewers at once, two of them vanish in mid-transfer (at 6 and 10 s)",
    options: ({ playS }) => ({
      playS,
      events: [
        [6, 4, "vanish"],
        [10, 5, "vanish"],
      ],
    }),
    rows: LEAVERS,
  },
};

export const scenarios = Object.fromEntries(
  Object.entries(SCENARIOS).map(([name, { help, options, rows = VOD }]) => [
    name,
    { help, lab: true, run: (arguments_) => run(options(arguments_), rows, arguments_.runs) },
  ]),
);

async function run(options, rows, runs) {
  const ours = [];
  const twin = [];
  const showings = [];
  for (let i = 0; i < runs; i++) {
    // In turn: whoever comes first finds the browser's files cold.
    for (const off of i % 2 === 0 ? [false, true] : [true, false]) {
      const showing = await watch({ ...options, off });
      (off ? twin : ours).push(measure(showing));
      showings.push(showing);
    }
  }
  const figures = rows.map(([name, unit, key]) =>
    figure(name, unit, {
      ours: ours.map((measured) => measured[key]),
      twin: key === "peerShare" ? [] : twin.map((measured) => measured[key]),
      compare: DIFFERENCES.has(key) ? "difference" : "ratio",
    }),
  );
  return { figures, details: { options, ours, twin, showings } };
}
