/**
 * What is counted while a run lasts.
 * @module
 */
import type { Viewer } from "../audience/viewer.js";

/** Numbers that grow without a closure each. */
class Samples {
  #values = new Float32Array(1_024);
  #count = 0;

  get count(): number {
    return this.#count;
  }

  get values(): Float32Array {
    return this.#values.subarray(0, this.#count);
  }

  addAll(values: Float32Array): void {
    for (const value of values) this.add(value);
  }

  add(value: number): void {
    if (this.#count === this.#values.length) {
      const longer = new Float32Array(2 * this.#count);
      longer.set(this.#values);
      this.#values = longer;
    }
    this.#values[this.#count++] = value;
  }

  /** Quantiles, 0 if there are no samples. */
  quantiles(...shares: readonly number[]): number[] {
    const sorted = this.#values.slice(0, this.#count).sort();
    return shares.map(
      (share) => sorted[Math.min(this.#count - 1, Math.floor(share * this.#count))] ?? 0,
    );
  }
}

/** One of so many mesh pieces is remembered for the quantiles. */
const PIECE_SAMPLE = 8;

/**
 * Why the planner ordered a piece from the origin: the viewer has only just come; no linked peer has said that it
 * holds it; one has, but was too slow, busy or silent.
 */
export type FetchReason = "starting" | "first" | "held";

export interface PlainStats {
  readonly counts: Readonly<Record<string, number>>;
  readonly fetched: Readonly<Record<FetchReason, number>>;
  readonly drops: Readonly<{ corrupt: number; stalled: number }>;
  /** Of each of `SAMPLES`. */
  readonly samples: readonly Float32Array[];
}

const SAMPLES = ["delays", "startups", "pieceDelays", "uploads"] as const;

function addTo(sums: Record<string, number>, counts: Readonly<Record<string, number>>): void {
  for (const [name, count] of Object.entries(counts)) sums[name] = (sums[name] ?? 0) + count;
}

export class Stats {
  meshBytes = 0;
  originBytes = 0;
  originFirstBytes = 0;
  duplicateBytes = 0;
  rejectedBytes = 0;
  sentBytes = 0;
  asks = 0;
  cancels = 0;
  busy = 0;
  absent = 0;
  planned = 0;
  passed = 0;
  alone = 0;
  failed = 0;
  originRuns = 0;
  /** Ends of links that opened: two each. */
  linkEnds = 0;
  /** Pieces that planners ordered from the origin. */
  readonly fetched: Record<FetchReason, number> = {
    ...{ starting: 0, first: 0, held: 0 },
  };
  /** Pieces of requests that passed through. */
  passedPieces = 0;
  readonly drops = { corrupt: 0, stalled: 0 };
  stalls = 0;
  stallMs = 0;
  readonly delays = new Samples();
  readonly startups = new Samples();
  readonly pieceDelays = new Samples();
  readonly uploads = new Samples();
  #pieces = 0;

  /** All that was counted, as plain values that may go to another thread. */
  plain(): PlainStats {
    const counts = Object.fromEntries(
      Object.entries(this).filter(([, value]) => typeof value === "number"),
    ) as Record<string, number>;
    const { fetched, drops } = this;
    const samples = SAMPLES.map((name) => this[name].values.slice());
    return { counts, fetched: { ...fetched }, drops: { ...drops }, samples };
  }

  /** Adds what another shard counted. */
  include({ counts, fetched, drops, samples }: PlainStats): void {
    addTo(this as unknown as Record<string, number>, counts);
    addTo(this.fetched, fetched);
    addTo(this.drops, drops);
    for (const [at, name] of SAMPLES.entries()) this[name].addAll(samples[at] as Float32Array);
  }

  /** `delayMs`: since the request was opened. */
  meshPiece(bytes: number, delayMs: number): void {
    this.meshBytes += bytes;
    if (this.#pieces++ % PIECE_SAMPLE === 0) this.pieceDelays.add(delayMs);
  }

  originPiece(bytes: number, first: boolean): void {
    this.originBytes += bytes;
    if (first) this.originFirstBytes += bytes;
    else this.duplicateBytes += bytes;
  }

  completed(delayMs: number): void {
    this.delays.add(delayMs);
  }

  /** A viewer leaves, or the run ends. */
  left(viewer: Viewer): void {
    const { player } = viewer;
    // Who floods its neighbours and is dropped by them stalls by its own doing.
    if (!viewer.hostile) {
      this.stalls += player.stalls;
      this.stallMs += player.stallMs;
    }
    if (player.startupMs >= 0) this.startups.add(player.startupMs);
    this.uploads.add(viewer.uploadedBytes);
  }
}
