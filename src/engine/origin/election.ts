/**
 * Who fetches bytes that nobody near holds yet, and when. A segment is cut into stripes; for each stripe all
 * members of a clique compute the same ranking, without a message: rank 0 fetches at once and says so,
 * rank k only after k steps without a sign of anybody. A member that does not want the stripe costs one
 * step, a member that left as well. Where a swarm has several cliques, claims come over the bridges too and
 * end the election there: a few cliques fetch, the others receive. This module is pure.
 *
 * Source: highest random weight hashing, Thaler and Ravishankar, IEEE/ACM ToN 6(1):1-14, 1998.
 * @module
 */

/** Pieces of one stripe: 256 KiB, so that the ranges of a segment come from several fetchers. */
export const STRIPE_PIECES = 4;

/** 4 Mbit/s: below this a stripe takes half a second to its first neighbour, and everybody waits for it. */
const SLOW_UPLINK_BYTES_PER_MS = 500;

/** Members that a slow uplink lets go first. */
const SLOW_STEPS = 4;

export class Election {
  readonly #linked: () => Iterable<string>;
  /** Asset → stripe → rank. */
  readonly #ranks = new Map<string, Map<number, number>>();
  #selfId = "";
  #members: readonly string[] | undefined;
  #serving = true;
  #slow = false;

  /** @param linked Ids of the linked peers: the clique of a viewer that no server has put into one. */
  constructor(linked: () => Iterable<string>) {
    this.#linked = linked;
  }

  /** This viewer's own id; empty before the server issued one. */
  set selfId(selfId: string) {
    this.#selfId = selfId;
    this.reset();
  }

  /** Ids of the clique's members, this viewer's or not; `undefined`: the linked peers are its clique. */
  set members(members: readonly string[] | undefined) {
    this.#members = members;
    this.reset();
  }

  get members(): readonly string[] | undefined {
    return this.#members;
  }

  /** Whether this viewer uploads: one that does not comes last, as nobody could get the bytes from it. */
  set serving(serving: boolean) {
    this.#serving = serving;
    this.reset();
  }

  get serving(): boolean {
    return this.#serving;
  }

  /** What this viewer's uplink takes, in bytes per millisecond: others should rather fetch than a slow one. */
  set uplinkBytesPerMs(uplinkBytesPerMs: number) {
    const slow = uplinkBytesPerMs < SLOW_UPLINK_BYTES_PER_MS;
    if (slow === this.#slow) return;
    this.#slow = slow;
    this.reset();
  }

  /** A number in [0, 1) of this viewer's own for the stripe of the piece: who doubts a claim first. */
  doubtOf(assetId: string, piece: number): number {
    return weightOf(`${stripeKey(assetId, piece)}doubt ${this.#selfId}`) / 2 ** 32;
  }

  /** Whether of the two it is the other one that fetches the stripe of the piece: both come to the same answer. */
  outrankedBy(memberId: string, assetId: string, piece: number): boolean {
    return rankOf(this.#selfId, [memberId], assetId, piece) > 0;
  }

  /** Forgets what was computed: the linked peers are other ones, or nothing is requested any more. */
  reset(): void {
    this.#ranks.clear();
  }

  /** How many members come before this viewer in fetching a piece that nobody holds. */
  rankOf(assetId: string, piece: number): number {
    const stripe = Math.floor(piece / STRIPE_PIECES);
    let ranks = this.#ranks.get(assetId);
    if (!ranks) {
      ranks = new Map();
      this.#ranks.set(assetId, ranks);
    }
    let rank = ranks.get(stripe);
    if (rank === undefined) {
      const members = this.#members ?? [...this.#linked()];
      rank = this.#serving ? rankOf(this.#selfId, members, assetId, piece) : members.length;
      if (this.#slow) rank += SLOW_STEPS;
      ranks.set(stripe, rank);
    }
    return rank;
  }
}

/** How many members come before `self` for this piece; 0: `self` fetches at once. */
export function rankOf(
  self: string,
  members: Iterable<string>,
  assetId: string,
  piece: number,
): number {
  const key = stripeKey(assetId, piece);
  const own = weightOf(key + self);
  let rank = 0;
  for (const member of members) {
    const weight = weightOf(key + member);
    if (weight > own || (weight === own && member > self)) rank++;
  }
  return rank;
}

function stripeKey(assetId: string, piece: number): string {
  return `${assetId} ${Math.floor(piece / STRIPE_PIECES)} `;
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
