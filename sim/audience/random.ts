/**
 * Randomness that is the same in every run. Every viewer draws from a stream of its own, so that the twin
 * without a mesh has the very same viewers. This module is pure.
 * @module
 */

export type Random = () => number;

/** Uniform in [0, 1), from a 32-bit seed (mulberry32). */
export function seeded(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** 32 bits that depend on all arguments. */
export function hash32(...parts: readonly number[]): number {
  let hash = 0x811c9dc5;
  for (const part of parts) {
    hash = Math.imul(hash ^ (part | 0), 0x01000193);
    hash = Math.imul(hash ^ (hash >>> 15), 0x85ebca6b);
    hash ^= hash >>> 13;
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

/** Standard normal (Box and Muller). */
export function normal(random: Random): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}

export function logNormal(random: Random, median: number, sigma: number): number {
  return median * Math.exp(sigma * normal(random));
}

export function exponential(random: Random, mean: number): number {
  return -mean * Math.log(1 - random());
}

export function between(random: Random, min: number, max: number): number {
  return min + random() * (max - min);
}

/** Draws `0 … count - 1`, rank `k` with weight `(k + 1) ** -exponent`. */
export function zipf(count: number, exponent: number): (random: Random) => number {
  const sums: number[] = [];
  let total = 0;
  for (let rank = 1; rank <= count; rank++) {
    total += rank ** -exponent;
    sums.push(total);
  }
  return (random) => {
    const at = random() * total;
    const found = sums.findIndex((sum) => at < sum);
    return found === -1 ? count - 1 : found;
  };
}
