/**
 * What playlists tell: which URL is how many seconds of which rendition, and what comes after it. The page's
 * shell reads the playlists; this module is pure.
 * @module
 */
import { trim } from "../../core/trim.js";

/** A playlist as it was read; every URL is canonical. */
export interface Playlist {
  /** Of the playlist itself. */
  readonly url: string;
  /** Other playlists that it names, with their bandwidth in bit/s (0 if it does not say). */
  readonly children: readonly { readonly url: string; readonly bandwidth: number }[];
  readonly renditions: readonly Rendition[];
}

/** One rendition, its segments in playing order. */
export interface Rendition {
  /** The same in every version of the playlist. */
  readonly id: string;
  readonly bandwidth: number;
  readonly segments: readonly { readonly url: string; readonly durationS: number }[];
  /** Parts of segments and what will be one: too short-lived to share. */
  readonly parts: readonly string[];
  /** Renditions to choose from, this one included; 0 if the playlist does not know. */
  readonly choice: number;
}

/** What is known of one segment. */
export interface SegmentFacts {
  readonly durationS: number;
  /** Whether the player has other renditions to switch to. */
  readonly adaptive: boolean;
}

interface Place {
  readonly rendition: Rendition;
  readonly index: number;
}

/** Renditions remembered; the one that was longest not heard of is forgotten first. */
const RENDITIONS_MAX = 64;
/** Segments of one rendition, the last ones: 22 hours of 4 s. */
export const SEGMENTS_MAX = 20_000;
const CHILDREN_MAX = 1_000;

export class Lookahead {
  readonly #renditions = new Map<string, Rendition>();
  readonly #places = new Map<string, Place>();
  readonly #parts = new Map<string, string>();
  /** Media playlist → bandwidth, and how many there are to choose from. */
  readonly #children = new Map<string, { bandwidth: number; choice: number }>();

  learn({ children, renditions }: Playlist): void {
    const choice = new Set(children.map(({ url }) => url)).size;
    for (const { url, bandwidth } of children) {
      this.#children.delete(url);
      this.#children.set(url, { bandwidth, choice });
    }
    trim(this.#children, CHILDREN_MAX);
    for (const rendition of renditions) this.#remember(rendition);
  }

  segmentOf(url: string): SegmentFacts | undefined {
    const place = this.#places.get(url);
    const segment = place?.rendition.segments[place.index];
    if (!place || !segment) return undefined;
    const { id, choice } = place.rendition;
    const known = choice || this.#children.get(id)?.choice;
    // A media playlist whose master was never seen may be one of several.
    return { durationS: segment.durationS, adaptive: known === undefined || known > 1 };
  }

  /** Whether it is a part of a low-latency stream. */
  isPart(url: string): boolean {
    return this.#parts.has(url);
  }

  /** URLs of the segments that follow in the same rendition, at most `count`. */
  upcoming(url: string, count: number): string[] {
    const place = this.#places.get(url);
    if (!place) return [];
    const { rendition, index } = place;
    return rendition.segments.slice(index + 1, index + 1 + count).map((segment) => segment.url);
  }

  /** The same time in the next better rendition, and its bandwidth in bit/s, if its playlist was read. */
  above(url: string): { readonly url: string; readonly bandwidth: number } | undefined {
    const place = this.#places.get(url);
    if (!place) return undefined;
    const own = this.#bandwidthOf(place.rendition);
    const fromEnd = place.rendition.segments.length - place.index;
    let best: { url: string; bandwidth: number } | undefined;
    for (const rendition of this.#renditions.values()) {
      const bandwidth = this.#bandwidthOf(rendition);
      const segment = rendition.segments.at(-fromEnd);
      if (!segment || bandwidth <= own || bandwidth >= (best?.bandwidth ?? Infinity)) continue;
      if (siblings(rendition.id, place.rendition.id)) best = { url: segment.url, bandwidth };
    }
    return best;
  }

  /** Bit/s of the next better rendition; 0 if there is none, `undefined` if playlists did not tell. */
  nextBandwidth(url: string): number | undefined {
    const rendition = this.#places.get(url)?.rendition;
    const own = rendition && this.#bandwidthOf(rendition);
    if (!rendition || !own) return undefined;
    let next = 0;
    const consider = (id: string, bandwidth: number) => {
      if (bandwidth <= own || !siblings(id, rendition.id)) return;
      if (next === 0 || bandwidth < next) next = bandwidth;
    };
    for (const other of this.#renditions.values()) consider(other.id, this.#bandwidthOf(other));
    // Playlists that the player has not read yet.
    for (const [id, { bandwidth }] of this.#children) consider(id, bandwidth);
    return next;
  }

  #bandwidthOf({ id, bandwidth }: Rendition): number {
    return bandwidth || (this.#children.get(id)?.bandwidth ?? 0);
  }

  #remember(rendition: Rendition): void {
    this.#forget(rendition.id);
    const segments = rendition.segments.slice(-SEGMENTS_MAX);
    const kept = { ...rendition, segments };
    this.#renditions.set(rendition.id, kept);
    for (const [index, { url }] of segments.entries()) {
      this.#places.set(url, { rendition: kept, index });
    }
    for (const part of rendition.parts) this.#parts.set(part, rendition.id);
    for (const id of this.#renditions.keys()) {
      if (this.#renditions.size <= RENDITIONS_MAX) break;
      this.#forget(id);
    }
  }

  #forget(id: string): void {
    const rendition = this.#renditions.get(id);
    if (!rendition) return;
    this.#renditions.delete(id);
    for (const { url } of rendition.segments) {
      if (this.#places.get(url)?.rendition === rendition) this.#places.delete(url);
    }
    for (const part of rendition.parts) this.#parts.delete(part);
  }
}

/** Renditions of one film: of one manifest, or playlists of one site. */
function siblings(a: string, b: string): boolean {
  return a.split("#")[0] === b.split("#")[0] || !(a.includes("#") || b.includes("#"));
}
