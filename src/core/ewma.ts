/**
 * Exponentially weighted moving average that knows when it knows nothing. This module is pure.
 * @module
 */

/** `value` is `undefined` until the first sample; `weight` in (0, 1] is the share of the newest one. */
export class Ewma {
  readonly #weight: number;
  #value: number | undefined;

  constructor(weight: number) {
    this.#weight = weight;
  }

  get value(): number | undefined {
    return this.#value;
  }

  add(sample: number): void {
    this.#value =
      this.#value === undefined ? sample : this.#value + this.#weight * (sample - this.#value);
  }
}
