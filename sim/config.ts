/**
 * Every number of the model, with its source, and the scenarios. A field that is a number can be changed
 * with `--set name=value`.
 * @module
 */

export const SCENARIOS = ["live", "vod", "flash", "churn", "malice"] as const;
export type Scenario = (typeof SCENARIOS)[number];

/** The model of docs/ALGORITHMS (B0, B8) and of the published traces. */
export const DEFAULTS = {
  viewers: 200,
  seconds: 120,
  seed: 1,
  /** 1.3 Mbit/s is 720p of the test film. */
  bitrate: 1.3,
  segment: 4,
  uplinkMedian: 6,
  noUploadShare: 0.15,
  /** Members a clique should have; it splits above 4/3 and merges below half of it. */
  clique: 12,
  bridges: 12,
  uplinkSigma: 0.76,
  downlinkMedian: 40,
  downlinkSigma: 0.6,
  originMedian: 20,
  originSigma: 0.6,
  originFirstByteMs: 60,
  /** Mbit/s that the origin has for all viewers together; 0 for no limit. */
  originCap: 0,
  pairFailShare: 0.2,
  /** Offer, answer, ICE, DTLS, SCTP: a link is there 0.7 to 1.7 s after the first request, as in the page. */
  linkSetupMinMs: 600,
  linkSetupMaxMs: 1_300,
  rttMinMs: 5,
  rttMaxMs: 150,
  /** Packets lost, median over viewers; a link has the sum of its two ends. */
  lossMedian: 0.0003,
  lossSigma: 1.2,
  /** Between viewers and the index. */
  serverRttMinMs: 10,
  serverRttMaxMs: 100,
  /** What the server needs to fetch and hash a segment that is asked of it for the first time. */
  attestMs: 150,
  sessionMedianS: 420,
  sessionSigma: 2.3,
  /** Viewers that arrive together at the start do so within this time. */
  arriveS: 20,
  hiddenShare: 0.05,
  pausedShare: 0.05,
  windowSegments: 6,
  bufferGoalS: 30,
  linksMax: 20,
  uploadMaxParallel: 8,
  uploadMaxRate: 0,
  titles: 1,
  zipf: 0.9,
  titleSegments: 60,
  /** Shares of viewers that misbehave, each in its own manner. */
  corruptShare: 0,
  refuseShare: 0,
  stallShare: 0,
  lieShare: 0,
  floodShare: 0,
  slowShare: 0,
  /** Outages, in seconds since the start. */
  indexDownFromS: 0,
  indexDownToS: 0,
  originDownFromS: 0,
  originDownToS: 0,
  /** 0: nobody is elected and nothing is claimed; what nobody holds passes through at once. */
  election: 1,
  /** 1: viewers hear of pieces that they hold, too, as pages do; it changes next to nothing and costs time. */
  tellAll: 0,
  /** Segments that left the playlist before so many others are asked for by nobody, and forgotten. */
  pastSegments: 6,
  /** Seconds after which a request that is still open counts as stuck. */
  stuckS: 40,
};

export type Numbers = typeof DEFAULTS;

export interface SimConfig extends Readonly<Numbers> {
  readonly scenario: Scenario;
  /** `false`: the CDN-only twin. */
  readonly mesh: boolean;
  /** A bug planted on purpose, to prove that the invariants see it. */
  readonly plant: "none" | "accept-corrupt" | "ask-closed" | "forget-request";
  /** Index of the viewer whose events are printed; -1 for none. */
  readonly traceViewer: number;
}

const PRESETS: Readonly<Record<Scenario, (numbers: Numbers) => Partial<Numbers>>> = {
  live: () => ({}),
  flash: () => ({}),
  churn: () => ({ sessionMedianS: 45, sessionSigma: 0.8 }),
  vod: ({ viewers }) => ({
    titles: Math.max(1, Math.min(200, Math.round(viewers / 25))),
    windowSegments: 0,
  }),
  malice: ({ seconds }) => ({
    corruptShare: 0.05,
    refuseShare: 0.04,
    stallShare: 0.04,
    lieShare: 0.04,
    floodShare: 0.04,
    slowShare: 0.05,
    indexDownFromS: 0.35 * seconds,
    indexDownToS: 0.5 * seconds,
    originDownFromS: 0.7 * seconds,
    originDownToS: 0.7 * seconds + 6,
  }),
};

/** Defaults, then the scenario's numbers, then what was asked for. */
export function configOf(
  options: Partial<Numbers> & { scenario?: Scenario; plant?: SimConfig["plant"] } = {},
): SimConfig {
  const { scenario = "live", plant = "none", ...numbers } = options;
  const base = { ...DEFAULTS, ...numbers };
  return {
    ...base,
    ...PRESETS[scenario](base),
    ...numbers,
    ...{ scenario, plant, mesh: true, traceViewer: -1 },
  };
}

/** Mbit/s as bytes per millisecond. */
export function bytesPerMs(mbps: number): number {
  return mbps * 125;
}
