/**
 * What the index knows of a viewer. Every shard knows it of all viewers and comes to it by itself: what changes it
 * happens in all shards at the same time, in the same order, with the same draws. This module is pure.
 * @module
 */
import { Hearers } from "../page/hearers.js";
import type { Traits } from "./viewer.js";

export class Member {
  readonly index: number;
  readonly id: string;
  readonly title: number;
  readonly traits: Traits;
  /** The shard that runs it. */
  readonly shard: number;
  alive = true;
  /** Whether its join has reached the index. */
  indexed = false;
  /** Whom it is linked with, as it knows. */
  readonly links = new Set<number>();
  /** Peers linked, or being dialled, that are neither of its clique nor its bridge. */
  readonly others = new Set<number>();
  pendingLinks = 0;
  #avoidedUntilMs: Map<number, number> | undefined;
  /** Those of this shard's viewers that hear what it tells. */
  hearers = Hearers.NONE;

  constructor(spec: Pick<Member, "index" | "title" | "traits" | "shard">) {
    this.index = spec.index;
    this.id = String(spec.index);
    this.title = spec.title;
    this.traits = spec.traits;
    this.shard = spec.shard;
  }

  avoid(peer: number, untilMs: number): void {
    this.#avoidedUntilMs ??= new Map();
    this.#avoidedUntilMs.set(peer, untilMs);
  }

  avoids(peer: number, nowMs: number): boolean {
    return (this.#avoidedUntilMs?.get(peer) ?? 0) > nowMs;
  }
}
