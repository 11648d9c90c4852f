/**
 * Who is to be linked with whom: viewers of a group in cliques, near ones together, and a few bridges
 * between cliques. It stands for what the server will hand out; links are asked for, never assumed.
 * This module is pure.
 * @module
 */
import type { Random } from "./random.js";

/** Position of a viewer; near ones have short round trips. */
export interface Place {
  readonly x: number;
  readonly y: number;
}

/** Pairs that are to be linked or not to be linked any more. */
export interface CliqueChange {
  readonly link: (readonly [number, number])[];
  readonly unlink: (readonly [number, number])[];
}

interface Clique {
  readonly id: number;
  readonly group: number;
  readonly members: Set<number>;
  /** Pairs of a member here and a member elsewhere. */
  readonly bridges: Map<number, number>;
}

export interface CliqueOptions {
  readonly target: number;
  readonly bridges: number;
  readonly placeOf: (member: number) => Place;
  readonly random: Random;
}

/** Share of joins that ignore nearness, so that no group of cliques stays apart. */
const EXPLORE_SHARE = 0.25;
const CANDIDATES = 8;

export class Cliques {
  readonly #options: CliqueOptions;
  readonly #groups = new Map<number, Set<Clique>>();
  readonly #of = new Map<number, Clique>();
  #lastId = 0;

  constructor(options: CliqueOptions) {
    this.#options = options;
  }

  /** Members a clique has at most: 16 for a target of 12. */
  get membersMax(): number {
    return Math.max(2, Math.round((this.#options.target * 4) / 3));
  }

  get membersMin(): number {
    return Math.floor(this.#options.target / 2);
  }

  /** Cliques that have members. */
  get count(): number {
    let count = 0;
    for (const cliques of this.#groups.values()) count += cliques.size;
    return count;
  }

  cliqueOf(member: number): number {
    return this.#of.get(member)?.id ?? -1;
  }

  membersOf(member: number): ReadonlySet<number> {
    return this.#of.get(member)?.members ?? new Set();
  }

  join(member: number, group: number): CliqueChange {
    const change: CliqueChange = { link: [], unlink: [] };
    const clique = this.#choose(member, group);
    for (const other of clique.members) change.link.push([member, other]);
    clique.members.add(member);
    this.#of.set(member, clique);
    if (clique.members.size > this.membersMax) this.#split(clique, change);
    else this.#bridge(clique, change);
    // A split may have parted some of them again.
    const link = change.link.filter(([a, b]) => this.#related(a, b));
    return { link, unlink: change.unlink };
  }

  leave(member: number): CliqueChange {
    const change: CliqueChange = { link: [], unlink: [] };
    const clique = this.#of.get(member);
    if (!clique) return change;
    this.#of.delete(member);
    clique.members.delete(member);
    this.#unbridge(clique, member, change);
    if (clique.members.size === 0) this.#groups.get(clique.group)?.delete(clique);
    else if (clique.members.size < this.membersMin) this.#merge(clique, change);
    else this.#bridge(clique, change);
    return change;
  }

  #related(a: number, b: number): boolean {
    const clique = this.#of.get(a);
    return clique !== undefined && (clique === this.#of.get(b) || clique.bridges.get(a) === b);
  }

  #choose(member: number, group: number): Clique {
    const { random } = this.#options;
    const all = this.#cliquesOf(group);
    const open = [...all].filter(({ members }) => members.size <= this.#options.target);
    const choice = open.length > 0 ? open : [...all];
    if (choice.length === 0) return this.#create(group);
    if (random() < EXPLORE_SHARE) return pick(choice, random);
    let best = pick(choice, random);
    for (let tries = 1; tries < CANDIDATES; tries++) {
      const other = pick(choice, random);
      if (this.#distance(member, other) < this.#distance(member, best)) best = other;
    }
    return best;
  }

  #cliquesOf(group: number): Set<Clique> {
    let cliques = this.#groups.get(group);
    if (!cliques) {
      cliques = new Set();
      this.#groups.set(group, cliques);
    }
    return cliques;
  }

  #create(group: number): Clique {
    const clique: Clique = {
      id: this.#lastId++,
      ...{ group, members: new Set(), bridges: new Map() },
    };
    this.#cliquesOf(group).add(clique);
    return clique;
  }

  /** Distance to the first member: good enough, and the same for everybody. */
  #distance(member: number, { members }: Clique): number {
    const [first] = members;
    if (first === undefined) return 0;
    const a = this.#options.placeOf(member);
    const b = this.#options.placeOf(first);
    return (a.x - b.x) ** 2 + (a.y - b.y) ** 2;
  }

  /** The half that lies east goes; some links across stay as bridges. */
  #split(clique: Clique, change: CliqueChange): void {
    const { placeOf } = this.#options;
    const sorted = [...clique.members].sort((a, b) => placeOf(a).x - placeOf(b).x || a - b);
    const leaving = sorted.slice(sorted.length >> 1);
    const half = this.#create(clique.group);
    for (const member of leaving) {
      clique.members.delete(member);
      this.#unbridge(clique, member, change);
      half.members.add(member);
      this.#of.set(member, half);
    }
    this.#bridge(clique, change, half);
    const kept = new Set([...clique.bridges].map(([a, b]) => pairOf(a, b)));
    for (const a of clique.members) {
      for (const b of half.members) if (!kept.has(pairOf(a, b))) change.unlink.push([a, b]);
    }
    this.#bridge(half, change);
  }

  /** The rest of a clique that became small enters the smallest other one. */
  #merge(clique: Clique, change: CliqueChange): void {
    const others = [...this.#cliquesOf(clique.group)].filter((other) => other !== clique);
    const room = others.filter(
      ({ members }) => members.size + clique.members.size <= this.membersMax,
    );
    const [into] = room.sort((a, b) => a.members.size - b.members.size || a.id - b.id);
    if (!into) return this.#bridge(clique, change);
    this.#cliquesOf(clique.group).delete(clique);
    for (const member of clique.members) {
      this.#unbridge(clique, member, change);
      for (const other of into.members) change.link.push([member, other]);
    }
    for (const member of clique.members) {
      into.members.add(member);
      this.#of.set(member, into);
    }
    this.#bridge(into, change);
  }

  /** Fills up the bridges of a clique, each from another member to another clique. */
  #bridge(clique: Clique, change: CliqueChange, towards?: Clique): void {
    const { random, bridges } = this.#options;
    const others = towards
      ? [towards]
      : [...this.#cliquesOf(clique.group)].filter((other) => other !== clique);
    if (others.length === 0) return;
    const free = [...clique.members].filter((member) => !clique.bridges.has(member));
    while (clique.bridges.size < bridges && free.length > 0) {
      const other = pick(others, random);
      const there = [...other.members].filter((member) => !other.bridges.has(member));
      if (there.length === 0) return;
      const [a] = free.splice(Math.floor(random() * free.length), 1);
      const b = pick(there, random);
      if (a === undefined) return;
      clique.bridges.set(a, b);
      other.bridges.set(b, a);
      change.link.push([a, b]);
    }
  }

  #unbridge(clique: Clique, member: number, change: CliqueChange): void {
    const other = clique.bridges.get(member);
    if (other === undefined) return;
    clique.bridges.delete(member);
    this.#of.get(other)?.bridges.delete(other);
    change.unlink.push([member, other]);
  }
}

function pick<T>(items: readonly T[], random: Random): T {
  return items[Math.floor(random() * items.length)] as T;
}

function pairOf(a: number, b: number): string {
  return a < b ? `${a} ${b}` : `${b} ${a}`;
}
