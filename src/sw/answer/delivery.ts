/**
 * One response put together from pieces: cached and peers' pieces that the host sends, and origin bytes
 * that the worker fetches itself, at the host's order or on its own when the host falls silent. Bytes
 * leave in order; origin bytes join only as verified pieces, so two versions are never spliced (rule R9).
 * Before the first piece is here nothing has been promised to the page, and the caller can still pass the
 * request through. After that a shortfall errors the stream: a short body would look complete (rule R15). An origin
 * that has another version by then brings nothing any more; peers that hold the promised one may still complete it.
 * @module
 */
import { NearcastError } from "../../core/errors.js";
import {
  type ByteRange,
  bytesOfPiece,
  type PieceRange,
  piecesOfBytes,
} from "../../protocol/asset.js";
import { matchesHash } from "../../protocol/verify.js";
import type {
  BytesBySource,
  DeliveryMessage,
  HostMessage,
  OriginOutcome,
} from "../../protocol/worker-messages.js";
import { isOfAnotherVersion, OriginRuns, type OriginRunsOptions } from "../origin/origin-runs.js";

type Source = keyof BytesBySource;

export interface DeliveryOptions extends OriginRunsOptions {
  /** The bytes of the asset that the response carries. */
  readonly covered: ByteRange;
  readonly port: MessagePort;
  /** The host tab is gone. */
  readonly hostGone: AbortSignal;
  /** The page was given bytes. */
  readonly onBytes: (source: keyof BytesBySource, bytes: number) => void;
  /** The origin sent bytes that the page was not given, as a peer was first. */
  readonly onSurplus: (bytes: number) => void;
  readonly onEnd: () => void;
}

/** Bytes that wait for a slow page in the stream itself. */
const STREAM_BUFFER_BYTES = 262_144;
/** Nothing from host or origin for so long: the worker goes on alone. The host acts long before that. */
const SILENCE_MS = 2_500;

interface Arrived {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly source: Source;
}

export class Delivery {
  readonly #options: DeliveryOptions;
  readonly #lifetime = new AbortController();
  readonly #arrived = new Map<number, Arrived>();
  readonly #hashes = new Map<number, Uint8Array>();
  readonly #firstPiece = Promise.withResolvers<void>();
  readonly #runs: OriginRuns;
  readonly #last: number;
  /** Next piece to leave. */
  #next: number;
  #controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  #alone = false;
  /** The origin has another version than the one that is delivered: why nothing more can come from there. */
  #changed: NearcastError | undefined;
  #silence: ReturnType<typeof setTimeout> | undefined;

  constructor(options: DeliveryOptions) {
    this.#options = options;
    const { from, to } = piecesOfBytes(options.covered);
    this.#next = from;
    this.#last = to;
    this.#runs = new OriginRuns(
      options,
      {
        missing: (pieces) => this.#missing(pieces),
        onPiece: (piece, bytes, sameVersion) => {
          this.#heard();
          return this.#check(piece, bytes, sameVersion);
        },
      },
      this.#lifetime.signal,
    );
    this.#firstPiece.promise.catch(() => undefined);
    options.hostGone.addEventListener("abort", () => this.#goAlone(), {
      signal: this.#lifetime.signal,
    });
    if (options.hostGone.aborted) this.#goAlone();
    this.#heard();
    if (from >= to) this.#firstPiece.resolve(); // an empty asset
  }

  /** Resolves when the first piece is here; rejects if neither mesh nor origin can bring it. */
  get firstPiece(): Promise<void> {
    return this.#firstPiece.promise;
  }

  /** One message of the host. */
  receive(message: HostMessage): void {
    if (this.#lifetime.signal.aborted) return;
    this.#heard();
    switch (message.type) {
      case "hashes":
        for (const [index, hash] of message.hashes.entries()) {
          this.#hashes.set(message.firstPiece + index, hash);
        }
        return;
      case "piece":
        return this.#add(message.piece, message.bytes, message.source);
      case "fetch":
        return void this.#fetch(message);
      case "fail":
        return this.#goAlone();
    }
  }

  /** The body, to be read once. Cancelling it stops everything. */
  body(): ReadableStream<Uint8Array> {
    return new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          this.#controller = controller;
        },
        pull: () => this.#pump(),
        cancel: () => this.#end(false),
      },
      new ByteLengthQueuingStrategy({ highWaterMark: STREAM_BUFFER_BYTES }),
    );
  }

  /** Gives up before anything was promised to the page. */
  abandon(): void {
    this.#end(false);
  }

  #add(piece: number, bytes: Uint8Array<ArrayBuffer>, source: Source): void {
    if (piece < this.#next || piece >= this.#last || this.#arrived.has(piece)) {
      // A peer was first. The origin has sent it all the same, and is counted by what it sends.
      if (source === "origin") this.#options.onSurplus(bytes.byteLength);
      return;
    }
    this.#arrived.set(piece, { bytes, source });
    if (piece === this.#next) this.#firstPiece.resolve();
    this.#pump();
  }

  #pump(): void {
    const controller = this.#controller;
    if (!controller || this.#lifetime.signal.aborted) return;
    const before = this.#next;
    if (this.#next >= this.#last) {
      controller.close();
      return this.#end(true);
    }
    while ((controller.desiredSize ?? 0) > 0) {
      const arrived = this.#arrived.get(this.#next);
      if (!arrived) break;
      this.#arrived.delete(this.#next);
      const part = this.#partOf(this.#next, arrived.bytes);
      this.#options.onBytes(arrived.source, part.byteLength);
      controller.enqueue(part);
      this.#next++;
      if (this.#next === this.#last) {
        controller.close();
        return this.#end(true);
      }
    }
    if (this.#next > before) this.#tell({ type: "position", piece: this.#next });
  }

  /** What of a piece the response carries: first and last may be cut. */
  #partOf(piece: number, bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
    const { start } = bytesOfPiece(piece, this.#options.length);
    const { covered } = this.#options;
    return bytes.subarray(Math.max(0, covered.start - start), covered.end - start);
  }

  async #fetch(pieces: PieceRange): Promise<void> {
    let failure: unknown;
    try {
      await this.#runs.read(pieces);
    } catch (error) {
      failure = error;
    }
    if (this.#lifetime.signal.aborted) return;
    if (isOfAnotherVersion(failure)) this.#changed = failure;
    this.#tell({ type: "origin-end", outcome: outcomeOf(failure) });
    const hopeless = this.#alone || (this.#changed && !this.#promised);
    if (failure !== undefined && hopeless) this.#fail(failure);
    else this.#heard();
  }

  /**
   * Lets an origin piece in if it is the attested one. Past the attested windows (the index is gone, the
   * file is large) the origin's validators decide, as they do for If-Range (RFC 9110 section 13.1.5).
   *
   * @throws {NearcastError} `integrity/mismatch` if it belongs to another version.
   */
  async #check(piece: number, bytes: Uint8Array<ArrayBuffer>, sameVersion: boolean): Promise<void> {
    const hash = this.#hashes.get(piece);
    const genuine = hash ? await matchesHash(hash, piece, bytes) : sameVersion;
    if (!genuine) {
      throw new NearcastError("integrity/mismatch", `Cannot use piece ${piece} of the origin`);
    }
    if (this.#lifetime.signal.aborted) return;
    const copy = bytes.slice();
    // The host first: the last piece ends the delivery, and with it the port.
    this.#tell({ type: "origin-piece", piece, bytes: copy }, [copy.buffer]);
    this.#add(piece, bytes, "origin");
  }

  /** Of some pieces, those from the first to the last one that is not here; `undefined`: none. */
  #missing(pieces: PieceRange): PieceRange | undefined {
    let from = Math.max(pieces.from, this.#next);
    let to = Math.min(pieces.to, this.#last);
    while (from < to && this.#arrived.has(from)) from++;
    while (from < to && this.#arrived.has(to - 1)) to--;
    return from < to ? { from, to } : undefined;
  }

  /** The host is gone, gave up or fell silent: whatever is missing comes from the origin. */
  #goAlone(): void {
    if (this.#alone || this.#lifetime.signal.aborted) return;
    this.#alone = true;
    clearTimeout(this.#silence);
    if (this.#changed) return this.#fail(this.#changed);
    const rest = this.#missing({ from: this.#next, to: this.#last });
    if (rest) void this.#fetch(rest);
  }

  /** Something happened: the silence starts anew. */
  #heard(): void {
    clearTimeout(this.#silence);
    if (this.#alone || this.#lifetime.signal.aborted) return;
    this.#silence = setTimeout(() => this.#silent(), SILENCE_MS);
  }

  #silent(): void {
    const waitsForPage = this.#arrived.has(this.#next);
    if (waitsForPage) this.#heard();
    else this.#goAlone();
  }

  /** Whether the page has bytes of this version, or is about to get some: nobody reads a body before that. */
  get #promised(): boolean {
    return this.#controller !== undefined || this.#arrived.has(this.#next);
  }

  #fail(error: unknown): void {
    this.#firstPiece.reject(error);
    this.#controller?.error(error);
    this.#end(false);
  }

  #end(complete: boolean): void {
    if (this.#lifetime.signal.aborted) return;
    clearTimeout(this.#silence);
    this.#tell({ type: "end", complete });
    this.#lifetime.abort(
      new NearcastError("worker/unavailable", "Cannot go on: the request ended"),
    );
    this.#firstPiece.reject(this.#lifetime.signal.reason);
    this.#options.port.close();
    this.#options.onEnd();
  }

  #tell(message: DeliveryMessage, transfer: Transferable[] = []): void {
    this.#options.port.postMessage(message, transfer);
  }
}

function outcomeOf(failure: unknown): OriginOutcome {
  if (failure === undefined) return "complete";
  return isOfAnotherVersion(failure) ? "changed" : "failed";
}
