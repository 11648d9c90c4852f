/**
 * The rate of a line, as a player would measure it: bytes over the time that they took. This module is pure.
 * @module
 */

/** The weight of a sample halves with each of these that follow it. */
const HALF_LIFE_BYTES = 2 ** 18;
/** Less says nothing: a few packets come at the speed of the last hop. */
const LEAST_BYTES = 2 ** 16;

/**
 * A ratio of fading sums, not a mean of ratios: pieces that arrive in one gust count as what they were
 * together, and a line that slows down is believed after two or three pieces.
 */
export class LineRate {
  #bytes = 0;
  #ms = 0;

  /** Bytes per millisecond; `undefined` while too little came. */
  get bytesPerMs(): number | undefined {
    return this.#bytes >= LEAST_BYTES && this.#ms > 0 ? this.#bytes / this.#ms : undefined;
  }

  /** @param durationMs May be 0: the byte came together with those of the sample before. */
  add(bytes: number, durationMs: number): void {
    const fade = 0.5 ** (bytes / HALF_LIFE_BYTES);
    this.#bytes = this.#bytes * fade + bytes;
    this.#ms = this.#ms * fade + Math.max(0, durationMs);
  }
}
