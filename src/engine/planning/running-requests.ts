/**
 * The requests that are running, and which of them a piece is for. This module is pure.
 * @module
 */
import type { Ask } from "./peer-source.js";
import type { RequestState } from "./request-state.js";

export class RunningRequests {
  readonly #byId = new Map<number, RequestState>();

  get none(): boolean {
    return this.#byId.size === 0;
  }

  add(request: RequestState): void {
    this.#byId.set(request.asked.id, request);
  }

  get(requestId: number): RequestState | undefined {
    return this.#byId.get(requestId);
  }

  /** It runs no more. */
  take(requestId: number): RequestState | undefined {
    const request = this.#byId.get(requestId);
    this.#byId.delete(requestId);
    return request;
  }

  [Symbol.iterator](): IterableIterator<RequestState> {
    return this.#byId.values();
  }

  /** Earliest deadline first. */
  byDeadline(): RequestState[] {
    const requests = [...this.#byId.values()];
    if (requests.length > 1) requests.sort((a, b) => a.deadlineMs - b.deadlineMs);
    return requests;
  }

  /** Whether any of them is about the asset. */
  concern(assetId: string): boolean {
    return [...this.#byId.values()].some(({ asked }) => asked.assetId === assetId);
  }

  /** Whether any of them waits for the piece. */
  want(assetId: string, piece: number): boolean {
    return [...this.#byId.values()].some((request) => request.covers(assetId, piece));
  }

  /** A peer did not bring what it was asked for. */
  missed({ assetId, piece }: Ask): void {
    for (const request of this.#byId.values()) {
      if (request.covers(assetId, piece)) request.missed(piece);
    }
  }
}
