/**
 * Tells others what this viewer holds: neighbours piece by piece, the index window by window. While it serves
 * nobody it tells neither, and takes back what the index knows.
 * @module
 */
import { groupOf, windowCountOf, windowOf } from "../protocol/asset.js";
import { PIECE_BYTES } from "../protocol/limits.js";
import type { HeldWindows } from "../protocol/signal-messages.js";
import type { PieceLibrary } from "./delivery/piece-library.js";
import type { HaveGossip } from "./links/have-gossip.js";
import type { IndexClient } from "./signaling/index-client.js";
import type { Trust, TrustedAsset } from "./trust/trust.js";

export interface AnnouncerOptions {
  readonly library: PieceLibrary;
  readonly trust: Trust;
  readonly gossip: HaveGossip;
  /** `undefined` until somebody wanted something. */
  readonly index: () => IndexClient | undefined;
}

/** Of one asset in one message. */
const WINDOWS_MAX = 1_024;

export class Announcer {
  readonly #options: AnnouncerOptions;
  /** Kept, as to parse a URL for each piece is much of what a piece costs. */
  readonly #groups = new WeakMap<TrustedAsset, string>();
  #serving = true;

  constructor(options: AnnouncerOptions) {
    this.#options = options;
  }

  /** Whether others may count on this viewer. */
  set serving(serving: boolean) {
    const { library, gossip, index } = this.#options;
    this.#serving = serving;
    gossip.muted = !serving;
    for (const { asset } of library.holdings()) {
      index()?.announce(asset.assetId, { lost: !serving });
    }
  }

  pieceAdded(asset: TrustedAsset, piece: number): void {
    const { library, gossip, index } = this.#options;
    index()?.consumed(this.#groupOf(asset), PIECE_BYTES);
    gossip.added(asset, piece);
    if (library.holdsWindow(asset, windowOf(piece))) index()?.announce(asset.assetId);
  }

  #groupOf(asset: TrustedAsset): string {
    const known = this.#groups.get(asset);
    if (known !== undefined) return known;
    const group = groupOf(asset.url);
    this.#groups.set(asset, group);
    return group;
  }

  piecesGone(assetId: string): void {
    this.#options.gossip.gone(assetId);
    this.#options.index()?.announce(assetId, { lost: true });
  }

  /** The assets of which anything is held. */
  holdings(): string[] {
    return [...this.#options.library.holdings()].map(({ asset }) => asset.assetId);
  }

  /** The complete windows of one asset, as the index may know them; `undefined` if there are none. */
  held(assetId: string): HeldWindows | undefined {
    const { library, trust } = this.#options;
    const asset = trust.byId(assetId);
    if (!asset || !this.#serving) return undefined;
    const windows = [...asset.windows.keys()].filter((window) =>
      library.holdsWindow(asset, window),
    );
    if (windows.length === 0) return undefined;
    return windows.length === windowCountOf(asset.length) ? "all" : windows.slice(0, WINDOWS_MAX);
  }
}
