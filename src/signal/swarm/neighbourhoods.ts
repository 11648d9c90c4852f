/**
 * Which clique each viewer is in, and who must be told that its neighbours changed. Places last as long as
 * the viewer's socket. This module does no I/O; time and randomness are arguments.
 *
 * A viewer is in one clique, whatever it watches (docs/decisions/0016): that of the swarm of its first group.
 * Renditions of one film are directories of one parent, so the parent is the swarm; inside it those who are
 * at the same directory are nearest, then those of the same network.
 * @module
 */
import { BagMap } from "../../core/random-bag.js";
import { Cliques } from "../../engine/neighbours/cliques.js";
import { CLIQUE_BRIDGES_MAX, CLIQUE_MEMBERS_MAX } from "../../protocol/limits.js";
import type { NeighbourHint, Neighbourhood, StatsMessage } from "../../protocol/signal-messages.js";
import { distanceOf, type Locality } from "./locality.js";

/** One viewer's place. */
interface Seat {
  readonly id: string;
  readonly locality: Locality;
  /** The groups it is in, the one that matters most first; never empty. */
  groups: readonly string[];
  home: string;
  /** Who came later dials. */
  order: number;
  /** Goodput that others saw, in bytes per second, one word per address. */
  readonly ratings: Map<string, number>;
  /** The median of these; 0 until there are two. */
  strength: number;
  toldMs: number;
}

/** Distance between viewers of different directories, beyond all of places. */
const OTHER_GROUP = 4;

/** Viewers that are looked at for one newcomer, of its network and of its group. */
const NEAR_MAX = 16;
const MATES_MAX = 24;

const RATINGS_MAX = 16;
/** One viewer's word is none. */
const RATINGS_MIN = 2;

/** A viewer is told of changes at most this often. */
const TOLD_INTERVAL_MS = 1_000;

/** All cliques of one server process. Every method ignores viewers that have no place. */
export class Neighbourhoods {
  readonly #random: () => number;
  readonly #cliques: Cliques<Seat>;
  readonly #seats = new Map<string, Seat>();
  readonly #byHome = new BagMap<Seat>();
  readonly #byPrefix = new BagMap<Seat>();
  /** Whose neighbourhood changed since it was told. */
  readonly #changed = new Set<Seat>();
  #lastOrder = 0;

  /** @param random In [0, 1). */
  constructor({ random }: { random: () => number }) {
    this.#random = random;
    this.#cliques = new Cliques({
      ...{ target: (CLIQUE_MEMBERS_MAX * 3) / 4, bridges: CLIQUE_BRIDGES_MAX, random },
      distance: (a, b) =>
        (a.home === b.home ? 0 : OTHER_GROUP) + distanceOf(a.locality, b.locality),
      matesOf: (seat) => this.#matesOf(seat),
      crowdOf: ({ locality }) => locality.prefix,
      strengthOf: ({ strength }) => strength,
    });
  }

  get cliqueCount(): number {
    return this.#cliques.count;
  }

  /** Whether somebody is still to be told. */
  get waiting(): boolean {
    return this.#changed.size > 0;
  }

  /** Puts a viewer where its first group belongs; no group changes nothing. */
  join(id: string, locality: Locality, groups: readonly string[]): void {
    const [home] = groups;
    if (home === undefined) return;
    const known = this.#seats.get(id);
    if (known) return this.#move(known, [...new Set([...groups, ...known.groups])]);
    const seat: Seat = {
      ...{ id, locality, groups: [...groups], home, order: ++this.#lastOrder },
      ...{ ratings: new Map<string, number>(), strength: 0, toldMs: Number.NEGATIVE_INFINITY },
    };
    this.#seats.set(id, seat);
    this.#sit(seat);
  }

  leave(id: string, groups: readonly string[]): void {
    const seat = this.#seats.get(id);
    if (!seat) return;
    const left = seat.groups.filter((group) => !groups.includes(group));
    if (left.length === 0) this.remove(id);
    else this.#move(seat, left);
  }

  remove(id: string): void {
    const seat = this.#seats.get(id);
    if (!seat) return;
    this.#seats.delete(id);
    this.#stand(seat);
    this.#changed.delete(seat);
    this.#note(this.#cliques.leave(seat).changed);
  }

  /** What a viewer measured of its neighbours; its word on anybody else is not heard. */
  measured(id: string, goodput: StatsMessage["goodput"]): void {
    const from = this.#seats.get(id);
    if (!from) return;
    for (const [peerId, bytesPerSecond] of goodput) {
      const seat = this.#seats.get(peerId);
      if (!seat || seat === from || !this.related(id, peerId)) continue;
      const { address } = from.locality;
      seat.ratings.delete(address);
      seat.ratings.set(address, bytesPerSecond);
      const [oldest] = seat.ratings.keys();
      if (seat.ratings.size > RATINGS_MAX && oldest !== undefined) seat.ratings.delete(oldest);
      seat.strength = seat.ratings.size < RATINGS_MIN ? 0 : medianOf(seat.ratings.values());
    }
  }

  /** Viewers that are to be told now. */
  due(nowMs: number): string[] {
    return [...this.#changed]
      .filter(({ toldMs }) => nowMs - toldMs >= TOLD_INTERVAL_MS)
      .map(({ id }) => id);
  }

  /** What a viewer is told; from now on it counts as told. `undefined` if it is in no group. */
  take(id: string, nowMs: number): Neighbourhood | undefined {
    const seat = this.#seats.get(id);
    const view = seat && this.#cliques.viewOf(seat);
    if (!view) return undefined;
    this.#changed.delete(seat);
    seat.toldMs = nowMs;
    const hint = (other: Seat): NeighbourHint => [
      other.id,
      distanceOf(seat.locality, other.locality),
      seat.order > other.order,
    ];
    const { bridge } = view;
    return {
      clique: view.id,
      epoch: view.epoch,
      members: [...view.members].filter((other) => other !== seat).map(hint),
      bridges: bridge ? [[...hint(bridge.to), bridge.clique]] : [],
      around: view.around,
    };
  }

  /** The viewer was not told all of it. */
  remind(id: string): void {
    const seat = this.#seats.get(id);
    if (seat) this.#changed.add(seat);
  }

  /** Whether two viewers are in one clique or have a bridge. */
  related(idA: string, idB: string): boolean {
    const [a, b] = [this.#seats.get(idA), this.#seats.get(idB)];
    const view = a && this.#cliques.viewOf(a);
    return b !== undefined && view !== undefined && (view.members.has(b) || view.bridge?.to === b);
  }

  #move(seat: Seat, groups: readonly string[]): void {
    const [home = seat.home] = groups;
    seat.groups = groups;
    if (home === seat.home) return;
    this.#stand(seat);
    seat.home = home;
    this.#sit(seat);
  }

  #sit(seat: Seat): void {
    this.#note(this.#cliques.join(seat, swarmOf(seat.home)).changed);
    // Only now, so that nobody is its own mate.
    this.#byHome.add(seat.home, seat);
    this.#byPrefix.add(placeOf(seat), seat);
  }

  #stand(seat: Seat): void {
    this.#byHome.delete(seat.home, seat);
    this.#byPrefix.delete(placeOf(seat), seat);
  }

  #matesOf(seat: Seat): Seat[] {
    const near = this.#byPrefix.get(placeOf(seat))?.sample(NEAR_MAX, this.#random) ?? [];
    const mates = this.#byHome.get(seat.home)?.sample(MATES_MAX, this.#random) ?? [];
    return [...near, ...mates];
  }

  #note(changed: Iterable<Seat>): void {
    for (const seat of changed) this.#changed.add(seat);
  }
}

/**
 * The swarm of a group: the folder that it is in, for the renditions of one film lie side by side; a group
 * right below the origin's root is its own, for what lies beside it there has nothing to do with it.
 */
export function swarmOf(group: string): string {
  const [scheme = "", empty = "", host = "", ...path] = group.split("/");
  const folders = path.filter((name) => name !== "");
  const kept = folders.length > 1 ? folders.slice(0, -1) : folders;
  return [scheme, empty, host, ...kept, ""].join("/");
}

function placeOf({ home, locality }: Seat): string {
  return `${home} ${locality.prefix}`;
}

function medianOf(numbers: Iterable<number>): number {
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted[sorted.length >> 1] ?? 0;
}
