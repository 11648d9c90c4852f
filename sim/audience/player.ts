/**
 * A player: asks for one segment after the other up to a buffer goal, starts after the first one, plays
 * at rate 1 and stalls when the buffer is empty. Its buffer is computed when somebody asks, not in steps.
 * @module
 */
import type { PlaybackState } from "../../src/engine/playback/deadline.js";
import type { SimConfig } from "../config.js";
import type { Traits } from "./viewer.js";

export class Player {
  readonly #segmentMs: number;
  readonly #goalMs: number;
  readonly #traits: Traits;
  readonly #openedMs: number;
  /** Media ahead of the play position at `#atMs`. */
  #aheadMs = 0;
  #atMs = 0;
  #startedMs = -1;
  #pauseFromMs = Number.POSITIVE_INFINITY;
  /** Next segment of the title; -1 before the playlist is known. */
  next = -1;
  /** End of the playlist as last read: the player asks for nothing beyond. */
  known = 0;
  stalls = 0;
  stallMs = 0;

  constructor(config: SimConfig, traits: Traits, nowMs: number) {
    this.#segmentMs = config.segment * 1_000;
    this.#goalMs = config.bufferGoalS * 1_000;
    this.#traits = traits;
    this.#openedMs = nowMs;
  }

  get started(): boolean {
    return this.#startedMs >= 0;
  }

  /** From opening the page to the first picture; -1 before. */
  get startupMs(): number {
    return this.started ? this.#startedMs - this.#openedMs : -1;
  }

  /** Media buffered ahead. */
  aheadMs(nowMs: number): number {
    return Math.max(0, this.#aheadMs - this.#playedMs(nowMs));
  }

  /** Time until the buffer is below its goal; 0 if it is. */
  roomInMs(nowMs: number): number {
    return Math.max(0, this.aheadMs(nowMs) + this.#segmentMs - this.#goalMs);
  }

  playback(nowMs: number): PlaybackState {
    return {
      aheadS: Math.round(this.aheadMs(nowMs) / 100) / 10,
      rate: 1,
      paused: nowMs >= this.#pauseFromMs && nowMs < this.#pauseFromMs + this.#traits.pauseMs,
      hidden: this.#traits.hidden,
    };
  }

  /** A segment is complete. */
  add(nowMs: number): void {
    if (!this.started) {
      this.#startedMs = nowMs;
      this.#pauseFromMs = nowMs + this.#traits.pauseAfterMs;
    } else {
      this.settle(nowMs);
    }
    this.#aheadMs = this.aheadMs(nowMs) + this.#segmentMs;
    this.#atMs = nowMs;
    this.next++;
  }

  /** Counts the time that the buffer has been empty since it was last looked at. */
  settle(nowMs: number): void {
    const dryMs = this.#playedMs(nowMs) - this.#aheadMs;
    if (!this.started || dryMs <= 1) return;
    this.stalls++;
    this.stallMs += dryMs;
    this.#aheadMs = 0;
    this.#atMs = nowMs;
  }

  /** Time spent playing since `#atMs`, had the buffer been endless. */
  #playedMs(nowMs: number): number {
    if (!this.started) return 0;
    const pauseEndMs = this.#pauseFromMs + this.#traits.pauseMs;
    const pausedMs = Math.max(
      0,
      Math.min(nowMs, pauseEndMs) - Math.max(this.#atMs, this.#pauseFromMs),
    );
    return nowMs - this.#atMs - (Number.isFinite(pausedMs) ? pausedMs : 0);
  }
}
