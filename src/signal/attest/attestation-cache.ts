/**
 * What the server has vouched for, bounded, by window and audience, and in order per group. This module
 * is pure: time is an argument.
 * @module
 */
import { groupOf } from "../../protocol/asset.js";
import type { Attestation } from "../../protocol/attestation.js";
import { LruMap } from "../lru-map.js";

export interface AttestedRecord {
  readonly attestation: Attestation;
  /** `"*"`, or the only site whose viewers may read the asset. */
  readonly audience: string;
  /** When the version was last compared with the disk. */
  checkedMs: number;
}

/** Attested windows remembered per group for those who join it. */
const RECENT_PER_GROUP = 64;

/** Attestations of one server, the least recently used ones forgotten first. */
export class AttestationCache {
  readonly #records: LruMap<string, AttestedRecord>;
  /** Keys by group, the newest last; only keys that are in `#records`. */
  readonly #recent = new Map<string, Set<string>>();

  constructor(max: number) {
    this.#records = new LruMap(max, (key, { attestation }) =>
      this.#forgetRecent(groupOf(attestation.url), key),
    );
  }

  get size(): number {
    return this.#records.size;
  }

  /** The record for viewers of one site, if there is one that has not expired. */
  find(
    url: string,
    window: number,
    siteOrigin: string | undefined,
    nowMs: number,
  ): AttestedRecord | undefined {
    for (const audience of ["*", siteOrigin ?? ""]) {
      const record = this.#records.get(keyOf(url, window, audience));
      if (record && nowMs < record.attestation.expiresMs) return record;
    }
    return undefined;
  }

  add(record: AttestedRecord): void {
    const { attestation, audience } = record;
    const key = keyOf(attestation.url, attestation.window, audience);
    this.#records.set(key, record);
    const group = groupOf(attestation.url);
    const keys = this.#recent.get(group) ?? new Set();
    keys.add(key);
    this.#recent.set(group, keys);
    const [oldest] = keys;
    if (keys.size > RECENT_PER_GROUP && oldest !== undefined) this.#forgetRecent(group, oldest);
  }

  delete({ attestation, audience }: AttestedRecord): void {
    this.#records.delete(keyOf(attestation.url, attestation.window, audience));
  }

  /** The newest valid attestations of some groups, the oldest of them first. */
  recent(
    groups: readonly string[],
    siteOrigin: string | undefined,
    max: number,
    nowMs: number,
  ): Attestation[] {
    const keys = [...new Set(groups)].flatMap((group) => [...(this.#recent.get(group) ?? [])]);
    return keys
      .flatMap((key) => this.#records.get(key) ?? [])
      .filter(({ audience }) => audience === "*" || audience === (siteOrigin ?? ""))
      .map(({ attestation }) => attestation)
      .filter(({ expiresMs, url }) => nowMs < expiresMs && !url.includes("?"))
      .sort((a, b) => a.issuedMs - b.issuedMs)
      .slice(-max);
  }

  #forgetRecent(group: string, key: string): void {
    const keys = this.#recent.get(group);
    keys?.delete(key);
    if (keys?.size === 0) this.#recent.delete(group);
  }
}

function keyOf(url: string, window: number, audience: string): string {
  return `${audience} ${window} ${url}`;
}
