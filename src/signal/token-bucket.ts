/**
 * A budget that refills with time. This module is pure.
 * @module
 */

/** What a bucket holds at most, and how fast it refills. */
export interface BucketSize {
  readonly perSecond: number;
  readonly burst: number;
}

/** A budget of tokens; it starts full. */
export class TokenBucket {
  readonly #perMs: number;
  readonly #burst: number;
  #tokens: number;
  #atMs = Number.NEGATIVE_INFINITY;

  constructor({ perSecond, burst }: BucketSize) {
    this.#perMs = perSecond / 1_000;
    this.#burst = burst;
    this.#tokens = burst;
  }

  /** @returns Whether there were `count` tokens to take. */
  take(nowMs: number, count = 1): boolean {
    this.#refill(nowMs);
    if (this.#tokens < count) return false;
    this.#tokens -= count;
    return true;
  }

  /** Takes `count` tokens even if that leaves a debt, for costs that are known only afterwards. */
  charge(nowMs: number, count: number): void {
    this.#refill(nowMs);
    this.#tokens -= count;
  }

  /** Whether there is anything left. */
  isOpen(nowMs: number): boolean {
    this.#refill(nowMs);
    return this.#tokens > 0;
  }

  #refill(nowMs: number): void {
    const passedMs = Math.max(0, nowMs - this.#atMs);
    this.#tokens = Math.min(this.#burst, this.#tokens + passedMs * this.#perMs);
    this.#atMs = nowMs;
  }
}
