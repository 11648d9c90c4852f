/**
 * Whom the server wants this viewer to be linked with: the members of its clique and the bridges to others, and when
 * each is to be dialled. This module is pure.
 * @module
 */
import type { NeighbourHint, Neighbourhood } from "../../protocol/signal-messages.js";

/**
 * What a linked peer is to this viewer. Election ranks over members (all of whom rank the same); a bridge
 * is the way to another clique; others are neither: candidates, holders of something, former members.
 */
export type Role = "member" | "bridge" | "other";

interface Wanted {
  readonly role: "member" | "bridge";
  /** Whether this viewer begins, and not the other one. */
  readonly dials: boolean;
  /** Not dialled before: the other one may, or it has just gone. */
  dialAtMs: number;
}

/** A neighbour that was lost is dialled again: the server says soon if it is gone for good. */
const REDIAL_MS = 1_500;
/** The one who does not dial waits so long for the other, then does. */
const CALL_WAIT_MS = 3_000;

export class WantedPeers {
  readonly #wanted = new Map<string, Wanted>();
  readonly #now: () => number;
  readonly #random: () => number;

  /** @param random In [0, 1). */
  constructor(now: () => number, random: () => number) {
    this.#now = now;
    this.#random = random;
  }

  has(peerId: string): boolean {
    return this.#wanted.has(peerId);
  }

  roleOf(peerId: string): Role {
    return this.#wanted.get(peerId)?.role ?? "other";
  }

  /** Replaces all. Who was wanted before keeps its time; bridges first, then the members, near ones first. */
  settle({ members, bridges }: Neighbourhood): void {
    const before = new Map(this.#wanted);
    this.#wanted.clear();
    const want = (peerId: string, dials: boolean, role: Wanted["role"]) => {
      const waitMs = dials ? 0 : CALL_WAIT_MS;
      const dialAtMs = before.get(peerId)?.dialAtMs ?? this.#now() + waitMs;
      this.#wanted.set(peerId, { role, dials, dialAtMs });
    };
    for (const [peerId, , dials] of bridges) want(peerId, dials, "bridge");
    for (const [peerId, , dials] of this.#ordered(members)) want(peerId, dials, "member");
  }

  /** Who may be dialled now, in this order. */
  due(): string[] {
    const nowMs = this.#now();
    return [...this.#wanted].flatMap(([peerId, { dialAtMs }]) =>
      dialAtMs <= nowMs ? [peerId] : [],
    );
  }

  /** The link to it ended. */
  lost(peerId: string): void {
    const wanted = this.#wanted.get(peerId);
    if (wanted) wanted.dialAtMs = this.#now() + (wanted.dials ? REDIAL_MS : CALL_WAIT_MS);
  }

  clear(): void {
    this.#wanted.clear();
  }

  /** Near ones first; among equals another order for each viewer, or all would call the same at once. */
  #ordered(hints: readonly NeighbourHint[]): NeighbourHint[] {
    return hints
      .map((hint) => ({ hint, key: hint[1] + this.#random() }))
      .sort((a, b) => a.key - b.key)
      .map(({ hint }) => hint);
  }
}
