/**
 * What this node has still to tell the shared index, key by key: a key is written when what it says has
 * changed, and again before others forget it. A burst about one key is one write, and a full sample is not
 * written for one viewer more. This module is pure.
 * @module
 */

interface Written {
  readonly ids: ReadonlySet<string>;
  /** One holder more would change nothing. */
  readonly full: boolean;
  readonly atMs: number;
}

export interface OutboxOptions {
  /** Keys that this node keeps in the shared index; the oldest is taken back first. */
  readonly max: number;
  /** A key is written again after so long. */
  readonly refreshMs: number;
}

/** The keys of one kind. */
export class Outbox {
  readonly #options: OutboxOptions;
  /** In order of writing, the oldest first. */
  readonly #written = new Map<string, Written>();
  readonly #dirty = new Set<string>();

  constructor(options: OutboxOptions) {
    this.#options = options;
  }

  /** Keys that others can find. */
  get size(): number {
    return this.#written.size;
  }

  /** Whether {@link add} would change anything: not for what waits to be written, nor for a full sample. */
  wants(key: string): boolean {
    return !this.#dirty.has(key) && this.#written.get(key)?.full !== true;
  }

  /** There is more to tell about a key. */
  add(key: string): void {
    if (this.wants(key)) this.#mark(key);
  }

  /** A viewer has nothing to do with a key any more. */
  remove(key: string, id: string): void {
    if (this.#written.get(key)?.ids.has(id)) this.#mark(key);
  }

  /** The keys that are to be written now, at most `count`; they are the caller's until it says what became of them. */
  take(nowMs: number, count: number): string[] {
    const taken = new Set<string>();
    for (const key of this.#dirty) {
      if (taken.size >= count) break;
      this.#dirty.delete(key);
      taken.add(key);
    }
    for (const [key, { atMs }] of this.#written) {
      if (taken.size >= count || nowMs - atMs < this.#options.refreshMs) break;
      taken.add(key);
    }
    return [...taken];
  }

  /**
   * A key is being written; no `ids`: it is taken back.
   *
   * @returns The key that has to be taken back for it, if there are too many.
   */
  wrote(key: string, ids: readonly string[], { full, nowMs }: { full: boolean; nowMs: number }) {
    this.#written.delete(key);
    if (ids.length === 0) return undefined;
    this.#written.set(key, { ids: new Set(ids), full, atMs: nowMs });
    if (this.#written.size <= this.#options.max) return undefined;
    const [oldest] = this.#written.keys();
    if (oldest !== undefined) this.#written.delete(oldest);
    return oldest;
  }

  /** A key could not be written. */
  failed(key: string): void {
    this.#mark(key);
  }

  /** Nobody knows what the index still has. */
  writeAll(): void {
    for (const key of this.#written.keys()) this.#mark(key);
  }

  #mark(key: string): void {
    this.#dirty.delete(key);
    this.#dirty.add(key);
    if (this.#dirty.size <= this.#options.max) return;
    const [oldest] = this.#dirty;
    if (oldest !== undefined) this.#dirty.delete(oldest);
  }
}
