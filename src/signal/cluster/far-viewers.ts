/**
 * What this node knows of viewers at other nodes: where they are, and how often they were named lately, so
 * that a crowd here is not sent to one viewer there. This module does no I/O; time and randomness are arguments.
 * @module
 */
import { PEERS_PER_ANSWER_MAX } from "../../protocol/limits.js";
import type { PeerHint } from "../../protocol/signal-messages.js";
import { LruMap } from "../lru-map.js";
import { distanceOf, type Locality, mixCandidates } from "../swarm/locality.js";
import type { FarRecord } from "./records.js";

/** A viewer's record, the node that wrote it and when. */
export interface Found extends FarRecord {
  readonly node: string;
  readonly atMs: number;
}

const ROUTES_MAX = 200_000;
const NODES_MAX = 4_096;

/** A node that was not heard of for so long is not counted. */
const HEARD_MS = 90_000;

/** As in `memory-index.ts`. */
const HAND_OUT_LOAD_PERCENT = 10;
const HAND_OUT_FADE_MS = 10_000;

interface Known {
  node: string;
  handOuts: number;
  atMs: number;
}

export class FarViewers {
  readonly #random: () => number;
  readonly #known = new LruMap<string, Known>(ROUTES_MAX);
  /** Nobody is sent to a node by a record that is older than this: a node's records outlive it. */
  readonly #lostMs = new LruMap<string, number>(NODES_MAX);
  readonly #heardMs = new LruMap<string, number>(NODES_MAX);

  /** @param random In [0, 1). */
  constructor(random: () => number) {
    this.#random = random;
  }

  /** Where a viewer was last. */
  nodeOf(id: string): string | undefined {
    return this.#known.get(id)?.node;
  }

  /** A viewer is at a node, which lives. */
  heard(id: string, node: string, nowMs: number): void {
    const known = this.#known.get(id);
    if (known) known.node = node;
    else this.#known.set(id, { node, handOuts: 0, atMs: nowMs });
    this.#heardMs.set(node, nowMs);
    this.#lostMs.delete(node);
  }

  /** It is not there. */
  forget(id: string): void {
    this.#known.delete(id);
  }

  /** Nobody listens at a node. */
  lost(node: string, nowMs: number): void {
    this.#lostMs.set(node, nowMs);
    this.#heardMs.delete(node);
  }

  /** A node's records are there, written at `atMs`. */
  seen(node: string, atMs: number, nowMs: number): void {
    if (this.#isAlive({ node, atMs })) this.#heardMs.set(node, nowMs);
  }

  /** Other nodes that live. */
  nodeCount(nowMs: number): number {
    let count = 0;
    for (const heardMs of this.#heardMs.values()) if (nowMs - heardMs <= HEARD_MS) count++;
    return count;
  }

  /**
   * Chooses at most eight, near and random ones, and counts that they were named.
   *
   * @param asker Its address and prefix as marks.
   */
  choose(asker: Locality, found: readonly Found[], nowMs: number): PeerHint[] {
    const alive = found.filter((viewer) => this.#isAlive(viewer));
    const byId = new Map(alive.map((viewer) => [viewer.id, viewer]));
    const candidates = [...byId.values()].map((viewer) => ({
      item: viewer,
      distance: distanceOf(asker, viewer),
      prefix: viewer.prefix,
      expectedLoad: viewer.loadPercent + HAND_OUT_LOAD_PERCENT * this.#handOuts(viewer.id, nowMs),
    }));
    const mix = { count: PEERS_PER_ANSWER_MAX, random: this.#random };
    return mixCandidates(candidates, mix).map(({ item, distance }) => {
      const handOuts = this.#handOuts(item.id, nowMs) + 1;
      this.#known.set(item.id, { node: item.node, handOuts, atMs: nowMs });
      return [item.id, distance, item.loadPercent];
    });
  }

  #isAlive({ node, atMs }: Pick<Found, "node" | "atMs">): boolean {
    return atMs > (this.#lostMs.get(node) ?? Number.NEGATIVE_INFINITY);
  }

  #handOuts(id: string, nowMs: number): number {
    const known = this.#known.get(id);
    return known
      ? known.handOuts * Math.exp(-Math.max(0, nowMs - known.atMs) / HAND_OUT_FADE_MS)
      : 0;
  }
}
