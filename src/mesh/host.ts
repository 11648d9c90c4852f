/**
 * The mesh of one browser profile, run by its host tab: builds signaling, index, links, library and
 * planner, and carries events between them. It joins on the first accelerated request, never at page load.
 * @module
 */
import type { NearcastError } from "../core/errors.js";
import type { PlaybackState } from "../engine/deadline.js";
import { type UploadRule, uploadBarrier } from "../engine/manners.js";
import { Planner } from "../engine/planner.js";
import { groupOf, windowCountOf, windowOf } from "../protocol/asset.js";
import { PIECE_BYTES, URL_MAX_LENGTH } from "../protocol/limits.js";
import type {
  HeldWindows,
  IceServer,
  JoinedMessage,
  Neighbourhood,
  PeerHint,
  RemoteConfig,
} from "../protocol/signal-messages.js";
import type { PaceQuestion, PlaylistReport, Want } from "../protocol/worker-messages.js";
import { PieceStore } from "../store/piece-store.js";
import { DeliverySession } from "./delivery/delivery-session.js";
import { Exchange } from "./delivery/exchange.js";
import { PieceLibrary } from "./delivery/piece-library.js";
import { HaveGossip } from "./links/have-gossip.js";
import { Neighbours } from "./links/neighbours.js";
import type { PeerLink } from "./links/peer-link.js";
import { type LoadPlaylistReader, Showing } from "./playback/showing.js";
import { IndexClient } from "./signaling/index-client.js";
import { Signaling } from "./signaling/peerjs-peer.js";
import { watchDevice } from "./tabs/device.js";
import { Manifests } from "./trust/manifests.js";
import { Trust, type TrustedAsset } from "./trust/trust.js";
import { UploadLedger } from "./uploads/upload-ledger.js";
import { Uploader } from "./uploads/uploader.js";

export interface HostConfig {
  readonly serverUrl: URL;
  readonly iceServers: readonly IceServer[];
  readonly lan: boolean;
  /** `relay`: links only over TURN. */
  readonly privacy: "direct" | "relay";
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

/** What the host counts, from its start. */
export interface MeshCounts {
  uploaded: number;
  rejected: number;
  /** From peers before a page asked. */
  ahead: number;
}

export interface HostHandlers {
  /** Playback of a page, by its client id; `undefined` if it has no media element. */
  playbackOf(clientId: string): PlaybackState | undefined;
  /** Whether any page of the profile plays something. */
  playing(): boolean;
  onLink(link: PeerLink, state: "open" | "closed"): void;
  onGroups(groups: readonly string[]): void;
  /** The server let this viewer in, or it did not and will be asked again later. */
  onAdmission(refused: NearcastError | undefined): void;
  /** The operator's wishes, with every answer to a join and whenever they change. */
  onRemoteConfig(config: RemoteConfig): void;
  onError(error: unknown): void;
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

/** A join that takes longer is not waited for. */
const CONNECTING_MS = 3_000;
/** Time before a server that refused the join token is asked again. */
const REFUSED_MS = 60_000;
/** TURN credentials live ten minutes; with this they are always fresh enough for a new link. */
const CREDENTIALS_MS = 240_000;
/** The first one of a crowd is told of nobody, but hears from those who join after it. */
const NEWCOMER_MS = 2_000;
/** Patience with the disk at the start. */
const LOADING_MS = 200;
/** How often lost neighbours are looked after, and a viewer with too few links asks for more. */
const TEND_MS = 1_000;
const REFRESH_MS = 10_000;

export class MeshHost {
  readonly counts: MeshCounts = { uploaded: 0, rejected: 0, ahead: 0 };
  readonly #options: HostOptions;
  readonly #trust: Trust;
  readonly #library: PieceLibrary;
  readonly #store: PieceStore;
  readonly #planner: Planner;
  readonly #neighbours: Neighbours;
  readonly #uploader: Uploader;
  readonly #ledger: UploadLedger;
  readonly #gossip: HaveGossip;
  readonly #exchange: Exchange;
  readonly #showing: Showing;
  readonly #loaded: Promise<void>;
  readonly #manifests: Manifests | undefined;
  #signaling: Signaling | undefined;
  #index: IndexClient | undefined;
  #joined = false;
  /** As the server last said; links follow it once they may be made. */
  #neighbourhood: Neighbourhood | undefined;
  /** Whether the server's ICE servers need credentials, which expire. */
  #hasCredentials = false;
  #hasRelay = false;
  #enabled = true;
  #barrier: string | undefined;
  /** Line or battery are dear: nothing is fetched before somebody asks for it. */
  #frugal = false;
  #lastSession = 0;
  /** When the socket was last asked for or lost. */
  #connectingSinceMs = 0;
  #joinedMs = Number.NEGATIVE_INFINITY;
  #sources = { cache: 0, mesh: 0, origin: 0 };
  #told = { cache: 0, mesh: 0, origin: 0, uploaded: 0, rejected: 0 };

  constructor(options: HostOptions) {
    this.#options = options;
    const { config, handlers, now, random } = options;
    this.#trust = new Trust({ pinnedKey: config.attestationKey, nowMs: options.wallNow });
    this.#manifests = this.#openManifests();
    if (this.#manifests) this.#trust.publisher = this.#manifests;
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
        onAdded: (asset, piece) => this.#pieceAdded(asset, piece),
        onGone: (assetId) => this.#piecesGone(assetId),
      },
    });
    this.#planner = new Planner({ random, hopeful: () => this.#hopeful() });
    this.#gossip = new HaveGossip({
      library: this.#library,
      trust: this.#trust,
      links: () => this.#neighbours.open,
    });
    this.#ledger = new UploadLedger(config.uploadDailyMaxBytes, options.wallNow, options.signal);
    this.#uploader = new Uploader({
      maxBytesPerS: config.uploadMaxRate,
      maxParallel: config.uploadMaxParallel,
      random,
      now,
      read: async (assetId, piece) => {
        const asset = this.#trust.byId(assetId);
        return asset && this.#library.read(asset, piece);
      },
      onUploaded: (bytes) => {
        this.counts.uploaded += bytes;
        this.#ledger.add(bytes);
        if (this.#ledger.spent) this.#applyManners();
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
        this.#index?.report(peerId, "corrupt");
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
      attest: (url, window) => this.#attest(url, window),
      playbackOf: (clientId) => handlers.playbackOf(clientId),
      allowed: () => this.#enabled && !this.#frugal && this.#exchange.idle,
      onError: handlers.onError,
      signal: options.signal,
    });
    this.#neighbours = new Neighbours({
      dial: (peerId) => this.#signaling?.dial(peerId),
      now,
      random,
      linksMax: config.linksMax,
      handlers: this.#exchange.linkHandlers(),
    });
    this.#exchange.neighbours = this.#neighbours;
    watchDevice(
      {
        playing: () => handlers.playing(),
        now,
        onFacts: (facts) => {
          this.#barrier = uploadBarrier(config.upload, facts);
          this.#frugal = uploadBarrier("auto", facts) !== undefined;
          this.#applyManners();
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
    if (!this.#signaling) return "closed";
    return this.#signaling.open && this.#joined ? "open" : "connecting";
  }

  distanceOf(peerId: string): 0 | 1 | 2 {
    return this.#neighbours.distanceOf(peerId);
  }

  /** `false`: requests go to the origin, nothing is uploaded (pause, kill switch). */
  set enabled(enabled: boolean) {
    if (enabled === this.#enabled) return;
    this.#enabled = enabled;
    this.#applyManners();
    if (this.#index) this.#index.paused = !this.#mayLink;
    if (enabled) return;
    this.#neighbours.close();
    this.#planner.clique = undefined;
  }

  /** Upload caps from now on: bytes per second, 0 for none, and other viewers served at a time. */
  limitUploads({ maxBytesPerS, maxParallel }: { maxBytesPerS: number; maxParallel: number }): void {
    this.#uploader.limit({ maxBytesPerS, maxParallel });
  }

  /** Why this viewer uploads nothing now; `undefined` if it does. */
  get uploadBarrier(): string | undefined {
    if (!this.#enabled) return "paused";
    if (this.#ledger.spent) return "daily budget";
    const poor = this.#options.config.upload === "auto" && this.#uploader.poor;
    return this.#barrier ?? (poor ? "poor uplink" : undefined);
  }

  /** Enters the groups of an earlier host, so that its viewers are served on. */
  resume(groups: readonly string[]): void {
    for (const group of groups) this.#enter(group);
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
      attest: (url, window) => this.#attest(url, window),
      hopeful: () => this.#hopeful(),
      run: (commands) => this.#exchange.run(commands),
      onPlanned: (asset) => this.#showing.planned(want, asset, port, session.closed),
      onError: this.#options.handlers.onError,
      signal: this.#options.signal,
    });
    this.#exchange.add(session);
    session.closed.addEventListener("abort", () => this.#showing.ended(), { once: true });
    this.#showing.asked(want);
    if (!this.#enabled) return session.fail();
    this.#enter(groupOf(want.url));
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

  /** Bytes that a page received, for the server's operator. */
  countDelivered(bytes: { cache: number; mesh: number; origin: number }): void {
    this.#sources.cache += bytes.cache;
    this.#sources.mesh += bytes.mesh;
    this.#sources.origin += bytes.origin;
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
    this.#planner.serving = uploads;
    this.#gossip.muted = !uploads;
    for (const { asset } of this.#library.holdings()) {
      this.#index?.announce(asset.assetId, { lost: !uploads });
    }
  }

  #enter(group: string): void {
    this.#connect();
    if (this.#index?.groups.includes(group)) return;
    this.#index?.join(group);
    this.#options.handlers.onGroups(this.#index?.groups ?? []);
  }

  /** The socket is opened by the first accelerated request (rule R52). */
  #connect(): void {
    if (this.#signaling || this.#options.signal.aborted) return;
    const { config, handlers, signal, random, now } = this.#options;
    this.#connectingSinceMs = now();
    const index = new IndexClient({
      send: (message) => this.#signaling?.send(message) ?? false,
      isOpen: () => this.#signaling?.open ?? false,
      joinToken: this.#options.joinToken,
      handlers: {
        onJoined: (message) => void this.#onJoined(message).catch(handlers.onError),
        onConfig: (config) => handlers.onRemoteConfig(config),
        onRetry: (withinMs) => this.#signaling?.rest(random() * withinMs),
        onRefused: (error) => {
          this.#signaling?.rest(REFUSED_MS * (0.5 + random()));
          handlers.onAdmission(error);
        },
        onNeighbours: (neighbourhood) => {
          this.#neighbourhood = neighbourhood;
          this.#settle();
        },
        onAttested: (attestation) => void this.#trust.accept(attestation).catch(handlers.onError),
        onError: handlers.onError,
      },
      holdings: () => [...this.#library.holdings()].map(({ asset }) => asset.assetId),
      held: (assetId) => this.#heldWindows(assetId),
      loadPercent: () => this.#uploader.loadPercent,
      takeStats: () => this.#takeStats(),
      signal,
    });
    this.#index = index;
    index.paused = !this.#enabled; // without a relay: as soon as it is known
    this.#signaling = new Signaling({
      url: config.serverUrl,
      iceServers: config.iceServers,
      lan: config.lan,
      relayOnly: config.privacy === "relay",
      now,
      random,
      signal,
      handlers: {
        onOpen: (id) => {
          this.#neighbours.ownId = id;
          this.#planner.selfId = id;
          index.opened();
        },
        onClosed: () => {
          if (this.#joined) this.#connectingSinceMs = this.#options.now();
          this.#joined = false;
          index.closed();
        },
        onMessage: (message) => index.receive(message),
        onConnection: (connection) =>
          this.#mayLink ? this.#neighbours.accept(connection) : connection.close(),
        onError: handlers.onError,
      },
    });
    const refresh = setInterval(() => {
      const { lacking } = this.#neighbours;
      const stale = now() - this.#joinedMs > CREDENTIALS_MS && this.#hasCredentials;
      if (this.#joined && this.#enabled && (lacking || stale)) index.refresh();
    }, REFRESH_MS);
    const tend = setInterval(() => this.#neighbours.tick(), TEND_MS);
    signal.addEventListener("abort", () => {
      clearInterval(refresh);
      clearInterval(tend);
    });
  }

  async #onJoined(message: JoinedMessage): Promise<void> {
    this.#neighbours.ownId = message.id;
    this.#signaling?.joined();
    this.#options.handlers.onAdmission(undefined);
    const own = this.#options.config.iceServers;
    const servers = own.length > 0 ? own : message.iceServers;
    if (this.#signaling) this.#signaling.iceServers = servers;
    this.#hasCredentials = servers.some(({ credential }) => credential !== undefined);
    this.#hasRelay = servers.some(({ urls }) => /^turns?:/.test(urls));
    this.#options.handlers.onRemoteConfig(message.config);
    if (message.neighbourhood) this.#neighbourhood = message.neighbourhood;
    await this.#trust.meetServer(message.nowMs, message.keys);
    this.#joined = true;
    this.#joinedMs = this.#options.now();
    if (this.#index) this.#index.paused = !this.#mayLink;
    this.#settle();
    if (this.#mayLink) this.#neighbours.suggest(message.peers);
  }

  /** Without a relay there is no way to anybody for a viewer that wants no other. */
  get #mayLink(): boolean {
    return this.#enabled && (this.#options.config.privacy === "direct" || this.#hasRelay);
  }

  #settle(): void {
    if (!this.#mayLink || !this.#neighbourhood) return;
    this.#planner.clique = this.#neighbourhood.members.map(([peerId]) => peerId);
    this.#neighbours.settle(this.#neighbourhood);
  }

  #dial(hints: readonly PeerHint[]): void {
    if (this.#mayLink) this.#neighbours.dialAll(hints);
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

  /** Attestation or refusal of one window: the publisher's word, else the index's; silence is neither. */
  async #attest(url: string, window: number): Promise<void> {
    if (this.#trust.refused(url)) return;
    try {
      const found = await this.#manifests?.find(url, window);
      const asset = found && this.#trust.acceptPublished(found.window, found.freshUntilMs);
      await this.#ask(url, window, asset?.assetId);
    } catch (error) {
      // A manifest that is wrong, or not all there: the origin alone is right.
      this.#options.handlers.onError(error);
    }
  }

  /** @param assetId What the publisher vouches for: the index need only say who holds it. */
  async #ask(url: string, window: number, assetId: string | undefined): Promise<void> {
    if (!this.#index || !this.#reachable) return;
    if (url.length > URL_MAX_LENGTH) {
      this.#trust.refuse(url, { reason: "URL is too long", retryMs: 600_000 });
      return;
    }
    try {
      const { attestation, refused, holders } = await this.#index.want(url, window, assetId);
      if (refused && assetId === undefined) this.#trust.refuse(url, refused);
      if (attestation) await this.#trust.accept(attestation);
      const linked = holders.some(([peerId]) => this.#neighbours.get(peerId)?.open);
      if (!linked) this.#dial(holders);
    } catch (error) {
      this.#options.handlers.onError(error);
    }
  }

  /** Whether the index answers, or may in a moment: nobody waits for a server that is down. */
  get #reachable(): boolean {
    return this.#joined || this.#options.now() - this.#connectingSinceMs < CONNECTING_MS;
  }

  /** Links or answers are on their way that may change who holds what. */
  #hopeful(): boolean {
    if (!this.#signaling || !this.#reachable) return false;
    return (
      !this.#joined ||
      this.#options.now() - this.#joinedMs < NEWCOMER_MS ||
      this.#neighbours.pending ||
      (this.#index?.asking ?? false) ||
      this.#gossip.fresh(this.#options.now())
    );
  }

  #pieceAdded(asset: TrustedAsset, piece: number): void {
    this.#index?.consumed(groupOf(asset.url), PIECE_BYTES);
    this.#gossip.added(asset, piece);
    if (this.#library.holdsWindow(asset, windowOf(piece))) this.#index?.announce(asset.assetId);
  }

  #piecesGone(assetId: string): void {
    this.#gossip.gone(assetId);
    this.#index?.announce(assetId, { lost: true });
  }

  #heldWindows(assetId: string): HeldWindows | undefined {
    const asset = this.#trust.byId(assetId);
    if (!asset || !this.#uploader.enabled) return undefined;
    const windows = [...asset.windows.keys()].filter((window) =>
      this.#library.holdsWindow(asset, window),
    );
    if (windows.length === 0) return undefined;
    return windows.length === windowCountOf(asset.length) ? "all" : windows.slice(0, 1_024);
  }

  #takeStats() {
    const total = { ...this.#sources, ...this.counts };
    const delta = {
      cache: total.cache - this.#told.cache,
      mesh: total.mesh - this.#told.mesh,
      origin: total.origin - this.#told.origin,
      uploaded: total.uploaded - this.#told.uploaded,
      rejected: total.rejected - this.#told.rejected,
    };
    this.#told = total;
    return { ...delta, goodput: this.#goodput() };
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
