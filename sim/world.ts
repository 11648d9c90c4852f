/**
 * What all parts of the model share: time, the future, viewers, and the way to each other.
 * @module
 */
import { Cliques } from "../src/engine/cliques.js";
import type { Audience } from "./audience.js";
import { Catalogue } from "./catalogue.js";
import type { SimConfig } from "./config.js";
import type { Deliveries } from "./deliveries.js";
import { EventQueue } from "./event-queue.js";
import { Guard } from "./guard.js";
import type { Mesh } from "./mesh.js";
import { rttMs } from "./network.js";
import { hash32, type Random, seeded } from "./random.js";
import type { Shell } from "./shell.js";
import { Stats } from "./stats.js";
import type { Uploads } from "./uploads.js";
import type { Viewer } from "./viewer.js";

/** Kinds of events, with their integers. */
export const KIND = {
  /** Title. */
  join: 1,
  /** Viewer. */
  leave: 2,
  poll: 3,
  want: 4,
  tick: 5,
  flush: 6,
  indexJoined: 7,
  uplinkFree: 8,
  /** Viewer, session. */
  decide: 9,
  /** Viewer, asset. */
  attested: 10,
  attestLost: 11,
  /** Job, generation. */
  request: 12,
  pieceOut: 13,
  pieceIn: 14,
  cancel: 15,
  /** Job, generation, milliseconds; negative: not held. */
  reject: 16,
  /** Message, the first of those who hear it. */
  have: 17,
  claim: 18,
  /** Viewer, its peer. */
  linkUp: 19,
  linkFailed: 20,
  linkDown: 21,
  /** Run of the origin. */
  origin: 22,
  /** Viewer. */
  forget: 23,
} as const;

/** Data that a control message may have to wait for on a busy uplink. */
const HEAD_OF_LINE_BYTES = 16_384;

export class World {
  readonly config: SimConfig;
  readonly queue = new EventQueue();
  readonly catalogue: Catalogue;
  /** By index; `undefined`: it left so long ago that nobody can mean it any more. */
  readonly viewers: (Viewer | undefined)[] = [];
  readonly stats = new Stats();
  readonly guard: Guard;
  readonly cliques: Cliques<number>;
  /** Draws of the mesh; the audience has its own, so that it is the same without a mesh. */
  readonly random: Random;
  nowMs = 0;
  declare mesh: Mesh;
  declare uploads: Uploads;
  declare deliveries: Deliveries;
  declare audience: Audience;
  declare shell: Shell;

  constructor(config: SimConfig) {
    this.config = config;
    this.catalogue = new Catalogue(config);
    this.guard = new Guard(this);
    this.random = seeded(hash32(config.seed, 0xc11c));
    this.cliques = new Cliques({
      ...{ target: config.clique, bridges: config.bridges, random: this.random },
      distance: (a, b) => rttMs(config, this.viewer(a).traits.place, this.viewer(b).traits.place),
    });
  }

  viewer(index: number): Viewer {
    const viewer = this.viewers[index];
    if (!viewer) throw new RangeError(`Cannot find viewer: its index is ${index}`);
    return viewer;
  }

  /** The viewer if it is still there. */
  alive(index: number): Viewer | undefined {
    const viewer = this.viewers[index];
    return viewer?.alive ? viewer : undefined;
  }

  after(delayMs: number, kind: number, a = 0, b = 0, c = 0): void {
    this.queue.push(this.nowMs + delayMs, kind, a, b, c);
  }

  /** Time of a small message from one end of a link to the other. */
  controlMs(from: Viewer, rttMs: number): number {
    const busy = from.uploadQueue.serving >= 0;
    return rttMs / 2 + (busy ? HEAD_OF_LINE_BYTES / from.traits.uplink : 0);
  }

  get indexDown(): boolean {
    const { indexDownFromS, indexDownToS } = this.config;
    return this.nowMs >= indexDownFromS * 1e3 && this.nowMs < indexDownToS * 1e3;
  }

  get originDown(): boolean {
    const { originDownFromS, originDownToS } = this.config;
    return this.nowMs >= originDownFromS * 1e3 && this.nowMs < originDownToS * 1e3;
  }

  /** Whether the origin failed at any time since `sinceMs`. */
  originFailedSince(sinceMs: number): boolean {
    const { originDownFromS, originDownToS } = this.config;
    const happened = originDownToS > originDownFromS && this.nowMs >= originDownFromS * 1e3;
    return happened && sinceMs <= originDownToS * 1e3;
  }

  /** Prints one line if the viewer is the one that is watched. */
  trace(viewer: Viewer, text: string): void {
    if (viewer.index !== this.config.traceViewer) return;
    console.log(`${(this.nowMs / 1_000).toFixed(3).padStart(9)} ${text}`);
  }
}
