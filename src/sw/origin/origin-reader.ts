/**
 * Reads an origin response piece by piece. Chunks arrive as the network cut them; pieces leave whole.
 * @module
 */
import { NearcastError } from "../../core/errors.js";
import { type ByteRange, bytesOfPiece } from "../../protocol/asset.js";
import type { Header } from "../../protocol/attestation.js";
import { PIECE_BYTES } from "../../protocol/limits.js";
import { parseContentRange } from "../request/byte-range.js";

/** Collects consecutive bytes of an asset and emits every piece that became whole. */
export class PieceCutter {
  readonly #length: number;
  readonly #emit: (piece: number, bytes: Uint8Array<ArrayBuffer>) => void;
  #at: number;
  #buffer: Uint8Array<ArrayBuffer> | undefined;

  /**
   * @param length Length of the whole asset in bytes; if it is not known yet, the last piece waits for {@link end}.
   * @param start Offset of the first byte that will be pushed. Bytes before the next piece boundary are
   * skipped: half a piece can be verified by nobody.
   */
  constructor(options: {
    length: number | undefined;
    start: number;
    emit: (piece: number, bytes: Uint8Array<ArrayBuffer>) => void;
  }) {
    this.#length = options.length ?? Number.POSITIVE_INFINITY;
    this.#at = options.start;
    this.#emit = options.emit;
  }

  /** Offset of the next byte expected. */
  get position(): number {
    return this.#at;
  }

  /** Copies `chunk`. */
  push(chunk: Uint8Array): void {
    let rest = chunk;
    while (rest.byteLength > 0 && this.#at < this.#length) {
      const piece = Math.floor(this.#at / PIECE_BYTES);
      const { start, end } = bytesOfPiece(piece, this.#length);
      if (this.#at === start) this.#buffer = new Uint8Array(end - start);
      const part = rest.subarray(0, end - this.#at);
      this.#buffer?.set(part, this.#at - start);
      this.#at += part.byteLength;
      rest = rest.subarray(part.byteLength);
      if (this.#at < end) continue;
      const whole = this.#buffer;
      this.#buffer = undefined;
      if (whole) this.#emit(piece, whole);
    }
  }

  /** The asset ends here: what there is of a piece is its last one. */
  end(): void {
    const last = this.#buffer;
    if (!last || this.#length !== Number.POSITIVE_INFINITY) return;
    this.#buffer = undefined;
    const piece = Math.floor(this.#at / PIECE_BYTES);
    this.#emit(piece, last.slice(0, this.#at - piece * PIECE_BYTES));
  }
}

/**
 * Reads `[start, end)` of an asset's body from a response that may have ignored the Range header.
 *
 * @param onChunk Called with each chunk in order; returns a promise to slow the origin down.
 * @throws {NearcastError} `origin/failed` for a wrong status, `origin/short` for a body that ends early.
 */
export async function readRange(
  response: Response,
  { start, end, bodyStart }: { start: number; end: number; bodyStart: number },
  onChunk: (chunk: Uint8Array) => Promise<void> | void,
  signal: AbortSignal,
): Promise<void> {
  const reader = response.body?.getReader();
  if (!reader) throw new NearcastError("origin/failed", "Cannot read origin: it sent no body");
  const stop = () => void reader.cancel(signal.reason).catch(() => undefined);
  signal.addEventListener("abort", stop, { once: true });
  let at = bodyStart;
  try {
    while (at < end) {
      signal.throwIfAborted();
      const { done, value } = await reader.read();
      if (done) break;
      const from = Math.max(0, start - at);
      const to = Math.min(value.byteLength, end - at);
      at += value.byteLength;
      if (to > from) await onChunk(value.subarray(from, to));
    }
  } finally {
    signal.removeEventListener("abort", stop);
    await reader.cancel().catch(() => undefined);
  }
  signal.throwIfAborted();
  if (at < end) {
    throw new NearcastError("origin/short", `Cannot read origin: body ended at ${at} of ${end}`);
  }
}

/**
 * Offset of a response's first byte within the asset.
 *
 * @throws {NearcastError} `origin/failed` for another status than 200 or 206, `integrity/version` if the
 * length is another one than attested.
 */
export function bodyStartOf(response: Response, range: ByteRange, length: number): number {
  if (response.status === 200) return 0; // the origin ignored the Range header
  const contentRange = parseContentRange(response.headers.get("content-range"));
  // Another origin may hide the header; the hashes then decide alone.
  if (response.status === 206 && !contentRange) return range.start;
  if (response.status !== 206 || contentRange?.start !== range.start) {
    throw new NearcastError("origin/failed", `Cannot read origin: status ${response.status}`);
  }
  if (contentRange.length !== undefined && contentRange.length !== length) {
    throw new NearcastError("integrity/version", "Cannot read origin: the length has changed");
  }
  return contentRange.start;
}

/** Whether a response is of the version that these headers describe: a strong ETag, else Last-Modified. */
export function sameValidators(response: Headers, attested: readonly Header[]): boolean {
  const known = (name: string) => attested.find(([header]) => header === name)?.[1];
  const etag = response.get("etag");
  if (etag !== null) return !etag.startsWith("W/") && etag === known("etag");
  const modified = response.get("last-modified");
  return modified !== null && modified === known("last-modified");
}
