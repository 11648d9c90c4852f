/**
 * The mesh of one browser profile, run by its host tab: builds membership, links, library, uploads and
 * planner, and carries events between them.
 * @module
 */

import { Planner } from "../engine/planning/planner.js";
import type { PlaybackState } from "../engine/playback/deadline.js";
import { groupOf } from "../protocol/asset.js";
import type { Ahead, PaceQuestion, PlaylistReport, Want } from "../protocol/worker-messages.js";
import { DeliverySession } from "./delivery/delivery-session.js";
import { Exchange } from "./delivery/exchange.js";
import { Neighbours } from "./links/neighbours.js";
import type { PeerLink } from "./links/peer-link.js";
import { Membership, type MembershipConfig, type MembershipHandlers } from "./membership.js";
import { type LoadPlaylistReader, Showing } from "./playback/showing.js";
import { Prospects } from "./prospects.js";
import { Sharing, type SharingConfig } from "./sharing.js";
import { type DeliveredBytes, type MeshCounts, Tally } from "./tally.js";
import { AttestationLookup } from "./trust/attestation-lookup.js";
import { Manifests } from "./trust/manifests.js";
import { Trust } from "./trust/trust.js";

export interface HostConfig extends MembershipConfig, SharingConfig {
  readonly attestationKey: string | undefined;
  /** URLs of the publisher's manifests, and the key that signs them. */
  readonly manifestUrls: readonly string[];
  readonly manifestKey: string | undefined;
  /** Query parameters that keys leave out. */
  readonly stripParams: readonly string[];
  readonly linksMax: number;
}

export interface HostHandlers extends MembershipHandlers {
  /** Playback of a page, by its client id; `undefined` if it has no media element. */
  playbackOf(clientId: string): PlaybackState | undefined;
  /** Whether any page of the profile plays something. */
  playing(): boolean;
  onLink(link: PeerLink, state: "open" | "closed"): void;
  /** The worker was told that nobody is there, and that is over. */
  onCompany(): void;
  /** The way to the worker for what is read of the origin before a page asks; `undefined` without a worker. */
  openAhead(ahead: Ahead): MessagePort | undefined;
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

export class MeshHost {
  readonly #options: HostOptions;
  readonly #trust: Trust;
  readonly #sharing: Sharing;
  readonly #planner: Planner;
  readonly #prospects: Prospects;
  readonly #neighbours: Neighbours;
  readonly #exchange: Exchange;
  readonly #showing: Showing;
  readonly #attestations: AttestationLookup;
  readonly #membership: Membership;
  readonly #tally = new Tally();
  #enabled = true;
  #lastSession = 0;

  constructor(options: HostOptions) {
    this.#options = options;
    const { config, handlers, now, random } = options;
    this.#trust = new Trust({ pinnedKey: config.attestationKey, nowMs: options.wallNow });
    this.#sharing = new Sharing({
      ...options,
      trust: this.#trust,
      links: () => this.#neighbours.open,
      index: () => this.#membership.index,
      busy: () => !this.#exchange.idle,
      urgent: () => this.#exchange.urgent,
      playing: () => handlers.playing(),
      onUploaded: (bytes) => {
        this.counts.uploaded += bytes;
      },
      onServing: (serving) => {
        this.#planner.election.serving = serving;
      },
      onError: handlers.onError,
    });
    this.#planner = new Planner({ random, hopeful: () => this.#prospects.hopeful });
    const { announcer, gossip, uploader } = this.#sharing;
    this.#prospects = new Prospects({
      ...{ planner: this.#planner, gossip, now, onCompany: handlers.onCompany },
      ...{ neighbours: () => this.#neighbours, membership: () => this.#membership },
    });
    this.#exchange = this.#openExchange();
    this.#showing = this.#openShowing();
    this.#neighbours = new Neighbours({
      dial: (peerId) => this.#membership.dial(peerId),
      now,
      random,
      linksMax: config.linksMax,
      onLinking: () => this.#prospects.linking(),
      handlers: this.#exchange.linkHandlers(),
    });
    this.#exchange.neighbours = this.#neighbours;
    this.#membership = new Membership({
      ...options,
      planner: this.#planner,
      neighbours: this.#neighbours,
      trust: this.#trust,
      announced: {
        holdings: () => announcer.holdings(),
        held: (assetId) => announcer.held(assetId),
        loadPercent: () => uploader.loadPercent,
        takeStats: () => ({ ...this.#tally.take(), goodput: this.#goodput() }),
      },
    });
    this.#attestations = this.#openAttestations();
    this.#sharing.heedDevice();
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
    this.#sharing.enabled = enabled;
    this.#membership.enabled = enabled;
  }

  /** Upload caps from now on: bytes per second, 0 for none, and other viewers served at a time. */
  limitUploads({ maxBytesPerS, maxParallel }: { maxBytesPerS: number; maxParallel: number }): void {
    this.#sharing.uploader.limit({ maxBytesPerS, maxParallel });
  }

  /** Why this viewer uploads nothing now; `undefined` if it does. */
  get uploadBarrier(): string | undefined {
    return this.#sharing.barrier;
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
      library: this.#sharing.library,
      trust: this.#trust,
      now: this.#options.now,
      playback: () => this.#showing.playbackFor(want),
      attest: (url, window) => this.#attestations.find(url, window),
      hopeful: () => this.#prospects.hopeful,
      sayAlone: () => this.#prospects.sayAlone(),
      run: (commands) => this.#exchange.run(commands),
      onPlanned: (asset, pieces) =>
        this.#showing.planned(want, { asset, pieces }, port, session.closed),
      onLearned: (asset, piece) => this.#exchange.learned(asset, piece),
      onError: this.#options.handlers.onError,
      signal: this.#options.signal,
    });
    this.#exchange.add(session);
    session.closed.addEventListener("abort", () => this.#showing.ended(), { once: true });
    this.#showing.asked(want);
    if (!this.#enabled) return session.fail();
    this.#membership.enter(groupOf(want.url));
    await this.#sharing.loaded;
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
    this.#sharing.library.disown(url);
  }

  /** Bytes that a page received, for the server's operator. */
  countDelivered(bytes: DeliveredBytes): void {
    this.#tally.addDelivered(bytes);
  }

  /** Windows were served from the store by the worker. */
  used(assetId: string, from: number, to: number): void {
    this.#sharing.used(assetId, from, to);
  }

  #openExchange(): Exchange {
    const { now, handlers } = this.#options;
    const { gossip, library, uploader } = this.#sharing;
    return new Exchange({
      ...{ planner: this.#planner, trust: this.#trust, library, gossip, uploader },
      now,
      onLink: handlers.onLink,
      onRejected: (peerId, bytes) => {
        this.counts.rejected += bytes;
        this.#membership.index?.report(peerId, "corrupt");
      },
      onFetchAhead: (order) => this.#showing.fetchAhead(order),
      onAhead: (bytes) => {
        this.counts.ahead += bytes;
      },
      onError: handlers.onError,
    });
  }

  #openShowing(): Showing {
    const { config, handlers, loadPlaylistReader, now, signal } = this.#options;
    return new Showing({
      ...{ loadPlaylistReader, stripParams: config.stripParams },
      ...{ planner: this.#planner, trust: this.#trust, library: this.#sharing.library },
      now,
      nextId: () => ++this.#lastSession,
      exchange: this.#exchange,
      attest: (url, window) => this.#attestations.find(url, window),
      allowed: () => this.#enabled && !this.#sharing.frugal,
      ...{ playbackOf: handlers.playbackOf, openAhead: handlers.openAhead },
      onError: handlers.onError,
      signal,
    });
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
    this.#sharing.library.flush();
  }
}
