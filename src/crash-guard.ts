/**
 * Watches for failures that nobody caught: of this script, of the worker, and of a host tab that died
 * without a goodbye. Too many of them take Nearcast out of this browser for a day (rule R40).
 * @module
 */
import { isOff, parseCrashes, withCrash } from "./engine/rules/crash-counter.js";
import { recall, remember } from "./mesh/tabs/memory.js";

const CRASHES_KEY = "nearcast-crashes";
/** There while a visible tab of this profile is host; gone when it says goodbye. */
const HOSTING_KEY = "nearcast-hosting";

export class CrashGuard {
  readonly #now: () => number;
  readonly #onOff: () => void;

  /** @param now Unix milliseconds. @param onOff The limit was reached, here or in another tab. */
  constructor(now: () => number, onOff: () => void) {
    this.#now = now;
    this.#onOff = onOff;
  }

  /** Whether this browser had too many crashes lately. */
  get off(): boolean {
    return isOff(parseCrashes(recall(CRASHES_KEY)), this.#now());
  }

  /** Counts uncaught errors of `scriptUrl` from now on, and hears of other tabs' limits. */
  watch(scriptUrl: string | undefined, signal: AbortSignal): void {
    addEventListener("storage", ({ key }) => key === CRASHES_KEY && this.off && this.#onOff(), {
      signal,
    });
    if (!scriptUrl) return; // bundled with the site's code: its errors are not ours to count
    addEventListener("error", ({ filename }) => filename === scriptUrl && this.count(), { signal });
    addEventListener(
      "unhandledrejection",
      ({ reason }) => reason instanceof Error && reason.stack?.includes(scriptUrl) && this.count(),
      { signal },
    );
  }

  /** One more crash. */
  count(): void {
    if (this.off) return;
    const record = withCrash(parseCrashes(recall(CRASHES_KEY)), this.#now());
    remember(CRASHES_KEY, JSON.stringify(record));
    if (isOff(record, this.#now())) this.#onOff();
  }

  /**
   * This tab became host: if the one before it vanished before the viewer's eyes, it crashed. A hidden page is ended
   * by the system without a word, and that is no crash.
   */
  hosting(signal: AbortSignal): void {
    if (recall(HOSTING_KEY) !== undefined) this.count();
    const mark = (visible: boolean) =>
      remember(HOSTING_KEY, visible && !signal.aborted ? "yes" : undefined);
    const look = () => mark(document.visibilityState === "visible");
    look();
    document.addEventListener("visibilitychange", look, { signal });
    addEventListener("pagehide", () => mark(false), { signal });
    signal.addEventListener("abort", () => mark(false), { once: true });
  }
}
