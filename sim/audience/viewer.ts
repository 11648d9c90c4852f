/**
 * One viewer: what it is like (drawn from the seed, the same with and without a mesh) and its state: its
 * own planner and upload policy, what it holds, whom it is linked with.
 * @module
 */
import type { PieceSet } from "../../src/core/piece-set.js";
import type { PeerSource as Peer } from "../../src/engine/planning/peer-source.js";
import { Planner } from "../../src/engine/planning/planner.js";
import { UploadPolicy } from "../../src/engine/uploads/upload-policy.js";
import { bytesPerMs, type SimConfig } from "../config.js";
import type { Session } from "../page/deliveries.js";
import type { Member } from "./member.js";
import type { Place } from "./network.js";
import { Player } from "./player.js";
import { between, hash32, logNormal, normal, type Random, seeded } from "./random.js";

export type Manner = "honest" | "corrupt" | "refuse" | "stall" | "lie" | "flood" | "slow";

export interface Traits {
  readonly region: number;
  readonly place: Place;
  /** Bytes per millisecond. */
  readonly uplink: number;
  readonly downlink: number;
  readonly originRate: number;
  readonly originFirstByteMs: number;
  readonly serverRttMs: number;
  readonly loss: number;
  readonly uploads: boolean;
  readonly manner: Manner;
  readonly hidden: boolean;
  /** The viewer pauses once, this long after the start of playback. */
  readonly pauseAfterMs: number;
  readonly pauseMs: number;
  readonly sessionMs: number;
}

/** One end of a link. */
export interface Link {
  /** The viewer at this end. */
  readonly owner: Viewer;
  /** The viewer at the other end, its name, and who runs it. */
  readonly peer: number;
  readonly peerId: string;
  readonly peerShard: number;
  /** The viewer at the other end as the planner of this one knows it. */
  readonly source: Peer;
  readonly rttMs: number;
  /** Goodput that loss allows, in bytes per millisecond. */
  readonly capBytesPerMs: number;
  open: boolean;
  /** Upload: bytes and pieces accepted and not yet out, and when the link has let the last one through. */
  outBytes: number;
  jobs: number;
  freeMs: number;
}

const REGIONS = 8;

/** The traits of viewer number `index`. */
export function traitsOf(config: SimConfig, index: number): Traits {
  const random = seeded(hash32(config.seed, index, 0x71a175));
  const region = Math.floor(random() * REGIONS);
  const near = (part: number) =>
    wrap(hash32(config.seed, region, part) / 2 ** 32 + 0.03 * normal(random));
  const place = { x: near(1), y: near(2) };
  const manner = mannerOf(config, random());
  const uplink = bytesPerMs(logNormal(random, config.uplinkMedian, config.uplinkSigma));
  const downlink = bytesPerMs(logNormal(random, config.downlinkMedian, config.downlinkSigma));
  const originRate = bytesPerMs(logNormal(random, config.originMedian, config.originSigma));
  return {
    region,
    place,
    manner,
    uplink: manner === "slow" ? bytesPerMs(0.2) : Math.max(bytesPerMs(0.1), uplink),
    downlink: Math.max(bytesPerMs(2), downlink),
    originRate: Math.max(bytesPerMs(1), Math.min(originRate, downlink)),
    originFirstByteMs: logNormal(random, config.originFirstByteMs, 0.4),
    serverRttMs: between(random, config.serverRttMinMs, config.serverRttMaxMs),
    loss: Math.min(0.05, logNormal(random, config.lossMedian / 2, config.lossSigma)),
    uploads: random() >= config.noUploadShare,
    hidden: random() < config.hiddenShare,
    pauseAfterMs: random() < config.pausedShare ? between(random, 5_000, 60_000) : Infinity,
    pauseMs: between(random, 5_000, 60_000),
    sessionMs: Math.max(1_000, logNormal(random, config.sessionMedianS, config.sessionSigma) * 1e3),
  };
}

function mannerOf(config: SimConfig, draw: number): Manner {
  const shares: [Manner, number][] = [
    ["corrupt", config.corruptShare],
    ["refuse", config.refuseShare],
    ["stall", config.stallShare],
    ["lie", config.lieShare],
    ["flood", config.floodShare],
    ["slow", config.slowShare],
  ];
  let sum = 0;
  for (const [manner, share] of shares) {
    sum += share;
    if (draw < sum) return manner;
  }
  return "honest";
}

const wrap = (x: number) => x - Math.floor(x);

export class Viewer {
  readonly index: number;
  readonly id: string;
  readonly member: Member;
  readonly traits: Traits;
  /** Draws of its mesh, and of its player, which must not depend on the mesh. */
  readonly random: Random;
  readonly pollRandom: Random;
  readonly planner: Planner;
  readonly policy: UploadPolicy;
  readonly player: Player;
  readonly joinedAtMs: number;
  readonly leavesAtMs: number;
  alive = true;

  /** What the index knows: whether it answered the join, and questions without an answer. */
  connected = false;
  indexJoinedMs = Number.POSITIVE_INFINITY;
  asking = 0;
  readonly attested = new Set<number>();

  readonly have = new Map<number, PieceSet>();
  /** Pieces of these assets passed through before their attestation was known. */
  readonly unverified = new Map<number, PieceSet>();
  /** `asset piece` of wrong bytes that were accepted: only a planted bug fills it. */
  readonly wrong = new Set<string>();
  readonly links = new Map<number, Link>();
  lastGreetMs = Number.NEGATIVE_INFINITY;

  /** Assets before this one are over: nobody can ask for them any more. */
  pastTo = 0;

  /** Until then neighbours may hold a claim of it that its progress renews. */
  claimedUntilMs = Number.NEGATIVE_INFINITY;

  /** News of own pieces that neighbours have not heard yet: asset → half-open range. */
  readonly news = new Map<number, { from: number; to: number }>();
  flushing = false;

  /** Ask → this end of the link that it went over. */
  readonly asks = new Map<number, Link>();
  readonly uploadQueue: { jobs: number[]; head: number; serving: number } = {
    ...{ jobs: [], head: 0, serving: -1 },
  };
  queuedBytes = 0;
  /** Links with something in the queue. */
  peersServed = 0;
  uploadedBytes = 0;

  session: Session | undefined;
  lastSession = 0;
  wanting = false;
  ticking = false;
  downlinkFreeMs = 0;
  originFreeMs = 0;

  constructor(
    config: SimConfig,
    spec: { member: Member; nowMs: number; hopeful: (viewer: Viewer) => boolean },
  ) {
    const { index, id, traits } = spec.member;
    this.index = index;
    this.id = id;
    this.member = spec.member;
    this.traits = traits;
    this.joinedAtMs = spec.nowMs;
    this.leavesAtMs = spec.nowMs + this.traits.sessionMs;
    this.random = seeded(hash32(config.seed, index, 0x6e5));
    this.pollRandom = seeded(hash32(config.seed, index, 0x9011));
    this.planner = new Planner({ random: this.random, hopeful: () => spec.hopeful(this) });
    this.policy = new UploadPolicy({
      maxBytesPerS: config.uploadMaxRate,
      maxParallel: config.uploadMaxParallel,
      random: this.random,
      nowMs: spec.nowMs,
    });
    this.player = new Player(config, this.traits, spec.nowMs);
  }

  removeLinks(): void {
    for (const link of this.links.values()) link.open = false;
    this.links.clear();
  }

  /** Whether it harms others on purpose; a slow uplink does not. */
  get hostile(): boolean {
    return !["honest", "slow"].includes(this.traits.manner);
  }

  /** Whether every byte it sends is what was asked for. */
  get genuine(): boolean {
    return this.traits.manner !== "corrupt";
  }
}
