/**
 * How fast a body that is here already is handed to a player, so that the player's own estimate stays true:
 * a segment from the store in 2 ms looks like a line without limit, and the player climbs to a rendition
 * that neither origin nor mesh can go on with. This module is pure.
 *
 * Why the body: players subtract or forgive a late first byte (docs/decisions/0018).
 * @module
 */
import type { PlaybackState } from "./deadline.js";

export interface PaceFacts {
  /** Of the page that asks; `undefined` if its player cannot be seen. */
  readonly playback: PlaybackState | undefined;
  /** The whole body. */
  readonly bytes: number;
  /** Media time in the body, if a playlist told. */
  readonly durationS: number | undefined;
  /** What the next segment would get, see {@link honestRate}. */
  readonly honestBytesPerMs: number | undefined;
  /** Bodies that are handed to the same page at the same time, this one included: they share the line. */
  readonly parallel: number;
}

/**
 * Faster than honest, and still below what any player takes for the next rung: they keep 5 % (Shaka, down)
 * to 30 % (hls.js, up) to themselves.
 */
const PACE_RATIO = 1.15;
/** Enough for every player to stay on the rung that it has (Video.js wants 1.2), too little to climb. */
const SUSTAIN_RATIO = 1.3;
/**
 * Of the next rung's bitrate, before {@link PACE_RATIO}: every player climbs to it (hls.js wants 1.43), and none to
 * the one after it, which is half as much again or more.
 */
const CLIMB_RATIO = 1.3;
/** From rung to rung, where no playlist told. */
const USUAL_STEP = 1.7;
/** Nobody waits longer for a body that playing waits for. */
const START_MAX_MS = 2_000;
/** Share of the buffer that one body may use up. */
const BUFFER_SHARE = 0.5;

/** What is known of the line that a player shares with the mesh; all rates in bytes per millisecond. */
export interface LineFacts {
  /** What the origin gave, in this page or an earlier one; `undefined` if nobody measured yet. */
  readonly measuredBytesPerMs: number | undefined;
  /** What the browser tells of the line without having asked this origin; `undefined` if it tells nothing. */
  readonly hearsayBytesPerMs: number | undefined;
  /** What peers sustain of the next better rung; 0 if they do not hold it. */
  readonly aboveBytesPerMs: number;
  /** Bitrate of the next better rung: 0 if there is none, `undefined` if no playlist told. */
  readonly nextBytesPerMs: number | undefined;
  /** Bitrate of the body itself; `undefined` if no playlist told. */
  readonly ownBytesPerMs: number | undefined;
}

/**
 * What the next segment would get. Peers promise one rung up and no more: of the rungs beyond nobody knows whether
 * they hold them. Where nothing at all is known of the line the player may try one rung up, too: that segment comes
 * from the origin, and then it is known.
 *
 * @returns Bytes per millisecond; `undefined` if there is nothing that a player could be misled to.
 */
export function honestRate({
  measuredBytesPerMs,
  hearsayBytesPerMs,
  aboveBytesPerMs,
  nextBytesPerMs,
  ownBytesPerMs,
}: LineFacts): number | undefined {
  const next = nextBytesPerMs ?? (ownBytesPerMs && ownBytesPerMs * USUAL_STEP);
  const climb = next ? next * CLIMB_RATIO : Number.POSITIVE_INFINITY;
  const line = measuredBytesPerMs ?? hearsayBytesPerMs ?? climb;
  const rate = Math.max(line, Math.min(aboveBytesPerMs, climb));
  return Number.isFinite(rate) ? rate : undefined;
}

/** @returns Bytes per millisecond; `undefined`: as fast as possible. */
export function paceOf({
  playback,
  bytes,
  durationS,
  honestBytesPerMs,
  parallel,
}: PaceFacts): number | undefined {
  if (honestBytesPerMs === undefined || playback?.starving) return undefined;
  const rate = (PACE_RATIO * honestBytesPerMs) / Math.max(1, parallel);
  const sustainMs = durationS ? (durationS * 1_000) / SUSTAIN_RATIO : Number.POSITIVE_INFINITY;
  return Math.max(rate, bytes / Math.min(sustainMs, patienceMs(playback)));
}

/** The time that a body may take without harm. */
function patienceMs(playback: PlaybackState | undefined): number {
  if (!playback || playback.paused) return Number.POSITIVE_INFINITY;
  const aheadMs = (playback.aheadS * 1_000) / Math.max(0.25, playback.rate);
  return Math.max(START_MAX_MS, aheadMs * BUFFER_SHARE);
}

/** What is known of a body that a player starts with, and of the one after it. */
export interface StartFacts {
  /** Bytes of the body that are here, of those that have been waited for since {@link elapsedMs} ago. */
  readonly heldBytes: number;
  readonly missingBytes: number;
  readonly elapsedMs: number;
  /** Media time in the body. */
  readonly durationS: number;
  /** Bytes of the next body that nobody has brought yet. */
  readonly nextMissingBytes: number;
}

/** Share of the first body's media time in which the next one is to be here: the rest is for its last pieces to be swapped. */
const START_SHARE = 0.85;
/** A start is put off by no more than this share of the time that the first body takes. */
const START_HOLD_RATIO = 0.15;

/**
 * How much longer the first body of a showing is worth holding back behind a line on which the next one takes longer
 * than the first one plays: a start that is a moment later instead of a stall after one segment. Players start as soon
 * as they can, and ask for the next body when they have this one; so what the line does meanwhile is what is read ahead.
 *
 * @returns Milliseconds after its last byte; 0: not at all.
 */
export function startHoldMs(facts: StartFacts): number {
  const { heldBytes, missingBytes, elapsedMs, durationS, nextMissingBytes } = facts;
  if (heldBytes === 0 || elapsedMs === 0) return 0;
  const bytesPerMs = heldBytes / elapsedMs;
  const restMs = missingBytes / bytesPerMs;
  const lateMs = nextMissingBytes / bytesPerMs - durationS * 1_000 * START_SHARE;
  return Math.max(0, Math.min(lateMs, (elapsedMs + restMs) * START_HOLD_RATIO));
}
