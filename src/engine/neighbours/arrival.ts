/**
 * For how long a viewer that has joined is new: others may not have heard of it yet, nor it of them, so what nobody
 * seems to hold may be worth a wait. This module is pure.
 * @module
 */

/** Links to those that the server names take their time. */
const NAMED_MS = 2_000;
/**
 * The first one of a crowd is told of nobody, but hears from those who join after it. Most who are told of nobody are
 * alone, and would wait in vain with the second segment of every page (1.6 s instead of 0.4).
 */
const CROWD_MS = 100;

export class Arrival {
  #joined = false;
  #newUntilMs = Number.NEGATIVE_INFINITY;

  /** The server let this viewer in, or answered again, and named so many others. */
  joined(othersNamed: number, nowMs: number): void {
    if (othersNamed > 0) this.#newUntilMs = nowMs + NAMED_MS;
    else if (!this.#joined) this.#newUntilMs = nowMs + CROWD_MS;
    this.#joined = true;
  }

  /** The server is gone. */
  left(): void {
    this.#joined = false;
  }

  /** Also before it has joined. */
  isNew(nowMs: number): boolean {
    return !this.#joined || nowMs < this.#newUntilMs;
  }
}
