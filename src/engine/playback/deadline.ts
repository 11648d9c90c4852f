/**
 * When a request's bytes are needed. This module is pure.
 * @module
 */

/** What one page reports of its media elements, the least buffered one first in mind. */
export interface PlaybackState {
  /** Seconds buffered ahead of the play position; 0 while seeking or waiting. */
  readonly aheadS: number;
  readonly rate: number;
  readonly paused: boolean;
  readonly hidden: boolean;
  /** It ran dry while playing: neither start-up nor seeking. */
  readonly starving?: boolean;
  /** The player lives in a frame, whose requests are those of a client of its own. */
  readonly framed?: boolean;
}

/** A page with media that is paused or hidden is never urgent. */
const RELAXED_MS = 30_000;
/**
 * The price of origin bytes, in time. Promise 2 allows a request the CDN's own time plus a small constant:
 * this is it, less for a player that has nothing to play.
 */
const DOWNLOAD_GRACE_MS = 200;
const STARTUP_GRACE_MS = 100;
/** What must stay in the buffer: decoding, appending and one round of planning. */
const MARGIN_MS = 1_000;
/** Links take a second or two; the rest of the slack is for the origin to be slower than it was. */
const PATIENCE_RATIO = 0.7;
const PATIENCE_MAX_MS = 2_000;

/**
 * The time by which a request must be complete, on the clock of `nowMs`.
 *
 * @param openedMs When the page asked.
 * @param playback State of the page that asks; `undefined` if it has no media element.
 * @param originMs What the origin itself would need for the request: nothing may be slower than that
 * without a buffer to hide it.
 */
export function deadlineOf({
  openedMs,
  nowMs,
  playback,
  originMs,
}: {
  readonly openedMs: number;
  readonly nowMs: number;
  readonly playback: PlaybackState | undefined;
  readonly originMs: number;
}): number {
  if (playback === undefined) return openedMs + originMs + DOWNLOAD_GRACE_MS;
  const asOriginMs = openedMs + originMs + STARTUP_GRACE_MS;
  if (playback.paused || playback.hidden) {
    return playback.aheadS > 1 ? Math.max(asOriginMs, nowMs + RELAXED_MS) : asOriginMs;
  }
  const bufferedMs = (playback.aheadS * 1_000) / Math.max(0.25, playback.rate);
  return Math.max(asOriginMs, nowMs + bufferedMs - MARGIN_MS);
}

/** How long a request may wait for links and attestations that are on their way. */
export function patienceMs(nowMs: number, deadlineMs: number, originMs: number): number {
  // The grace is for peers that are at work; nobody waits in vain on account of it.
  const slackMs = deadlineMs - nowMs - originMs - DOWNLOAD_GRACE_MS;
  return Math.max(0, Math.min(PATIENCE_MAX_MS, slackMs * PATIENCE_RATIO));
}
