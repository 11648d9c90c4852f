/**
 * What all parts of one shard share: time, the future, viewers, and the way to each other and to other shards.
 * @module
 */
import type { Audience } from "../audience/audience.js";
import { Catalogue } from "../audience/catalogue.js";
import type { Links } from "../audience/links.js";
import type { Member } from "../audience/member.js";
import type { Viewer } from "../audience/viewer.js";
import type { SimConfig } from "../config.js";
import type { Answers } from "../page/answers.js";
import type { Asks } from "../page/asks.js";
import type { Deliveries } from "../page/deliveries.js";
import type { Gossip } from "../page/gossip.js";
import type { Library } from "../page/library.js";
import type { Shell } from "../page/shell.js";
import type { Uploads } from "../page/uploads.js";
import { EventQueue } from "./event-queue.js";
import { Guard } from "./guard.js";
import { Outbox } from "./outbox.js";
import { Stats } from "./stats.js";

/** Kinds of events, with their integers. */
export const KIND = {
  /** Title; this one and the next are events of all shards. */
  join: 1,
  /** Viewer. */
  leave: 2,
  poll: 3,
  want: 4,
  tick: 5,
  flush: 6,
  uplinkFree: 8,
  /** Viewer, session. */
  decide: 9,
  /** Viewer, asset. */
  attested: 10,
  attestLost: 11,
  attestAsked: 12,
  /** Job. */
  request: 13,
  pieceOut: 14,
  /** Receiver, ask, twice the bytes and one more if they are right. */
  pieceNear: 15,
  pieceIn: 16,
  /** Receiver, ask, milliseconds; negative: not held. */
  reject: 17,
  /** Holder, receiver, ask. */
  cancel: 18,
  /** Message, the first of those who hear it. */
  have: 19,
  claim: 20,
  /** Run of the origin. */
  origin: 21,
  /** Viewer; from here on events of all shards. */
  forget: 22,
  indexJoined: 23,
  befriend: 24,
  /** Viewer, its peer. */
  linkUp: 25,
  linkFailed: 26,
  linkDown: 27,
  /** Viewer, its peer, milliseconds for which it wants no other link to it. */
  drop: 28,
  /** Asset. */
  attest: 29,
} as const;

/** Kinds of what shards tell each other. */
export const MESSAGE = {
  /** Time, and the four integers of an event. */
  event: 1,
  /** As `sim/page/uploads.ts` writes it. */
  ask: 2,
  /** As `sim/page/gossip.ts` writes it. */
  word: 3,
} as const;

/** Data that a control message may have to wait for on a busy uplink. */
const HEAD_OF_LINE_BYTES = 16_384;

export class World {
  readonly config: SimConfig;
  readonly queue = new EventQueue();
  readonly catalogue: Catalogue;
  /** Number of this shard; it runs the viewers whose {@link Member.shard} it is. */
  readonly shard: number;
  /** Nothing that leaves a shard has an effect in another one earlier than this after. */
  readonly windowMs: number;
  /** By shard; none for this one. */
  readonly outboxes: readonly (Outbox | undefined)[];
  /** All viewers by index; `undefined`: it left so long ago that nobody can mean it any more. */
  readonly members: (Member | undefined)[] = [];
  /** Those of this shard. */
  readonly viewers: (Viewer | undefined)[] = [];
  readonly stats = new Stats();
  readonly guard: Guard;
  nowMs = 0;
  declare links: Links;
  declare gossip: Gossip;
  declare asks: Asks;
  declare uploads: Uploads;
  declare library: Library;
  declare deliveries: Deliveries;
  declare answers: Answers;
  declare audience: Audience;
  declare shell: Shell;

  constructor(config: SimConfig, { shard, shards }: { shard: number; shards: number }) {
    this.config = config;
    this.shard = shard;
    this.windowMs = windowMs(config);
    this.outboxes = Array.from({ length: shards }, (_, other) =>
      other === shard ? undefined : new Outbox(),
    );
    this.catalogue = new Catalogue(config);
    this.guard = new Guard(this);
  }

  get shards(): number {
    return this.outboxes.length;
  }

  member(index: number): Member {
    const member = this.members[index];
    if (!member) throw new RangeError(`Cannot find viewer: its index is ${index}`);
    return member;
  }

  /** The viewer, whichever shard runs it, if it is still there. */
  present(index: number): Member | undefined {
    const member = this.members[index];
    return member?.alive ? member : undefined;
  }

  /** The viewer if this shard runs it and it is still there. */
  alive(index: number): Viewer | undefined {
    const viewer = this.viewers[index];
    return viewer?.alive ? viewer : undefined;
  }

  after(delayMs: number, kind: number, a = 0, b = 0, c = 0): void {
    this.queue.push(this.nowMs + delayMs, kind, a, b, c);
  }

  /** An event in one shard; at least a window away if that is another one. */
  send(shard: number, atMs: number, kind: number, a: number, b = 0, c = 0): void {
    const outbox = this.outboxes[shard];
    if (outbox) outbox.put(MESSAGE.event, [atMs, kind, a, b, c]);
    else this.queue.push(atMs, kind, a, b, c);
  }

  /** An event in all shards; at least a window away. */
  everywhere(atMs: number, kind: number, a: number, b = 0, c = 0): void {
    for (let shard = 0; shard < this.shards; shard++) this.send(shard, atMs, kind, a, b, c);
  }

  /** What a small message waits for data on a viewer's uplink. */
  busyMs(from: Viewer): number {
    return from.uploadQueue.serving >= 0 ? HEAD_OF_LINE_BYTES / from.traits.uplink : 0;
  }

  /** Time of a small message from one end of a link to the other. */
  controlMs(from: Viewer, rttMs: number): number {
    return rttMs / 2 + this.busyMs(from);
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

/** The shortest way of anything from one viewer to another, or to the index. */
export function windowMs({ rttMinMs, serverRttMinMs }: SimConfig): number {
  return Math.min(rttMinMs, serverRttMinMs) / 2;
}
