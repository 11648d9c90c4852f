/**
 * One host tab per browser profile, by Web Locks: the browser hands the lock to the next tab in line the
 * moment the host closes, crashes or lets go.
 * @module
 */
import { HOST_ALIVE_PREFIX, HOST_LOCK } from "../../protocol/worker-messages.js";

/**
 * Waits for its turn and then is host until `signal` aborts.
 *
 * @param clientId How the worker knows this page: the second lock is named after it.
 * @param onElected Called once, when both locks are held.
 * @returns When it is clear who is host now: this page, or another one whose end it waits for.
 */
export function runForHost(
  clientId: string,
  { signal, onElected }: { readonly signal: AbortSignal; readonly onElected: () => void },
): Promise<void> {
  const known = Promise.withResolvers<void>();
  const until = new Promise<void>((resolve) => {
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
  const elected = () =>
    navigator.locks.request(HOST_ALIVE_PREFIX + clientId, { signal }, async () => {
      onElected();
      known.resolve();
      await until;
    });
  const stopped = (error: unknown) => {
    known.resolve();
    if (!signal.aborted) throw error;
  };
  navigator.locks
    .request(HOST_LOCK, { ifAvailable: true }, (lock) => {
      if (lock) return elected();
      known.resolve();
      void navigator.locks.request(HOST_LOCK, { signal }, elected).catch(stopped);
      return undefined;
    })
    .catch(stopped);
  return known.promise;
}
