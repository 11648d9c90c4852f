/**
 * Keys of sealed assets: derived, not kept, so that they outlive a restart, and all nodes of one key file agree.
 * @module
 */
import { hkdfSync } from "node:crypto";

export class SealKeys {
  readonly #secret: Uint8Array;

  /** @param secret 32 bytes that nobody else has. */
  constructor(secret: Uint8Array) {
    this.#secret = secret;
  }

  /**
   * The key of one version of one asset: 32 bytes, base64url.
   *
   * @param url What its viewer may have. It is bound in beside the id, which a viewer may name as it likes.
   */
  keyOf(url: string, assetId: string): string {
    const info = `nearcast seal 1\n${url}\n${assetId}`;
    return Buffer.from(hkdfSync("sha256", this.#secret, "", info, 32)).toString("base64url");
  }
}
