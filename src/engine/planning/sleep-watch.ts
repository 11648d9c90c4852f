/**
 * Notices that a page was not run for a while (a busy main thread, a throttled tab). This module is pure.
 * @module
 */

/** Three ticks: what neighbours said in a longer time has not been heard. */
const ASLEEP_MS = 150;

export class SleepWatch {
  #seenMs = Number.NEGATIVE_INFINITY;

  /** From now on the page is to be run often. */
  begin(nowMs: number): void {
    this.#seenMs = nowMs;
  }

  /** The page is run. @returns Whether it had not been for long. */
  endedAt(nowMs: number): boolean {
    const asleep = nowMs - this.#seenMs > ASLEEP_MS;
    this.#seenMs = nowMs;
    return asleep;
  }
}
