/**
 * Answers wants: an attestation from memory if it still holds, else one made from disk or from the origin.
 * Concurrent wants of one window cost one reading; everything that waits or is remembered is bounded.
 * @module
 */
import { NearcastError } from "../../core/errors.js";
import type { Attestation } from "../../protocol/attestation.js";
import type { Refusal } from "../../protocol/signal-messages.js";
import type { Metrics } from "../http/metrics.js";
import { LruMap } from "../lru-map.js";
import type { ServerConfig } from "../options.js";
import {
  type AssetPlace,
  type AssetReading,
  attestedHeaders,
  audienceOf,
  placeAsset,
} from "./asset-rules.js";
import { AttestationCache, type AttestedRecord } from "./attestation-cache.js";
import type { DiskSource } from "./disk-source.js";
import type { HttpSource } from "./http-source.js";
import type { Signer } from "./signer.js";

/** Time a refusal is remembered, lasting and passing ones. */
const REFUSED_MS = 60_000;
const FAILED_MS = 5_000;
const REFUSALS_MAX = 10_000;

/** Readings that may wait for their turn. */
const WAITING_MAX = 512;
const BUSY: Refusal = { reason: "server is busy", retryMs: 1_000 };
/** Whoever used up its quota loads from the origin for a while. */
export const QUOTA: Refusal = { reason: "quota", retryMs: 30_000 };

/** Age at which a record's version is compared with the disk again. */
const RECHECK_MS = 2_000;

const LIFETIME_MAX_MS = 86_400_000;

export type WantOutcome =
  | {
      readonly attestation: Attestation;
      readonly audience: string;
      /** `true` for the one want that caused it to be made. */
      readonly isNew: boolean;
    }
  | { readonly refused: Refusal };

interface Refused {
  readonly reason: string;
  readonly untilMs: number;
}

export interface AttestorOptions {
  readonly config: Pick<ServerConfig, "origins" | "attestedWindowsMax" | "attestConcurrentMax">;
  readonly signer: Signer;
  readonly disk: DiskSource | undefined;
  readonly http: HttpSource;
  readonly metrics: Metrics;
  readonly nowMs: () => number;
}

/** The attestor of one server; its methods never reject. */
export class Attestor {
  readonly #options: AttestorOptions;
  readonly #cache: AttestationCache;
  readonly #refusals = new LruMap<string, Refused>(REFUSALS_MAX);
  readonly #pending = new Map<string, Promise<WantOutcome>>();
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  constructor(options: AttestorOptions) {
    this.#options = options;
    this.#cache = new AttestationCache(options.config.attestedWindowsMax);
  }

  /** Windows that are vouched for now, expired ones included until they are forgotten. */
  get attestedCount(): number {
    return this.#cache.size;
  }

  /** The newest attestations of some groups for viewers of one site. */
  recent(groups: readonly string[], siteOrigin: string | undefined, max: number): Attestation[] {
    return this.#cache.recent(groups, siteOrigin, max, this.#options.nowMs());
  }

  /**
   * @param siteOrigin Origin of the asking viewer's page.
   * @param mayRead `false`: only what is known already is answered.
   */
  async want(
    url: string,
    window: number,
    siteOrigin: string | undefined,
    { mayRead = true } = {},
  ): Promise<WantOutcome> {
    const key = JSON.stringify([url, window, siteOrigin]);
    const refused = this.#refusals.get(key);
    const retryMs = (refused?.untilMs ?? 0) - this.#options.nowMs();
    if (refused && retryMs > 0) return { refused: { reason: refused.reason, retryMs } };

    const pending = this.#pending.get(key);
    if (pending) return asKnown(await pending);
    const outcome = this.#answer(url, window, siteOrigin, mayRead).catch((error) =>
      this.#refuse(key, error),
    );
    if (!mayRead) return outcome; // others may be allowed more
    this.#pending.set(key, outcome);
    try {
      return await outcome;
    } finally {
      this.#pending.delete(key);
    }
  }

  /**
   * URLs worth attesting before anybody asks, so that a viewer who gets there knows the hashes already.
   * Only files on disk: reading ahead over HTTP would cost the origin bytes that nobody may want.
   */
  async following(url: string, max: number): Promise<string[]> {
    const { disk, config } = this.#options;
    try {
      const place = placeAsset(url, config.origins);
      if (!disk || place.pathBelowRoot === undefined || place.url.search !== "") return [];
      return await disk.following(place, max);
    } catch {
      return []; // the folder changed meanwhile
    }
  }

  async #answer(
    url: string,
    window: number,
    siteOrigin: string | undefined,
    mayRead: boolean,
  ): Promise<WantOutcome> {
    const place = placeAsset(url, this.#options.config.origins);
    const known = await this.#known(place, window, siteOrigin);
    if (known) return known;
    if (!mayRead) return { refused: QUOTA };
    if (this.#waiting.length >= WAITING_MAX) return { refused: BUSY };
    await this.#turn();
    try {
      // Whoever was read meanwhile may have brought this window along, or for another site.
      const arrived = await this.#known(place, window, siteOrigin);
      if (arrived) return arrived;
      const reading = await this.#read(place, window, siteOrigin);
      return this.#attest(place, window, reading, siteOrigin);
    } finally {
      this.#running--;
      this.#waiting.shift()?.();
    }
  }

  async #known(
    place: AssetPlace,
    window: number,
    siteOrigin: string | undefined,
  ): Promise<WantOutcome | undefined> {
    const record = this.#cache.find(place.url.href, window, siteOrigin, this.#options.nowMs());
    if (!record) return undefined;
    if (!(await this.#stillHolds(record, place))) {
      this.#cache.delete(record);
      return undefined;
    }
    return { attestation: record.attestation, audience: record.audience, isNew: false };
  }

  /** Over HTTP a record holds until it expires; on disk half its life, and only as long as the version. */
  async #stillHolds(record: AttestedRecord, place: AssetPlace): Promise<boolean> {
    const { disk, nowMs } = this.#options;
    if (!disk || place.pathBelowRoot === undefined) return true;
    const { issuedMs, expiresMs, version } = record.attestation;
    if (nowMs() > (issuedMs + expiresMs) / 2) return false;
    if (nowMs() - record.checkedMs < RECHECK_MS) return true;
    const current = await disk.versionOf(place).catch(() => undefined);
    if (current !== version) return false;
    record.checkedMs = nowMs();
    return true;
  }

  /** Waits until fewer than `attestConcurrentMax` readings run, and counts as one of them. */
  async #turn(): Promise<void> {
    while (this.#running >= this.#options.config.attestConcurrentMax) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    this.#running++;
  }

  #read(place: AssetPlace, window: number, siteOrigin: string | undefined): Promise<AssetReading> {
    const { disk, http } = this.#options;
    return disk && place.pathBelowRoot !== undefined
      ? disk.read(place, window, siteOrigin)
      : http.read(place.asked, window, siteOrigin);
  }

  #attest(
    place: AssetPlace,
    window: number,
    reading: AssetReading,
    siteOrigin: string | undefined,
  ): WantOutcome {
    const { signer, metrics, nowMs } = this.#options;
    const audience = audienceOf(reading.headers, siteOrigin);
    const issuedMs = nowMs();
    const headers = attestedHeaders(reading.headers);
    const facts = {
      v: 1 as const,
      url: place.url.href,
      version: reading.version,
      length: reading.lengthBytes,
      headers,
      issuedMs,
      expiresMs: issuedMs + Math.min(reading.freshMs, LIFETIME_MAX_MS),
    };
    let wanted: Attestation | undefined;
    for (const [read, hashes] of reading.windows) {
      const attestation = signer.attest({ ...facts, window: read, hashes });
      metrics.add("nearcast_attested_windows_total");
      this.#cache.add({ attestation, audience, checkedMs: issuedMs });
      if (read === window) wanted = attestation;
    }
    return wanted
      ? { attestation: wanted, audience, isNew: true }
      : { refused: { reason: "no such window", retryMs: FAILED_MS } };
  }

  /** Only refusals on purpose last; anything unforeseen (a disk error, say) may pass. */
  #refuse(key: string, error: unknown): WantOutcome {
    const known = error instanceof NearcastError;
    const retryMs = known && error.code === "index/refused" ? REFUSED_MS : FAILED_MS;
    const reason = (known ? error.message : "origin could not be read").slice(0, 256);
    this.#refusals.set(key, { reason, untilMs: this.#options.nowMs() + retryMs });
    return { refused: { reason, retryMs } };
  }
}

function asKnown(outcome: WantOutcome): WantOutcome {
  return "refused" in outcome ? outcome : { ...outcome, isNew: false };
}
