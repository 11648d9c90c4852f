/**
 * Who hears what a viewer tells: its neighbours' ends of its links, nearest first, never written to. Numbers and round
 * trips lie side by side, so that most of what is told needs no look at links and viewers, whose memory is cold.
 * @module
 */
import type { Link } from "../audience/viewer.js";

export class Hearers {
  static readonly NONE = new Hearers([]);
  readonly ends: readonly Link[];
  /** Numbers of the viewers. */
  readonly indices: Int32Array;
  readonly rttsMs: Float64Array;

  constructor(ends: readonly Link[]) {
    this.ends = [...ends].sort((a, b) => a.rttMs - b.rttMs);
    this.indices = Int32Array.from(this.ends, ({ owner }) => owner.index);
    this.rttsMs = Float64Array.from(this.ends, ({ rttMs }) => rttMs);
  }

  get count(): number {
    return this.ends.length;
  }

  with(end: Link): Hearers {
    return new Hearers([...this.ends, end]);
  }

  without(viewer: number): Hearers {
    if (!this.indices.includes(viewer)) return this;
    return new Hearers(this.ends.filter(({ owner }) => owner.index !== viewer));
  }

  /** Round trip to the farthest of those before number `end`. */
  rttMs(end: number): number {
    return this.rttsMs[end - 1] ?? 0;
  }
}
