/**
 * One response put together from pieces: cached and peers' pieces that the host sends, and origin bytes
 * that the worker fetches itself, at the host's order or on its own when the host falls silent. Bytes
 * leave in order; origin bytes join only as verified pieces, so two versions are never spliced (rule R9).
 * Before the first piece is here nothing has been promised to the page, and the caller can still pass the
 * request through. After that a shortfall errors the stream: a short body would look complete (rule R15).
 * @module
 */
import { NearcastError } from "../core/errors.js";
import { type ByteRange, bytesOfPiece, piecesOfBytes } from "../protocol/asset.js";
import type { Header } from "../protocol/attestation.js";
import { matchesHash } from "../protocol/verify.js";
import type { BytesBySource, DeliveryMessage, HostMessage } from "../protocol/worker-messages.js";
import { bodyStartOf, PieceCutter, readRange, sameValidators } from "./origin-reader.js";

type Source = keyof BytesBySource;

export interface DeliveryOptions {
  readonly length: number;
  /** Response headers of the attested version. */
  readonly headers: readonly Header[];
  /** The bytes of the asset that the response carries. */
  readonly covered: ByteRange;
  readonly port: MessagePort;
  /** Fetches `[start, end)` of the asset from the origin, as the page's request would. */
  readonly fetchRange: (range: ByteRange, signal: AbortSignal) => Promise<Response>;
  /** Asks as the page did, where that was without a range: for origins that fail at ranges. */
  readonly fetchWhole?: ((signal: AbortSignal) => Promise<Response>) | undefined;
  /** The host tab is gone. */
  readonly hostGone: AbortSignal;
  /** The page was given bytes. */
  readonly onBytes: (source: keyof BytesBySource, bytes: number) => void;
  readonly onEnd: () => void;
}

/** Bytes that wait for a slow page in the stream itself. */
const STREAM_BUFFER_BYTES = 262_144;
/** Nothing from host or origin for so long: the worker goes on alone. The host acts long before that. */
const SILENCE_MS = 2_500;

/** One response of the origin, and the pieces that are taken out of it. */
interface OriginRun {
  readonly response: Response;
  /** Where its body lies in the asset. */
  readonly bodyStart: number;
  readonly from: number;
  readonly to: number;
  /** Ends it when nothing of it is missing any more; `signal` follows. */
  readonly stop: AbortController;
  readonly signal: AbortSignal;
}

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
  readonly #last: number;
  /** Next piece to leave. */
  #next: number;
  #controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  #alone = false;
  /** Settles with the body that an origin without ranges is sending. */
  #whole: Promise<void> | undefined;
  #silence: ReturnType<typeof setTimeout> | undefined;

  constructor(options: DeliveryOptions) {
    this.#options = options;
    const { from, to } = piecesOfBytes(options.covered);
    this.#next = from;
    this.#last = to;
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
      if (source === "origin") this.#options.onBytes(source, bytes.byteLength);
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

  async #fetch({ from, to }: { from: number; to: number }): Promise<void> {
    let failure: unknown;
    try {
      await this.#read(from, to);
    } catch (error) {
      failure = error;
    }
    if (this.#lifetime.signal.aborted) return;
    const corrupt = failure instanceof NearcastError && failure.code === "integrity/mismatch";
    this.#tell({ type: "origin-end", complete: failure === undefined, corrupt });
    // The origin has another version than the one we deliver: nothing can complete this response.
    if (corrupt || (failure !== undefined && this.#alone)) this.#fail(failure);
    else this.#heard();
  }

  async #read(from: number, to: number): Promise<void> {
    if (this.#whole) return this.#whole;
    const { length } = this.#options;
    const range = {
      start: bytesOfPiece(from, length).start,
      end: bytesOfPiece(to - 1, length).end,
    };
    const stop = new AbortController();
    const signal = AbortSignal.any([stop.signal, this.#lifetime.signal]);
    const { response, bodyStart } = await this.#ask(range, signal);
    const { status } = response;
    if (status !== 200) return this.#take({ response, bodyStart, from, to, stop, signal });
    // An origin that ignores Range sends everything for every range: one such body is enough, and nothing of it is
    // lost, neither what comes before the range nor what comes after it.
    if (this.#whole) {
      stop.abort();
      return this.#whole;
    }
    this.#whole = this.#take({
      ...{ response, bodyStart, stop, signal },
      ...{ from: Math.min(from, this.#next), to: this.#last },
    }).finally(() => {
      this.#whole = undefined;
    });
    return this.#whole;
  }

  /** Takes the pieces `[from, to)` out of a response. */
  async #take({ response, bodyStart, from, to, stop, signal }: OriginRun): Promise<void> {
    const { length, headers } = this.#options;
    const start = bytesOfPiece(from, length).start;
    const end = bytesOfPiece(to - 1, length).end;
    const sameVersion = sameValidators(response.headers, headers);
    const checks: Promise<void>[] = [];
    const cutter = new PieceCutter({
      length,
      start,
      emit: (piece, bytes) => {
        this.#heard();
        checks.push(this.#check(piece, bytes, sameVersion));
        // All that is left of the run came from peers meanwhile: the origin may stop.
        if (this.#coveredFrom(piece + 1, to)) stop.abort();
      },
    });
    try {
      await readRange(response, { start, end, bodyStart }, (chunk) => cutter.push(chunk), signal);
    } catch (error) {
      if (!stop.signal.aborted) throw error;
    }
    await Promise.all(checks);
  }

  /** An origin that refuses ranges, or sends others than asked for, would have answered the page's own request. */
  async #ask(
    range: ByteRange,
    signal: AbortSignal,
  ): Promise<{ response: Response; bodyStart: number }> {
    const { length, fetchRange, fetchWhole } = this.#options;
    const response = await fetchRange(range, signal);
    try {
      return { response, bodyStart: bodyStartOf(response, range, length) };
    } catch (error) {
      void response.body?.cancel().catch(() => undefined);
      const unfit = error instanceof NearcastError && error.code === "origin/failed";
      if (!unfit || !fetchWhole) throw error;
      const whole = await fetchWhole(signal);
      return { response: whole, bodyStart: bodyStartOf(whole, { start: 0, end: length }, length) };
    }
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

  #coveredFrom(from: number, to: number): boolean {
    if (from >= to) return false;
    for (let piece = from; piece < to; piece++) {
      if (piece >= this.#next && !this.#arrived.has(piece)) return false;
    }
    return true;
  }

  /** The host is gone, gave up or fell silent: whatever is missing comes from the origin. */
  #goAlone(): void {
    if (this.#alone || this.#lifetime.signal.aborted) return;
    this.#alone = true;
    clearTimeout(this.#silence);
    void this.#finishAlone();
  }

  async #finishAlone(): Promise<void> {
    let from = this.#next;
    while (from < this.#last && this.#arrived.has(from)) from++;
    let to = this.#last;
    while (to > from && this.#arrived.has(to - 1)) to--;
    if (from < to) await this.#fetch({ from, to });
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
