/**
 * What the nodes of one deployment put into Redis is sealed with a secret that they share and Redis does not
 * know: whoever can write there can take words away, but not put any into a node's mouth. This module does no I/O.
 * @module
 */
import { createHmac, timingSafeEqual } from "node:crypto";

/** 128 bits, as 22 characters of base64url. */
const MAC_BYTES = 16;
const MAC_LENGTH = 22;

/** Seals and marks with one secret. */
export class Seal {
  readonly #key: Buffer;

  /** @param key Secret, the same on all nodes. */
  constructor(key: Buffer) {
    this.#key = key;
  }

  /** A name for `text` that only nodes can make: 22 characters, the same on all of them. */
  mark(kind: string, text: string): string {
    return this.#mac(`mark ${kind}`, text);
  }

  /** @param place Where the text will stand: a sealed text is good for one place only. */
  close(place: string, text: string): string {
    return this.#mac(place, text) + text;
  }

  /** @returns The text, or `undefined` for what no node sealed for this place. */
  open(place: string, sealed: string): string | undefined {
    if (sealed.length < MAC_LENGTH) return undefined;
    const text = sealed.slice(MAC_LENGTH);
    const given = Buffer.from(sealed.slice(0, MAC_LENGTH));
    const right = Buffer.from(this.#mac(place, text));
    return given.length === right.length && timingSafeEqual(given, right) ? text : undefined;
  }

  #mac(place: string, text: string): string {
    const mac = createHmac("sha256", this.#key).update(`${place}\n`).update(text);
    return mac.digest().subarray(0, MAC_BYTES).toString("base64url");
  }
}
