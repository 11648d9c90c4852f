/**
 * Gets to know who vouches for a window that somebody wants: the publisher's manifest, else the index, which
 * also names holders. Silence of both is no answer: the origin alone is right then.
 * @module
 */
import { URL_MAX_LENGTH } from "../../protocol/limits.js";
import type { PeerHint, WantedMessage } from "../../protocol/signal-messages.js";
import type { Manifests } from "./manifests.js";
import type { Trust } from "./trust.js";

export interface AttestationLookupOptions {
  readonly trust: Trust;
  readonly manifests: Manifests | undefined;
  /** Asks the index; `undefined` while it cannot be asked. */
  readonly ask: (
    url: string,
    window: number,
    assetId: string | undefined,
  ) => Promise<WantedMessage> | undefined;
  readonly onHolders: (holders: readonly PeerHint[]) => void;
  readonly onError: (error: unknown) => void;
}

/** A URL that no message can carry is not asked for again soon. */
const TOO_LONG_MS = 600_000;

export class AttestationLookup {
  readonly #options: AttestationLookupOptions;

  constructor(options: AttestationLookupOptions) {
    this.#options = options;
  }

  /** Resolves when `trust` knows what could be learned of the window; never rejects. */
  async find(url: string, window: number): Promise<void> {
    const { trust, manifests, onError } = this.#options;
    if (trust.refused(url)) return;
    try {
      const found = await manifests?.find(url, window);
      const asset = found && trust.acceptPublished(found.window, found.freshUntilMs);
      await this.#askIndex(url, window, asset?.assetId);
    } catch (error) {
      // A manifest that is wrong or not all there, an index that did not answer: the origin alone is right.
      onError(error);
    }
  }

  /** @param assetId What the publisher vouches for: the index need only say who holds it. */
  async #askIndex(url: string, window: number, assetId: string | undefined): Promise<void> {
    const { trust, ask, onHolders } = this.#options;
    if (url.length > URL_MAX_LENGTH) {
      trust.refuse(url, { reason: "URL is too long", retryMs: TOO_LONG_MS });
      return;
    }
    const answer = await ask(url, window, assetId);
    if (!answer) return;
    const { attestation, refused, holders } = answer;
    if (refused && assetId === undefined) trust.refuse(url, refused);
    if (attestation) await trust.accept(attestation);
    onHolders(holders);
  }
}
