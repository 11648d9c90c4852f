/**
 * How far the asset of one request is attested: windows are asked for as the page comes near them.
 * @module
 */
import { LOOK_AHEAD_PIECES } from "../../engine/planning/request-state.js";
import { windowOf } from "../../protocol/asset.js";
import { WINDOW_PIECES } from "../../protocol/limits.js";
import { isFromManifest } from "../../protocol/manifest.js";
import type { TrustedAsset } from "../trust/trust.js";

export interface AttestedSpanOptions {
  /** The publisher alone may vouch for it (rule R7). */
  readonly active: boolean;
  readonly attest: (url: string, window: number) => Promise<void>;
  /** A window is attested by now. */
  readonly onAttested: (asset: TrustedAsset) => void;
  /** Nobody vouches for what follows: the origin alone can go on. */
  readonly onEnd: () => void;
  readonly onError: (error: unknown) => void;
}

export class AttestedSpan {
  readonly #options: AttestedSpanOptions;
  readonly #asked = new Set<number>();

  constructor(options: AttestedSpanOptions) {
    this.#options = options;
  }

  covers(asset: TrustedAsset | undefined, window: number): boolean {
    const found = asset?.windows.get(window);
    return found !== undefined && (!this.#options.active || isFromManifest(found.attestation));
  }

  /** The first piece from `position` on that is not attested. */
  endFrom(asset: TrustedAsset, position: number): number {
    let window = windowOf(position);
    while (this.covers(asset, window)) window++;
    return window * WINDOW_PIECES;
  }

  /** Asks for what comes next: the windows of the look-ahead and one more, up to piece `to`. */
  extend(asset: TrustedAsset, position: number, to: number): void {
    const end = Math.min(to, position + LOOK_AHEAD_PIECES + WINDOW_PIECES);
    for (let window = windowOf(position); window * WINDOW_PIECES < end; window++) {
      if (this.covers(asset, window) || this.#asked.has(window)) continue;
      this.#asked.add(window);
      const { attest, onAttested, onEnd, onError } = this.#options;
      void attest(asset.url, window)
        .then(() => (this.covers(asset, window) ? onAttested(asset) : onEnd()))
        .catch(onError);
    }
  }
}
