/**
 * Who fetches bytes that nobody near holds yet. A segment is cut into stripes; for each stripe all members
 * of the neighbourhood compute the same ranking, without a message: rank 0 fetches at once and says so,
 * rank k only after k steps without a sign of anybody. A member that does not want the stripe costs one
 * step, a member that left as well. This module is pure.
 *
 * Source: highest random weight hashing, Thaler and Ravishankar, IEEE/ACM ToN 6(1):1-14, 1998.
 * @module
 */

/** Pieces of one stripe: 256 KiB, so that the ranges of a segment come from several fetchers. */
export const STRIPE_PIECES = 4;

/** How many members come before `self` for this piece; 0: `self` fetches at once. */
export function rankOf(
  self: string,
  members: Iterable<string>,
  assetId: string,
  piece: number,
): number {
  const key = `${assetId} ${Math.floor(piece / STRIPE_PIECES)} `;
  const own = weightOf(key + self);
  let rank = 0;
  for (const member of members) {
    const weight = weightOf(key + member);
    if (weight > own || (weight === own && member > self)) rank++;
  }
  return rank;
}

/**
 * 32 bits of FNV-1a, mixed by the finalizer of MurmurHash3 so that close ids part. Not a secret: a member
 * that chooses its id well fetches more for the others, nothing else.
 */
function weightOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at++) {
    hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
