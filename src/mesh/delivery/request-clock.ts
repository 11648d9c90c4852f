/**
 * When one request's bytes are needed, and how long it may wait for help: judged by what its page's players have
 * buffered now, and by what the origin would need.
 * @module
 */
import type { Planner } from "../../engine/planning/planner.js";
import { deadlineOf, type PlaybackState, patienceMs } from "../../engine/playback/deadline.js";
import type { PieceRange } from "../../protocol/asset.js";
import { PIECE_BYTES } from "../../protocol/limits.js";
import type { Want } from "../../protocol/worker-messages.js";

/** A round trip to the index, as a rule. */
const ATTESTATION_MS = 50;
/** Where nothing is known of an asset. */
const EXPECTED_BYTES = 2 ** 20;

export class RequestClock {
  readonly #want: Want;
  readonly #planner: Planner;
  readonly #playback: () => PlaybackState | undefined;
  readonly #now: () => number;
  /** When the mesh took over what passed through before; the request's opening else. */
  #startedMs: number;

  constructor(options: {
    want: Want;
    planner: Planner;
    playback: () => PlaybackState | undefined;
    now: () => number;
  }) {
    this.#want = options.want;
    this.#planner = options.planner;
    this.#playback = options.playback;
    this.#now = options.now;
    this.#startedMs = options.now() - (options.want.passingMs ?? 0);
  }

  get startedMs(): number {
    return this.#startedMs;
  }

  /** The mesh takes the response over. */
  restart(): void {
    this.#startedMs = this.#now();
  }

  /** @param pieces That are to come; none before anything is known of the asset. */
  deadlineMs({ from, to }: PieceRange): number {
    return deadlineOf({
      openedMs: this.#startedMs,
      nowMs: this.#now(),
      playback: this.#playback(),
      originMs: this.#planner.origin.expectedMs(
        to > from ? (to - from) * PIECE_BYTES : this.#expectedBytes,
      ),
    });
  }

  /** Until then it may wait for links and holders that are on their way. */
  patientUntilMs(pieces: PieceRange): number {
    const originMs = this.#planner.origin.expectedMs((pieces.to - pieces.from) * PIECE_BYTES);
    return this.#startedMs + patienceMs(this.#startedMs, this.deadlineMs(pieces), originMs);
  }

  /** Waits for the asset's attestation as long as the deadline allows. */
  async patiently(attesting: Promise<void>): Promise<void> {
    const waitMs = this.#attestationMs;
    if (waitMs <= 0) return;
    await Promise.race([
      attesting,
      new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, waitMs);
        void attesting.then(() => clearTimeout(timer));
      }),
    ]);
  }

  /** How long it may wait for the asset's attestation: as the deadline allows, and not at all when bytes are urgent. */
  get #attestationMs(): number {
    const originMs = this.#planner.origin.expectedMs(this.#expectedBytes);
    // Somebody is there who may hold it: an answer of the index is worth a moment in any case.
    const leastMs = this.#planner.linked ? ATTESTATION_MS : 0;
    const deadlineMs = this.deadlineMs({ from: 0, to: 0 });
    return Math.max(leastMs, patienceMs(this.#now(), deadlineMs, originMs));
  }

  get #expectedBytes(): number {
    const { range } = this.#want;
    return range?.end === undefined ? EXPECTED_BYTES : range.end - range.start;
  }
}
