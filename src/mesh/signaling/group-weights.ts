/**
 * The groups a viewer is in, and how much each matters to it now: the server puts viewers together by what they
 * consume most. This module is pure.
 * @module
 */

/** Of what was consumed before, counted at each {@link GroupWeights.fade}. */
const WEIGHT_KEPT = 0.9;

export class GroupWeights {
  /** In order of entry, with the bytes consumed of late. */
  readonly #groups = new Map<string, number>();
  readonly #max: number;
  /** The group that the server was told to matter most. */
  #home: string | undefined;

  /** @param max Groups at the same time. */
  constructor(max: number) {
    this.#max = max;
  }

  get size(): number {
    return this.#groups.size;
  }

  /** In order of entry. */
  names(): string[] {
    return [...this.#groups.keys()];
  }

  has(group: string): boolean {
    return this.#groups.has(group);
  }

  /** @returns The oldest group, if it is left because there are too many. */
  add(group: string): string | undefined {
    this.#groups.set(group, 0);
    if (this.#groups.size <= this.#max) return undefined;
    const [oldest] = this.#groups.keys();
    if (oldest !== undefined) this.#groups.delete(oldest);
    return oldest;
  }

  consumed(group: string, bytes: number): void {
    const weight = this.#groups.get(group);
    if (weight !== undefined) this.#groups.set(group, weight + bytes);
  }

  /** The most consumed first, then the newest: the first counts most, the last may not fit a message. */
  byWeight(): string[] {
    return [...this.#groups]
      .reverse()
      .sort(([, a], [, b]) => b - a)
      .map(([group]) => group);
  }

  /** The server was told that this one matters most. */
  set home(group: string | undefined) {
    this.#home = group;
  }

  /** Whether another group has come to matter clearly more than the one that the server knows of. */
  get homeMoved(): boolean {
    const weightOf = (group: string | undefined) => this.#groups.get(group ?? "") ?? 0;
    return weightOf(this.byWeight()[0]) > 2 * weightOf(this.#home);
  }

  /** Time goes by: called every five seconds, what was consumed counts half after about half a minute. */
  fade(): void {
    for (const [group, weight] of this.#groups) this.#groups.set(group, weight * WEIGHT_KEPT);
  }
}
