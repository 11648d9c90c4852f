/**
 * How a clique that grew too large is parted: those who are near stay together, but no crowd (viewers of
 * one network) takes one half alone while others are there. This module is pure.
 * @module
 */

export interface HalvesOptions<T> {
  /** Not negative, the same in both directions. */
  readonly distance: (a: T, b: T) => number;
  /** Which crowd a member belongs to. */
  readonly crowdOf: (member: T) => unknown;
  /** Members of one crowd that one half may have in any case. */
  readonly crowdMax: number;
}

/**
 * Two halves whose sizes differ by at most one; together exactly `members`. A crowd above `crowdMax` is
 * divided in proportion, so whoever is linked with a half is linked with others too.
 *
 * **Cost**: O(n log n + n²) distances at most; n is the size of one clique.
 */
export function halvesOf<T>(members: readonly T[], options: HalvesOptions<T>): [T[], T[]] {
  const { distance } = options;
  const [first] = members;
  if (first === undefined) return [[], []];
  const farthestFrom = (from: T) =>
    members.reduce((far, other) => (distance(from, other) > distance(from, far) ? other : far));
  const pole = farthestFrom(first);
  const opposite = farthestFrom(pole);
  const lean = (member: T) => distance(member, pole) - distance(member, opposite);
  const sorted = members
    .map((member) => ({ member, lean: lean(member) }))
    .sort((a, b) => a.lean - b.lean)
    .map(({ member }) => member);
  const middle = sorted.length >> 1;
  const halves: [T[], T[]] = [sorted.slice(0, middle), sorted.slice(middle)];
  mix(halves, options);
  return halves;
}

/** Swaps members until no crowd has more than its share of a half. */
function mix<T>([a, b]: [T[], T[]], { crowdOf, crowdMax }: HalvesOptions<T>): void {
  const total = a.length + b.length;
  for (const crowd of new Set([...a, ...b].map(crowdOf))) {
    const isOf = (member: T) => crowdOf(member) === crowd;
    const all = [...a, ...b].filter(isOf).length;
    for (const [half, other] of [
      [a, b],
      [b, a],
    ] as const) {
      const share = Math.max(crowdMax, Math.round((all * half.length) / total));
      for (let surplus = half.filter(isOf).length - share; surplus > 0; surplus--) {
        const mine = half.findIndex(isOf);
        const theirs = other.findIndex((member) => !isOf(member));
        const [going, coming] = [half[mine], other[theirs]];
        if (going === undefined || coming === undefined) break;
        half[mine] = coming;
        other[theirs] = going;
      }
    }
  }
}
