/**
 * Gets to know who vouches for a window that somebody wants: the publisher's manifest, else the index, which
 * also names holders. Silence of both is no answer: the origin alone is right then.
 * @module
 */
import { URL_MAX_LENGTH } from "../../protocol/limits.js";
import { sealedWindow } from "../../protocol/seal.js";
import type { PeerHint, WantedMessage } from "../../protocol/signal-messages.js";
import type { Manifests, PublishedWindow } from "./manifests.js";
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
      // What is sealed needs the index's key as well.
      if (found && !trust.mustSeal(url)) trust.acceptPublished(found.window, found.freshUntilMs);
      await this.#askIndex(url, window, found);
    } catch (error) {
      // A manifest that is wrong or not all there, an index that did not answer: the origin alone is right.
      onError(error);
    }
  }

  /** @param published What the publisher vouches for: the index need only say who holds it, and give its key. */
  async #askIndex(
    url: string,
    window: number,
    published: PublishedWindow | undefined,
  ): Promise<void> {
    const { trust, ask, onHolders } = this.#options;
    if (url.length > URL_MAX_LENGTH) {
      trust.refuse(url, { reason: "URL is too long", retryMs: TOO_LONG_MS });
      return;
    }
    const answer = await ask(url, window, published?.window.assetId);
    if (!answer) return;
    const { attestation, refused, holders, seal } = answer;
    if (published && seal !== undefined) {
      trust.acceptPublished(await sealedWindow(published.window, seal), published.freshUntilMs);
    }
    const vouched = published && (seal !== undefined || !trust.mustSeal(url));
    if (refused && !vouched) trust.refuse(url, refused);
    if (attestation) await trust.accept(attestation, published ? undefined : seal);
    onHolders(holders);
  }
}
