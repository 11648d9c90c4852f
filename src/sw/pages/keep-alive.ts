/**
 * Keeps the worker running for as long as a body does. Browsers differ (measured, docs/decisions/0025): Firefox stops a
 * worker 30 s after its last event, 60 s with `waitUntil()`, and a body that is cut by that looks complete to the page;
 * Chromium lets a body run on, but stops the worker after 5 minutes of one `waitUntil()`. So no event is held for
 * long, and pages are asked to send one now and then.
 * @module
 */
import { within } from "../within.js";

/** Well within the 30 s that Firefox allows. */
const BEAT_MS = 10_000;
/** Well within the 5 minutes that Chromium allows. */
const HELD_MAX_MS = 60_000;
/** For a body whose end is not seen. */
const UNSEEN_MS = 600_000;

export class KeepAlive {
  readonly #beat: () => void;
  #bodies = 0;
  #timer: ReturnType<typeof setInterval> | undefined;

  /** @param beat Asks pages for an event. */
  constructor(beat: () => void) {
    this.#beat = beat;
  }

  /**
   * @param ended Resolves when the body is over.
   * @returns What the event may wait for.
   */
  until(ended: Promise<void>): Promise<void> {
    this.#bodies++;
    this.#timer ??= setInterval(this.#beat, BEAT_MS);
    void ended.then(() => {
      if (--this.#bodies > 0) return;
      clearInterval(this.#timer);
      this.#timer = undefined;
    });
    return within(ended, HELD_MAX_MS);
  }

  /** A body was passed on whose end is not seen. */
  unseen(): void {
    void this.until(new Promise((resolve) => setTimeout(resolve, UNSEEN_MS)));
  }
}
