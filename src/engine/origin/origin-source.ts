/**
 * What is known of the origin's speed: the bar that the mesh has to clear. This module is pure.
 * @module
 */
import { Ewma } from "../../core/ewma.js";
import { PIECE_BYTES } from "../../protocol/limits.js";
import { LineRate } from "../planning/line-rate.js";

/** Assumed until measured: a plain CDN over a plain line (20 Mbit/s, 60 ms to the first byte). */
const RATE_BYTES_PER_MS = 2_500;
const FIRST_BYTE_MS = 60;

/** A request for which an origin needs longer has no time for a line that idles, and is worth an election at once. */
export const SLOW_ORIGIN_MS = 2_000;

export class OriginSource {
  readonly #rate = new LineRate();
  readonly #firstByte = new Ewma(0.3);
  readonly #line = new LineRate();

  get rateBytesPerMs(): number {
    return this.#rate.bytesPerMs ?? RATE_BYTES_PER_MS;
  }

  /** What was really measured, evenly over bytes; `undefined` before. */
  get lineBytesPerMs(): number | undefined {
    return this.#line.bytesPerMs;
  }

  get firstByteMs(): number {
    return this.#firstByte.value ?? FIRST_BYTE_MS;
  }

  /** Whether a segment of 1 MiB takes it so long that neighbours should share it from the start. */
  get slow(): boolean {
    return this.expectedMs(2 ** 20) > SLOW_ORIGIN_MS;
  }

  /** Expected times to the first byte and for one piece after it, in milliseconds. */
  get pace(): { firstByteMs: number; pieceMs: number } {
    return { firstByteMs: this.firstByteMs, pieceMs: PIECE_BYTES / this.rateBytesPerMs };
  }

  /** Expected time to fetch `bytes`, in milliseconds. */
  expectedMs(bytes: number): number {
    return this.firstByteMs + bytes / this.rateBytesPerMs;
  }

  /** What a response that passed through showed; a few bytes show no rate. */
  passed(response: { firstByteMs: number; bytes: number; durationMs: number }): void {
    const { firstByteMs, bytes, durationMs } = response;
    this.sampleFirstByte(firstByteMs);
    if (bytes < PIECE_BYTES) return;
    this.sampleRate(bytes, durationMs);
    this.sampleLine(bytes, firstByteMs + durationMs);
  }

  /** One response as a player measures it: `bytes` in `durationMs`, with the time to the first byte. */
  sampleLine(bytes: number, durationMs: number): void {
    this.#line.add(bytes, durationMs);
  }

  /** Time from asking to the first piece. */
  sampleFirstByte(durationMs: number): void {
    this.#firstByte.add(durationMs);
  }

  /** `bytes` that came in `durationMs` after the first ones; 0 for those that came in one gust with them. */
  sampleRate(bytes: number, durationMs: number): void {
    this.#rate.add(bytes, durationMs);
  }
}
