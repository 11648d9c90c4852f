/**
 * Tells neighbours what this viewer holds: everything once when a link opens, then the news, gathered for
 * a moment, so that a segment that just arrived is a handful of small messages. An asset is told of only
 * while its attestation is known here: nobody could use the pieces otherwise.
 * @module
 */
import { HAVE_MAX_PIECES } from "../../protocol/limits.js";
import type { PieceLibrary } from "../delivery/piece-library.js";
import type { Trust, TrustedAsset } from "../trust/trust.js";
import type { PeerLink } from "./peer-link.js";

const GATHER_MS = 50;
/** A link that opened less than this ago, and has answered no ping, may still be telling what its peer holds. */
const FRESH_MS = 300;
/** Pieces of one HAVE: bits for 65 536 pieces are 8 KiB. */
const CHUNK_PIECES = HAVE_MAX_PIECES;

export class HaveGossip {
  readonly #library: PieceLibrary;
  readonly #trust: Trust;
  readonly #links: () => readonly PeerLink[];
  readonly #news = new Map<string, { from: number; to: number }>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** Links that have told nothing yet, since when. */
  readonly #unheardMs = new Map<PeerLink, number>();
  #muted = false;

  constructor(options: { library: PieceLibrary; trust: Trust; links: () => readonly PeerLink[] }) {
    this.#library = options.library;
    this.#trust = options.trust;
    this.#links = options.links;
  }

  /** `true`: this viewer serves nobody now, so neighbours hear of nothing they could ask for. */
  set muted(muted: boolean) {
    if (muted === this.#muted) return;
    this.#muted = muted;
    for (const { asset, have } of this.#library.holdings()) {
      if (muted)
        for (const link of this.#links()) link.send({ type: "drop", assetId: asset.assetId });
      else this.#tell(this.#links(), asset, 0, have.pieceCount);
    }
  }

  /** Whether a link opened so recently that its peer's holdings may not all be known. */
  fresh(nowMs: number): boolean {
    for (const sinceMs of this.#unheardMs.values()) if (nowMs - sinceMs < FRESH_MS) return true;
    return false;
  }

  /** The peer answered a ping, which it got after our hello: it has told what it holds before that, in this order. */
  heard(link: PeerLink): void {
    this.#unheardMs.delete(link);
  }

  /** A link opened: it learns everything. */
  greet(link: PeerLink, nowMs: number): void {
    this.#unheardMs.set(link, nowMs);
    for (const { asset, have } of this.#library.holdings()) {
      this.#tell([link], asset, 0, have.pieceCount);
    }
  }

  /** A piece was added. */
  added({ assetId }: TrustedAsset, piece: number): void {
    const news = this.#news.get(assetId);
    if (news) {
      news.from = Math.min(news.from, piece);
      news.to = Math.max(news.to, piece + 1);
    } else {
      this.#news.set(assetId, { from: piece, to: piece + 1 });
    }
    this.#timer ??= setTimeout(() => this.#flush(), GATHER_MS);
  }

  /** Pieces were lost: the rest is told anew, after the loss. */
  gone(assetId: string): void {
    this.#news.delete(assetId);
    for (const link of this.#links()) link.send({ type: "drop", assetId });
    const asset = this.#trust.byId(assetId);
    if (asset) this.#tell(this.#links(), asset, 0, this.#library.have(asset).pieceCount);
  }

  #flush(): void {
    this.#timer = undefined;
    for (const [assetId, { from, to }] of this.#news) {
      const asset = this.#trust.byId(assetId);
      if (asset) this.#tell(this.#links(), asset, from, to);
    }
    this.#news.clear();
  }

  #tell(links: readonly PeerLink[], asset: TrustedAsset, from: number, to: number): void {
    const have = this.#library.have(asset);
    if (this.#muted || have.size === 0 || links.length === 0) return;
    for (let start = from & ~7; start < to; start += CHUNK_PIECES) {
      const bits = have.toBits(start, Math.min(start + CHUNK_PIECES, to));
      for (const link of links) {
        link.send({
          type: "have",
          assetId: asset.assetId,
          pieceCount: have.pieceCount,
          from: start,
          bits,
        });
      }
    }
  }
}
