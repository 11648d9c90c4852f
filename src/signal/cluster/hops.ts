/**
 * Signaling between viewers of different nodes: each node listens on a channel of its own, and a message takes
 * one hop. What cannot have arrived is said at once, so that a viewer turns to the next one.
 * @module
 */

import type { Metrics } from "../http/metrics.js";
import { LruMap } from "../lru-map.js";
import type { RedisLink } from "../redis/redis-link.js";
import { TokenBucket } from "../token-bucket.js";
import type { Claims } from "./claims.js";
import type { FarViewers } from "./far-viewers.js";
import { decodeHop, type Envelope, encodeHop, HOP_MAX_AGE_MS, type Hop } from "./hop.js";
import type { Names } from "./names.js";
import type { Seal } from "./seal.js";

/** What one node takes from all others together: more than a node can cause by serving viewers. */
const TAKEN = { perSecond: 20_000, burst: 40_000 };

const NODES_MAX = 4_096;

/** Who was looked for and is nowhere is not looked for again for so long. */
const ABSENT_MS = 1_000;
const ABSENT_MAX = 50_000;
const LOOKUPS_MAX = 10_000;

export interface HopsOptions {
  readonly link: Pick<RedisLink, "publish">;
  readonly claims: Pick<Claims, "nodeOf">;
  readonly far: FarViewers;
  readonly names: Names;
  readonly seal: Seal;
  readonly node: string;
  readonly metrics: Metrics;
  readonly nowMs: () => number;
  /** @returns Whether it was delivered. */
  readonly onHop: (hop: Hop) => boolean;
}

export class Hops {
  readonly #options: HopsOptions;
  readonly #budget = new TokenBucket(TAKEN);
  readonly #lastSequence = new LruMap<string, number>(NODES_MAX);
  readonly #absentUntilMs = new LruMap<string, number>(ABSENT_MAX);
  readonly #lookups = new Map<string, Promise<string | undefined>>();
  #sequence: number;

  constructor(options: HopsOptions) {
    this.#options = options;
    this.#sequence = options.nowMs();
  }

  /** Sends a message to wherever its receiver is. @returns Whether it can have arrived. Never rejects. */
  async send(hop: Hop): Promise<boolean> {
    const { far, metrics } = this.#options;
    const known = far.nodeOf(hop.dst);
    let arrived = known !== undefined && (await this.#publish(known, hop));
    if (!arrived) {
      const found = await this.#lookUp(hop.dst);
      arrived = found !== undefined && found !== known && (await this.#publish(found, hop));
    }
    metrics.add("nearcast_hops_total", arrived ? "sent" : "undeliverable");
    return arrived;
  }

  /** Sends a message to one node. */
  async sendTo(node: string, hop: Hop): Promise<void> {
    await this.#publish(node, hop);
  }

  /** Takes whatever was said on this node's channel. */
  receive(text: string): void {
    const { far, seal, names, node, metrics, nowMs, onHop } = this.#options;
    const budgeted = this.#budget.take(nowMs());
    const envelope = budgeted && decodeHop(text, { seal, channel: names.node(node) });
    if (!envelope || this.#isRepeated(envelope)) {
      metrics.add("nearcast_hops_total", budgeted ? "malformed" : "dropped");
      return;
    }
    if (Math.abs(nowMs() - envelope.sentMs) > HOP_MAX_AGE_MS) {
      metrics.add("nearcast_hops_total", "late");
      return;
    }
    metrics.add("nearcast_hops_total", "received");
    const { kind, src, dst, stock, payload } = envelope;
    if (kind === "EXPIRE") far.forget(src);
    else if (kind !== "REPLACED") far.heard(src, envelope.node, nowMs());
    const delivered = onHop({ kind, src, dst, stock, payload });
    if (delivered || kind === "EXPIRE" || kind === "LEAVE" || kind === "REPLACED") return;
    void this.sendTo(envelope.node, { kind: "EXPIRE", src: dst, dst: src, stock: false });
  }

  #isRepeated({ node, sequence }: Envelope): boolean {
    if (sequence <= (this.#lastSequence.get(node) ?? -1)) return true;
    this.#lastSequence.set(node, sequence);
    return false;
  }

  /** The order of messages to one viewer stays, as long as each is sent the same way. */
  async #publish(node: string, hop: Hop): Promise<boolean> {
    const { link, far, seal, names, node: own, nowMs } = this.#options;
    const channel = names.node(node);
    const sequence = ++this.#sequence;
    const envelope = { ...hop, node: own, sequence, sentMs: nowMs() };
    const text = encodeHop(envelope, { seal, channel });
    if (text === undefined) return false;
    try {
      if ((await link.publish(channel, text)) !== false) return true;
      far.lost(node, nowMs());
    } catch {
      // Redis is down, and with it the way to other nodes
    }
    far.forget(hop.dst);
    return false;
  }

  /** One question for all messages that wait for it: they go on in the order in which they came. */
  #lookUp(id: string): Promise<string | undefined> {
    const { nowMs } = this.#options;
    const under = this.#lookups.get(id);
    if (under) return under;
    const isAbsent = (this.#absentUntilMs.get(id) ?? 0) > nowMs();
    if (isAbsent || this.#lookups.size >= LOOKUPS_MAX) return Promise.resolve(undefined);
    const lookup = this.#find(id).finally(() => this.#lookups.delete(id));
    this.#lookups.set(id, lookup);
    return lookup;
  }

  async #find(id: string): Promise<string | undefined> {
    const { claims, far, node: own, nowMs } = this.#options;
    try {
      const node = await claims.nodeOf(id);
      if (node !== undefined && node !== own) {
        far.heard(id, node, nowMs());
        return node;
      }
      this.#absentUntilMs.set(id, nowMs() + ABSENT_MS);
    } catch {
      // as if it were nowhere
    }
    return undefined;
  }
}
