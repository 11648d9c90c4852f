/** One line to the outside that all responses of the sample origin share, like the uplink of a small CDN edge. */
import { setTimeout as sleep } from "node:timers/promises";

/** Bytes that may leave at once after a pause; 50 ms of the rate keeps timers coarse and traffic even. */
const BURST_MS = 50;

/**
 * A token bucket kept as one number: the time at which everything admitted so far has left.
 *
 * Each response asks for one chunk at a time, so concurrent responses take turns and get equal shares.
 */
export class Throttle {
  #rateBytesPerMs;
  #freeAtMs = 0;
  #now;

  /**
   * @param rateBytesPerS Shared by all callers; 0 means no limit.
   * @param now A monotonic clock in milliseconds.
   */
  constructor(rateBytesPerS = 0, now = () => performance.now()) {
    this.#rateBytesPerMs = rateBytesPerS / 1000;
    this.#now = now;
  }

  /** Small chunks make a slow line smooth; without a limit they would only cost system calls. */
  get chunkBytes() {
    if (this.#rateBytesPerMs === 0) return 64 * 1024;
    return Math.min(64 * 1024, Math.max(1024, Math.floor(this.#rateBytesPerMs * BURST_MS)));
  }

  /**
   * Waits until `bytes` may leave. A caller that aborts has used its turn: the next one is late by at most one chunk.
   *
   * @throws The signal's reason when it aborts.
   */
  async admit(bytes, signal) {
    if (this.#rateBytesPerMs === 0) return;
    const nowMs = this.#now();
    this.#freeAtMs = Math.max(this.#freeAtMs, nowMs - BURST_MS) + bytes / this.#rateBytesPerMs;
    if (this.#freeAtMs > nowMs) await sleep(this.#freeAtMs - nowMs, undefined, { signal });
  }
}
