/**
 * What one browser remembers for this site, in `localStorage`. Where storage is blocked nothing was ever
 * remembered, and nothing fails.
 * @module
 */

/** @returns The value, or `undefined` if there is none or storage is blocked. */
export function recall(key: string): string | undefined {
  try {
    return localStorage.getItem(key) ?? undefined;
  } catch {
    return undefined;
  }
}

/** Keeps or, with `undefined`, forgets a value. @returns Whether the browser did. */
export function remember(key: string, value: string | undefined): boolean {
  try {
    if (value === undefined) localStorage.removeItem(key);
    else localStorage.setItem(key, value);
    return true;
  } catch {
    return false;
  }
}
