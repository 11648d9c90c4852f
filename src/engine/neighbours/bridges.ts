/**
 * Links between the cliques of a swarm. The cliques form a ring, in which each has a bridge to the next, so
 * that all hang together; further bridges go across and keep ways short. This module is pure.
 * @module
 */
import type { RandomBag } from "../../core/random-bag.js";

/** One clique; `cliques.ts` owns it. */
export class Clique<T> {
  readonly id: number;
  readonly swarm: unknown;
  /** In order of entry. */
  readonly members = new Set<T>();
  /** A member here and the member elsewhere that it has a bridge to. */
  readonly bridges = new Map<T, T>();
  epoch = 0;
  /** Neighbours in the swarm's ring; the clique itself if it is the only one. */
  next: Clique<T> = this;
  previous: Clique<T> = this;

  constructor(id: number, swarm: unknown) {
    this.id = id;
    this.swarm = swarm;
  }
}

/** What one call changes; `touched` are the cliques that got or lost members or bridges. */
export interface Draft<T> {
  readonly link: [T, T][];
  readonly unlink: [T, T][];
  readonly touched: Set<Clique<T>>;
}

export interface BridgesOptions<T> {
  readonly bridges: number;
  readonly random: () => number;
  readonly crowdOf: (member: T) => unknown;
  readonly strengthOf: (member: T) => number;
}

/** Cliques that are looked at for bridges across the ring. */
const CANDIDATES_MAX = 12;

export class Bridges<T> {
  readonly #options: BridgesOptions<T>;
  readonly #cliqueOf: (member: T) => Clique<T> | undefined;

  constructor(options: BridgesOptions<T>, cliqueOf: (member: T) => Clique<T> | undefined) {
    this.#options = options;
    this.#cliqueOf = cliqueOf;
  }

  /** Sees to the bridges of a clique: to its neighbours in the ring in any case, then across. */
  connect(clique: Clique<T>, swarm: RandomBag<Clique<T>>, draft: Draft<T>): void {
    const { bridges, random } = this.#options;
    if (bridges === 0 || clique.next === clique) return;
    this.#connectRing(clique, draft);
    const doubleMax = Math.ceil(bridges / (swarm.size - 1));
    for (const other of swarm.sample(CANDIDATES_MAX, random)) {
      if (other === clique) continue;
      const wanted = () =>
        clique.bridges.size < bridges &&
        other.bridges.size < bridges &&
        this.#count(clique, other) < doubleMax;
      while (wanted() && this.#bridge(clique, other, draft));
    }
  }

  /** Ends the bridge of one member, if it has one. */
  end({ bridges }: Clique<T>, member: T, { unlink, touched }: Draft<T>): void {
    const there = bridges.get(member);
    if (there === undefined) return;
    const other = this.#cliqueOf(there);
    bridges.delete(member);
    other?.bridges.delete(there);
    if (other) touched.add(other);
    unlink.push([member, there]);
  }

  #connectRing(clique: Clique<T>, draft: Draft<T>): void {
    for (const other of [clique.next, clique.previous]) {
      if (this.#count(clique, other) > 0) continue;
      for (const end of [clique, other]) this.#makeRoom(end, draft);
      this.#bridge(clique, other, draft);
    }
  }

  /** Gives up a bridge that the ring does not need, if all are taken. */
  #makeRoom(clique: Clique<T>, draft: Draft<T>): void {
    if (clique.bridges.size < Math.min(this.#options.bridges, clique.members.size)) return;
    for (const [member, there] of clique.bridges) {
      const other = this.#cliqueOf(there);
      const ring = other === clique.next || other === clique.previous;
      if (other && (!ring || this.#count(clique, other) > 1))
        return this.end(clique, member, draft);
    }
  }

  #count(clique: Clique<T>, other: Clique<T>): number {
    let count = 0;
    for (const there of clique.bridges.values()) if (this.#cliqueOf(there) === other) count++;
    return count;
  }

  /** @returns Whether both sides had a member to spare. */
  #bridge(clique: Clique<T>, other: Clique<T>, { link }: Draft<T>): boolean {
    const a = this.#envoyOf(clique);
    const b = a === undefined ? undefined : this.#envoyOf(other, a);
    if (a === undefined || b === undefined) return false;
    clique.bridges.set(a, b);
    other.bridges.set(b, a);
    link.push([a, b]);
    return true;
  }

  /** A member without a bridge: the stronger of two, rather not of the crowd at the other end. */
  #envoyOf({ members, bridges }: Clique<T>, far?: T): T | undefined {
    const { crowdOf, strengthOf, random } = this.#options;
    const free = [...members].filter((member) => !bridges.has(member));
    const strange = free.filter((member) => far === undefined || crowdOf(member) !== crowdOf(far));
    const choice = strange.length > 0 ? strange : free;
    const pick = () => choice[Math.floor(random() * choice.length)];
    const [one, two] = [pick(), pick()];
    if (one === undefined || two === undefined) return undefined;
    return strengthOf(two) > strengthOf(one) ? two : one;
  }
}
