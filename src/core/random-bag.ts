/**
 * Sets that can be sampled uniformly, since an index of 50,000 viewers must never be walked for one
 * answer. This module is pure.
 * @module
 */

/** A set with O(1) insertion, removal and uniform sampling. */
export class RandomBag<T> {
  readonly #items: T[] = [];
  readonly #places = new Map<T, number>();

  get size(): number {
    return this.#items.length;
  }

  add(item: T): void {
    if (this.#places.has(item)) return;
    this.#places.set(item, this.#items.length);
    this.#items.push(item);
  }

  delete(item: T): void {
    const place = this.#places.get(item);
    const last = this.#items.pop();
    if (place === undefined || last === undefined) {
      if (last !== undefined) this.#items.push(last);
      return;
    }
    this.#places.delete(item);
    if (last === item) return;
    this.#items[place] = last;
    this.#places.set(last, place);
  }

  /**
   * Distinct items, all of them if `count` is at least `size`; the order is not random.
   *
   * @param random In [0, 1).
   *
   * Cost: O(count). Source: R. Floyd in J. Bentley, CACM 30(9):754-757, 1987.
   */
  sample(count: number, random: () => number): T[] {
    const { size } = this;
    if (count >= size) return [...this.#items];
    const chosen = new Set<number>();
    for (let top = size - count; top < size; top++) {
      const place = Math.floor(random() * (top + 1));
      chosen.add(chosen.has(place) ? top : place);
    }
    return [...chosen].flatMap((place) => this.#items.slice(place, place + 1));
  }
}

/** Named bags that exist only while they hold something. */
export class BagMap<T> {
  readonly #bags = new Map<string, RandomBag<T>>();

  get(name: string): RandomBag<T> | undefined {
    return this.#bags.get(name);
  }

  add(name: string, item: T): void {
    const bag = this.#bags.get(name) ?? new RandomBag<T>();
    bag.add(item);
    this.#bags.set(name, bag);
  }

  delete(name: string, item: T): void {
    const bag = this.#bags.get(name);
    bag?.delete(item);
    if (bag?.size === 0) this.#bags.delete(name);
  }
}

/** Returns a shuffled copy (Fisher-Yates). @param random In [0, 1). */
export function shuffled<T>(items: readonly T[], random: () => number): T[] {
  const result = [...items];
  for (let left = result.length - 1; left > 0; left--) {
    const place = Math.floor(random() * (left + 1));
    const [a, b] = [result[left] as T, result[place] as T];
    result[left] = b;
    result[place] = a;
  }
  return result;
}
