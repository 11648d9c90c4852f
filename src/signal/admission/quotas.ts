/**
 * What one address and one site may ask of the server in a minute. Whoever has used up its quota gets
 * nothing but its origin for a while (rule R65); the others do not notice. Time is an argument.
 * @module
 */
import { LruMap } from "../lru-map.js";
import type { ServerConfig } from "../options.js";
import { TokenBucket } from "../token-bucket.js";

/** Addresses and sites whose use is remembered; one that is forgotten starts with a full quota. */
const REMEMBERED_MAX = 100_000;

export type QuotaConfig = Pick<
  ServerConfig,
  | "joinsPerMinutePerAddress"
  | "joinsPerMinutePerSite"
  | "wantsPerMinutePerAddress"
  | "wantsPerMinutePerSite"
  | "attestedBytesPerMinutePerSite"
>;

/** Whom a use is counted for. */
export interface Who {
  readonly address: string;
  readonly siteOrigin: string | undefined;
}

/** The quotas of one server. */
export class Quotas {
  readonly #config: QuotaConfig;
  readonly #buckets = new LruMap<string, TokenBucket>(REMEMBERED_MAX);

  constructor(config: QuotaConfig) {
    this.#config = config;
  }

  /** @returns Which quota forbids one more socket; `undefined` if none does. */
  join({ address, siteOrigin }: Who, nowMs: number): "address" | "site" | undefined {
    const { joinsPerMinutePerAddress, joinsPerMinutePerSite } = this.#config;
    if (!this.#bucket("join address", address, joinsPerMinutePerAddress).take(nowMs)) {
      return "address";
    }
    const site = this.#bucket("join site", siteOrigin ?? "", joinsPerMinutePerSite);
    return site.take(nowMs) ? undefined : "site";
  }

  /** @returns Whether one more want may be looked at. */
  want({ address, siteOrigin }: Who, nowMs: number): boolean {
    const { wantsPerMinutePerAddress, wantsPerMinutePerSite } = this.#config;
    return (
      this.#bucket("want address", address, wantsPerMinutePerAddress).take(nowMs) &&
      this.#bucket("want site", siteOrigin ?? "", wantsPerMinutePerSite).take(nowMs)
    );
  }

  /** @returns Whether bytes may be read from an origin for viewers of this site. */
  mayRead(siteOrigin: string | undefined, nowMs: number): boolean {
    return this.#reading(siteOrigin).isOpen(nowMs);
  }

  /** Counts bytes that were read. */
  countRead(siteOrigin: string | undefined, bytes: number, nowMs: number): void {
    this.#reading(siteOrigin).charge(nowMs, bytes);
  }

  #reading(siteOrigin: string | undefined): TokenBucket {
    return this.#bucket("read", siteOrigin ?? "", this.#config.attestedBytesPerMinutePerSite);
  }

  #bucket(kind: string, name: string, perMinute: number): TokenBucket {
    const key = `${kind} ${name}`;
    let bucket = this.#buckets.get(key);
    if (!bucket) {
      bucket = new TokenBucket({ perSecond: perMinute / 60, burst: perMinute });
      this.#buckets.set(key, bucket);
    }
    return bucket;
  }
}
