/**
 * Exponential back-off with full jitter. Source: M. Brooker, "Exponential Backoff And Jitter", AWS 2015.
 * @module
 */

/**
 * Time to wait before retry number `attempt` (0 is the first), in milliseconds.
 *
 * @param random In [0, 1).
 * @returns Uniform in `[minMs, min(maxMs, minMs * 2 ** (attempt + 1))]`.
 */
export function backoffMs(
  attempt: number,
  { minMs, maxMs, random }: { minMs: number; maxMs: number; random: () => number },
): number {
  const ceilingMs = Math.min(maxMs, minMs * 2 ** Math.min(attempt + 1, 30));
  return minMs + random() * (ceilingMs - minMs);
}
