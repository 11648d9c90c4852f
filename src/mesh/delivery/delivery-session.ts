/**
 * The host's side of one request of the worker: decides between passing through and pieces, hands the
 * planner's work to the worker, and learns from the origin bytes that the worker shows it.
 * @module
 */

import { SLOW_ORIGIN_MS } from "../../engine/origin/origin-source.js";
import { worthTakingOver } from "../../engine/origin/take-over.js";
import type { Command } from "../../engine/planning/command.js";
import type { Planner } from "../../engine/planning/planner.js";
import { LOOK_AHEAD_PIECES } from "../../engine/planning/request-state.js";
import type { PlaybackState } from "../../engine/playback/deadline.js";
import {
  type ByteRange,
  type PieceRange,
  pieceCountOf,
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
import { AttestedSpan } from "./attested-span.js";
import { OriginLearner } from "./origin-learner.js";
import { PassingRecord } from "./passing-record.js";
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
  /** Whether nobody is linked, and no link is on its way. */
  readonly alone: () => boolean;
  readonly run: (commands: readonly Command[]) => void;
  /** The request is answered from pieces, from the start or from here on. */
  readonly onPlanned: (asset: TrustedAsset) => void;
  readonly onError: (error: unknown) => void;
  readonly signal: AbortSignal;
}

/** The worker goes on alone after a silence of 2.5 s. */
const SIGN_OF_LIFE_MS = 1_000;

export class DeliverySession {
  readonly id: number;
  readonly url: string;
  readonly #options: SessionOptions;
  readonly #lifetime = new AbortController();
  readonly #span: AttestedSpan;
  readonly #record: PassingRecord;
  readonly #learner: OriginLearner;
  readonly #clock: RequestClock;
  readonly #worker: WorkerPort;
  #asset: TrustedAsset | undefined;
  #pieces: PieceRange = { from: 0, to: 0 };
  /** Next piece that the page needs. */
  #position = 0;
  #planned = false;
  /** The origin's response passes through and is shown to us. */
  #passing = false;
  #openMaxBytes = OPEN_RANGE_MAX_BYTES;

  constructor(options: SessionOptions) {
    this.id = options.id;
    this.url = options.want.url;
    this.#options = options;
    this.#clock = new RequestClock(options);
    this.#span = new AttestedSpan({
      active: options.want.active,
      attest: options.attest,
      onAttested: (asset) => this.#allow(asset),
      onEnd: () => this.fail(),
      onError: options.onError,
    });
    this.#record = new PassingRecord(this.#clock.startedMs);
    this.#learner = new OriginLearner({
      ...options,
      url: this.url,
      asset: () => this.#asset ?? options.trust.find(this.url),
      onLearned: (piece) => this.#learned(piece),
    });
    this.#worker = new WorkerPort({
      ...{ port: options.port, now: options.now, signal: this.closed },
      onMessage: (message) => this.#receive(message),
    });
    options.signal.addEventListener("abort", () => this.#leave(), { signal: this.closed });
    this.#worker.post({ type: "accept" });
  }

  /** Aborts when the request is over. */
  get closed(): AbortSignal {
    return this.#lifetime.signal;
  }

  get assetId(): string | undefined {
    return this.#planned ? this.#asset?.assetId : undefined;
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
    if (attesting) await this.#patiently(attesting);
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
    const { piece } = verified;
    if (!this.#planned || this.#worker.knows(piece)) return;
    if (piece < this.#pieces.from || piece >= this.#pieces.to) return;
    if (this.want.active && !this.#span.covers(this.#asset, windowOf(piece))) return;
    this.#worker.piece(verified, source);
  }

  /** The planner orders pieces from the origin. */
  fetch({ from, to }: PieceRange): void {
    this.#worker.post({ type: "fetch", from, to });
  }

  /** What is being fetched from the origin for this request, as far as it is known to be worth sharing. */
  claims(): ({ assetId: string } & PieceRange)[] {
    const asset = this.#asset ?? this.#options.trust.find(this.url);
    if (!asset) return [];
    const { assetId } = asset;
    if (this.#planned)
      return this.#options.planner.owed(this.id).map((run) => ({ assetId, ...run }));
    const rest = this.#passing ? this.#restOf(asset) : undefined;
    return rest && rest.from < rest.to ? [{ assetId, ...rest }] : [];
  }

  /** Time passes: call it every 50 to 100 ms. */
  tick(): void {
    this.#reconsider();
    const thinking = this.#planned && this.#options.now() < this.deadlineMs;
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
    const { assetId } = asset;
    const probed = { from: rest.from, to: Math.min(rest.to, rest.from + LOOK_AHEAD_PIECES) };
    let heldPieces = 0;
    for (let piece = probed.from; piece < probed.to; piece++) {
      if (planner.heldByPeers(assetId, { from: piece, to: piece + 1 })) heldPieces++;
    }
    const restPieces = rest.to - rest.from;
    const worth = worthTakingOver({
      observedMs: this.#record.durationMs(now()),
      observedBytes: this.#record.bytes,
      restBytes: restPieces * PIECE_BYTES,
      restPieces,
      heldPieces,
      shared: planner.shared(assetId, pieceCountOf(asset.length), now()),
    });
    if (worth) this.#takeOver(asset, rest);
  }

  fail(): void {
    this.#worker.post({ type: "fail" });
    this.#close();
  }

  private get want(): Want {
    return this.#options.want;
  }

  /** Waits for the attestation as long as the deadline allows. */
  async #patiently(attesting: Promise<void>): Promise<void> {
    const waitMs = this.#clock.attestationMs;
    if (waitMs <= 0) return;
    await Promise.race([
      attesting,
      new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, waitMs);
        void attesting.then(() => clearTimeout(timer));
      }),
    ]);
  }

  /** Whether pieces can answer it, and somebody but the origin has them or soon will. */
  #answerable(asset: TrustedAsset): boolean {
    const { planner, library, hopeful } = this.#options;
    const range = this.#rangeOf(asset);
    if (!range) return false;
    this.#pieces = piecesOfBytes(range);
    this.#position = this.#pieces.from;
    const { from, to } = this.#pieces;
    if (library.have(asset).hasRange(from, to)) return true;
    if (planner.heldByPeers(asset.assetId, this.#pieces)) return true;
    // Nobody has it yet. With time to spare the neighbourhood elects who fetches what; without, the
    // origin's own stream is the fastest, and neighbours learn from it.
    const patientMs = this.#clock.patientUntilMs(this.#pieces) - this.#options.now();
    if (patientMs > 0 && (hopeful() || planner.linked)) return true;
    // A slow origin is shared from the start, or everybody streams the same bytes.
    return planner.linked && planner.originMs(range.end - range.start) > SLOW_ORIGIN_MS;
  }

  /** Tells worker and planner how far the asset is attested. */
  #allow(asset: TrustedAsset): void {
    if (this.closed.aborted) return;
    if (this.#asset) this.#worker.hashes(this.#asset, this.#pieces);
    const { planner, run, now } = this.#options;
    run(planner.allow(this.id, this.#span.endFrom(asset, this.#position), now()));
  }

  /** What has not passed through yet; `undefined` if the request lies outside the asset. */
  #restOf(asset: TrustedAsset): PieceRange | undefined {
    const range = this.#rangeOf(asset);
    if (!range) return undefined;
    return this.#record.restOf(piecesOfBytes(range));
  }

  #takeOver(asset: TrustedAsset, rest: PieceRange): void {
    const { planner, run } = this.#options;
    // Not one piece yet: it is at most as fast as one piece in all this time.
    this.#sampleOrigin(PIECE_BYTES);
    this.#passing = false;
    this.#clock.restart();
    this.#pieces = rest;
    this.#position = rest.from;
    // The stream that brought them ends: whoever waits for it elects anew, as this viewer does.
    run(planner.takeOver(asset.assetId, rest.from));
    this.#plan(asset);
  }

  /** What passed through shows how fast the origin is. */
  #sampleOrigin(leastBytes?: number): void {
    const sample = this.#record.sample(this.#options.now(), leastBytes);
    if (sample) this.#options.planner.sampleOrigin(sample);
  }

  #plan(asset: TrustedAsset): void {
    const { planner, library, now, run } = this.#options;
    this.#asset = asset;
    this.#planned = true;
    this.#worker.post({
      type: "mesh",
      assetId: asset.assetId,
      length: asset.length,
      headers: asset.headers,
    });
    this.#options.onPlanned(asset);
    this.#worker.hashes(asset, this.#pieces);
    const have = library.have(asset);
    void this.#deliverHeld(asset);
    run(
      planner.open(
        {
          id: this.id,
          assetId: asset.assetId,
          pieceCount: have.pieceCount,
          pieces: this.#pieces,
          deadlineMs: this.deadlineMs,
          attestedTo: this.#span.endFrom(asset, this.#position),
          patientUntilMs: this.#clock.patientUntilMs(this.#pieces),
          tookOver: this.#record.begun,
        },
        have,
        now(),
      ),
    );
    this.#span.extend(asset, this.#position, this.#pieces.to);
  }

  /** Pieces that are here already, in order, a few at a time. */
  async #deliverHeld(asset: TrustedAsset): Promise<void> {
    const { library } = this.#options;
    for (let piece = this.#pieces.from; piece < this.#pieces.to; piece++) {
      if (this.closed.aborted) return;
      if (this.#worker.knows(piece) || !library.have(asset).has(piece)) continue;
      const held = await library.read(asset, piece);
      if (held) this.deliver(held, "cache");
    }
  }

  #passThrough(observe: boolean): void {
    const joining = observe && this.#options.hopeful();
    this.#openMaxBytes = joining ? OPEN_RANGE_JOINING_MAX_BYTES : OPEN_RANGE_MAX_BYTES;
    this.#passing = observe;
    const alone = this.#options.alone();
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
      run(this.#options.planner.claim(asset.assetId, { from, to }));
    }
    await this.#learner.retry();
  }

  #receive(message: DeliveryMessage): void {
    switch (message.type) {
      case "head":
        return this.#record.head(this.#options.now());
      case "origin-piece":
        this.#record.sent(message.piece, message.bytes.byteLength);
        void this.#learner.learn(message.piece, message.bytes).catch(this.#options.onError);
        return;
      case "origin-end":
        if (message.corrupt) this.#options.library.disown(this.url);
        return this.#options.run(
          this.#options.planner.originEnded(this.id, message.complete, this.#options.now()),
        );
      case "position":
        this.#position = message.piece;
        if (this.#asset) this.#span.extend(this.#asset, this.#position, this.#pieces.to);
        return this.#options.run(
          this.#options.planner.advance(this.id, message.piece, this.#options.now()),
        );
      case "end":
        return void this.#finish(message.complete);
    }
  }

  /** The origin brought a piece, and it is the attested one. */
  #learned({ piece, bytes }: VerifiedPiece): void {
    this.#worker.knew(piece);
    if (!this.#planned) return;
    const { planner, now, run } = this.#options;
    run(planner.originArrived(this.id, piece, bytes.byteLength, now()));
  }

  /** The request is over; what was observed may still wait for its attestation. */
  async #finish(complete: boolean): Promise<void> {
    if (!this.#planned && complete) this.#sampleOrigin();
    this.#close();
    await this.#learner.finish();
  }

  #rangeOf({ length }: TrustedAsset): ByteRange | undefined {
    const { range } = this.want;
    if (!range) return { start: 0, end: length };
    if (range.start >= length) return undefined;
    const end = range.end ?? range.start + this.#openMaxBytes;
    return { start: range.start, end: Math.min(end, length) };
  }

  /** The page goes away or the mesh stops: the worker finishes alone. */
  #leave(): void {
    this.#worker.post({ type: "fail" });
    this.#close();
  }

  #close(): void {
    if (this.closed.aborted) return;
    this.#lifetime.abort();
    this.#options.run(this.#options.planner.close(this.id));
  }
}
