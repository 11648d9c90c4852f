/**
 * The requests that are running, and which of them a piece is for. This module is pure.
 * @module
 */
import type { Ask } from "./peer-source.js";
import type { RequestState } from "./request-state.js";

export class RunningRequests {
  readonly #byId = new Map<number, RequestState>();
  /** Requests made ahead over the origin's line, by the id of theirs → the page's own request that came meanwhile. */
  readonly #heirs = new Map<number, RequestState>();

  get none(): boolean {
    return this.#byId.size === 0;
  }

  /** It takes the place of one that was made ahead over the origin's line, if there is one. */
  add(request: RequestState): void {
    const { id, assetId, ahead } = request.asked;
    this.#byId.set(id, request);
    if (ahead) return;
    for (const other of this.#byId.values()) {
      if (other.asked.ahead !== "line" || other.asked.assetId !== assetId) continue;
      request.inherit(other);
      this.#byId.delete(other.asked.id);
      this.#heirs.set(other.asked.id, request);
    }
  }

  /** The request of that id, or the one that took its place. */
  get(requestId: number): RequestState | undefined {
    return this.#byId.get(requestId) ?? this.#heirs.get(requestId);
  }

  /** It runs no more; what took its place does, and gets what the origin still owes. */
  take(requestId: number): RequestState | undefined {
    const request = this.#byId.get(requestId);
    this.#byId.delete(requestId);
    if (request) {
      for (const [id, heir] of this.#heirs) if (heir === request) this.#heirs.delete(id);
    }
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

  /** Pieces that pages wait for and that only the origin can bring, as last planned. */
  get linePieces(): number {
    let pieces = 0;
    for (const { asked, linePieces } of this.#byId.values()) if (!asked.ahead) pieces += linePieces;
    return pieces;
  }

  /** Whether any of them is about the asset. */
  concern(assetId: string): boolean {
    return [...this.#byId.values()].some(({ asked }) => asked.assetId === assetId);
  }

  /** Whether any of them waits for the piece. */
  want(assetId: string, piece: number): boolean {
    return [...this.#byId.values()].some((request) => request.covers(assetId, piece));
  }

  /** A peer brought what it was asked for. */
  arrived({ assetId, piece }: Ask, bytes: number, nowMs: number): void {
    for (const request of this.#byId.values()) {
      if (request.covers(assetId, piece)) request.peersSent(bytes, nowMs);
    }
  }

  /** A peer did not bring what it was asked for. */
  missed({ assetId, piece }: Ask): void {
    for (const request of this.#byId.values()) {
      if (request.covers(assetId, piece)) request.missed(piece);
    }
  }
}
