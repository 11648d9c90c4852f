/**
 * A request that is answered from pieces: brings what the library gets to the worker, and tells the planner how far
 * the page is.
 * @module
 */
import type { PieceSet } from "../../core/piece-set.js";
import type { Command } from "../../engine/planning/command.js";
import type { Planner } from "../../engine/planning/planner.js";
import { type PieceRange, windowOf } from "../../protocol/asset.js";
import type { VerifiedPiece } from "../../protocol/verify.js";
import type { TrustedAsset } from "../trust/trust.js";
import type { AttestedSpan } from "./attested-span.js";
import type { PieceLibrary } from "./piece-library.js";
import type { RequestClock } from "./request-clock.js";
import type { WorkerPort } from "./worker-port.js";

export interface PieceDeliveryOptions {
  /** Of the request. */
  readonly id: number;
  readonly asset: TrustedAsset;
  readonly pieces: PieceRange;
  /** Only what the publisher signed may be shown (rule R7). */
  readonly active: boolean;
  /** Whether it goes on what passed through before. */
  readonly tookOver: boolean;
  readonly worker: WorkerPort;
  readonly span: AttestedSpan;
  readonly clock: RequestClock;
  readonly planner: Planner;
  readonly library: PieceLibrary;
  readonly now: () => number;
  readonly run: (commands: readonly Command[]) => void;
  /** Aborts when the request is over. */
  readonly signal: AbortSignal;
}

export class PieceDelivery {
  readonly asset: TrustedAsset;
  readonly #options: PieceDeliveryOptions;
  /** What is here of the asset: the library's set, until it disowns the asset. */
  readonly #have: PieceSet;
  /** Next piece that the page needs. */
  #position: number;

  /** Tells the worker what the answer is. {@link open} starts. */
  constructor(options: PieceDeliveryOptions) {
    this.#options = options;
    this.asset = options.asset;
    this.#have = options.library.have(options.asset);
    this.#position = options.pieces.from;
    const { assetId, length, headers } = options.asset;
    options.worker.post({ type: "mesh", assetId, length, headers });
  }

  open(): void {
    const { id, asset, pieces, clock, now, planner, run, span, worker } = this.#options;
    worker.hashes(asset, pieces);
    void this.#deliverHeld();
    const request = {
      ...{ id, assetId: asset.assetId, pieceCount: this.#have.pieceCount, pieces },
      deadlineMs: clock.deadlineMs(pieces),
      attestedTo: span.endFrom(asset, this.#position),
      patientUntilMs: clock.patientUntilMs(pieces),
      tookOver: this.#options.tookOver,
    };
    run(planner.open(request, this.#have, now()));
    span.extend(asset, this.#position, pieces.to);
  }

  /** A verified piece is here: the worker gets its own copy. */
  deliver(verified: VerifiedPiece, source: "mesh" | "cache"): void {
    const { asset, pieces, active, span, worker } = this.#options;
    const { piece } = verified;
    this.#have.add(piece);
    if (worker.knows(piece) || piece < pieces.from || piece >= pieces.to) return;
    if (active && !span.covers(asset, windowOf(piece))) return;
    worker.piece(verified, source);
  }

  /** More of the asset is attested, as the trust has it by now. */
  allow(asset: TrustedAsset): void {
    const { id, pieces, now, planner, run, span, worker } = this.#options;
    worker.hashes(this.asset, pieces);
    run(planner.allow(id, span.endFrom(asset, this.#position), now()));
  }

  /** The page has taken everything before `piece`. */
  advance(piece: number): void {
    const { id, asset, pieces, now, planner, run, span } = this.#options;
    this.#position = piece;
    span.extend(asset, piece, pieces.to);
    run(planner.advance(id, piece, now()));
  }

  /** The origin brought a piece, and it is the attested one. */
  originArrived({ piece, bytes }: VerifiedPiece): void {
    const { id, now, planner, run } = this.#options;
    this.#have.add(piece);
    run(planner.originArrived(id, piece, bytes.byteLength, now()));
  }

  /** Pieces that are here already, in order, a few at a time. */
  async #deliverHeld(): Promise<void> {
    const { asset, pieces, library, signal, worker } = this.#options;
    for (let piece = pieces.from; piece < pieces.to; piece++) {
      if (signal.aborted) return;
      if (worker.knows(piece) || !this.#have.has(piece)) continue;
      const held = await library.read(asset, piece);
      if (held) this.deliver(held, "cache");
      else if (!worker.knows(piece)) this.#have.delete(piece);
    }
  }
}
