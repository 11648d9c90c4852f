/**
 * What the host tab may believe: attestations whose signature, shape and age are right, by URL and by
 * asset, and the server's refusals. Bounded; nothing here is ever taken from a peer.
 * @module
 */
import { fromBase64Url } from "../core/digest.js";
import { NearcastError } from "../core/errors.js";
import {
  type Attestation,
  type AttestedWindow,
  attestationBytes,
  type Header,
  isAttestation,
  openAttestation,
} from "../protocol/attestation.js";
import type { Refusal } from "../protocol/signal-messages.js";
import { LiveWindows } from "./live-windows.js";

/** One version of one URL, with the windows that are attested so far. */
export interface TrustedAsset {
  readonly assetId: string;
  readonly url: string;
  readonly length: number;
  readonly headers: readonly Header[];
  /** Those that have not expired: each window ends by its own attestation (rule R10). */
  readonly windows: Pick<ReadonlyMap<number, AttestedWindow>, "get" | "has" | "keys" | "values">;
}

interface AssetEntry extends TrustedAsset {
  readonly windows: LiveWindows;
}

const ASSETS_MAX = 2_000;
const REFUSALS_MAX = 2_000;

export class Trust {
  readonly #byUrl = new Map<string, AssetEntry>();
  readonly #byId = new Map<string, AssetEntry>();
  readonly #refusals = new Map<string, number>();
  readonly #keys = new Map<string, CryptoKey>();
  readonly #pinned: string | undefined;
  readonly #nowMs: () => number;
  #clockSkewMs = 0;
  #verifies: boolean | undefined;
  /** Attestations that arrive right behind the keys wait until those are imported. */
  #meeting: Promise<void> = Promise.resolve();

  /**
   * @param pinnedKey The only key to accept (base64url, raw Ed25519), if the site named one.
   * @param nowMs This device's clock, Unix milliseconds.
   */
  constructor({ pinnedKey, nowMs }: { pinnedKey: string | undefined; nowMs: () => number }) {
    this.#pinned = pinnedKey;
    this.#nowMs = nowMs;
  }

  /** Server time: expiry is judged by it, so a wrong clock here changes nothing. */
  get serverNowMs(): number {
    return this.#nowMs() + this.#clockSkewMs;
  }

  /** Converts server time to this device's. */
  toLocalMs(serverMs: number): number {
    return serverMs - this.#clockSkewMs;
  }

  /** Takes the server's clock and keys from its answer to a join. */
  meetServer(
    serverNowMs: number,
    keys: readonly (readonly [keyId: string, publicKey: string])[],
  ): Promise<void> {
    this.#meeting = this.#meet(serverNowMs, keys);
    return this.#meeting;
  }

  async #meet(
    serverNowMs: number,
    keys: readonly (readonly [keyId: string, publicKey: string])[],
  ): Promise<void> {
    this.#clockSkewMs = serverNowMs - this.#nowMs();
    this.#keys.clear();
    for (const [keyId, publicKey] of keys) {
      if (this.#pinned !== undefined && publicKey !== this.#pinned) continue;
      const key = await importKey(publicKey);
      this.#verifies = key !== undefined;
      if (key) this.#keys.set(keyId, key);
    }
  }

  /**
   * Checks and remembers one attestation.
   *
   * @throws {NearcastError} `integrity/signature` if it is not signed by a known key, or has expired;
   * `protocol/malformed` if its fields disagree.
   */
  async accept(attestation: Attestation): Promise<TrustedAsset> {
    await this.#meeting;
    if (attestation.expiresMs <= this.serverNowMs) {
      throw new NearcastError("integrity/signature", "Cannot use attestation: it has expired");
    }
    await this.#checkSignature(attestation);
    const window = await openAttestation(attestation);
    return this.#remember(window);
  }

  /**
   * Remembers an attestation that this profile stored earlier, after {@link accept}: the key that signed
   * it may be gone by now. `undefined` if it has expired or does not fit together.
   */
  async restore(attestation: Attestation): Promise<TrustedAsset | undefined> {
    if (!isAttestation(attestation) || attestation.expiresMs <= this.serverNowMs) return undefined;
    try {
      return this.#remember(await openAttestation(attestation));
    } catch {
      return undefined; // written by another version of the SDK
    }
  }

  /** The asset behind a canonical URL, if any window of it is attested and has not expired. */
  find(url: string): TrustedAsset | undefined {
    const asset = this.#byUrl.get(url);
    return asset?.windows.live ? asset : undefined;
  }

  byId(assetId: string): TrustedAsset | undefined {
    return this.#byId.get(assetId);
  }

  refuse(url: string, { retryMs }: Refusal): void {
    this.#refusals.set(url, this.#nowMs() + retryMs);
    trim(this.#refusals, REFUSALS_MAX);
  }

  /** Whether the server refused to attest the URL not long ago. */
  refused(url: string): boolean {
    return (this.#refusals.get(url) ?? 0) > this.#nowMs();
  }

  /** This viewer's own origin bytes differ from the attested ones: personal, stale or watermarked. */
  distrust(url: string): void {
    const asset = this.#byUrl.get(url);
    this.#byUrl.delete(url);
    if (asset) this.#byId.delete(asset.assetId);
    this.refuse(url, { reason: "mismatch", retryMs: 600_000 });
  }

  async #checkSignature(attestation: Attestation): Promise<void> {
    const key = this.#keys.get(attestation.keyId);
    // A browser without Ed25519 (before 2025) relies on TLS to the server, unless a key is pinned.
    if (!key && this.#verifies === false && this.#pinned === undefined) return;
    const signature = fromBase64Url(attestation.signature);
    const valid =
      key !== undefined &&
      signature !== undefined &&
      (await crypto.subtle.verify("Ed25519", key, signature, attestationBytes(attestation)));
    if (!valid) {
      throw new NearcastError("integrity/signature", "Cannot use attestation: wrong signature");
    }
  }

  #remember(window: AttestedWindow): TrustedAsset {
    const { assetId, attestation } = window;
    const { url, length, headers } = attestation;
    let asset = this.#byUrl.get(url);
    if (asset?.assetId !== assetId) {
      if (asset) this.#byId.delete(asset.assetId);
      const windows = new LiveWindows(() => this.serverNowMs);
      asset = { assetId, url, length, headers, windows };
    }
    asset.windows.add(window);
    this.#byUrl.delete(url);
    this.#byUrl.set(url, asset);
    this.#byId.set(assetId, asset);
    for (const dropped of trim(this.#byUrl, ASSETS_MAX)) this.#byId.delete(dropped.assetId);
    return asset;
  }
}

/** Drops the oldest entries above `max`; returns them. */
function trim<K, V>(map: Map<K, V>, max: number): V[] {
  const dropped: V[] = [];
  for (const [key, value] of map) {
    if (map.size <= max) break;
    map.delete(key);
    dropped.push(value);
  }
  return dropped;
}

async function importKey(publicKey: string): Promise<CryptoKey | undefined> {
  const raw = fromBase64Url(publicKey);
  if (!raw) return undefined;
  try {
    return await crypto.subtle.importKey("raw", raw, "Ed25519", false, ["verify"]);
  } catch {
    return undefined; // the browser has no Ed25519; see #checkSignature
  }
}
