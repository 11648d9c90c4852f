/**
 * A set of piece indices as a bit map: who has what, what is missing. This module is pure.
 * @module
 */

/** Piece indices `0 … pieceCount - 1`; memory is one bit a piece. */
export class PieceSet {
  readonly pieceCount: number;
  readonly #bits: Uint8Array<ArrayBuffer>;
  #size = 0;

  constructor(pieceCount: number) {
    this.pieceCount = pieceCount;
    this.#bits = new Uint8Array(Math.ceil(pieceCount / 8));
  }

  /** Number of pieces in the set. */
  get size(): number {
    return this.#size;
  }

  get complete(): boolean {
    return this.#size === this.pieceCount;
  }

  /** `false` for every index outside `0 … pieceCount - 1`. */
  has(piece: number): boolean {
    // The bounds first: `>>` would wrap an index beyond 32 bits to a small one.
    if (!(piece >= 0 && piece < this.pieceCount)) return false;
    return ((this.#bits[piece >> 3] ?? 0) & (128 >> (piece & 7))) !== 0;
  }

  /** @returns Whether the piece was new. An index out of bounds changes nothing. */
  add(piece: number): boolean {
    if (piece < 0 || piece >= this.pieceCount || this.has(piece)) return false;
    this.#bits[piece >> 3] = (this.#bits[piece >> 3] ?? 0) | (128 >> (piece & 7));
    this.#size++;
    return true;
  }

  /** @returns Whether the piece was there. */
  delete(piece: number): boolean {
    if (!this.has(piece)) return false;
    this.#bits[piece >> 3] = (this.#bits[piece >> 3] ?? 0) & ~(128 >> (piece & 7));
    this.#size--;
    return true;
  }

  /** Adds the half-open range `[from, to)`, clipped to the set's bounds. */
  addRange(from: number, to: number): void {
    for (let piece = Math.max(0, from); piece < Math.min(to, this.pieceCount); piece++) {
      this.add(piece);
    }
  }

  /** Whether every piece of the half-open range `[from, to)` is there. */
  hasRange(from: number, to: number): boolean {
    for (let piece = from; piece < to; piece++) if (!this.has(piece)) return false;
    return true;
  }

  /** A copy of the bits of `[from, to)`, first piece in the highest bit; `from` is a multiple of 8. */
  toBits(from = 0, to = this.pieceCount): Uint8Array<ArrayBuffer> {
    const bits = this.#bits.slice(from >> 3, Math.ceil(to / 8));
    const spare = bits.byteLength * 8 - (to - from);
    if (spare > 0 && bits.byteLength > 0) {
      bits[bits.byteLength - 1] = (bits[bits.byteLength - 1] ?? 0) & (0xff << spare);
    }
    return bits;
  }

  /**
   * Adds what {@link toBits} wrote; bits past `pieceCount` are ignored.
   *
   * @param onAdded Hears of each piece that was new.
   */
  addBits(bits: Uint8Array, from = 0, onAdded?: (piece: number) => void): void {
    for (let at = 0; at < bits.byteLength; at++) {
      const byte = bits[at] ?? 0;
      const first = from + 8 * at;
      // What is told again is most of what is told: such a byte costs one comparison.
      const known = from % 8 === 0 ? (this.#bits[first / 8] ?? 0) : 0;
      if ((byte & ~known) === 0) continue;
      for (let bit = 0; bit < 8; bit++) {
        if ((byte & (128 >> bit)) !== 0 && this.add(first + bit)) onAdded?.(first + bit);
      }
    }
  }
}
