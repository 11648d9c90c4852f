/**
 * Learns from the bytes that the origin sends for one request: each piece is kept only if it equals what is
 * attested (rule R8). Pieces that come before their attestation wait for it.
 * @module
 */
import { windowOf } from "../../protocol/asset.js";
import { type VerifiedPiece, verifyPiece } from "../../protocol/verify.js";
import type { Trust, TrustedAsset } from "../trust/trust.js";
import type { PieceLibrary } from "./piece-library.js";

export interface OriginLearnerOptions {
  readonly url: string;
  readonly trust: Trust;
  /** What the request is about, once that is known. */
  readonly asset: () => TrustedAsset | undefined;
  readonly library: PieceLibrary;
  readonly attest: (url: string, window: number) => Promise<void>;
  /** A piece was verified and kept. */
  readonly onLearned: (piece: VerifiedPiece, asset: TrustedAsset) => void;
  readonly onError: (error: unknown) => void;
}

/** Origin pieces that wait for their attestation. */
const UNVERIFIED_MAX_PIECES = 128;

export class OriginLearner {
  readonly #options: OriginLearnerOptions;
  readonly #unverified = new Map<number, Uint8Array<ArrayBuffer>>();
  readonly #attesting = new Set<number>();

  constructor(options: OriginLearnerOptions) {
    this.#options = options;
  }

  /** The origin sent a piece; `bytes` belong to this object from now on. */
  async learn(piece: number, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    const { url, library, onLearned } = this.#options;
    const asset = this.#options.asset();
    const window = asset?.windows.get(windowOf(piece));
    if (!asset || !window) return this.#keep(asset, piece, bytes);
    const verified = await verifyPiece(window, piece, bytes);
    if (!verified) return library.disown(url);
    library.add(asset, verified);
    onLearned(verified, asset);
  }

  /** An attestation came: whatever waited for it is looked at again. */
  async retry(): Promise<void> {
    for (const [piece, bytes] of [...this.#unverified]) {
      this.#unverified.delete(piece);
      await this.learn(piece, bytes);
    }
  }

  /** Nothing more will come; what still waits has one last chance. */
  async finish(): Promise<void> {
    if (this.#unverified.size === 0) return;
    const { url, trust, attest } = this.#options;
    const windows = new Set([...this.#unverified.keys()].map(windowOf));
    for (const window of windows) await attest(url, window);
    if (!trust.refused(url)) await this.retry();
    this.#unverified.clear();
  }

  /**
   * Asks for the attestation of what passes by. To wait for the end of a long body would lose what does not
   * fit into memory until then.
   */
  #keep(asset: TrustedAsset | undefined, piece: number, bytes: Uint8Array<ArrayBuffer>): void {
    if (this.#unverified.size < UNVERIFIED_MAX_PIECES) this.#unverified.set(piece, bytes);
    const window = windowOf(piece);
    if (!asset || this.#attesting.has(window)) return;
    this.#attesting.add(window);
    const { url, attest, onError } = this.#options;
    void attest(url, window)
      .then(() => this.retry())
      .catch(onError);
  }
}
