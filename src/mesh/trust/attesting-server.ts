/**
 * The server as it presented itself in its answer to a join, by its clock and its keys: what it attests counts if one
 * of them signed it and its time is not over. What an attestation says is not looked at here.
 * @module
 */
import { fromBase64Url } from "../../core/digest.js";
import { NearcastError } from "../../core/errors.js";
import { type Attestation, attestationBytes } from "../../protocol/attestation.js";

export class AttestingServer {
  readonly #keys = new Map<string, CryptoKey>();
  readonly #pinned: string | undefined;
  readonly #localNowMs: () => number;
  #clockSkewMs = 0;
  #verifies: boolean | undefined;
  /** Attestations that arrive right behind the keys wait until those are imported. */
  #meeting: Promise<void> = Promise.resolve();

  /**
   * @param options `pinnedKey`: the only key to accept (base64url, raw Ed25519), if the site named one; `localNowMs`:
   * this device's clock, Unix milliseconds.
   */
  constructor(options: { pinnedKey: string | undefined; localNowMs: () => number }) {
    this.#pinned = options.pinnedKey;
    this.#localNowMs = options.localNowMs;
  }

  /** Server time: expiry is judged by it, so a wrong clock here changes nothing. */
  get nowMs(): number {
    return this.#localNowMs() + this.#clockSkewMs;
  }

  /** Converts server time to this device's. */
  toLocalMs(serverMs: number): number {
    return serverMs - this.#clockSkewMs;
  }

  /** Takes its clock and keys; those of an earlier meeting count no more. Resolves when they are imported. */
  meet(
    nowMs: number,
    keys: readonly (readonly [keyId: string, publicKey: string])[],
  ): Promise<void> {
    this.#meeting = this.#meet(nowMs, keys);
    return this.#meeting;
  }

  async #meet(
    nowMs: number,
    keys: readonly (readonly [keyId: string, publicKey: string])[],
  ): Promise<void> {
    this.#clockSkewMs = nowMs - this.#localNowMs();
    this.#keys.clear();
    for (const [keyId, publicKey] of keys) {
      if (this.#pinned !== undefined && publicKey !== this.#pinned) continue;
      const key = await importKey(publicKey);
      this.#verifies = key !== undefined;
      if (key) this.#keys.set(keyId, key);
    }
  }

  /** @throws {NearcastError} `integrity/signature` if it is not signed by a known key, or has expired. */
  async check(attestation: Attestation): Promise<void> {
    await this.#meeting;
    if (attestation.expiresMs <= this.nowMs) {
      throw new NearcastError("integrity/signature", "Cannot use attestation: it has expired");
    }
    await this.#checkSignature(attestation);
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
