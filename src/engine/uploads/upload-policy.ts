/**
 * Whether a request of a peer is taken or answered with BUSY, and whose turn it is. Everybody sees the
 * same HAVE, so without an early BUSY everybody asks the same holder: the biggest single gain in the model
 * of a live cluster (docs/decisions/0005). This module is pure.
 * @module
 */
import { Ewma } from "../../core/ewma.js";
import { PIECE_BYTES } from "../../protocol/limits.js";

/** Queued upload above which a peer is sent away: more than this and the next holder is faster. */
const QUEUE_MAX_MS = 300;
/** Assumed uplink until measured: 20 Mbit/s. */
const UPLINK_BYTES_PER_MS = 2_500;
const RETRY_MS = { min: 100, spread: 200 };

export class UploadPolicy {
  #maxBytesPerS: number;
  #yieldBytesPerS = 0;
  #maxParallel: number;
  readonly #random: () => number;
  readonly #uplink = new Ewma(0.3);
  #tokensBytes: number;
  #refilledMs: number;

  /**
   * @param maxBytesPerS Cap of the upload rate; 0 for none.
   * @param maxParallel Peers served at the same time.
   */
  constructor(options: {
    maxBytesPerS: number;
    maxParallel: number;
    random: () => number;
    nowMs: number;
  }) {
    this.#maxBytesPerS = options.maxBytesPerS;
    this.#maxParallel = options.maxParallel;
    this.#random = options.random;
    this.#refilledMs = options.nowMs;
    this.#tokensBytes = this.#burstBytes;
  }

  /** Other caps from now on. */
  limit({ maxBytesPerS, maxParallel }: { maxBytesPerS: number; maxParallel: number }): void {
    this.#maxBytesPerS = maxBytesPerS;
    this.#maxParallel = maxParallel;
    this.#tokensBytes = Math.min(this.#tokensBytes, this.#burstBytes);
  }

  /** Gives way to the page's own traffic: no more than this for now; `undefined` for as much as the caps allow. */
  giveWay(bytesPerMs: number | undefined): void {
    this.#yieldBytesPerS = bytesPerMs === undefined ? 0 : bytesPerMs * 1_000;
    this.#tokensBytes = Math.min(this.#tokensBytes, this.#burstBytes);
  }

  /** Upload rate that can be counted on, in bytes per millisecond. */
  get rateBytesPerMs(): number {
    const measured = this.#uplink.value ?? UPLINK_BYTES_PER_MS;
    return this.#capBytesPerS > 0 ? Math.min(measured, this.#capBytesPerS / 1_000) : measured;
  }

  /** The tighter of the two limits; 0 for none. */
  get #capBytesPerS(): number {
    if (this.#yieldBytesPerS === 0 || this.#maxBytesPerS === 0) {
      return this.#yieldBytesPerS + this.#maxBytesPerS;
    }
    return Math.min(this.#yieldBytesPerS, this.#maxBytesPerS);
  }

  /**
   * Whether one more piece may be queued.
   *
   * @param queuedBytes Bytes accepted and not yet sent, of all links.
   * @param peers Peers with something in the queue; `known` if the asker is one of them.
   * @param hidden Whether the page is, which serves them.
   * @returns 0 to accept, else the milliseconds after which to ask again.
   */
  busyMs({
    queuedBytes,
    peers,
    known,
    hidden,
    nowMs,
  }: {
    queuedBytes: number;
    peers: number;
    known: boolean;
    hidden: boolean;
    nowMs: number;
  }): number {
    // Timers of a hidden page come once a second: the asker waits for the rate cap, with better ones.
    const waitMs = hidden ? this.#waitMs(queuedBytes + PIECE_BYTES, nowMs) : 0;
    if (waitMs > 0) return Math.ceil(waitMs);
    const queueMs = queuedBytes / this.rateBytesPerMs;
    // One piece is always taken: a slow uplink is better than none.
    const free = queuedBytes < PIECE_BYTES || queueMs <= QUEUE_MAX_MS;
    if (free && (known || peers < this.#maxParallel)) return 0;
    return Math.round(RETRY_MS.min + this.#random() * RETRY_MS.spread);
  }

  /** Bytes left a busy uplink. */
  sample(bytes: number, durationMs: number): void {
    if (durationMs > 0 && bytes > 0) this.#uplink.add(bytes / durationMs);
  }

  /** Bytes left an uplink that could have taken more: it is at least so fast. */
  sampleAtLeast(bytes: number, durationMs: number): void {
    const known = this.#uplink.value ?? UPLINK_BYTES_PER_MS;
    if (durationMs > 0 && bytes / durationMs > known) this.#uplink.add(bytes / durationMs);
  }

  /** Takes `bytes` from the rate cap. @returns Milliseconds to wait before sending them. */
  spend(bytes: number, nowMs: number): number {
    if (this.#capBytesPerS === 0) return 0;
    this.#tokensBytes = this.#tokensAt(nowMs) - bytes;
    this.#refilledMs = nowMs;
    return this.#waitMs(0, nowMs);
  }

  /** Time until the rate cap has room for so many bytes. */
  #waitMs(bytes: number, nowMs: number): number {
    if (this.#capBytesPerS === 0) return 0;
    return (Math.max(0, bytes - this.#tokensAt(nowMs)) * 1_000) / this.#capBytesPerS;
  }

  #tokensAt(nowMs: number): number {
    const refill = ((nowMs - this.#refilledMs) * this.#capBytesPerS) / 1_000;
    return Math.min(this.#burstBytes, this.#tokensBytes + refill);
  }

  /** A quarter of a second of upload may go out at once, but at least one piece. */
  get #burstBytes(): number {
    return Math.max(PIECE_BYTES, this.#capBytesPerS / 4);
  }
}
