/**
 * Brings the segments that a player will ask for next, while nobody waits for anything: only what linked
 * peers hold, never a byte of the origin, so no copy is added and no share of it delayed. What nobody vouches
 * for yet is attested ahead, and the server has read it before the player asks.
 * @module
 */

import type { Command } from "../../engine/planning/command.js";
import type { Planner } from "../../engine/planning/planner.js";
import type { PlaybackState } from "../../engine/playback/deadline.js";
import { WINDOW_PIECES } from "../../protocol/limits.js";
import type { PieceLibrary } from "../delivery/piece-library.js";
import type { Trust, TrustedAsset } from "../trust/trust.js";

export interface PrefetchOptions {
  readonly planner: Planner;
  readonly trust: Trust;
  readonly library: PieceLibrary;
  readonly now: () => number;
  /** A number that no other request of the planner has. */
  readonly nextId: () => number;
  readonly run: (commands: readonly Command[]) => void;
  readonly attest: (url: string, window: number) => Promise<void>;
  /** Segments after this one in the same rendition, at most `count`. */
  readonly upcoming: (url: string, count: number) => readonly string[];
  readonly playbackOf: (clientId: string) => PlaybackState | undefined;
  /** Whether nothing else is under way, and device and viewer allow it. */
  readonly allowed: () => boolean;
  readonly onError: (error: unknown) => void;
}

/** The next two: a player that switches throws away no more. */
const SEGMENTS = 2;
/** Buffered ahead, so that the player has no need of the line now. */
const AHEAD_MIN_S = 8;
const REVIEW_MS = 200;
/** A page that asked for nothing in this time has stopped or chosen something else. */
const STALE_MS = 30_000;
const PAGES_MAX = 8;
const ATTESTED_MAX = 256;

interface Target {
  readonly url: string;
  readonly atMs: number;
}

export class Prefetch {
  readonly #options: PrefetchOptions;
  /** Page → the segment that it asked for last. */
  readonly #targets = new Map<string, Target>();
  /** Asset → the planner's request for it. */
  readonly #open = new Map<string, number>();
  readonly #attested = new Set<string>();
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(options: PrefetchOptions, signal: AbortSignal) {
    this.#options = options;
    signal.addEventListener("abort", () => this.#stop(), { once: true });
  }

  /** A page asks for a segment: it comes first, and those after it are next. */
  asked(clientId: string, url: string): void {
    // What was begun of this very segment goes on until the page's own request has taken it over.
    this.yield(this.#options.trust.find(url)?.assetId);
    if (this.#options.upcoming(url, 1).length === 0) return;
    this.#targets.delete(clientId);
    this.#targets.set(clientId, { url, atMs: this.#options.now() });
    for (const oldest of this.#targets.keys()) {
      if (this.#targets.size <= PAGES_MAX) break;
      this.#targets.delete(oldest);
    }
    this.#timer ??= setInterval(() => this.#review(), REVIEW_MS);
  }

  /** Takes everything back that only this ordered, but what it ordered of `kept`. */
  yield(kept?: string): void {
    for (const [assetId, id] of this.#open) {
      if (assetId === kept) continue;
      this.#open.delete(assetId);
      this.#options.run(this.#options.planner.close(id));
    }
  }

  #review(): void {
    const { planner, now, allowed, run } = this.#options;
    for (const [clientId, { atMs }] of this.#targets) {
      if (now() - atMs > STALE_MS) this.#targets.delete(clientId);
    }
    if (this.#targets.size === 0 || !allowed()) this.yield();
    if (this.#targets.size === 0) return this.#stop();
    if (!allowed()) return;
    for (const [clientId, { url }] of this.#targets) {
      if (!this.#comfortable(clientId)) continue;
      for (const next of this.#options.upcoming(url, SEGMENTS)) this.#bring(next);
    }
    run(planner.tick(now()));
  }

  #comfortable(clientId: string): boolean {
    const playback = this.#options.playbackOf(clientId);
    if (!playback || playback.paused || playback.hidden) return false;
    return playback.aheadS / Math.max(1, playback.rate) >= AHEAD_MIN_S;
  }

  #bring(url: string): void {
    const { trust, library, planner } = this.#options;
    if (trust.refused(url)) return;
    const asset = trust.find(url);
    if (!asset?.windows.has(0)) return this.#attest(url);
    const { assetId } = asset;
    const have = library.have(asset);
    // One window: a segment is rarely longer, and only that much is attested.
    const pieces = { from: 0, to: Math.min(have.pieceCount, WINDOW_PIECES) };
    const whole = have.hasRange(pieces.from, pieces.to);
    const opened = this.#open.get(assetId);
    if (opened !== undefined && whole) {
      this.#open.delete(assetId);
      this.#options.run(planner.close(opened));
    }
    if (opened !== undefined || whole) return;
    if (planner.heldByPeers(assetId, pieces)) this.#order(asset, pieces);
  }

  #order(asset: TrustedAsset, pieces: { from: number; to: number }): void {
    const { planner, library, nextId, now, run } = this.#options;
    const id = nextId();
    this.#open.set(asset.assetId, id);
    const have = library.have(asset);
    const request = {
      ...{ id, assetId: asset.assetId, pieces, pieceCount: have.pieceCount, peersOnly: true },
      deadlineMs: now() + STALE_MS,
      attestedTo: pieces.to,
      patientUntilMs: now() + STALE_MS,
    };
    run(planner.open(request, have, now()));
  }

  /** Once per segment: the answer, or the holders in it, come by themselves. */
  #attest(url: string): void {
    if (this.#attested.has(url)) return;
    this.#attested.add(url);
    for (const oldest of this.#attested) {
      if (this.#attested.size <= ATTESTED_MAX) break;
      this.#attested.delete(oldest);
    }
    this.#options.attest(url, 0).catch(this.#options.onError);
  }

  #stop(): void {
    this.yield();
    this.#targets.clear();
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}
