/**
 * How long the first body of a showing is held back behind a slow origin (`engine/playback/pace.ts`): what of it is
 * here, and what of the next one is among the neighbours.
 * @module
 */
import type { Planner } from "../../engine/planning/planner.js";
import type { PlaybackState } from "../../engine/playback/deadline.js";
import { startHoldMs } from "../../engine/playback/pace.js";
import type { PieceRange } from "../../protocol/asset.js";
import { PIECE_BYTES } from "../../protocol/limits.js";
import type { PieceLibrary } from "../delivery/piece-library.js";
import type { Trust } from "../trust/trust.js";

export interface StartHoldOptions {
  readonly planner: Planner;
  readonly trust: Trust;
  readonly library: PieceLibrary;
  readonly playbackOf: (clientId: string) => PlaybackState | undefined;
  readonly segmentOf: (url: string) => { durationS: number } | undefined;
  readonly upcoming: (url: string, count: number) => readonly string[];
  /** Whether what comes next is read ahead over the origin's line: only then there is something to wait for. */
  readonly readsAhead: () => boolean;
}

/** A body that is being put together. */
export interface AwaitedBody {
  readonly url: string;
  readonly clientId: string;
  /** What is awaited of it. */
  readonly pieces: PieceRange;
}

export class StartHold {
  readonly #options: StartHoldOptions;

  constructor(options: StartHoldOptions) {
    this.#options = options;
  }

  /**
   * @param elapsedMs Since when the pieces have been awaited.
   * @returns Milliseconds after its last byte; 0: not at all.
   */
  holdMs({ url, clientId, pieces }: AwaitedBody, elapsedMs: number): number {
    const { playbackOf, segmentOf, readsAhead } = this.#options;
    const playback = playbackOf(clientId);
    const starts = playback?.aheadS === 0 && !playback.starving && !playback.hidden;
    const durationS = segmentOf(url)?.durationS;
    if (!starts || durationS === undefined || !readsAhead()) return 0;
    const missingBytes = this.#missingBytes(url, pieces, () => false);
    const nextMissingBytes = this.#nextMissingBytes(url);
    if (missingBytes === undefined || nextMissingBytes === undefined) return 0;
    const heldBytes = (pieces.to - pieces.from) * PIECE_BYTES - missingBytes;
    return startHoldMs({ heldBytes, missingBytes, elapsedMs, durationS, nextMissingBytes });
  }

  #nextMissingBytes(url: string): number | undefined {
    const { planner, trust, upcoming } = this.#options;
    const [next] = upcoming(url, 1);
    const assetId = next && trust.find(next)?.assetId;
    if (!next || !assetId) return undefined;
    const among = (piece: number) => planner.heldByPeers(assetId, { from: piece, to: piece + 1 });
    return this.#missingBytes(next, undefined, among);
  }

  /** @returns `undefined` if nobody vouches for the URL. */
  #missingBytes(
    url: string,
    range: PieceRange | undefined,
    among: (piece: number) => boolean,
  ): number | undefined {
    const { trust, library } = this.#options;
    const asset = trust.find(url);
    if (!asset) return undefined;
    const have = library.have(asset);
    const { from, to } = range ?? { from: 0, to: have.pieceCount };
    let missing = 0;
    for (let piece = from; piece < to; piece++) if (!have.has(piece) && !among(piece)) missing++;
    return missing * PIECE_BYTES;
  }
}
