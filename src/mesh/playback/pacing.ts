/**
 * Tells the worker how fast the bodies in its hands may reach their players (`engine/playback/pace.ts`), and goes on
 * telling while they last: buffers run low, lines change. Only segments of adaptive players are paced;
 * images, fonts, downloads and plain files in a media element never are.
 * @module
 */
import type { PlaybackState } from "../../engine/playback/deadline.js";
import { honestRate, paceOf } from "../../engine/playback/pace.js";
import type { PieceRange } from "../../protocol/asset.js";
import type { PaceAdvice } from "../../protocol/worker-messages.js";
import type { AwaitedBody } from "./start-hold.js";

/** One body on its way to a page. */
export interface PacedBody {
  readonly url: string;
  readonly clientId: string;
  readonly bytes: number;
  readonly contentType: string;
  /** What is awaited of it; without, all of it is here. */
  readonly pieces?: PieceRange;
}

export interface PacingOptions {
  readonly playbackOf: (clientId: string) => PlaybackState | undefined;
  /** What is known of a segment from playlists; `undefined` if none named it. */
  readonly segmentOf: (url: string) => { durationS: number; adaptive: boolean } | undefined;
  /** The origin's measured rate, in bytes per millisecond. */
  readonly originBytesPerMs: () => number | undefined;
  /** What the browser tells of the line, in bytes per millisecond; asked while the origin was not measured. */
  readonly hearsayBytesPerMs: () => number | undefined;
  /** What peers sustain for the rung above, in bytes per millisecond; 0 if they do not hold it. */
  readonly aboveBytesPerMs: (url: string) => number;
  /** Bitrate of the rung above, in bytes per millisecond; 0: none, `undefined`: unknown. */
  readonly nextBytesPerMs: (url: string) => number | undefined;
  /** How long the end of a body that is being put together is to be held back, in milliseconds. */
  readonly holdMs: (body: AwaitedBody, elapsedMs: number) => number;
  readonly now: () => number;
}

interface Running {
  readonly body: PacedBody;
  readonly tell: (advice: PaceAdvice) => void;
  told: number | undefined;
  readonly sinceMs: number;
  /** How long its end was said to be held back. */
  holdMs: number;
  /** Whether its player chooses between renditions. */
  readonly adaptive: boolean;
}

const REVIEW_MS = 250;
/** Smaller changes are not worth a message. */
const CHANGE_RATIO = 0.05;
/** What is at stake when no playlist told: the rest is a few bytes, or none of a player's business. */
const MEDIA_TYPE = /^(video|audio)\/|^application\/mp4\b/i;
const BODIES_MAX = 64;
const REMEMBERED_KEY = "nearcast-origin-rate";
/** A rate of last week says nothing of today's line. */
const REMEMBERED_MS = 24 * 3_600_000;

export class Pacing {
  readonly #options: PacingOptions;
  readonly #running = new Set<Running>();
  #rememberedBytesPerMs = remembered();
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(options: PacingOptions) {
    this.#options = options;
  }

  /** Advises on one body from now on, at once if it is to be paced, until `ended` aborts. */
  add(body: PacedBody, tell: (advice: PaceAdvice) => void, ended: AbortSignal): void {
    const adaptive = this.#adaptive(body);
    const paced = adaptive || body.pieces;
    if (ended.aborted || !paced || this.#running.size >= BODIES_MAX) {
      return tell({ type: "pace", bytesPerMs: undefined });
    }
    const sinceMs = this.#options.now();
    const running = { body, tell, told: undefined, sinceMs, holdMs: 0, adaptive };
    this.#running.add(running);
    ended.addEventListener("abort", () => this.#remove(running), { once: true });
    this.#review(running, true);
    this.#timer ??= setInterval(() => this.#reviewAll(), REVIEW_MS);
  }

  /** Whether a player that chooses between renditions looks at how fast this comes. */
  #adaptive({ url, clientId, contentType }: PacedBody): boolean {
    const segment = this.#options.segmentOf(url);
    if (segment) return segment.adaptive;
    return MEDIA_TYPE.test(contentType) && this.#options.playbackOf(clientId) !== undefined;
  }

  #remove(running: Running): void {
    this.#running.delete(running);
    if (this.#running.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #reviewAll(): void {
    for (const running of this.#running) this.#review(running, false);
  }

  #review(running: Running, first: boolean): void {
    const bytesPerMs = this.#pace(running);
    const holdMs = this.#holdMs(running);
    const changed = differs(running.told, bytesPerMs) || differs(running.holdMs, holdMs);
    if (!first && !changed) return;
    running.told = bytesPerMs;
    running.holdMs = holdMs;
    running.tell({ type: "pace", bytesPerMs, holdMs });
  }

  #holdMs({ body: { url, clientId, pieces }, sinceMs }: Running): number {
    const { holdMs, now } = this.#options;
    return pieces ? holdMs({ url, clientId, pieces }, now() - sinceMs) : 0;
  }

  #pace({ body, adaptive }: Running): number | undefined {
    if (!adaptive) return undefined;
    const { url, clientId, bytes } = body;
    const { playbackOf, segmentOf } = this.#options;
    const durationS = segmentOf(url)?.durationS;
    return paceOf({
      playback: playbackOf(clientId),
      bytes,
      durationS,
      honestBytesPerMs: this.#honestRate(body, durationS),
      parallel: this.#parallelTo(clientId),
    });
  }

  #parallelTo(clientId: string): number {
    const alike = [...this.#running].filter(
      (other) => other.adaptive && other.body.clientId === clientId,
    );
    return alike.length;
  }

  #honestRate({ url, bytes }: PacedBody, durationS: number | undefined): number | undefined {
    const { originBytesPerMs, hearsayBytesPerMs, aboveBytesPerMs, nextBytesPerMs } = this.#options;
    const measuredBytesPerMs = originBytesPerMs() ?? this.#rememberedBytesPerMs;
    return honestRate({
      measuredBytesPerMs,
      hearsayBytesPerMs: measuredBytesPerMs === undefined ? hearsayBytesPerMs() : undefined,
      aboveBytesPerMs: aboveBytesPerMs(url),
      nextBytesPerMs: nextBytesPerMs(url),
      ownBytesPerMs: durationS && bytes / (durationS * 1_000),
    });
  }

  /**
   * Keeps the origin's rate for the next page: a film in the store is played long before the origin is
   * measured again. Call when a request ended.
   */
  remember(): void {
    const bytesPerMs = this.#options.originBytesPerMs();
    if (bytesPerMs === undefined || !differs(this.#rememberedBytesPerMs, bytesPerMs)) return;
    this.#rememberedBytesPerMs = bytesPerMs;
    try {
      localStorage.setItem(REMEMBERED_KEY, JSON.stringify([bytesPerMs, Date.now()]));
    } catch {
      // Storage is blocked: the next page measures anew.
    }
  }
}

function differs(a: number | undefined, b: number | undefined): boolean {
  if (a === undefined || b === undefined) return a !== b;
  return Math.abs(a - b) > CHANGE_RATIO * a;
}

function remembered(): number | undefined {
  try {
    const [bytesPerMs, atMs] = JSON.parse(localStorage.getItem(REMEMBERED_KEY) ?? "[]");
    const fresh = Math.abs(Date.now() - atMs) < REMEMBERED_MS;
    return fresh && bytesPerMs > 0 ? bytesPerMs : undefined;
  } catch {
    return undefined;
  }
}
