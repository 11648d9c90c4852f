/**
 * The host's side of what is read of the origin before a page asks: orders pieces of the worker, and learns from what
 * it shows. Nothing is shown to a page from here: what is learned is in the library when it asks.
 * @module
 */
import type { PieceRange } from "../../protocol/asset.js";
import type { VerifiedPiece } from "../../protocol/verify.js";
import type { AheadOrder, DeliveryMessage } from "../../protocol/worker-messages.js";
import { OriginLearner, type OriginLearnerOptions } from "../delivery/origin-learner.js";

export interface AheadFetchOptions extends Omit<OriginLearnerOptions, "onLearned"> {
  /** To the worker; owned by this object from now on. */
  readonly port: MessagePort;
  /** The origin sent a piece, and it is the attested one. */
  readonly onPiece: (piece: VerifiedPiece) => void;
  /** One order is over. */
  readonly onEnd: (complete: boolean) => void;
}

/** A slow origin needs a second or two for a piece. */
const SILENT_MS = 5_000;

export class AheadFetch {
  readonly #options: AheadFetchOptions;
  readonly #learner: OriginLearner;
  #orders = 0;
  #closing = false;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(options: AheadFetchOptions) {
    this.#options = options;
    this.#learner = new OriginLearner({ ...options, onLearned: (piece) => options.onPiece(piece) });
    options.port.onmessage = ({ data }: MessageEvent<DeliveryMessage>) => this.#receive(data);
  }

  fetch({ from, to }: PieceRange): void {
    this.#orders++;
    this.#listen();
    this.#post({ type: "fetch", from, to });
  }

  /** No order will follow. What is on its way still comes: neighbours were told of it, and half a piece is a waste. */
  close(): void {
    this.#closing = true;
    if (this.#orders > 0) return;
    clearTimeout(this.#timer);
    this.#post({ type: "end" });
    this.#options.port.close();
  }

  #receive(message: DeliveryMessage): void {
    const { onEnd, onError } = this.#options;
    this.#listen();
    if (message.type === "origin-piece") {
      void this.#learner.learn(message.piece, message.bytes).catch(onError);
    } else if (message.type === "origin-end") {
      this.#orders--;
      onEnd(message.outcome === "complete");
      if (this.#closing) this.close();
    }
  }

  /** A worker that was stopped, or knows nothing of this, leaves nobody waiting. */
  #listen(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      for (; this.#orders > 0; this.#orders--) this.#options.onEnd(false);
      if (this.#closing) this.close();
    }, SILENT_MS);
  }

  #post(order: AheadOrder): void {
    this.#options.port.postMessage(order);
  }
}
