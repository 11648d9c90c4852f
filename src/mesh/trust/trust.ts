/**
 * What the host tab may believe: attestations that the server vouches for and whose shape is right, by URL and by
 * asset, and the server's refusals. Bounded; nothing here is ever taken from a peer.
 * @module
 */
import { equalBytes } from "../../core/digest.js";
import { NearcastError } from "../../core/errors.js";
import type { UrlMatcher } from "../../core/url-pattern.js";
import { isActive } from "../../engine/rules/sharing-policy.js";
import {
  type Attestation,
  type AttestedWindow,
  type Header,
  isAttestation,
  openAttestation,
} from "../../protocol/attestation.js";
import { isFromManifest } from "../../protocol/manifest.js";
import { sealedWindow, sealMatcher } from "../../protocol/seal.js";
import type { Refusal } from "../../protocol/signal-messages.js";
import { AttestingServer } from "./attesting-server.js";
import { LiveWindows } from "./live-windows.js";

/** One version of one URL, with the windows that are attested so far. */
export interface TrustedAsset {
  readonly assetId: string;
  readonly url: string;
  readonly length: number;
  readonly headers: readonly Header[];
  /** Whether it travels with a key only. */
  readonly sealed: boolean;
  /**
   * Server time up to which the URL stands for this version. Pieces are served to others for as long as their
   * window is valid: whoever asks by the asset's id has looked himself.
   */
  readonly freshUntilMs: number;
  /** Those that have not expired: each window ends by its own attestation (rule R10). */
  readonly windows: Pick<ReadonlyMap<number, AttestedWindow>, "get" | "has" | "keys" | "values">;
}

interface AssetEntry extends TrustedAsset {
  readonly windows: LiveWindows;
  headers: readonly Header[];
  /** Server time at which they were attested. */
  headersMs: number;
  freshUntilMs: number;
}

/** What goes before the index: the publisher's manifests, see `mesh/trust/manifests.ts`. */
export interface Publisher {
  /** `true`: nothing is to be believed. */
  readonly closed: boolean;
  /** Whether the publisher speaks for the URL, or may once it is known. */
  mayCover(url: string): boolean;
  /** Whether an attestation is the publisher's. */
  signed(attestation: Attestation): boolean;
}

const ASSETS_MAX = 2_000;
const REFUSALS_MAX = 2_000;

export class Trust {
  readonly #byUrl = new Map<string, AssetEntry>();
  readonly #byId = new Map<string, AssetEntry>();
  readonly #refusals = new Map<string, number>();
  readonly #server: AttestingServer;
  #publisher: Publisher | undefined;
  #mustSeal: UrlMatcher = () => false;
  readonly #nowMs: () => number;

  /**
   * @param pinnedKey The only key to accept (base64url, raw Ed25519), if the site named one.
   * @param nowMs This device's clock, Unix milliseconds.
   */
  constructor({ pinnedKey, nowMs }: { pinnedKey: string | undefined; nowMs: () => number }) {
    this.#server = new AttestingServer({ pinnedKey, localNowMs: nowMs });
    this.#nowMs = nowMs;
  }

  /** Goes before everything that the index says; set once, before anything is accepted. */
  set publisher(publisher: Publisher) {
    this.#publisher = publisher;
  }

  /** Patterns of what is sealed: what is known of it without its key is forgotten, and taken no more. */
  set sealed(patterns: readonly string[]) {
    this.#mustSeal = sealMatcher(patterns);
    for (const [url, { assetId, sealed }] of this.#byUrl) {
      if (sealed || !this.#mustSeal(url)) continue;
      this.#byUrl.delete(url);
      this.#byId.delete(assetId);
    }
  }

  /** Whether the URL is shared with a key only. */
  mustSeal(url: string): boolean {
    return this.#mustSeal(url);
  }

  /** Server time: expiry is judged by it, so a wrong clock here changes nothing. */
  get serverNowMs(): number {
    return this.#server.nowMs;
  }

  /** Converts server time to this device's. */
  toLocalMs(serverMs: number): number {
    return this.#server.toLocalMs(serverMs);
  }

  /** Takes the server's clock and keys from its answer to a join. */
  meetServer(
    serverNowMs: number,
    keys: readonly (readonly [keyId: string, publicKey: string])[],
  ): Promise<void> {
    return this.#server.meet(serverNowMs, keys);
  }

  /**
   * Checks and remembers one attestation of the index.
   *
   * @param seal The key that came with it, if its asset is sealed.
   * @returns The asset; `undefined` if the publisher speaks for it and has not been heard yet.
   * @throws {NearcastError} `integrity/signature` if it is not signed by a known key, or has expired;
   * `integrity/mismatch` if the publisher's manifest says otherwise, or only the publisher could vouch for
   * such content; `protocol/malformed` if its fields disagree.
   */
  async accept(attestation: Attestation, seal?: string): Promise<TrustedAsset | undefined> {
    await this.#server.check(attestation);
    const window = await opened(attestation, seal);
    const { url, headers } = attestation;
    if (this.#publisher?.mayCover(url)) return this.#agree(window);
    if (isActive(url, headers)) {
      throw new NearcastError("integrity/mismatch", "Cannot use attestation: active");
    }
    return this.#remember(window);
  }

  /** Remembers what the publisher signed. @param freshUntilMs When its manifest must be looked at again. */
  acceptPublished(window: AttestedWindow, freshUntilMs: number): TrustedAsset {
    return this.#remember(window, freshUntilMs);
  }

  /** The index may add the origin's headers to what the publisher signed, and nothing else. */
  #agree({ attestation, hashes }: AttestedWindow): TrustedAsset | undefined {
    const asset = this.#byUrl.get(attestation.url);
    if (!asset) return undefined;
    const own = asset.windows.get(attestation.window)?.hashes ?? hashes;
    const same =
      asset.length === attestation.length &&
      own.every((hash, index) => equalBytes(hash, hashes[index] ?? new Uint8Array()));
    if (!same) {
      throw new NearcastError("integrity/mismatch", "Cannot use attestation: the manifest differs");
    }
    asset.headers = attestation.headers;
    asset.headersMs = attestation.issuedMs;
    return asset;
  }

  /**
   * Remembers an attestation that this profile stored earlier, after {@link accept}: the key that signed
   * it may be gone by now. `undefined` if it has expired or does not fit together.
   *
   * @param seal The key that was stored with it.
   */
  async restore(attestation: Attestation, seal?: string): Promise<TrustedAsset | undefined> {
    if (!isAttestation(attestation) || attestation.expiresMs <= this.serverNowMs) return undefined;
    // With a publisher only what it signed itself: the rest is asked for again.
    const publisher = this.#publisher;
    if (publisher ? !publisher.signed(attestation) : isFromManifest(attestation)) return undefined;
    try {
      // A page that starts looks at the manifest before it goes by it again.
      const freshUntilMs = publisher ? 0 : undefined;
      return this.#remember(await opened(attestation, seal), freshUntilMs);
    } catch {
      return undefined; // written by another version of the SDK
    }
  }

  /** The asset behind a canonical URL, if any window of it is attested and has not expired. */
  find(url: string): TrustedAsset | undefined {
    const asset = this.#publisher?.closed ? undefined : this.#byUrl.get(url);
    return asset?.windows.live && asset.freshUntilMs > this.serverNowMs ? asset : undefined;
  }

  byId(assetId: string): TrustedAsset | undefined {
    return this.#publisher?.closed ? undefined : this.#byId.get(assetId);
  }

  /** Whether an answer that began with the asset may end with it, even if its URL stands for another one by now. */
  mayEnd({ url, sealed }: TrustedAsset): boolean {
    return !this.#publisher?.closed && (sealed || !this.#mustSeal(url));
  }

  /** Whether a publisher vouches for the URL, or may once it is heard. */
  maySign(url: string): boolean {
    return this.#publisher?.mayCover(url) ?? false;
  }

  refuse(url: string, { retryMs }: Refusal): void {
    this.#refusals.set(url, this.#nowMs() + retryMs);
    trim(this.#refusals, REFUSALS_MAX);
  }

  /** Whether the server refused to attest the URL not long ago. */
  refused(url: string): boolean {
    return (this.#refusals.get(url) ?? 0) > this.#nowMs();
  }

  /**
   * For ten minutes nobody is believed about the URL: this viewer's own origin bytes differ from the attested ones
   * (personal, stale or watermarked), or its page has changed it.
   *
   * @returns The asset that it stood for.
   */
  distrust(url: string): TrustedAsset | undefined {
    const asset = this.#byUrl.get(url);
    this.#byUrl.delete(url);
    if (asset) this.#byId.delete(asset.assetId);
    this.refuse(url, { reason: "mismatch", retryMs: 600_000 });
    return asset;
  }

  #remember(window: AttestedWindow, freshUntilMs = Number.POSITIVE_INFINITY): TrustedAsset {
    const { assetId, attestation } = window;
    const { url, length, headers, issuedMs } = attestation;
    const sealed = window.seal !== undefined;
    if (!sealed && this.#mustSeal(url)) {
      throw new NearcastError("integrity/mismatch", "Cannot use attestation: its key is missing");
    }
    let asset = this.#byUrl.get(url);
    if (asset?.assetId !== assetId) {
      if (asset) this.#byId.delete(asset.assetId);
      const windows = new LiveWindows(() => this.serverNowMs);
      const headersMs = issuedMs;
      asset = { assetId, url, length, headers, headersMs, windows, freshUntilMs, sealed };
    }
    // The same bytes under other headers, as a 304 brings them (RFC 9111 section 3.2): the latest word counts. What the
    // index added to a publisher's headers stays.
    if (issuedMs > asset.headersMs && !isFromManifest(attestation)) {
      asset.headers = headers;
      asset.headersMs = issuedMs;
    }
    asset.windows.add(window);
    asset.freshUntilMs = freshUntilMs;
    this.#byUrl.delete(url);
    this.#byUrl.set(url, asset);
    this.#byId.set(assetId, asset);
    for (const dropped of trim(this.#byUrl, ASSETS_MAX)) this.#byId.delete(dropped.assetId);
    return asset;
  }
}

async function opened(attestation: Attestation, seal: string | undefined): Promise<AttestedWindow> {
  const window = await openAttestation(attestation);
  return seal === undefined ? window : sealedWindow(window, seal);
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
