/**
 * The host's side of one request of the worker: decides between passing through and pieces, hands the
 * planner's work to the worker, and learns from the origin bytes that the worker shows it.
 * @module
 */
import { worthTakingOver } from "../../engine/origin/take-over.js";
import type { Command } from "../../engine/planning/command.js";
import type { Planner } from "../../engine/planning/planner.js";
import type { PlaybackState } from "../../engine/playback/deadline.js";
import {
  type ByteRange,
  coveredRange,
  type PieceRange,
  piecesOfBytes,
  windowOf,
} from "../../protocol/asset.js";
import {
  OPEN_RANGE_JOINING_MAX_BYTES,
  OPEN_RANGE_MAX_BYTES,
  PIECE_BYTES,
  WINDOW_BYTES,
} from "../../protocol/limits.js";
import type { VerifiedPiece } from "../../protocol/verify.js";
import type { DeliveryMessage, Want } from "../../protocol/worker-messages.js";
import type { Trust, TrustedAsset } from "../trust/trust.js";
import { isAnswerable } from "./answerable.js";
import { AttestedSpan } from "./attested-span.js";
import { OriginLearner } from "./origin-learner.js";
import { PassingRecord } from "./passing-record.js";
import { PieceDelivery } from "./piece-delivery.js";
import type { PieceLibrary } from "./piece-library.js";
import { RequestClock } from "./request-clock.js";
import { WorkerPort } from "./worker-port.js";

export interface SessionOptions {
  readonly id: number;
  readonly want: Want;
  readonly port: MessagePort;
  readonly planner: Planner;
  readonly library: PieceLibrary;
  readonly trust: Trust;
  readonly now: () => number;
  readonly playback: () => PlaybackState | undefined;
  /** Attestation (or refusal) of a window, from the index; resolves when it is known either way. */
  readonly attest: (url: string, window: number) => Promise<void>;
  /** Whether links or answers are on their way that may change who holds what. */
  readonly hopeful: () => boolean;
  /** Whether nobody is linked, and no link is on its way; the worker is told so. */
  readonly sayAlone: () => boolean;
  readonly run: (commands: readonly Command[]) => void;
  /** The request is answered from pieces, from the start or from here on. */
  readonly onPlanned: (asset: TrustedAsset, pieces: PieceRange) => void;
  /** The origin brought a piece for it, which is in the library now. */
  readonly onLearned: (asset: TrustedAsset, piece: VerifiedPiece) => void;
  readonly onError: (error: unknown) => void;
  readonly signal: AbortSignal;
}

/** The worker goes on alone after a silence of 2.5 s. */
const SIGN_OF_LIFE_MS = 1_000;

export class DeliverySession {
  readonly id: number;
  readonly url: string;
  readonly want: Want;
  readonly #options: SessionOptions;
  readonly #lifetime = new AbortController();
  readonly #span: AttestedSpan;
  readonly #record: PassingRecord;
  readonly #learner: OriginLearner;
  readonly #clock: RequestClock;
  readonly #worker: WorkerPort;
  #pieces: PieceRange = { from: 0, to: 0 };
  /** Once it is answered from pieces. */
  #delivery: PieceDelivery | undefined;
  /** The origin's response passes through and is shown to us. */
  #passing = false;
  #openMaxBytes = OPEN_RANGE_MAX_BYTES;

  constructor(options: SessionOptions) {
    this.id = options.id;
    this.want = options.want;
    this.url = options.want.url;
    this.#options = options;
    this.#clock = new RequestClock(options);
    this.#span = new AttestedSpan({
      ...options,
      active: options.want.active,
      onAttested: (asset) => this.closed.aborted || this.#delivery?.allow(asset),
      onEnd: () => this.fail(),
    });
    this.#record = new PassingRecord(this.#clock.startedMs);
    this.#learner = new OriginLearner({
      ...options,
      url: this.url,
      asset: () => this.#delivery?.asset ?? options.trust.find(this.url),
      onLearned: (piece, asset) => {
        this.#worker.knew(piece.piece);
        options.onLearned(asset, piece);
        this.#delivery?.originArrived(piece);
      },
    });
    this.#worker = new WorkerPort({
      ...{ port: options.port, now: options.now, signal: this.closed },
      onMessage: (message) => this.#receive(message),
    });
    options.signal.addEventListener("abort", () => this.fail(), { signal: this.closed });
    this.#worker.post({ type: "accept" });
  }

  /** Aborts when the request is over. */
  get closed(): AbortSignal {
    return this.#lifetime.signal;
  }

  /** What answers it, once that is planned. */
  get asset(): TrustedAsset | undefined {
    return this.#delivery?.asset;
  }

  /** When the page needs the bytes, judged by what its players have buffered now. */
  get deadlineMs(): number {
    return this.#clock.deadlineMs(this.#pieces);
  }

  /** Decides how the request is answered; the worker waits for this. */
  async decide(): Promise<void> {
    const { url } = this.want;
    const { trust } = this.#options;
    if (trust.refused(url)) return this.#passThrough(false);
    const firstWindow = Math.floor((this.want.range?.start ?? 0) / WINDOW_BYTES);
    const attested = () => this.#span.covers(trust.find(url), firstWindow);
    const attesting = attested() ? undefined : this.#options.attest(url, firstWindow);
    if (attesting) await this.#clock.patiently(attesting);
    if (this.closed.aborted) return;
    const asset = trust.find(url);
    // What passes already may be taken over later, if that is worth the bytes on their way.
    const passes = this.want.passingMs !== undefined;
    if (!asset || !attested() || passes || !this.#answerable(asset)) {
      const worthLearning = !this.want.active || trust.maySign(url);
      this.#passThrough(!trust.refused(url) && worthLearning);
      void (attesting ?? Promise.resolve())
        .then(() => this.#attested())
        .catch(this.#options.onError);
      return;
    }
    this.#plan(asset);
  }

  /** A verified piece is in the library: the worker gets its own copy. */
  deliver(verified: VerifiedPiece, source: "mesh" | "cache"): void {
    this.#delivery?.deliver(verified, source);
  }

  /** The planner orders pieces from the origin. */
  fetch({ from, to }: PieceRange): void {
    this.#worker.post({ type: "fetch", from, to });
  }

  /** What is being fetched from the origin for this request, as far as it is known to be worth sharing. */
  claims(): ({ assetId: string } & PieceRange)[] {
    const asset = this.#delivery?.asset ?? this.#options.trust.find(this.url);
    if (!asset) return [];
    const { assetId } = asset;
    if (this.#delivery) {
      return this.#options.planner.owed(this.id).map((run) => ({ assetId, ...run }));
    }
    const rest = this.#passing ? this.#restOf(asset) : undefined;
    return rest && rest.from < rest.to ? [{ assetId, ...rest }] : [];
  }

  /** Time passes: call it every 50 to 100 ms. */
  tick(): void {
    this.#reconsider();
    const thinking = this.#delivery && this.#options.now() < this.deadlineMs;
    // Neighbours that share a slow origin wait for each other for longer than the worker waits for its host.
    if (thinking && this.#worker.silentMs >= SIGN_OF_LIFE_MS) this.#worker.post({ type: "accept" });
  }

  /** A response that passes through goes on from pieces once somebody can help (docs/decisions/0014). */
  #reconsider(): void {
    const { trust, planner, now } = this.#options;
    const asset = this.#passing && planner.linked ? trust.find(this.url) : undefined;
    const rest = asset && this.#restOf(asset);
    if (!asset || !rest || !this.#span.covers(asset, windowOf(rest.from))) return;
    // The worker listens for another plan once it has a response to pass on.
    if (!this.#record.begun) return;
    const worth = worthTakingOver(this.#record.seen(asset, rest, planner, now()));
    if (worth) this.#takeOver(asset, rest);
  }

  /** Nobody can bring what is missing, or the mesh stops: the worker finishes alone. */
  fail(): void {
    this.#worker.post({ type: "fail" });
    this.#close();
  }

  /** Whether pieces can answer it, and somebody but the origin has them or soon will. */
  #answerable(asset: TrustedAsset): boolean {
    const range = this.#rangeOf(asset);
    if (!range) return false;
    this.#pieces = piecesOfBytes(range);
    return isAnswerable(asset, range, { ...this.#options, clock: this.#clock });
  }

  /** What has not passed through yet; `undefined` if the request lies outside the asset. */
  #restOf(asset: TrustedAsset): PieceRange | undefined {
    const range = this.#rangeOf(asset);
    return range && this.#record.restOf(piecesOfBytes(range));
  }

  #takeOver(asset: TrustedAsset, rest: PieceRange): void {
    const { planner, run } = this.#options;
    // Not one piece yet: it is at most as fast as one piece in all this time.
    this.#sampleOrigin(PIECE_BYTES);
    this.#passing = false;
    this.#clock.restart();
    this.#pieces = rest;
    // The stream that brought them ends: whoever waits for it elects anew, as this viewer does.
    run(planner.relay.takeOver(asset.assetId, rest.from));
    this.#plan(asset);
  }

  /** What passed through shows how fast the origin is. */
  #sampleOrigin(leastBytes?: number): void {
    const sample = this.#record.sample(this.#options.now(), leastBytes);
    if (sample) this.#options.planner.origin.passed(sample);
  }

  #plan(asset: TrustedAsset): void {
    this.#delivery = new PieceDelivery({
      ...this.#options,
      ...{ asset, pieces: this.#pieces, active: this.want.active, tookOver: this.#record.begun },
      ...{ worker: this.#worker, span: this.#span, clock: this.#clock, signal: this.closed },
    });
    this.#options.onPlanned(asset, this.#pieces);
    this.#delivery.open();
  }

  #passThrough(observe: boolean): void {
    const joining = observe && this.#options.hopeful();
    this.#openMaxBytes = joining ? OPEN_RANGE_JOINING_MAX_BYTES : OPEN_RANGE_MAX_BYTES;
    this.#passing = observe;
    const alone = this.#options.sayAlone();
    this.#worker.post({ type: "origin", observe, openMaxBytes: this.#openMaxBytes, alone });
    if (!observe) this.#close();
  }

  /**
   * The bytes that pass through turn out to be attested: neighbours hear that they are on their way, and
   * get each piece as it comes instead of fetching it as well.
   */
  async #attested(): Promise<void> {
    const { trust, run, library } = this.#options;
    const asset = trust.find(this.url);
    const range = asset && this.#rangeOf(asset);
    if (!asset || !range || this.closed.aborted) return;
    const { from, to } = piecesOfBytes(range);
    if (this.#passing && from < to && !library.have(asset).hasRange(from, to)) {
      run(this.#options.planner.relay.claim(asset.assetId, { from, to }));
    }
    await this.#learner.retry();
  }

  #receive(message: DeliveryMessage): void {
    const { library, now, onError, planner, run } = this.#options;
    switch (message.type) {
      case "head":
        return this.#record.head(now());
      case "origin-piece":
        this.#record.sent(message.piece, message.bytes.byteLength);
        void this.#learner.learn(message.piece, message.bytes).catch(onError);
        return;
      case "origin-end":
        if (message.outcome === "changed") library.disown(this.url);
        return run(planner.originEnded(this.id, message.outcome, now()));
      case "position":
        return this.#delivery?.advance(message.piece);
      case "end":
        return void this.#finish(message.complete);
    }
  }

  /** The request is over; what was observed may still wait for its attestation. */
  async #finish(complete: boolean): Promise<void> {
    if (!this.#delivery && complete) this.#sampleOrigin();
    this.#close();
    await this.#learner.finish();
  }

  #rangeOf({ length }: TrustedAsset): ByteRange | undefined {
    return coveredRange(this.want.range, length, this.#openMaxBytes);
  }

  #close(): void {
    if (this.closed.aborted) return;
    this.#lifetime.abort();
    this.#options.run(this.#options.planner.close(this.id));
  }
}
