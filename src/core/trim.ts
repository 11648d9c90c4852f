/**
 * Keeps maps and sets bounded. This module is pure.
 * @module
 */

/** Deletes the oldest entries of a map or set until no more than `max` are left. */
export function trim<K>(
  entries: { readonly size: number; keys(): Iterable<K>; delete(key: K): boolean },
  max: number,
): void {
  for (const oldest of entries.keys()) {
    if (entries.size <= max) return;
    entries.delete(oldest);
  }
}
