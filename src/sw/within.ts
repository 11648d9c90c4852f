/**
 * Patience with the browser: an interface that throws is caught, and one that never answers must not hold a request
 * either (rule R16).
 * @module
 */

/**
 * Resolves like `promise`, or to `undefined` after `ms`.
 *
 * @param onLate Called when the time is over; `promise` goes on, and nobody hears of it.
 */
export async function within<T>(
  promise: Promise<T>,
  ms: number,
  onLate: () => void = () => undefined,
): Promise<T | undefined> {
  const { promise: late, resolve } = Promise.withResolvers<undefined>();
  const timer = setTimeout(() => {
    onLate();
    resolve(undefined);
  }, ms);
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
