/**
 * What one host counted, in bytes: for the page's `stats()` since it began, for the server since it was last told.
 * @module
 */

/** What the host counts, from its start. */
export interface MeshCounts {
  uploaded: number;
  rejected: number;
  /** From peers before a page asked. */
  ahead: number;
}

/** Bytes that pages received, by where they came from. */
export interface DeliveredBytes {
  readonly cache: number;
  readonly mesh: number;
  readonly origin: number;
}

export class Tally {
  readonly counts: MeshCounts = { uploaded: 0, rejected: 0, ahead: 0 };
  #delivered: DeliveredBytes = { cache: 0, mesh: 0, origin: 0 };
  #told = { cache: 0, mesh: 0, origin: 0, uploaded: 0, rejected: 0 };

  addDelivered({ cache, mesh, origin }: DeliveredBytes): void {
    this.#delivered = {
      cache: this.#delivered.cache + cache,
      mesh: this.#delivered.mesh + mesh,
      origin: this.#delivered.origin + origin,
    };
  }

  /** Since the last call. */
  take(): DeliveredBytes & Pick<MeshCounts, "uploaded" | "rejected"> {
    const { uploaded, rejected } = this.counts;
    const total = { ...this.#delivered, uploaded, rejected };
    const before = this.#told;
    this.#told = total;
    return {
      cache: total.cache - before.cache,
      mesh: total.mesh - before.mesh,
      origin: total.origin - before.origin,
      uploaded: uploaded - before.uploaded,
      rejected: rejected - before.rejected,
    };
  }
}
