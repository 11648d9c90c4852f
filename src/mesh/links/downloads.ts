/**
 * Pieces on their way over one link, put together from blocks in the order of their bytes. This module is pure.
 * @module
 */
import { trim } from "../../core/trim.js";

/** A block of bytes; `data` is copied. */
interface Block {
  readonly id: number;
  readonly offset: number;
  readonly data: Uint8Array;
}

interface Download {
  readonly buffer: Uint8Array<ArrayBuffer>;
  received: number;
}

/** Answers to requests that we took back may still be on their way. */
const CANCELLED_MAX = 256;

export class Downloads {
  readonly #running = new Map<number, Download>();
  readonly #cancelled = new Set<number>();

  begin(askId: number, lengthBytes: number): void {
    this.#running.set(askId, { buffer: new Uint8Array(lengthBytes), received: 0 });
  }

  /** The request is taken back; its blocks are ignored. @returns Whether it was still open. */
  cancel(askId: number): boolean {
    if (!this.#running.delete(askId)) return false;
    this.#cancelled.add(askId);
    trim(this.#cancelled, CANCELLED_MAX);
    return true;
  }

  /** The peer will not send it. @returns Whether it was still open: a rejection may cross our cancel. */
  reject(askId: number): boolean {
    return this.#running.delete(askId);
  }

  /**
   * @returns The whole piece, if this was its last block: unverified, and the caller's own; or what is wrong with
   * the block, in words.
   */
  receive({ id, offset, data }: Block): Uint8Array<ArrayBuffer> | string | undefined {
    const download = this.#running.get(id);
    if (!download) return this.#cancelled.has(id) ? undefined : "bytes that nobody asked for";
    const end = offset + data.byteLength;
    if (offset !== download.received || end > download.buffer.byteLength) {
      return `a block at ${offset}, expected ${download.received}`;
    }
    download.buffer.set(data, offset);
    download.received = end;
    if (end < download.buffer.byteLength) return undefined;
    this.#running.delete(id);
    return download.buffer;
  }
}
