/**
 * Tells the network's failures from ours. Browsers report an answer that was rejected as an unhandled rejection of the
 * worker, though the page got it: a viewer in a tunnel is no bug.
 * @module
 */

/** Of a request that was given up, of one that failed, and Firefox's word for an answer that was rejected. */
const NAMES: ReadonlySet<string> = new Set(["AbortError", "NetworkError", "TimeoutError"]);

/** What `fetch()` says in Chromium, Firefox and Safari. */
const MESSAGE = /^(Failed to fetch|NetworkError|Load failed)/;

/** Whether `fetch()`, or a body of the network, failed with it. */
export function isNetworkError(error: unknown): boolean {
  if (error instanceof DOMException) return NAMES.has(error.name);
  return error instanceof TypeError && MESSAGE.test(error.message);
}
