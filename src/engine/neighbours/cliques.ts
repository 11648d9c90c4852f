/**
 * Who is to be linked with whom: the viewers of a swarm in cliques, near ones together, and a few bridges
 * between cliques. Members of one clique elect who fetches what (`election.ts`), so a swarm costs about one
 * copy per clique, and bridges bring that towards one for all. The server and the simulator run this code.
 * This module is pure.
 *
 * Invariants, after every call: every member is in one clique; a swarm of several cliques has none below
 * `membersMin` or above `membersMax`; with bridges, all cliques of a swarm hang together (they form a ring,
 * further bridges go across it).
 * @module
 */
import { RandomBag } from "../../core/random-bag.js";
import { Bridges, Clique, type Draft } from "./bridges.js";
import { halvesOf } from "./halves.js";

/** Pairs that are to be linked or not to be linked any more, and all whose {@link CliqueView} changed. */
export interface CliqueChange<T> {
  readonly link: readonly (readonly [T, T])[];
  readonly unlink: readonly (readonly [T, T])[];
  readonly changed: ReadonlySet<T>;
}

/** What one member is to know. */
export interface CliqueView<T> {
  /** Number of the clique; never used twice. */
  readonly id: number;
  /** Grows with every change of the members: equal epochs mean equal members. */
  readonly epoch: number;
  /** In order of entry, the member itself included. Live: not to be kept. */
  readonly members: ReadonlySet<T>;
  /** The member of another clique that this one has a bridge to, and the number of that clique. */
  readonly bridge: { readonly to: T; readonly clique: number } | undefined;
  /** Numbers of all cliques that this one has bridges to. */
  readonly around: readonly number[];
}

export interface CliqueOptions<T> {
  /** Members that a clique should have; it parts above 4/3 of it and is filled up below half of it. */
  readonly target: number;
  /** Bridges of one clique, each from another member; 0 for none. */
  readonly bridges: number;
  /** How far two members are apart, not negative, the same in both directions. */
  readonly distance: (a: T, b: T) => number;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  /** Members whose cliques a newcomer should look at, a sample; without any it looks around at random. */
  readonly matesOf?: (member: T) => Iterable<T>;
  /** Members of one crowd (network) take at most half of a clique while there are others. */
  readonly crowdOf?: (member: T) => unknown;
  /** How well a member uploads, as measured by others; not negative. */
  readonly strengthOf?: (member: T) => number;
}

/** Share of joins that ignore nearness, so that no group of cliques stays apart. */
const EXPLORE_SHARE = 0.25;
/** Cliques that are looked at for one decision. */
const CANDIDATES_MAX = 12;

export class Cliques<T> {
  readonly #options: Required<CliqueOptions<T>>;
  readonly #swarms = new Map<unknown, RandomBag<Clique<T>>>();
  readonly #of = new Map<T, Clique<T>>();
  readonly #bridges: Bridges<T>;
  #lastId = 0;
  #lastEpoch = 0;
  #count = 0;

  constructor(options: CliqueOptions<T>) {
    const crowdOf = (member: T) => member;
    this.#options = { matesOf: () => [], crowdOf, strengthOf: () => 0, ...options };
    this.#bridges = new Bridges(this.#options, (member) => this.#of.get(member));
  }

  /** Members a clique has at most: 16 for a target of 12. */
  get membersMax(): number {
    return Math.max(2, Math.round((this.#options.target * 4) / 3));
  }

  /** Members a clique has at least while its swarm has others. */
  get membersMin(): number {
    return Math.floor(this.#options.target / 2);
  }

  /** Members of one crowd that a newcomer may find in its clique while there is another choice. */
  get crowdMax(): number {
    return Math.max(1, Math.floor(this.#options.target / 2));
  }

  /** Cliques that have members. */
  get count(): number {
    return this.#count;
  }

  viewOf(member: T): CliqueView<T> | undefined {
    const clique = this.#of.get(member);
    if (!clique) return undefined;
    const to = clique.bridges.get(member);
    const around = [...clique.bridges.values()].map((there) => this.#of.get(there)?.id ?? -1);
    return {
      ...{ id: clique.id, epoch: clique.epoch, members: clique.members },
      bridge: to === undefined ? undefined : { to, clique: this.#of.get(to)?.id ?? -1 },
      around: [...new Set(around)],
    };
  }

  /** Enters a swarm; a member of another one leaves that. */
  join(member: T, swarm: unknown): CliqueChange<T> {
    const draft: Draft<T> = { link: [], unlink: [], touched: new Set() };
    const before = this.#of.get(member);
    if (before?.swarm === swarm) return this.#finish(draft);
    if (before) this.#remove(member, before, draft);
    const clique: Clique<T> = this.#choose(member, swarm) ?? this.#create(swarm);
    this.#enter(member, clique, draft);
    if (clique.members.size > this.membersMax) this.#split(clique, draft);
    return this.#finish(draft);
  }

  leave(member: T): CliqueChange<T> {
    const draft: Draft<T> = { link: [], unlink: [], touched: new Set() };
    const clique = this.#of.get(member);
    if (clique) this.#remove(member, clique, draft);
    return this.#finish(draft);
  }

  #remove(member: T, clique: Clique<T>, draft: Draft<T>): void {
    this.#exit(member, clique, draft);
    if (clique.members.size === 0) this.#dissolve(clique, draft);
    else if (clique.members.size < this.membersMin) this.#fillUp(clique, draft);
  }

  /** Makes the bridges good, then says what is different from before. */
  #finish({ link, unlink, touched }: Draft<T>): CliqueChange<T> {
    for (const clique of touched) {
      const swarm = this.#swarms.get(clique.swarm);
      if (swarm) this.#bridges.connect(clique, swarm, { link, unlink, touched });
    }
    const changed = new Set([...link, ...unlink].flat());
    for (const { members } of touched) for (const member of members) changed.add(member);
    for (const member of changed) if (!this.#of.has(member)) changed.delete(member);
    return {
      link: link.filter(([a, b]) => this.#related(a, b)),
      unlink: unlink.filter(([a, b]) => !this.#related(a, b)),
      changed,
    };
  }

  #related(a: T, b: T): boolean {
    const clique = this.#of.get(a);
    return clique !== undefined && (clique === this.#of.get(b) || clique.bridges.get(a) === b);
  }

  /**
   * The nearest clique, among equally near ones that of the strongest members; rather not one that is half
   * full of the member's own crowd. A share goes anywhere.
   */
  #choose(member: T, swarm: unknown): Clique<T> | undefined {
    const { target, crowdOf, strengthOf, random } = this.#options;
    const crowd = crowdOf(member);
    const all = this.#around(member, swarm).map((clique) => {
      const members = [...clique.members];
      const own = members.filter((other) => crowdOf(other) === crowd).length;
      const size = members.length;
      const strength = members.reduce((sum, other) => sum + strengthOf(other), 0) / size;
      return { clique, own, size, strength, distance: this.#distance(member, members) };
    });
    const mixed = all.filter(({ own }) => own < this.crowdMax);
    if (mixed.length === 0) all.sort((a, b) => a.own - b.own).splice(1);
    const choice = mixed.length > 0 ? mixed : all;
    if (random() < EXPLORE_SHARE) {
      const open = choice.filter(({ size }) => size <= target);
      const any = open.length > 0 ? open : choice;
      return any[Math.floor(random() * any.length)]?.clique;
    }
    choice.sort(
      (a, b) =>
        a.distance - b.distance || a.own - b.own || b.strength - a.strength || a.size - b.size,
    );
    return choice[0]?.clique;
  }

  /** Some cliques of the swarm: those of the member's mates, else any. */
  #around(member: T, swarm: unknown): readonly Clique<T>[] {
    const found = new Set<Clique<T>>();
    for (const mate of this.#options.matesOf(member)) {
      const clique = this.#of.get(mate);
      if (clique && clique.swarm === swarm && found.size < CANDIDATES_MAX) found.add(clique);
    }
    return found.size > 0 ? [...found] : this.#sample(swarm);
  }

  #sample(swarm: unknown): Clique<T>[] {
    return this.#swarms.get(swarm)?.sample(CANDIDATES_MAX, this.#options.random) ?? [];
  }

  #distance(member: T, others: readonly T[]): number {
    const sum = others.reduce((all, other) => all + this.#options.distance(member, other), 0);
    return sum / Math.max(1, others.length);
  }

  /** @param before In the swarm's ring the new clique comes after this one. */
  #create(swarm: unknown, before?: Clique<T>): Clique<T> {
    const clique = new Clique<T>(this.#lastId++, swarm);
    if (before) {
      clique.previous = before;
      clique.next = before.next;
      clique.previous.next = clique;
      clique.next.previous = clique;
    }
    const cliques = this.#swarms.get(swarm) ?? new RandomBag<Clique<T>>();
    cliques.add(clique);
    this.#swarms.set(swarm, cliques);
    this.#count++;
    return clique;
  }

  #dissolve(clique: Clique<T>, { touched }: Draft<T>): void {
    const { next, previous, swarm } = clique;
    previous.next = next;
    next.previous = previous;
    if (next !== clique) touched.add(next).add(previous);
    touched.delete(clique);
    const cliques = this.#swarms.get(swarm);
    cliques?.delete(clique);
    if (cliques?.size === 0) this.#swarms.delete(swarm);
    this.#count--;
  }

  #enter(member: T, clique: Clique<T>, { link, touched }: Draft<T>): void {
    for (const other of clique.members) link.push([member, other]);
    clique.members.add(member);
    clique.epoch = ++this.#lastEpoch;
    this.#of.set(member, clique);
    touched.add(clique);
  }

  #exit(member: T, clique: Clique<T>, draft: Draft<T>): void {
    this.#bridges.end(clique, member, draft);
    clique.members.delete(member);
    clique.epoch = ++this.#lastEpoch;
    this.#of.delete(member);
    for (const other of clique.members) draft.unlink.push([member, other]);
    draft.touched.add(clique);
  }

  #move(members: readonly T[], from: Clique<T>, into: Clique<T>, draft: Draft<T>): void {
    for (const member of members) {
      this.#exit(member, from, draft);
      this.#enter(member, into, draft);
    }
  }

  #split(clique: Clique<T>, draft: Draft<T>): void {
    const { distance, crowdOf } = this.#options;
    const options = { distance, crowdOf, crowdMax: this.crowdMax };
    const [, leaving] = halvesOf([...clique.members], options);
    this.#move(leaving, clique, this.#create(clique.swarm, clique), draft);
  }

  /** A clique that became small goes to the nearest one with room, or else takes members from one. */
  #fillUp(clique: Clique<T>, draft: Draft<T>): void {
    const [first] = clique.members;
    if (first === undefined) return;
    const others = new Set([...this.#around(first, clique.swarm), ...this.#sample(clique.swarm)]);
    others.delete(clique);
    const nearest = [...others]
      .map((other) => ({ other, distance: this.#distance(first, [...other.members]) }))
      .sort((a, b) => a.distance - b.distance)
      .map(({ other }) => other);
    const { size } = clique.members;
    const into = nearest.find(({ members }) => members.size + size <= this.membersMax);
    if (into) {
      this.#move([...clique.members], clique, into, draft);
      return this.#dissolve(clique, draft);
    }
    const [from] = nearest;
    if (!from) return;
    const given = [...from.members]
      .map((member) => ({ member, distance: this.#options.distance(first, member) }))
      .sort((a, b) => a.distance - b.distance)
      .slice(0, (from.members.size - size) >> 1)
      .map(({ member }) => member);
    this.#move(given, from, clique, draft);
  }
}
