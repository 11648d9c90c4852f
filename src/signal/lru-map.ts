/**
 * A map with a maximum: the entry that was used longest ago is forgotten first. This module is pure.
 * @module
 */

/** `onForget` hears of every entry that leaves, whether deleted, replaced or evicted. */
export class LruMap<K, V> {
  readonly #entries = new Map<K, V>();
  readonly #max: number;
  readonly #onForget: (key: K, value: V) => void;

  constructor(max: number, onForget: (key: K, value: V) => void = () => {}) {
    this.#max = max;
    this.#onForget = onForget;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** The one used longest ago first. */
  values(): Iterable<V> {
    return this.#entries.values();
  }

  /** The value, which becomes the most recently used one. */
  get(key: K): V | undefined {
    const value = this.#entries.get(key);
    if (value !== undefined) {
      this.#entries.delete(key);
      this.#entries.set(key, value);
    }
    return value;
  }

  set(key: K, value: V): void {
    this.delete(key);
    this.#entries.set(key, value);
    if (this.#entries.size <= this.#max) return;
    const [oldest] = this.#entries.keys();
    if (oldest !== undefined) this.delete(oldest);
  }

  delete(key: K): void {
    const value = this.#entries.get(key);
    if (value === undefined) return;
    this.#entries.delete(key);
    this.#onForget(key, value);
  }
}
