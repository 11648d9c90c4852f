/**
 * Who this viewer is linked with: dials the peers that the index names, takes the calls of others, keeps
 * one link per peer and never more than the budget. Links and their state are all it knows; what travels
 * on them is the host's business.
 * @module
 */
import type { Distance, PeerHint } from "../protocol/signal-messages.js";
import { type LinkHandlers, PeerLink } from "./peer-link.js";
import type { Connection } from "./peerjs-peer.js";

export interface NeighbourHandlers extends LinkHandlers {
  onClosed(link: PeerLink): void;
}

export interface NeighboursOptions {
  readonly dial: (peerId: string) => Connection | undefined;
  readonly now: () => number;
  readonly linksMax: number;
  readonly handlers: NeighbourHandlers;
}

const PENDING_MAX = 8;
/** Four round trips plus gathering; a pair that cannot connect is known by then. */
const OPEN_TIMEOUT_MS = 5_000;
/** A peer that could not be reached, or lied, is left alone. */
const UNREACHABLE_MS = 60_000;
const BANNED_MS = 600_000;
const AVOIDED_MAX = 1_000;

export class Neighbours {
  readonly #options: NeighboursOptions;
  readonly #links = new Map<string, PeerLink>();
  readonly #avoidedUntilMs = new Map<string, number>();
  readonly #distances = new Map<string, Distance>();
  #ownId = "";

  constructor(options: NeighboursOptions) {
    this.#options = options;
  }

  /** This viewer's own id, once the server issued it. */
  set ownId(id: string) {
    this.#ownId = id;
  }

  /** Links that are open. */
  get open(): PeerLink[] {
    return [...this.#links.values()].filter((link) => link.open);
  }

  /** Whether links are on their way. */
  get pending(): boolean {
    return [...this.#links.values()].some((link) => !link.open);
  }

  /** Whether more neighbours are wanted. */
  get lacking(): boolean {
    return this.#links.size < this.#options.linksMax;
  }

  get(peerId: string): PeerLink | undefined {
    return this.#links.get(peerId);
  }

  distanceOf(peerId: string): Distance {
    return this.#distances.get(peerId) ?? 2;
  }

  /** Dials the peers of a hint list that are neither linked nor avoided, in its order. */
  dialAll(hints: readonly PeerHint[]): void {
    const nowMs = this.#options.now();
    for (const [peerId, distance] of hints) {
      this.#distances.set(peerId, distance);
      const known = this.#links.has(peerId) || peerId === this.#ownId;
      const avoided = (this.#avoidedUntilMs.get(peerId) ?? 0) > nowMs;
      const pending = [...this.#links.values()].filter((link) => !link.open).length;
      if (known || avoided || !this.lacking || pending >= PENDING_MAX) continue;
      const connection = this.#options.dial(peerId);
      if (connection) this.#add(connection);
    }
  }

  /** Another viewer calls. */
  accept(connection: Connection): void {
    const { peerId } = connection;
    const existing = this.#links.get(peerId);
    const banned = (this.#avoidedUntilMs.get(peerId) ?? 0) > this.#options.now() + UNREACHABLE_MS;
    if (banned || (!existing && this.#links.size >= this.#options.linksMax + PENDING_MAX)) {
      return connection.close();
    }
    if (existing) {
      // Both dialled at once: the call of the smaller id stays. A link that was open is being renewed.
      if (!existing.open && existing.initiator && this.#ownId < peerId) return connection.close();
      existing.close();
    }
    this.#add(connection);
  }

  /** Closes the link; a peer that sent wrong bytes stays away for ten minutes (rule R4). */
  drop(peerId: string, reason: "corrupt" | "stalled"): void {
    this.#avoid(peerId, reason === "corrupt" ? BANNED_MS : UNREACHABLE_MS);
    this.#links.get(peerId)?.close();
  }

  close(): void {
    for (const link of this.#links.values()) link.close();
  }

  #add(connection: Connection): void {
    const link = new PeerLink({
      connection,
      handlers: this.#options.handlers,
      now: this.#options.now,
      openTimeoutMs: OPEN_TIMEOUT_MS,
    });
    this.#links.set(link.peerId, link);
    link.closed.addEventListener(
      "abort",
      () => {
        if (!link.everOpen) this.#avoid(link.peerId, UNREACHABLE_MS / 4);
        if (this.#links.get(link.peerId) === link) this.#links.delete(link.peerId);
        this.#options.handlers.onClosed(link);
      },
      { once: true },
    );
  }

  #avoid(peerId: string, durationMs: number): void {
    const until = Math.max(this.#avoidedUntilMs.get(peerId) ?? 0, this.#options.now() + durationMs);
    this.#avoidedUntilMs.delete(peerId);
    this.#avoidedUntilMs.set(peerId, until);
    if (this.#avoidedUntilMs.size > AVOIDED_MAX) {
      const [oldest] = this.#avoidedUntilMs.keys();
      if (oldest !== undefined) this.#avoidedUntilMs.delete(oldest);
    }
  }
}
