/**
 * The values in Redis: samples of who holds an asset or is in a group, and claims of viewers' ids. Decoding is
 * total: what is too long, not sealed for its place, malformed or too old is nothing. This module is pure.
 * @module
 */
import {
  type Guard,
  isArray,
  isCount,
  isEither,
  isLiteral,
  isShape,
  isString,
  isTuple,
} from "../../protocol/guards.js";
import { isPeerId } from "../../protocol/signal-decoder.js";
import { TTL_MS } from "./names.js";
import type { Seal } from "./seal.js";

/** Viewers of one node in one sample: an answer names eight. */
export const SAMPLE_MAX = 16;

/** One field of a hash: a full sample has some 2 kB. */
export const FIELD_MAX_BYTES = 4_096;
export const CLAIM_MAX_BYTES = 512;

/** A viewer as another node sees it. Its address is a mark that only nodes can compare. */
export interface FarRecord {
  readonly id: string;
  readonly address: string;
  readonly prefix: string;
  readonly loadPercent: number;
  /** What it holds: everything, or the windows of the key's bucket as bits in hexadecimal. */
  readonly windows: "all" | string;
}

/** Who speaks for a viewer's id. */
export interface Claim {
  /** `""`: nobody at the moment. */
  readonly node: string;
  /** Marks of the viewer's token and site. */
  readonly token: string;
  readonly site: string;
  readonly sinceMs: number;
}

const isMark = isString(22, /^[A-Za-z0-9_-]{22}$/);
const isTime = isCount(Number.MAX_SAFE_INTEGER);
export const isNode: Guard<string> = isString(16, /^[0-9a-f]{16}$/);

type SampleTuple = readonly [
  v: 1,
  atMs: number,
  viewers: readonly (readonly [string, string, string, number, string])[],
];

const isSample = isTuple<SampleTuple>(
  isLiteral(1),
  isTime,
  isArray(
    isTuple<SampleTuple[2][number]>(
      isPeerId,
      isMark,
      isMark,
      isCount(100),
      isString(16, /^(all|[0-9a-f]{1,16})$/),
    ),
    SAMPLE_MAX,
  ),
);

const isClaim = isShape<Claim>({
  node: isEither(isLiteral(""), isNode) as Guard<string>,
  token: isMark,
  site: isMark,
  sinceMs: isTime,
});

/** @param place Key and field. */
export function encodeSample(
  viewers: readonly FarRecord[],
  { seal, place, nowMs }: { seal: Seal; place: string; nowMs: number },
): string {
  const rows = viewers.map((viewer) => [
    viewer.id,
    viewer.address,
    viewer.prefix,
    viewer.loadPercent,
    viewer.windows,
  ]);
  return seal.close(place, JSON.stringify([1, nowMs, rows]));
}

/** @returns `undefined` for what is no sample, or one that its node would have renewed long ago. */
export function decodeSample(
  text: string,
  { seal, place, nowMs }: { seal: Seal; place: string; nowMs: number },
): { readonly atMs: number; readonly viewers: readonly FarRecord[] } | undefined {
  const sample = text.length > FIELD_MAX_BYTES ? undefined : parse(seal.open(place, text));
  if (!isSample(sample) || Math.abs(nowMs - sample[1]) > TTL_MS.sample) return undefined;
  const [, atMs, rows] = sample;
  const viewers = rows.map(([id, address, prefix, loadPercent, windows]) => ({
    ...{ id, address, prefix, loadPercent, windows },
  }));
  return { atMs, viewers };
}

export function encodeClaim(claim: Claim, { seal, place }: { seal: Seal; place: string }): string {
  return seal.close(place, JSON.stringify(claim));
}

export function decodeClaim(
  text: string,
  { seal, place }: { seal: Seal; place: string },
): Claim | undefined {
  const claim = text.length > CLAIM_MAX_BYTES ? undefined : parse(seal.open(place, text));
  return isClaim(claim) ? claim : undefined;
}

export function parse(text: string | undefined): unknown {
  try {
    return text === undefined ? undefined : JSON.parse(text);
  } catch {
    return undefined; // no guard takes it
  }
}
