/**
 * How much came lately, per millisecond. This module is pure.
 * @module
 */

/**
 * A sum that fades with time, over the time that it stands for: silence lowers it by itself, and the time before the
 * beginning counts neither way.
 */
export class RecentRate {
  readonly #halfLifeMs: number;
  #sinceMs: number;
  #sum = 0;
  #atMs: number;

  /** @param options.sinceMs The beginning, on the clock of all later times. */
  constructor(options: { halfLifeMs: number; sinceMs: number }) {
    this.#halfLifeMs = options.halfLifeMs;
    this.#sinceMs = options.sinceMs;
    this.#atMs = options.sinceMs;
  }

  /** For how long it has been measured. */
  ageMs(nowMs: number): number {
    return nowMs - this.#sinceMs;
  }

  /** Begins anew. */
  restart(nowMs: number): void {
    this.#sinceMs = nowMs;
    this.#atMs = nowMs;
    this.#sum = 0;
  }

  add(amount: number, nowMs: number): void {
    this.#sum = this.#sum * this.#fade(nowMs - this.#atMs) + amount;
    this.#atMs = nowMs;
  }

  /** @returns 0 or more; only some half-lives from the beginning it says much. */
  perMs(nowMs: number): number {
    const window = (1 - this.#fade(nowMs - this.#sinceMs)) * (this.#halfLifeMs / Math.LN2);
    return window > 0 ? (this.#sum * this.#fade(nowMs - this.#atMs)) / window : 0;
  }

  #fade(ms: number): number {
    return 0.5 ** (Math.max(0, ms) / this.#halfLifeMs);
  }
}
