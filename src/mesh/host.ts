/**
 * The mesh of one browser profile, run by its host tab: builds membership, links, library, uploads and
 * planner, and carries events between them.
 * @module
 */

import { Planner } from "../engine/planning/planner.js";
import type { PlaybackState } from "../engine/playback/deadline.js";
import type { UploadRule } from "../engine/uploads/manners.js";
import { groupOf } from "../protocol/asset.js";
import type { PaceQuestion, PlaylistReport, Want } from "../protocol/worker-messages.js";
import { PieceStore } from "../store/piece-store.js";
import { Announcer } from "./announcer.js";
import { DeliverySession } from "./delivery/delivery-session.js";
import { Exchange } from "./delivery/exchange.js";
import { PieceLibrary } from "./delivery/piece-library.js";
import { HaveGossip } from "./links/have-gossip.js";
import { Neighbours } from "./links/neighbours.js";
import type { PeerLink } from "./links/peer-link.js";
import { Membership, type MembershipConfig, type MembershipHandlers } from "./membership.js";
import { type LoadPlaylistReader, Showing } from "./playback/showing.js";
import { watchDevice } from "./tabs/device.js";
import { type DeliveredBytes, type MeshCounts, Tally } from "./tally.js";
import { AttestationLookup } from "./trust/attestation-lookup.js";
import { Manifests } from "./trust/manifests.js";
import { Trust } from "./trust/trust.js";
import { UploadManners } from "./uploads/upload-manners.js";
import { Uploader } from "./uploads/uploader.js";

export interface HostConfig extends MembershipConfig {
  readonly attestationKey: string | undefined;
  /** URLs of the publisher's manifests, and the key that signs them. */
  readonly manifestUrls: readonly string[];
  readonly manifestKey: string | undefined;
  /** Query parameters that keys leave out. */
  readonly stripParams: readonly string[];
  readonly cacheMaxBytes: number;
  readonly linksMax: number;
  readonly upload: UploadRule;
  readonly uploadMaxRate: number;
  readonly uploadMaxParallel: number;
  readonly uploadDailyMaxBytes: number;
}

export interface HostHandlers extends MembershipHandlers {
  /** Playback of a page, by its client id; `undefined` if it has no media element. */
  playbackOf(clientId: string): PlaybackState | undefined;
  /** Whether any page of the profile plays something. */
  playing(): boolean;
  onLink(link: PeerLink, state: "open" | "closed"): void;
}

export interface HostOptions {
  /** A fresh join token for each socket, where the site gives any. */
  readonly joinToken: (() => Promise<string>) | undefined;
  readonly config: HostConfig;
  readonly loadPlaylistReader: LoadPlaylistReader;
  readonly handlers: HostHandlers;
  /** Monotonic, milliseconds. */
  readonly now: () => number;
  /** Unix milliseconds. */
  readonly wallNow: () => number;
  readonly random: () => number;
  readonly signal: AbortSignal;
}

/** Patience with the disk at the start. */
const LOADING_MS = 200;

export class MeshHost {
  readonly #options: HostOptions;
  readonly #trust: Trust;
  readonly #library: PieceLibrary;
  readonly #store: PieceStore;
  readonly #planner: Planner;
  readonly #neighbours: Neighbours;
  readonly #uploader: Uploader;
  readonly #manners: UploadManners;
  readonly #gossip: HaveGossip;
  readonly #announcer: Announcer;
  readonly #exchange: Exchange;
  readonly #showing: Showing;
  readonly #loaded: Promise<void>;
  readonly #attestations: AttestationLookup;
  readonly #membership: Membership;
  readonly #tally = new Tally();
  #enabled = true;
  #lastSession = 0;

  constructor(options: HostOptions) {
    this.#options = options;
    const { config, handlers, now, random } = options;
    this.#trust = new Trust({ pinnedKey: config.attestationKey, nowMs: options.wallNow });
    this.#store = new PieceStore({
      maxBytes: config.cacheMaxBytes,
      now: options.wallNow,
      onError: handlers.onError,
      onEvict: (assetId, window) => this.#library.evicted(assetId, window),
    });
    this.#library = new PieceLibrary({
      store: this.#store,
      trust: this.#trust,
      handlers: {
        onAdded: (asset, piece) => this.#announcer.pieceAdded(asset, piece),
        onGone: (assetId) => this.#announcer.piecesGone(assetId),
      },
      busy: () => !this.#exchange.idle,
      deviceGib: (navigator as { readonly deviceMemory?: number }).deviceMemory,
    });
    this.#planner = new Planner({ random, hopeful: () => this.#hopeful() });
    this.#gossip = new HaveGossip({
      library: this.#library,
      trust: this.#trust,
      links: () => this.#neighbours.open,
    });
    this.#announcer = new Announcer({
      library: this.#library,
      trust: this.#trust,
      gossip: this.#gossip,
      index: () => this.#membership.index,
    });
    this.#uploader = new Uploader({
      maxBytesPerS: config.uploadMaxRate,
      maxParallel: config.uploadMaxParallel,
      random,
      now,
      read: (assetId, piece) => this.#library.readForPeer(assetId, piece),
      onUploaded: (bytes) => {
        this.counts.uploaded += bytes;
        this.#manners.uploaded(bytes);
      },
      urgent: () => this.#exchange.urgent,
    });
    this.#exchange = new Exchange({
      planner: this.#planner,
      trust: this.#trust,
      library: this.#library,
      gossip: this.#gossip,
      uploader: this.#uploader,
      now,
      onLink: handlers.onLink,
      onRejected: (peerId, bytes) => {
        this.counts.rejected += bytes;
        this.#membership.index?.report(peerId, "corrupt");
      },
      onAhead: (bytes) => {
        this.counts.ahead += bytes;
      },
      onError: handlers.onError,
    });
    this.#showing = new Showing({
      loadPlaylistReader: options.loadPlaylistReader,
      stripParams: config.stripParams,
      planner: this.#planner,
      trust: this.#trust,
      library: this.#library,
      now,
      nextId: () => ++this.#lastSession,
      run: (commands) => this.#exchange.run(commands),
      attest: (url, window) => this.#attestations.find(url, window),
      playbackOf: (clientId) => handlers.playbackOf(clientId),
      allowed: () => this.#enabled && !this.#manners.frugal && this.#exchange.idle,
      onError: handlers.onError,
      signal: options.signal,
    });
    this.#neighbours = new Neighbours({
      dial: (peerId) => this.#membership.dial(peerId),
      now,
      random,
      linksMax: config.linksMax,
      handlers: this.#exchange.linkHandlers(),
    });
    this.#exchange.neighbours = this.#neighbours;
    this.#membership = new Membership({
      ...options,
      planner: this.#planner,
      neighbours: this.#neighbours,
      trust: this.#trust,
      announced: {
        holdings: () => this.#announcer.holdings(),
        held: (assetId) => this.#announcer.held(assetId),
        loadPercent: () => this.#uploader.loadPercent,
        takeStats: () => ({ ...this.#tally.take(), goodput: this.#goodput() }),
      },
    });
    this.#attestations = this.#openAttestations();
    this.#manners = new UploadManners({
      rule: config.upload,
      dailyMaxBytes: config.uploadDailyMaxBytes,
      poor: () => this.#uploader.poor,
      onReview: () => this.#applyManners(),
      wallNow: options.wallNow,
      signal: options.signal,
    });
    watchDevice(
      {
        playing: () => handlers.playing(),
        now,
        onFacts: (facts) => {
          this.#manners.device = facts;
        },
      },
      options.signal,
    );
    // A disk that never answers must not keep requests waiting.
    this.#loaded = Promise.race([
      this.#library.load().catch(handlers.onError),
      new Promise<void>((resolve) => setTimeout(resolve, LOADING_MS)),
    ]);
    options.signal.addEventListener("abort", () => this.#stop(), { once: true });
  }

  get links(): readonly PeerLink[] {
    return this.#neighbours.open;
  }

  get indexState(): "open" | "connecting" | "closed" {
    return this.#membership.state;
  }

  get counts(): MeshCounts {
    return this.#tally.counts;
  }

  distanceOf(peerId: string): 0 | 1 | 2 {
    return this.#neighbours.distanceOf(peerId);
  }

  /** `false`: requests go to the origin, nothing is uploaded (pause, kill switch). */
  set enabled(enabled: boolean) {
    if (enabled === this.#enabled) return;
    this.#enabled = enabled;
    this.#manners.enabled = enabled;
    this.#membership.enabled = enabled;
  }

  /** Upload caps from now on: bytes per second, 0 for none, and other viewers served at a time. */
  limitUploads({ maxBytesPerS, maxParallel }: { maxBytesPerS: number; maxParallel: number }): void {
    this.#uploader.limit({ maxBytesPerS, maxParallel });
  }

  /** Why this viewer uploads nothing now; `undefined` if it does. */
  get uploadBarrier(): string | undefined {
    return this.#manners.barrier;
  }

  /** Enters the groups of an earlier host, so that its viewers are served on. */
  resume(groups: readonly string[]): void {
    for (const group of groups) this.#membership.enter(group);
  }

  /** Takes one request of the worker; the port is ours from now on. */
  async serve(want: Want, port: MessagePort): Promise<void> {
    if (this.#enabled && this.#showing.passPart(want, port)) return;
    const session = new DeliverySession({
      id: ++this.#lastSession,
      want,
      port,
      planner: this.#planner,
      library: this.#library,
      trust: this.#trust,
      now: this.#options.now,
      playback: () => this.#showing.playbackFor(want),
      attest: (url, window) => this.#attestations.find(url, window),
      hopeful: () => this.#hopeful(),
      alone: () => !this.#planner.linked && !this.#expectsLinks,
      run: (commands) => this.#exchange.run(commands),
      onPlanned: (asset) => this.#showing.planned(want, asset, port, session.closed),
      onError: this.#options.handlers.onError,
      signal: this.#options.signal,
    });
    this.#exchange.add(session);
    session.closed.addEventListener("abort", () => this.#showing.ended(), { once: true });
    this.#showing.asked(want);
    if (!this.#enabled) return session.fail();
    this.#membership.enter(groupOf(want.url));
    await this.#loaded;
    await session.decide();
  }

  /** How fast a body from the store may reach its player; the port is ours until it says `end`. */
  advise(question: PaceQuestion, port: MessagePort): void {
    this.#showing.advise(question, port);
  }

  /** A playlist passed by. */
  learn(report: PlaylistReport): void {
    this.#showing.learn(report);
  }

  /** A page of the profile changes what the URL stands for. */
  changed(url: string): void {
    this.#library.disown(url);
  }

  /** Bytes that a page received, for the server's operator. */
  countDelivered(bytes: DeliveredBytes): void {
    this.#tally.addDelivered(bytes);
  }

  /** Windows were served from the store by the worker. */
  used(assetId: string, from: number, to: number): void {
    this.#store.touch(assetId, from, to);
  }

  /** Serves others and tells what is held, or neither. */
  #applyManners(): void {
    const uploads = this.uploadBarrier === undefined;
    if (uploads === this.#uploader.enabled) return;
    this.#uploader.enabled = uploads;
    this.#planner.election.serving = uploads;
    this.#announcer.serving = uploads;
  }

  #openAttestations(): AttestationLookup {
    const manifests = this.#openManifests();
    if (manifests) this.#trust.publisher = manifests;
    return new AttestationLookup({
      trust: this.#trust,
      manifests,
      ask: (url, window, assetId) =>
        this.#membership.reachable ? this.#membership.index?.want(url, window, assetId) : undefined,
      onHolders: (holders) => {
        const linked = holders.some(([peerId]) => this.#neighbours.get(peerId)?.open);
        if (!linked) this.#membership.meet(holders);
      },
      onError: this.#options.handlers.onError,
    });
  }

  #openManifests(): Manifests | undefined {
    const { manifestUrls, manifestKey } = this.#options.config;
    if (manifestKey === undefined || manifestUrls.length === 0) return undefined;
    return new Manifests({
      urls: manifestUrls,
      publicKey: manifestKey,
      nowMs: () => this.#trust.serverNowMs,
      fetch: (url, init) => fetch(url, init),
      memory: () => localStorage,
    });
  }

  /** Links or answers are on their way that may change who holds what. */
  #hopeful(): boolean {
    const { reachable, index } = this.#membership;
    if (!reachable) return false;
    // With one link open the election can begin: who is linked later hears the claims that stand (5.2 copies of a
    // crowd's second segment when all were waited for, then 2.4).
    const alone = !this.#planner.linked;
    return (
      (alone && this.#expectsLinks) ||
      (index?.asking ?? false) ||
      this.#gossip.fresh(this.#options.now())
    );
  }

  /** The server may still say who is there, or a link is on its way. */
  get #expectsLinks(): boolean {
    const { reachable, newcomer } = this.#membership;
    return reachable && (newcomer || this.#neighbours.pending);
  }

  /** What linked peers bring, in bytes per second, as far as it was measured. */
  #goodput(): [peerId: string, bytesPerSecond: number][] {
    return this.#neighbours.open.flatMap(({ peerId }): [string, number][] => {
      const rateBytesPerMs = this.#planner.rateOf(peerId);
      return rateBytesPerMs === undefined ? [] : [[peerId, Math.round(rateBytesPerMs * 1_000)]];
    });
  }

  #stop(): void {
    this.#exchange.stop();
    this.#neighbours.close();
    this.#library.flush();
  }
}
