/**
 * Who holds which pieces of one asset, as bits of one array: whether what a viewer is told is news to it is known
 * without a look at the viewer, whose memory is cold in a large audience.
 * @module
 */

const START_VIEWERS = 256;

export class HeldTable {
  readonly #wordsEach: number;
  #words: Uint32Array;

  constructor(pieceCount: number) {
    this.#wordsEach = (pieceCount + 31) >> 5;
    this.#words = new Uint32Array(START_VIEWERS * this.#wordsEach);
  }

  add(viewer: number, piece: number): void {
    const at = viewer * this.#wordsEach + (piece >> 5);
    if (at >= this.#words.length) {
      const longer = new Uint32Array(Math.max(2 * this.#words.length, at + this.#wordsEach));
      longer.set(this.#words);
      this.#words = longer;
    }
    this.#words[at] = (this.#words[at] ?? 0) | (1 << (piece & 31));
  }

  /** Whether the viewer lacks any of the pieces of a {@link maskOf}. */
  lacks(viewer: number, mask: Uint32Array): boolean {
    const first = viewer * this.#wordsEach;
    for (let at = 0; at < this.#wordsEach; at++) {
      if (((mask[at] ?? 0) & ~(this.#words[first + at] ?? 0)) !== 0) return true;
    }
    return false;
  }
}

/**
 * @param bits Of the pieces from `from` on, first piece in the highest bit; `undefined`: all pieces.
 * @returns The same in the order of a {@link HeldTable}.
 */
export function maskOf(
  pieceCount: number,
  { from, bits }: { from: number; bits: Uint8Array | undefined },
): Uint32Array {
  const mask = new Uint32Array((pieceCount + 31) >> 5);
  for (let piece = 0; piece < pieceCount; piece++) {
    const at = piece - from;
    const told = !bits || (at >= 0 && ((bits[at >> 3] ?? 0) & (128 >> (at & 7))) !== 0);
    if (told) mask[piece >> 5] = (mask[piece >> 5] ?? 0) | (1 << (piece & 31));
  }
  return mask;
}

/** The half-open range of pieces in the order of a {@link HeldTable}. */
export function rangeMask(
  pieceCount: number,
  { from, to }: { from: number; to: number },
): Uint32Array {
  const mask = new Uint32Array((pieceCount + 31) >> 5);
  for (let piece = from; piece < Math.min(to, pieceCount); piece++) {
    mask[piece >> 5] = (mask[piece >> 5] ?? 0) | (1 << (piece & 31));
  }
  return mask;
}
