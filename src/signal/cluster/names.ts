/**
 * Keys and channels in Redis. All begin with `nearcast:<scope>:`, so that one ACL rule covers them and
 * deployments with different signing keys never meet; the part in braces decides on the slot of a cluster, and
 * keys that are read together share it. Every key lives for a bounded time.
 * @module
 */
import type { Seal } from "./seal.js";

/** How long the keys live after they were written last; rule: no index key longer than 120 s. */
export const TTL_MS = {
  /** Who holds an asset, who is in a group. */
  sample: 90_000,
  /** Which node a viewer is at. */
  claim: 120_000,
  /** An id whose viewer left stays its own for so long. */
  reserved: 60_000,
} as const;

/** Windows of one key about an asset: 256 MiB. */
export const BUCKET_WINDOWS = 64;

/** Holders of whole assets, or of windows `[64 × bucket, 64 × (bucket + 1))`. */
export type Bucket = "all" | number;

/** The names of one deployment. */
export class Names {
  readonly #prefix: string;
  readonly #seal: Seal;

  /** @param scope Short, of letters, digits, `-` and `_`. */
  constructor(scope: string, seal: Seal) {
    this.#prefix = `nearcast:${scope}:`;
    this.#seal = seal;
  }

  asset(assetId: string, bucket: Bucket): string {
    return `${this.#prefix}a:{${assetId}}:${bucket}`;
  }

  /** Groups are URLs of any length, and nobody's business but the viewers'. */
  group(group: string): string {
    return `${this.#prefix}g:{${this.#seal.mark("group", group)}}`;
  }

  claim(peerId: string): string {
    return `${this.#prefix}p:{${peerId}}`;
  }

  token(jti: string): string {
    return `${this.#prefix}j:{${jti}}`;
  }

  /** The channel on which a node hears the others. */
  node(node: string): string {
    return `${this.#prefix}n:{${node}}`;
  }
}
