/**
 * Property tests that are the same in every run: fast-check with a fixed seed, and generators that several
 * tests share.
 * @module
 */
import fc from "fast-check";

fc.configureGlobal({ seed: 20_240_229, numRuns: 500 });

/** A 32-bit unsigned integer; the edges come often. */
export const anyU32 = () => fc.oneof(fc.nat(300), fc.integer({ min: 0, max: 0xffff_ffff }));

/** A canonical asset id: 16 bytes as base64url. */
export const anyAssetId = () =>
  fc.uint8Array({ minLength: 16, maxLength: 16 }).map((bytes) =>
    btoa(String.fromCharCode(...bytes))
      .replaceAll("+", "-")
      .replaceAll("/", "_")
      .replace(/=+$/, ""),
  );

export { fc };
