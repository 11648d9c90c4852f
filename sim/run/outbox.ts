/**
 * What one shard has to tell another at the end of a window, as numbers, so that threads can hand it to each other
 * through shared memory. Messages come out in the order in which they went in.
 * @module
 */

/** Numbers in front of the fields of a message: its kind, and how many fields there are. */
const HEAD = 2;

export class Outbox {
  #words = new Float64Array(4_096);
  #length = 0;

  /** What is in it: a view, until the next message. */
  get words(): Float64Array {
    return this.#words.subarray(0, this.#length);
  }

  clear(): void {
    this.#length = 0;
  }

  put(kind: number, fields: ArrayLike<number>): void {
    const end = this.#length + HEAD + fields.length;
    if (end > this.#words.length) {
      const longer = new Float64Array(Math.max(end, 2 * this.#words.length));
      longer.set(this.words);
      this.#words = longer;
    }
    this.#words[this.#length] = kind;
    this.#words[this.#length + 1] = fields.length;
    for (let at = 0; at < fields.length; at++) {
      this.#words[this.#length + HEAD + at] = fields[at] as number;
    }
    this.#length = end;
  }
}

/** @param onMessage Gets a view of the fields of each message. */
export function eachMessage(
  words: Float64Array,
  onMessage: (kind: number, fields: Float64Array) => void,
): void {
  for (let at = 0; at < words.length; ) {
    const start = at + HEAD;
    const end = start + (words[at + 1] as number);
    onMessage(words[at] as number, words.subarray(start, end));
    at = end;
  }
}
