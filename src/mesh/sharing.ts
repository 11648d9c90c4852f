/**
 * What this viewer holds, and what others get of it: the library on its store, what neighbours and index are told, and
 * uploads as the viewer's line, battery and site allow.
 * @module
 */
import type { DeviceFacts } from "../engine/uploads/manners.js";
import { PieceStore } from "../store/piece-store.js";
import { Announcer } from "./announcer.js";
import { PieceLibrary } from "./delivery/piece-library.js";
import { HaveGossip } from "./links/have-gossip.js";
import type { PeerLink } from "./links/peer-link.js";
import type { IndexClient } from "./signaling/index-client.js";
import { watchDevice } from "./tabs/device.js";
import type { Trust } from "./trust/trust.js";
import { UploadManners, type UploadMannersOptions } from "./uploads/upload-manners.js";
import { Uploader } from "./uploads/uploader.js";

export interface SharingConfig {
  readonly cacheMaxBytes: number;
  readonly upload: UploadMannersOptions["rule"];
  readonly uploadMaxRate: number;
  readonly uploadMaxParallel: number;
  readonly uploadDailyMaxBytes: number;
}

export interface SharingOptions {
  readonly config: SharingConfig;
  readonly trust: Trust;
  /** The open links. */
  readonly links: () => readonly PeerLink[];
  /** `undefined` until somebody wanted something. */
  readonly index: () => IndexClient | undefined;
  /** Whether a page waits for bytes, and whether it needs them soon. */
  readonly busy: () => boolean;
  readonly urgent: () => boolean;
  /** Whether any page of the profile plays something. */
  readonly playing: () => boolean;
  readonly onUploaded: (bytes: number) => void;
  /** Others can count on this viewer from now on, or cannot. */
  readonly onServing: (serving: boolean) => void;
  readonly onError: (error: unknown) => void;
  /** Monotonic, milliseconds. */
  readonly now: () => number;
  /** Unix milliseconds. */
  readonly wallNow: () => number;
  /** In [0, 1). */
  readonly random: () => number;
  readonly signal: AbortSignal;
}

/** Patience with the disk at the start. */
const LOADING_MS = 200;

export class Sharing {
  readonly library: PieceLibrary;
  readonly gossip: HaveGossip;
  readonly announcer: Announcer;
  readonly uploader: Uploader;
  /** What earlier pages stored is known; a disk that never answers does not keep requests waiting. */
  readonly loaded: Promise<void>;
  readonly #store: PieceStore;
  readonly #manners: UploadManners;
  readonly #options: SharingOptions;

  constructor(options: SharingOptions) {
    const { config, trust, now, wallNow, random, signal, onError } = options;
    this.#options = options;
    this.#store = new PieceStore({
      maxBytes: config.cacheMaxBytes,
      now: wallNow,
      busy: options.busy,
      rest: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
      onError,
      onEvict: (assetId, window) => this.library.evicted(assetId, window),
    });
    this.library = new PieceLibrary({
      store: this.#store,
      trust,
      handlers: {
        onAdded: (asset, piece) => this.announcer.pieceAdded(asset, piece),
        onGone: (assetId) => this.announcer.piecesGone(assetId),
      },
      busy: options.busy,
      deviceGib: (navigator as { readonly deviceMemory?: number }).deviceMemory,
    });
    this.gossip = new HaveGossip({ library: this.library, trust, links: options.links });
    this.announcer = new Announcer({
      ...{ library: this.library, trust, gossip: this.gossip },
      index: options.index,
    });
    this.uploader = new Uploader({
      maxBytesPerS: config.uploadMaxRate,
      maxParallel: config.uploadMaxParallel,
      random,
      now,
      read: (assetId, piece) => this.library.readForPeer(assetId, piece),
      onUploaded: (bytes) => {
        options.onUploaded(bytes);
        this.#manners.uploaded(bytes);
      },
      urgent: options.urgent,
      hidden: () => document.visibilityState === "hidden",
    });
    this.#manners = new UploadManners({
      rule: config.upload,
      dailyMaxBytes: config.uploadDailyMaxBytes,
      poor: () => this.uploader.poor,
      onReview: () => this.#review(),
      wallNow,
      signal,
    });
    this.loaded = Promise.race([
      this.library.load().catch(onError),
      new Promise<void>((resolve) => setTimeout(resolve, LOADING_MS)),
    ]);
  }

  /** Heeds line, battery and visibility from now on; may say at once that others cannot count on this viewer. */
  heedDevice(): void {
    const { playing, now, signal } = this.#options;
    const onFacts = (facts: DeviceFacts) => {
      this.#manners.device = facts;
    };
    watchDevice({ playing, now, onFacts }, signal);
  }

  /** Why this viewer uploads nothing now; `undefined` if it does. */
  get barrier(): string | undefined {
    return this.#manners.barrier;
  }

  /** Line or battery are dear: nothing is fetched before somebody asks for it. */
  get frugal(): boolean {
    return this.#manners.frugal;
  }

  /** `false`: nothing is uploaded (pause, kill switch). */
  set enabled(enabled: boolean) {
    this.#manners.enabled = enabled;
  }

  /** Windows were served from the store by the worker. */
  used(assetId: string, from: number, to: number): void {
    this.#store.touch(assetId, from, to);
  }

  /** Serves others and tells what is held, or neither. */
  #review(): void {
    const serving = this.barrier === undefined;
    if (serving === this.uploader.enabled) return;
    this.uploader.enabled = serving;
    this.announcer.serving = serving;
    this.#options.onServing(serving);
  }
}
