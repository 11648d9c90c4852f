/**
 * One host tab per browser profile, by Web Locks: the browser hands the lock to the next tab in line the
 * moment the host closes, crashes or lets go.
 * @module
 */
import { HOST_ALIVE_PREFIX, HOST_LOCK } from "../protocol/worker-messages.js";

/**
 * Waits for its turn and then is host until `signal` aborts.
 *
 * @param clientId How the worker knows this page: the second lock is named after it.
 * @param onElected Called once, when both locks are held.
 */
export function runForHost(
  clientId: string,
  { signal, onElected }: { readonly signal: AbortSignal; readonly onElected: () => void },
): void {
  const until = new Promise<void>((resolve) => {
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
  const elected = () =>
    navigator.locks.request(HOST_ALIVE_PREFIX + clientId, { signal }, async () => {
      onElected();
      await until;
    });
  navigator.locks.request(HOST_LOCK, { signal }, elected).catch((error: unknown) => {
    if (!signal.aborted) throw error;
  });
}
