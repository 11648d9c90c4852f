/**
 * What is being played, as far as the host can know: playlists, which segment is next, and how fast bytes may
 * reach a player. It advises; no request depends on it.
 * @module
 */

import type { Planner } from "../../engine/planning/planner.js";
import type { PlaybackState } from "../../engine/playback/deadline.js";
import { Lookahead } from "../../engine/playback/lookahead.js";
import { canonicalUrl, type PieceRange, piecesOfBytes } from "../../protocol/asset.js";
import { OPEN_RANGE_MAX_BYTES } from "../../protocol/limits.js";
import type {
  HostMessage,
  PaceQuestion,
  PlaylistReport,
  Want,
} from "../../protocol/worker-messages.js";
import type { Trust, TrustedAsset } from "../trust/trust.js";
import { lineHearsay } from "./line-hearsay.js";
import { Pacing } from "./pacing.js";
import type { readPlaylist } from "./playlist-reader.js";
import { Prefetch, type PrefetchOptions } from "./prefetch.js";
import { StartHold } from "./start-hold.js";

/** What `dist/nearcast-playlists.js` exports. */
export interface PlaylistsModule {
  readonly readPlaylist: typeof readPlaylist;
}
/** Brings the parsers when they are first needed: they are large, and not every site has playlists. */
export type LoadPlaylistReader = () => Promise<typeof readPlaylist>;

export interface ShowingOptions extends Omit<PrefetchOptions, "upcoming"> {
  readonly planner: Planner;
  readonly trust: Trust;
  readonly loadPlaylistReader: LoadPlaylistReader;
  readonly playbackOf: (clientId: string) => PlaybackState | undefined;
  readonly signal: AbortSignal;
}

/** A worker that died says no `end`. */
const BODY_MAX_MS = 300_000;
/** Peers must be this much faster than the next rung's bitrate, or it is not theirs to promise. */
const ABOVE_RATIO = 1.5;

/** Types that players are served with; servers know many segments as plain bytes only. */
const MAYBE_MEDIA = /^(video|audio|text)\/|^application\/(mp4|octet-stream|ogg|ttml)|^binary\//i;

export class Showing {
  readonly #options: ShowingOptions;
  readonly #lookahead = new Lookahead();
  readonly #pacing: Pacing;
  readonly #prefetch: Prefetch;
  #readerFailed = false;
  #reader: ReturnType<LoadPlaylistReader> | undefined;

  constructor(options: ShowingOptions) {
    this.#options = options;
    const upcoming = (url: string, count: number) => this.#lookahead.upcoming(url, count);
    this.#prefetch = new Prefetch({ ...options, upcoming }, options.signal);
    const segmentOf = (url: string) => this.#lookahead.segmentOf(url);
    const readsAhead = () => this.#prefetch.sharesLine;
    const hold = new StartHold({ ...options, segmentOf, upcoming, readsAhead });
    this.#pacing = new Pacing({
      ...{ playbackOf: options.playbackOf, segmentOf, now: options.now },
      holdMs: (body, elapsedMs) => hold.holdMs(body, elapsedMs),
      originBytesPerMs: () => options.planner.origin.lineBytesPerMs,
      hearsayBytesPerMs: lineHearsay,
      aboveBytesPerMs: (url) => this.#aboveBytesPerMs(url),
      nextBytesPerMs: (url) => {
        const bandwidth = this.#lookahead.nextBandwidth(url);
        return bandwidth === undefined ? undefined : bandwidth / 8_000;
      },
    });
  }

  /** A playlist passed by on its way to a player. */
  learn({ url, text }: PlaylistReport): void {
    this.#reader ??= this.#options.loadPlaylistReader();
    this.#reader.then(
      (read) => {
        const playlist = read(url, text, this.#options.stripParams);
        if (!playlist) return;
        this.#lookahead.learn(playlist);
        this.#prefetch.learned();
      },
      (error: unknown) => {
        if (!this.#readerFailed) this.#options.onError(error);
        this.#readerFailed = true; // said once; nothing is looked ahead then
      },
    );
  }

  /**
   * Low-latency parts pass through: they are played before anybody could have vouched for them
   * (docs/decisions/0020).
   *
   * @returns Whether it was one; its port is closed then.
   */
  passPart({ url }: Want, port: MessagePort): boolean {
    if (!this.#lookahead.isPart(url)) return false;
    const plan: HostMessage = {
      type: "origin",
      observe: false,
      openMaxBytes: OPEN_RANGE_MAX_BYTES,
      alone: false,
    };
    port.postMessage({ type: "accept" } satisfies HostMessage);
    port.postMessage(plan);
    port.close();
    return true;
  }

  /**
   * Playback that a request serves: a page's images, fonts and plain downloads have nothing to do with what
   * its player has buffered, and count as in a page without one.
   */
  playbackFor({ url, clientId, destination }: Want): PlaybackState | undefined {
    if (destination === "image" || destination === "font") return undefined;
    const type = destination === "" ? contentTypeOf(this.#options.trust.find(url)) : "";
    const download = type !== "" && !MAYBE_MEDIA.test(type) && !this.#lookahead.segmentOf(url);
    return download ? undefined : this.#options.playbackOf(clientId);
  }

  /** A request comes in: the line is its own from now on. */
  asked({ clientId, url }: Want): void {
    this.#prefetch.asked(clientId, url);
  }

  /** The planner orders pieces of what is brought ahead. */
  fetchAhead(order: { requestId: number } & PieceRange): void {
    this.#prefetch.fetch(order);
  }

  /** A request is answered from pieces: its body may have to be paced. */
  planned(
    want: Want,
    { asset, pieces }: { asset: TrustedAsset; pieces: PieceRange },
    port: MessagePort,
    ended: AbortSignal,
  ): void {
    if (want.destination !== "") return;
    const { url, clientId, range } = want;
    const bytes = Math.min(asset.length, range?.end ?? asset.length) - (range?.start ?? 0);
    const body = { url, clientId, bytes, contentType: contentTypeOf(asset), pieces };
    this.#pacing.add(body, (advice) => port.postMessage(advice), ended);
  }

  /** A body comes from the store; the port is ours until it says `end`. */
  advise(question: PaceQuestion, port: MessagePort): void {
    const ended = new AbortController();
    port.onmessage = () => {
      ended.abort();
      port.close();
    };
    const { signal } = this.#options;
    const until = AbortSignal.any([ended.signal, signal, AbortSignal.timeout(BODY_MAX_MS)]);
    this.#pacing.add(question, (advice) => port.postMessage(advice), until);
    this.#prefetch.asked(question.clientId, question.url);
  }

  /** A request is over. */
  ended(): void {
    this.#pacing.remember();
  }

  #aboveBytesPerMs(url: string): number {
    const { trust, planner, now } = this.#options;
    const above = this.#lookahead.above(url);
    const asset = above && trust.find(canonicalUrl(above.url));
    if (!asset) return 0;
    const pieces = piecesOfBytes({ start: 0, end: asset.length });
    const rate = planner.peersBytesPerMs(asset.assetId, pieces, now());
    return rate >= (ABOVE_RATIO * above.bandwidth) / 8_000 ? rate / ABOVE_RATIO : 0;
  }
}

/** Empty if nothing is known. */
function contentTypeOf(asset: TrustedAsset | undefined): string {
  return asset?.headers.find(([name]) => name === "content-type")?.[1] ?? "";
}
