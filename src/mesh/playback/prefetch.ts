/**
 * Brings the segments that a player will ask for next. While nobody waits for anything: what linked peers hold. While
 * the player runs short behind a slow origin: what nobody holds, over that origin's line, in the moments in which it
 * has nothing else to do (docs/decisions/0038). What nobody vouches for yet is attested ahead, and the server has read
 * it before the player asks.
 * @module
 */

import { trim } from "../../core/trim.js";
import type { Planner } from "../../engine/planning/planner.js";
import type { PlannedRequest } from "../../engine/planning/request-state.js";
import type { PlaybackState } from "../../engine/playback/deadline.js";
import type { PieceRange } from "../../protocol/asset.js";
import { PROTOCOL_VERSION, WINDOW_PIECES } from "../../protocol/limits.js";
import type { Ahead } from "../../protocol/worker-messages.js";
import type { Exchange } from "../delivery/exchange.js";
import type { PieceLibrary } from "../delivery/piece-library.js";
import type { Trust, TrustedAsset } from "../trust/trust.js";
import { AheadFetch } from "./ahead-fetch.js";

export interface PrefetchOptions {
  readonly planner: Planner;
  readonly trust: Trust;
  readonly library: PieceLibrary;
  readonly now: () => number;
  /** A number that no other request of the planner has. */
  readonly nextId: () => number;
  readonly exchange: Pick<Exchange, "run" | "idle" | "passing" | "learned">;
  readonly attest: (url: string, window: number) => Promise<void>;
  /** Segments after this one in the same rendition, at most `count`. */
  readonly upcoming: (url: string, count: number) => readonly string[];
  readonly playbackOf: (clientId: string) => PlaybackState | undefined;
  /** Whether device and viewer allow it. */
  readonly allowed: () => boolean;
  /** Query parameters that keys leave out: a URL without what authorises it is not worth asking for. */
  readonly stripParams: readonly string[];
  /** The worker's end of it reads what the host orders; `undefined` without a worker. */
  readonly openAhead: (ahead: Ahead) => MessagePort | undefined;
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

/** What is brought ahead of one page. */
interface Opened {
  /** The planner's request. */
  readonly id: number;
  /** Of what the origin's line brings. */
  readonly fetch?: AheadFetch;
}

export class Prefetch {
  readonly #options: PrefetchOptions;
  /** Page → the segment that it asked for last. */
  readonly #targets = new Map<string, Target>();
  /** Page → what it asked for last that no playlist has named yet: the first segment comes before its playlist is read. */
  readonly #unplaced = new Map<string, string>();
  /** By asset. */
  readonly #open = new Map<string, Opened>();
  readonly #attested = new Set<string>();
  /** The origin did not give the worker what it gives to pages. */
  #unfit = false;
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(options: PrefetchOptions, signal: AbortSignal) {
    this.#options = options;
    signal.addEventListener("abort", () => this.#stop(), { once: true });
  }

  /** A page asks for a segment: it comes first, and those after it are next. */
  asked(clientId: string, url: string): void {
    // What was begun of this very segment goes on until the page's own request has taken it over.
    this.yield(this.#options.trust.find(url)?.assetId);
    this.#unplaced.delete(clientId);
    if (!this.#aim(clientId, url)) this.#unplaced.set(clientId, url);
    trim(this.#unplaced, PAGES_MAX);
  }

  /** A playlist was read: what it names may have been asked for already. */
  learned(): void {
    for (const [clientId, url] of this.#unplaced) {
      if (this.#aim(clientId, url)) this.#unplaced.delete(clientId);
    }
  }

  /** @returns Whether anything is known to follow it. */
  #aim(clientId: string, url: string): boolean {
    if (this.#options.upcoming(url, 1).length === 0) return false;
    this.#targets.delete(clientId);
    this.#targets.set(clientId, { url, atMs: this.#options.now() });
    trim(this.#targets, PAGES_MAX);
    this.#timer ??= setInterval(() => this.#review(), REVIEW_MS);
    return true;
  }

  /** Takes everything back that only this ordered, but what it ordered of `kept`. */
  yield(kept?: string): void {
    for (const assetId of this.#open.keys()) if (assetId !== kept) this.#close(assetId);
  }

  /** The planner orders pieces from the origin, if the request is one of these. */
  fetch(order: { requestId: number } & PieceRange): void {
    for (const { id, fetch } of this.#open.values())
      if (id === order.requestId) fetch?.fetch(order);
  }

  #close(assetId: string): void {
    const opened = this.#open.get(assetId);
    if (!opened) return;
    this.#open.delete(assetId);
    opened.fetch?.close();
    this.#options.exchange.run(this.#options.planner.close(opened.id));
  }

  #review(): void {
    const { exchange, now, allowed } = this.#options;
    for (const [clientId, { atMs }] of this.#targets) {
      if (now() - atMs > STALE_MS) this.#targets.delete(clientId);
    }
    if (this.#targets.size === 0) return this.#stop();
    if (!allowed()) return this.yield();
    if (!exchange.idle) this.#yieldUplinks();
    for (const [clientId, { url }] of this.#targets) this.#bringNext(clientId, url);
  }

  #bringNext(clientId: string, url: string): void {
    const { exchange, upcoming, playbackOf } = this.#options;
    const playback = playbackOf(clientId);
    if (!playback || playback.hidden) return;
    if (playback.aheadS / Math.max(1, playback.rate) < AHEAD_MIN_S) {
      if (!this.sharesLine) return;
      for (const next of upcoming(url, 1)) this.#bring(next, clientId);
    } else if (exchange.idle && !playback.paused) {
      for (const next of upcoming(url, SEGMENTS)) this.#bring(next);
    }
  }

  /** Whether the origin is slow for everybody, so that its line had better not idle, and can be asked ahead at all. */
  get sharesLine(): boolean {
    const { planner, exchange, stripParams, allowed } = this.#options;
    // What a body that passes through needs of the line is not planned.
    const free = planner.linked && planner.origin.slow && !exchange.passing;
    return free && allowed() && stripParams.length === 0 && !this.#unfit;
  }

  /** Pages wait for what peers send: they have all of it. */
  #yieldUplinks(): void {
    for (const [assetId, { fetch }] of this.#open) if (!fetch) this.#close(assetId);
  }

  /** @param hungryId The page that is short of it, if one is. */
  #bring(url: string, hungryId?: string): void {
    const { trust, library, planner } = this.#options;
    if (trust.refused(url)) return;
    const asset = trust.find(url);
    if (!asset?.windows.has(0)) return this.#attest(url);
    const { assetId } = asset;
    const have = library.have(asset);
    // One window: a segment is rarely longer, and only that much is attested.
    const pieces = { from: 0, to: Math.min(have.pieceCount, WINDOW_PIECES) };
    if (have.hasRange(pieces.from, pieces.to)) return this.#close(assetId);
    if (this.#open.has(assetId)) return;
    if (hungryId !== undefined) this.#overLine(url, asset, pieces, hungryId);
    else if (planner.heldByPeers(assetId, pieces)) this.#fromPeers(asset, pieces);
  }

  #fromPeers(asset: TrustedAsset, pieces: PieceRange): void {
    const { nextId, now } = this.#options;
    const id = nextId();
    this.#open.set(asset.assetId, { id });
    const untilMs = now() + STALE_MS;
    this.#plan(asset, { id, pieces, ahead: "peers", deadlineMs: untilMs, patientUntilMs: untilMs });
  }

  #overLine(url: string, asset: TrustedAsset, pieces: PieceRange, clientId: string): void {
    const { planner, exchange, nextId, now, openAhead } = this.#options;
    const { assetId, length, headers } = asset;
    const port = openAhead({
      ...{ nearcast: PROTOCOL_VERSION, type: "ahead", url, clientId, length, headers },
    });
    if (!port) return;
    const id = nextId();
    const fetch = new AheadFetch({
      ...{ ...this.#options, url, port },
      asset: () => this.#options.trust.byId(assetId),
      onPiece: (piece) => {
        exchange.learned(asset, piece);
        exchange.run(planner.originArrived(id, piece.piece, piece.bytes.byteLength, now()));
      },
      onEnd: (complete) => {
        // A page's own request may fare better: its cookies and headers are its own.
        this.#unfit ||= !complete;
        exchange.run(planner.originEnded(id, "complete", now()));
        if (!complete) this.#close(assetId);
      },
    });
    this.#open.set(assetId, { id, fetch });
    // No page waits for it, so it is never late.
    this.#plan(asset, {
      ...{ id, pieces, ahead: "line", deadlineMs: Number.POSITIVE_INFINITY, patientUntilMs: now() },
    });
  }

  #plan(
    asset: TrustedAsset,
    request: Pick<PlannedRequest, "id" | "pieces" | "ahead" | "deadlineMs" | "patientUntilMs">,
  ): void {
    const { planner, exchange, library, now } = this.#options;
    const have = library.have(asset);
    const { assetId } = asset;
    const { pieceCount } = have;
    const attestedTo = request.pieces.to;
    exchange.run(planner.open({ ...request, assetId, pieceCount, attestedTo }, have, now()));
  }

  /** Once per segment: the answer, or the holders in it, come by themselves. */
  #attest(url: string): void {
    if (this.#attested.has(url)) return;
    this.#attested.add(url);
    trim(this.#attested, ATTESTED_MAX);
    this.#options.attest(url, 0).catch(this.#options.onError);
  }

  #stop(): void {
    this.yield();
    this.#targets.clear();
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}
