/**
 * Where viewers are, as nodes tell each other: addresses never leave a node, marks of them can be compared by
 * nodes only. This module does no I/O.
 * @module
 */

import { LruMap } from "../lru-map.js";
import type { Locality } from "../swarm/locality.js";
import type { Seal } from "./seal.js";

/** Addresses whose marks are remembered. */
const REMEMBERED_MAX = 100_000;

export class Marks {
  readonly #seal: Seal;
  readonly #known = new LruMap<string, Locality>(REMEMBERED_MAX);

  constructor(seal: Seal) {
    this.#seal = seal;
  }

  /** Address and prefix as marks. */
  of({ address, prefix }: Locality): Locality {
    const known = this.#known.get(address);
    if (known) return known;
    const marked = {
      address: this.#seal.mark("address", address),
      prefix: this.#seal.mark("prefix", prefix),
    };
    this.#known.set(address, marked);
    return marked;
  }
}
