/**
 * Who this viewer is linked with: its clique and bridges, as the server names them, and a few others. It
 * dials, takes the calls of others, keeps one link per peer and never more than the budget. A working link
 * outlives a change of the clique: only a new neighbour that needs its place, or a better candidate, ends
 * it, the least used one first. What travels on links is the host's business.
 * @module
 */
import { CONNECTIONS_MAX } from "../../protocol/limits.js";
import type { Distance, Neighbourhood, PeerHint } from "../../protocol/signal-messages.js";
import type { Connection } from "../signaling/peerjs-peer.js";
import { Candidates } from "./candidates.js";
import { type LinkHandlers, PeerLink } from "./peer-link.js";
import { type Role, WantedPeers } from "./wanted-peers.js";

export interface NeighbourHandlers extends LinkHandlers {
  onClosed(link: PeerLink): void;
}

export interface NeighboursOptions {
  readonly dial: (peerId: string) => Connection | undefined;
  readonly now: () => number;
  /** In [0, 1). */
  readonly random: () => number;
  readonly linksMax: number;
  /** A link is on its way, whoever began it. */
  readonly onLinking: () => void;
  readonly handlers: NeighbourHandlers;
}

/** Links on their way, whoever began them (rule R46); some of these places are left to callers. */
const PENDING_MAX = 8;
const DIALLED_MAX = 5;
/** Four round trips plus gathering; a pair that cannot connect is known by then. */
const OPEN_TIMEOUT_MS = 5_000;
/** A peer that could not be reached, or lied, is left alone. */
const UNREACHABLE_MS = 60_000;
const BANNED_MS = 600_000;
/** Links to others than the clique and its bridges that are looked for, against eclipses (rule R67). */
const OTHERS_WANTED = 2;
/** How often the least used of these gives way to a candidate. */
const CHURN_MS = 30_000;
/**
 * Whoever has nobody beyond its clique, nor a clique beside it, asks again after so long, twice as long each time: what
 * other nodes say may have been late.
 */
const LONE_MS = { min: 10_000, max: 300_000 };
/** A link that takes longer is not waited for. */
const WAITED_FOR_MS = 2_000;

export class Neighbours {
  readonly #options: NeighboursOptions;
  readonly #links = new Map<string, PeerLink>();
  readonly #wanted: WantedPeers;
  readonly #candidates: Candidates;
  /** Bytes of each link at the last churn. */
  readonly #bytesBefore = new WeakMap<PeerLink, number>();
  #neighbourhood: Neighbourhood | undefined;
  #churnedMs: number;
  /** When it was last told of peers, and how long it waits after that if they are too few. */
  #suggestedMs = Number.NEGATIVE_INFINITY;
  #loneMs = LONE_MS.min;
  #ownId = "";
  #closed = false;

  constructor(options: NeighboursOptions) {
    this.#options = options;
    this.#churnedMs = options.now();
    this.#candidates = new Candidates(options.now);
    this.#wanted = new WantedPeers(options.now, options.random);
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
    const sinceMs = this.#options.now() - WAITED_FOR_MS;
    return [...this.#links.values()].some((link) => !link.open && link.sinceMs > sinceMs);
  }

  /** The clique and its bridges as the server last named them, linked or not. */
  get neighbourhood(): Neighbourhood | undefined {
    return this.#neighbourhood;
  }

  /** Whether peers outside the clique would be welcome that the server did not name yet. */
  get lacking(): boolean {
    if (!this.#neighbourhood) return this.#links.size < this.#options.linksMax / 2;
    if (this.#candidates.has(this.#isNew)) return false;
    const few = this.#others().length < OTHERS_WANTED;
    if (this.#neighbourhood.around.length > 0) return few || this.#churnDue;
    return few && this.#options.now() - this.#suggestedMs >= this.#loneMs;
  }

  get(peerId: string): PeerLink | undefined {
    return this.#links.get(peerId);
  }

  roleOf(peerId: string): Role {
    return this.#wanted.roleOf(peerId);
  }

  distanceOf(peerId: string): Distance {
    return this.#candidates.distanceOf(peerId);
  }

  /** The server put this viewer into a clique, or its clique changed. */
  settle(neighbourhood: Neighbourhood): void {
    this.#closed = false;
    this.#neighbourhood = neighbourhood;
    const { members, bridges } = neighbourhood;
    for (const [peerId, distance] of [...bridges, ...members]) {
      this.#candidates.place(peerId, distance);
    }
    this.#wanted.settle(neighbourhood);
    this.#fill();
  }

  /** Peers of this viewer's groups: candidates for the places that clique and bridges leave. */
  suggest(hints: readonly PeerHint[]): void {
    const again = Number.isFinite(this.#suggestedMs);
    this.#loneMs = again ? Math.min(LONE_MS.max, 2 * this.#loneMs) : LONE_MS.min;
    this.#suggestedMs = this.#options.now();
    for (const [peerId, distance] of hints) this.#candidates.place(peerId, distance);
    this.#candidates.suggest(hints.map(([peerId]) => peerId).filter(this.#isNew));
    this.#fill();
  }

  /** Dials the peers of a hint list that are neither linked nor avoided, in its order. */
  dialAll(hints: readonly PeerHint[]): void {
    for (const [peerId, distance] of hints) {
      this.#candidates.place(peerId, distance);
      this.#dial(peerId, PENDING_MAX);
    }
  }

  /** Another viewer calls. */
  accept(connection: Connection): void {
    const { peerId } = connection;
    const existing = this.#links.get(peerId);
    const pending = this.#pendingCount() - (existing && !existing.open ? 1 : 0);
    const full = pending >= PENDING_MAX || (!existing && !this.#hasPlaceFor(peerId));
    if (full || this.#candidates.bans(peerId)) return connection.close();
    if (existing) {
      // Both dialled at once: the call of the smaller id stays. A link that was open is being renewed.
      if (!existing.open && existing.initiator && this.#ownId < peerId) return connection.close();
      this.#replace(existing);
    }
    this.#add(connection);
  }

  /** Called about once a second: dials who was lost or did not call, and renews what is not used. */
  tick(): void {
    this.#fill();
    if (!this.#churnDue || !this.#candidates.has(this.#isNew)) return;
    const others = this.#others();
    if (others.length >= OTHERS_WANTED) this.#leastUsed(others)?.close();
    this.#churnedMs = this.#options.now();
    for (const link of this.open) this.#bytesBefore.set(link, bytesOf(link));
  }

  /** Closes the link; a peer that sent wrong bytes stays away for ten minutes (rule R4). */
  drop(peerId: string, reason: "corrupt" | "stalled"): void {
    if (reason === "corrupt") this.#candidates.ban(peerId, BANNED_MS);
    else this.#candidates.avoid(peerId, UNREACHABLE_MS);
    this.#links.get(peerId)?.close();
  }

  /** Closes all links; nobody is dialled before the next {@link settle}. */
  close(): void {
    this.#closed = true;
    this.#wanted.clear();
    this.#neighbourhood = undefined;
    for (const link of this.#links.values()) link.close();
  }

  get #churnDue(): boolean {
    return this.#options.now() - this.#churnedMs >= CHURN_MS;
  }

  readonly #isNew = (peerId: string): boolean =>
    !this.#links.has(peerId) && !this.#wanted.has(peerId) && peerId !== this.#ownId;

  #others(): PeerLink[] {
    return [...this.#links.values()].filter(({ peerId }) => this.roleOf(peerId) === "other");
  }

  /** Links that still come up count as much used: they had no chance yet. */
  #leastUsed(links: readonly PeerLink[]): PeerLink | undefined {
    const used = (link: PeerLink) =>
      bytesOf(link) - (this.#bytesBefore.get(link) ?? (link.open ? 0 : Number.NEGATIVE_INFINITY));
    return [...links].sort((a, b) => used(a) - used(b))[0];
  }

  /** Dials as many of those who are wanted as may be on their way at once. */
  #fill(): void {
    if (this.#closed) return;
    for (const peerId of this.#wanted.due()) this.#dial(peerId, DIALLED_MAX);
    const max = this.#neighbourhood ? OTHERS_WANTED : this.#options.linksMax;
    while (this.#others().length < max && this.#links.size < this.#options.linksMax) {
      const peerId = this.#candidates.take(this.#isNew);
      if (peerId === undefined) return;
      if (!this.#dial(peerId, DIALLED_MAX)) return this.#candidates.suggest([peerId]);
    }
  }

  /** Whether one more link may be had; for a neighbour one of the others would give way. */
  #hasPlaceFor(peerId: string): boolean {
    if (this.#links.size < this.#options.linksMax) return true;
    return this.#wanted.has(peerId) && this.#others().length > 0;
  }

  /** Ends the least used of the others while there are more links than `max`. */
  #makePlace(max: number): void {
    if (this.#links.size <= max) return;
    const other = this.#leastUsed(this.#others());
    if (other) this.#replace(other);
  }

  /** Ends a link whose place is taken at once. */
  #replace(link: PeerLink): void {
    this.#links.delete(link.peerId);
    link.close();
  }

  #pendingCount(): number {
    return [...this.#links.values()].filter((link) => !link.open).length;
  }

  /** @returns Whether a link is on its way now. */
  #dial(peerId: string, pendingMax: number): boolean {
    if (peerId === this.#ownId || this.#links.has(peerId)) return false;
    if (this.#candidates.avoids(peerId) || this.#pendingCount() >= pendingMax) return false;
    if (!this.#hasPlaceFor(peerId)) return false;
    this.#makePlace(CONNECTIONS_MAX - 1);
    const connection = this.#options.dial(peerId);
    if (connection) this.#add(connection);
    return connection !== undefined;
  }

  #add(connection: Connection): void {
    const { handlers, now } = this.#options;
    const link = new PeerLink({
      connection,
      handlers: {
        ...handlers,
        onOpen: (opened) => {
          this.#candidates.reached(opened.peerId);
          this.#loneMs = LONE_MS.min;
          handlers.onOpen(opened);
          this.#fill();
        },
      },
      now,
      openTimeoutMs: OPEN_TIMEOUT_MS,
    });
    this.#links.set(link.peerId, link);
    this.#makePlace(this.#options.linksMax);
    this.#options.onLinking();
    link.closed.addEventListener("abort", () => this.#ended(link), { once: true });
  }

  #ended(link: PeerLink): void {
    const { peerId } = link;
    const replaced = this.#links.get(peerId) !== link;
    if (!replaced) {
      this.#links.delete(peerId);
      this.#wanted.lost(peerId);
      if (!link.everOpen) this.#candidates.failed(peerId, this.#wanted.has(peerId));
    }
    this.#options.handlers.onClosed(link);
    if (!replaced) this.#fill();
  }
}

function bytesOf({ bytesReceived, bytesSent }: PeerLink): number {
  return bytesReceived + bytesSent;
}
