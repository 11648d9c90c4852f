/**
 * Who is near whom, judged by public addresses alone, and how near and random peers are mixed in one
 * answer. This module is pure.
 * @module
 */
import { isIP, isIPv4 } from "node:net";
import { shuffled } from "../../core/random-bag.js";
import type { Distance } from "../../protocol/signal-messages.js";

/** Where a viewer is: same `address` is one household or office, same `prefix` one neighbourhood. */
export interface Locality {
  /** The IPv4 address, or the /64 of an IPv6 address (one host has many of them). */
  readonly address: string;
  /** /24 of IPv4, /48 of IPv6. */
  readonly prefix: string;
}

/** @param address As Node writes it, IPv4 possibly mapped into IPv6; anything else is its own place. */
export function localityOf(address: string): Locality {
  const plain = address.replace(/^::ffff:(?=\d+\.)/i, "").replace(/%.*$/, "");
  if (isIPv4(plain)) return { address: plain, prefix: plain.slice(0, plain.lastIndexOf(".")) };
  if (isIP(plain) === 0) return { address: plain, prefix: plain };
  const words = expandIPv6(plain);
  return { address: words.slice(0, 4).join(":"), prefix: words.slice(0, 3).join(":") };
}

function expandIPv6(address: string): string[] {
  const [head = "", tail] = address.toLowerCase().split("::");
  const wordsOf = (text: string) => (text === "" ? [] : text.split(":"));
  const [left, right] = [wordsOf(head), wordsOf(tail ?? "")];
  const zeros = tail === undefined ? 0 : Math.max(0, 8 - left.length - right.length);
  return [...left, ...Array.from({ length: zeros }, () => "0"), ...right].map((word) =>
    word.replace(/^0+(?=.)/, ""),
  );
}

export function distanceOf(a: Locality, b: Locality): Distance {
  if (a.address === b.address) return 0;
  return a.prefix === b.prefix ? 1 : 2;
}

/** One viewer that may be named in an answer. */
export interface Candidate<T> {
  readonly item: T;
  readonly distance: Distance;
  readonly prefix: string;
  /** Announced load plus what recent answers will add to it. */
  readonly expectedLoad: number;
}

/** Most that one prefix gets of an answer while others are present, against eclipses (rule R67). */
const PER_PREFIX_MAX = 2;

/** Share of an answer that is chosen without regard to nearness, so that the mesh stays connected. */
const RANDOM_SHARE = 3 / 8;

/**
 * Chooses the peers of one answer: the nearest (the least loaded first among equals), then random ones,
 * at most two of a prefix. Places that are left after that go to whoever is left, whatever their prefix:
 * nobody gets fewer peers than there are.
 *
 * @returns At most `count` candidates, near ones first.
 *
 * Cost: O(n log n) in the number of candidates; callers sample before.
 */
export function mixCandidates<T>(
  candidates: readonly Candidate<T>[],
  { count, random }: { count: number; random: () => number },
): Candidate<T>[] {
  const anyOrder = shuffled(candidates, random);
  const ranked = [...anyOrder].sort(
    (a, b) => a.distance - b.distance || a.expectedLoad - b.expectedLoad,
  );
  const chosen = new Set<Candidate<T>>();
  const perPrefix = new Map<string, number>();
  const take = (from: readonly Candidate<T>[], upTo: number, perPrefixMax: number) => {
    for (const candidate of from) {
      if (chosen.size >= upTo) return;
      const taken = perPrefix.get(candidate.prefix) ?? 0;
      if (chosen.has(candidate) || taken >= perPrefixMax) continue;
      chosen.add(candidate);
      perPrefix.set(candidate.prefix, taken + 1);
    }
  };
  take(ranked, count - Math.floor(count * RANDOM_SHARE), PER_PREFIX_MAX);
  take(anyOrder, count, PER_PREFIX_MAX);
  take(ranked, count, Number.POSITIVE_INFINITY);
  return [...chosen];
}
