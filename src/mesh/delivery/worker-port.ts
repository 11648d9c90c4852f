/**
 * The host's end of one request's port: what the worker has been told of it. It stays silent once the request is over.
 * @module
 */
import type { PieceRange } from "../../protocol/asset.js";
import type { VerifiedPiece } from "../../protocol/verify.js";
import type { DeliveryMessage, HostMessage } from "../../protocol/worker-messages.js";
import type { TrustedAsset } from "../trust/trust.js";

export class WorkerPort {
  readonly #port: MessagePort;
  readonly #now: () => number;
  readonly #signal: AbortSignal;
  /** Pieces that the worker has, from here or from the origin. */
  readonly #known = new Set<number>();
  /** First pieces of the windows whose hashes it has. */
  readonly #hashed = new Set<number>();
  #saidMs = 0;

  /**
   * @param options.port Owned by this object from now on; closed with `signal`.
   * @param options.signal Aborts when the request is over.
   */
  constructor(options: {
    port: MessagePort;
    now: () => number;
    onMessage: (message: DeliveryMessage) => void;
    signal: AbortSignal;
  }) {
    this.#port = options.port;
    this.#now = options.now;
    this.#signal = options.signal;
    this.#port.onmessage = ({ data }: MessageEvent<DeliveryMessage>) => options.onMessage(data);
    this.#signal.addEventListener("abort", () => this.#port.close(), { once: true });
  }

  /** Milliseconds since the worker last heard of the host. */
  get silentMs(): number {
    return this.#now() - this.#saidMs;
  }

  post(message: HostMessage, transfer: Transferable[] = []): void {
    if (this.#signal.aborted) return;
    this.#saidMs = this.#now();
    this.#port.postMessage(message, transfer);
  }

  knows(piece: number): boolean {
    return this.#known.has(piece);
  }

  /** The worker has the piece from the origin. */
  knew(piece: number): void {
    this.#known.add(piece);
  }

  /** Sends a copy of a piece that the worker does not have. */
  piece({ piece, bytes }: VerifiedPiece, source: "mesh" | "cache"): void {
    this.#known.add(piece);
    const copy = bytes.slice();
    this.post({ type: "piece", piece, bytes: copy, source }, [copy.buffer]);
  }

  /** Sends the hashes of the pieces' windows, as far as they are attested and not sent yet. */
  hashes(asset: TrustedAsset, { from, to }: PieceRange): void {
    for (const { firstPiece, hashes } of asset.windows.values()) {
      const wanted = firstPiece < to && firstPiece + hashes.length > from;
      if (!wanted || this.#hashed.has(firstPiece)) continue;
      this.#hashed.add(firstPiece);
      this.post({ type: "hashes", firstPiece, hashes });
    }
  }
}
