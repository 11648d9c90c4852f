/**
 * Bounds-checked big-endian reading and writing. Every codec reads through here, so no frame type can
 * forget a check. This module is pure.
 * @module
 */
import { NearcastError } from "./errors.js";

/** Writes into one buffer of exactly the size given. */
export class ByteWriter {
  readonly #bytes: Uint8Array<ArrayBuffer>;
  readonly #view: DataView;
  #at = 0;

  constructor(sizeBytes: number) {
    this.#bytes = new Uint8Array(sizeBytes);
    this.#view = new DataView(this.#bytes.buffer);
  }

  u8(value: number): this {
    this.#view.setUint8(this.#at, value);
    this.#at += 1;
    return this;
  }

  u16(value: number): this {
    this.#view.setUint16(this.#at, value);
    this.#at += 2;
    return this;
  }

  u32(value: number): this {
    this.#view.setUint32(this.#at, value);
    this.#at += 4;
    return this;
  }

  /** Copies `bytes`. */
  raw(bytes: Uint8Array): this {
    this.#bytes.set(bytes, this.#at);
    this.#at += bytes.byteLength;
    return this;
  }

  /**
   * The finished buffer; it is handed over, not copied.
   *
   * @throws {RangeError} If fewer bytes were written than the size promised.
   */
  done(): Uint8Array<ArrayBuffer> {
    if (this.#at !== this.#bytes.byteLength) {
      throw new RangeError(`Cannot finish frame: ${this.#at} of ${this.#bytes.byteLength} written`);
    }
    return this.#bytes;
  }
}

/** Reads one untrusted message. Every short read throws `protocol/malformed`. */
export class ByteReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  u8(): number {
    return this.#view.getUint8(this.#take(1));
  }

  u16(): number {
    return this.#view.getUint16(this.#take(2));
  }

  u32(): number {
    return this.#view.getUint32(this.#take(4));
  }

  /** A view of the next `length` bytes, not a copy. */
  raw(length: number): Uint8Array {
    const start = this.#take(length);
    return this.#bytes.subarray(start, start + length);
  }

  /** A view of all bytes that are left (possibly none), not a copy. */
  rest(): Uint8Array {
    return this.raw(this.#bytes.byteLength - this.#at);
  }

  /** Makes decoding exact: whatever is left over is an error. */
  end(): void {
    const left = this.#bytes.byteLength - this.#at;
    if (left > 0) {
      throw new NearcastError("protocol/malformed", `Cannot decode frame: ${left} bytes left over`);
    }
  }

  #take(length: number): number {
    const start = this.#at;
    if (start + length > this.#bytes.byteLength) {
      const has = this.#bytes.byteLength - start;
      throw new NearcastError(
        "protocol/malformed",
        `Cannot decode frame: ${length} bytes expected, ${has} left`,
      );
    }
    this.#at += length;
    return start;
  }
}
