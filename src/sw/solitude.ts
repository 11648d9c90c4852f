/**
 * Whether a request need not wait for the host's plan: the host said a moment ago that nobody is there to ask, so
 * the origin is asked at once and the host told beside it. Nothing here must be known: a worker that forgot it asks
 * and waits once more, and a host that has company meanwhile takes the response over in mid-body
 * (docs/decisions/0014). This module is pure.
 * @module
 */
import type { AskedRange } from "../protocol/asset.js";

/** For how long a host's word holds: longer than a segment plays, shorter than a link would go unused. */
const VALID_MS = 10_000;
/** What passed by lately may be in the host's memory and not on the disk yet. */
const ASKED_MAX = 256;

interface Asked {
  readonly url: string;
  readonly start: number;
  readonly end: number;
  readonly atMs: number;
}

export class Solitude {
  #hostId = "";
  #untilMs = Number.NEGATIVE_INFINITY;
  /** The latest last. */
  #asked: Asked[] = [];

  /** The host with this client id said whether anybody is there to ask. */
  heard(hostId: string, alone: boolean, nowMs: number): void {
    this.#hostId = hostId;
    this.#untilMs = alone ? nowMs + VALID_MS : Number.NEGATIVE_INFINITY;
  }

  /**
   * Whether the origin may be asked without waiting for this host. Call once a request.
   *
   * @param range Of the URL's body; `undefined` is all of it. A player takes one after another.
   */
  covers(hostId: string, url: string, range: AskedRange | undefined, nowMs: number): boolean {
    const { start, end = Number.POSITIVE_INFINITY } = range ?? { start: 0 };
    const recent = this.#asked.filter(({ atMs }) => nowMs - atMs < VALID_MS);
    const again = recent.some(
      (other) => other.url === url && other.start < end && start < other.end,
    );
    this.#asked = [...recent, { url, start, end, atMs: nowMs }].slice(-ASKED_MAX);
    return hostId === this.#hostId && nowMs < this.#untilMs && !again;
  }
}

/** For all requests of this worker. */
export const solitude = new Solitude();
