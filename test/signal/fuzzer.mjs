/**
 * Mutations of valid messages, repeatable by seed: values replaced by odd ones, keys lost and added, text scrambled.
 * @module
 */
import { seeded } from "./support.mjs";

/** Frames of each kind. `npm run fuzz` takes 100,000. */
export const FRAMES = Number(process.env.NEARCAST_FUZZ_FRAMES ?? 10_000);

/** What may be left behind, whatever came (rule R55). */
export const GROWTH_MAX_BYTES = 50 * 2 ** 20;

export const ODD_VALUES = [
  ...[null, undefined, true, 0, -1, 1.5, 2 ** 53, 1e308],
  ...["", "__proto__", "constructor", "http://", "http://[", "http://127.0.0.1:1/g/%"],
  ...["\0", "\ud800", "x".repeat(3_000), "nc1.x.y"],
  ...[[], {}, [[]], { __proto__: null, toString: 1 }, Array.from({ length: 300 }, () => "x")],
];

/** @returns A function that bends a message, and the generator behind it. */
export function makeFuzzer(seed) {
  const random = seeded(seed);
  const pick = (items) => items[Math.floor(random() * items.length)];
  const mutated = (value) => {
    if (random() < 0.15) return pick(ODD_VALUES);
    if (Array.isArray(value)) return value.map(mutated);
    if (typeof value !== "object" || value === null) return value;
    const entries = Object.entries(value).filter(() => random() > 0.05);
    if (random() < 0.1) entries.push([pick(["src", "extra", "__proto__"]), pick(ODD_VALUES)]);
    return Object.fromEntries(entries.map(([key, item]) => [key, mutated(item)]));
  };
  const scrambled = (text) => {
    const chars = [...text];
    for (let edits = random() * 4; edits > 0; edits--) {
      chars.splice(random() * chars.length, random() * 3, pick([...'{}[]",:0e-\\u\n\0']));
    }
    return chars.join("");
  };
  return { random, pick, mutated, scrambled };
}
