/**
 * Whether Redis can be asked: it is looked at all the time, so that nobody's question is the one that finds
 * out. This module is pure.
 * @module
 */

/** `slow`: answers are not waited for where a viewer waits. `down`: it is not asked at all. */
export type LinkState = "up" | "slow" | "down";

/** What the shared index may cost an answer; whatever takes longer is answered without it. */
export const BUDGET_MS = 20;

/** Without an answer for so long it is slow, then down. */
const SLOW_MS = 100;
const DOWN_MS = 500;

/** The health of one link, by the probes that are sent one after another. */
export class LinkHealth {
  #state: LinkState = "down";
  #askedMs: number | undefined;
  /** Two in a row: one late answer is this process's own pause more often than not. */
  #late = 0;
  /** Of the last probe. */
  latencyMs = 0;

  /** @param nowMs Judges a probe that is still under way. */
  state(nowMs: number): LinkState {
    if (this.#state === "down" || this.#askedMs === undefined) return this.#state;
    const waitedMs = nowMs - this.#askedMs;
    if (waitedMs >= DOWN_MS) return "down";
    return waitedMs >= SLOW_MS ? "slow" : this.#state;
  }

  /** Whether a probe is under way. */
  get asking(): boolean {
    return this.#askedMs !== undefined;
  }

  asked(nowMs: number): void {
    this.#askedMs = nowMs;
  }

  answered(nowMs: number): void {
    this.latencyMs = nowMs - (this.#askedMs ?? nowMs);
    this.#askedMs = undefined;
    const late = this.latencyMs >= SLOW_MS ? 2 : 1;
    this.#late = this.latencyMs > BUDGET_MS ? this.#late + late : 0;
    this.#state = this.#late >= 2 ? "slow" : "up";
  }

  failed(): void {
    this.#askedMs = undefined;
    this.#state = "down";
  }
}
