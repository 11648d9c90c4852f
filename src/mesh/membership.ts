/**
 * This viewer's place in the mesh, as the server gives it: the socket, the groups it is in, its clique, and
 * whether links may be made at all. It joins on the first accelerated request, never at page load (rule R52).
 * @module
 */
import type { NearcastError } from "../core/errors.js";
import { Arrival } from "../engine/neighbours/arrival.js";
import type { Planner } from "../engine/planning/planner.js";
import type {
  IceServer,
  JoinedMessage,
  Neighbourhood,
  PeerHint,
  RemoteConfig,
} from "../protocol/signal-messages.js";
import type { Neighbours } from "./links/neighbours.js";
import { IndexClient, type IndexClientOptions } from "./signaling/index-client.js";
import { type Connection, Signaling } from "./signaling/peerjs-peer.js";
import type { Trust } from "./trust/trust.js";

export interface MembershipConfig {
  readonly serverUrl: URL;
  readonly iceServers: readonly IceServer[];
  readonly lan: boolean;
  /** `relay`: links only over TURN. */
  readonly privacy: "direct" | "relay";
}

export interface MembershipHandlers {
  onGroups(groups: readonly string[]): void;
  /** The server let this viewer in, or it did not and will be asked again later. */
  onAdmission(refused: NearcastError | undefined): void;
  /** The operator's wishes, with every answer to a join and whenever they change. */
  onRemoteConfig(config: RemoteConfig): void;
  onError(error: unknown): void;
}

export interface MembershipOptions {
  readonly config: MembershipConfig;
  /** A fresh join token for each socket, where the site gives any. */
  readonly joinToken: (() => Promise<string>) | undefined;
  /** Learns who this viewer is and who is in its clique. */
  readonly planner: Planner;
  readonly neighbours: Neighbours;
  readonly trust: Trust;
  /** What the index is told of this viewer. */
  readonly announced: Pick<IndexClientOptions, "holdings" | "held" | "loadPercent" | "takeStats">;
  readonly handlers: MembershipHandlers;
  /** Monotonic, milliseconds. */
  readonly now: () => number;
  /** In [0, 1). */
  readonly random: () => number;
  readonly signal: AbortSignal;
}

/** A join that takes longer is not waited for. */
const CONNECTING_MS = 3_000;
/** Time before a server that refused the join token is asked again. */
const REFUSED_MS = 60_000;
/** TURN credentials live ten minutes; with this they are always fresh enough for a new link. */
const CREDENTIALS_MS = 240_000;
/** How often lost neighbours are looked after, and a viewer with too few links asks for more. */
const TEND_MS = 1_000;
const REFRESH_MS = 10_000;

export class Membership {
  readonly #options: MembershipOptions;
  #signaling: Signaling | undefined;
  #index: IndexClient | undefined;
  readonly #arrival = new Arrival();
  #joined = false;
  #enabled = true;
  /** As the server last said; links follow it once they may be made. */
  #neighbourhood: Neighbourhood | undefined;
  /** Whether the server's ICE servers need credentials, which expire. */
  #hasCredentials = false;
  #hasRelay = false;
  /** When the socket was last asked for or lost. */
  #connectingSinceMs = 0;
  #joinedMs = Number.NEGATIVE_INFINITY;

  /** Opens nothing; {@link enter} does. */
  constructor(options: MembershipOptions) {
    this.#options = options;
  }

  /** `undefined` before the first group was entered. */
  get index(): IndexClient | undefined {
    return this.#index;
  }

  get state(): "open" | "connecting" | "closed" {
    if (!this.#signaling) return "closed";
    return this.#signaling.open && this.#joined ? "open" : "connecting";
  }

  /** Whether the index answers, or may in a moment: nobody waits for a server that is down. */
  get reachable(): boolean {
    if (!this.#signaling) return false;
    return this.#joined || this.#options.now() - this.#connectingSinceMs < CONNECTING_MS;
  }

  /** Whether this viewer is so new that others may not have heard of it, nor it of them. */
  get newcomer(): boolean {
    return this.#arrival.isNew(this.#options.now());
  }

  /** `false`: this viewer is in no group and has no links, until `true`. */
  set enabled(enabled: boolean) {
    this.#enabled = enabled;
    if (this.#index) this.#index.paused = !this.#mayLink;
    if (enabled) return;
    this.#options.neighbours.close();
    this.#options.planner.election.members = undefined;
  }

  /** Enters the group of assets that somebody here wants; the first one opens the socket. */
  enter(group: string): void {
    this.#connect();
    if (this.#index?.groups.includes(group)) return;
    this.#index?.join(group);
    this.#options.handlers.onGroups(this.#index?.groups ?? []);
  }

  /** Starts a connection to another viewer, if that can be done now. */
  dial(peerId: string): Connection | undefined {
    return this.#signaling?.dial(peerId);
  }

  /** Dials viewers who hold what is wanted, in this order. */
  meet(hints: readonly PeerHint[]): void {
    if (this.#mayLink) this.#options.neighbours.dialAll(hints);
  }

  /** Without a relay there is no way to anybody for a viewer that wants no other. */
  get #mayLink(): boolean {
    return this.#enabled && (this.#options.config.privacy === "direct" || this.#hasRelay);
  }

  #connect(): void {
    const { signal, now } = this.#options;
    if (this.#signaling || signal.aborted) return;
    this.#connectingSinceMs = now();
    this.#index = this.#openIndex();
    this.#index.paused = !this.#enabled; // without a relay: as soon as it is known
    this.#signaling = this.#openSignaling(this.#index);
    this.#tend(this.#index);
  }

  #openIndex(): IndexClient {
    const { announced, handlers, joinToken, random, signal, trust } = this.#options;
    return new IndexClient({
      send: (message) => this.#signaling?.send(message) ?? false,
      isOpen: () => this.#signaling?.open ?? false,
      joinToken,
      handlers: {
        onJoined: (message) => void this.#onJoined(message).catch(handlers.onError),
        onConfig: (config) => this.#heed(config),
        onRetry: (withinMs) => this.#signaling?.rest(random() * withinMs),
        onRefused: (error) => {
          this.#signaling?.rest(REFUSED_MS * (0.5 + random()));
          handlers.onAdmission(error);
        },
        onNeighbours: (neighbourhood) => {
          this.#neighbourhood = neighbourhood;
          this.#settle();
        },
        onAttested: (attestation) => void trust.accept(attestation).catch(handlers.onError),
        onError: handlers.onError,
      },
      ...announced,
      signal,
    });
  }

  #openSignaling(index: IndexClient): Signaling {
    const { config, handlers, neighbours, planner, now, random, signal } = this.#options;
    return new Signaling({
      url: config.serverUrl,
      iceServers: config.iceServers,
      lan: config.lan,
      relayOnly: config.privacy === "relay",
      now,
      random,
      signal,
      handlers: {
        onOpen: (id) => {
          neighbours.ownId = id;
          planner.election.selfId = id;
          index.opened();
        },
        onClosed: () => {
          if (this.#joined) this.#connectingSinceMs = now();
          this.#joined = false;
          this.#arrival.left();
          index.closed();
        },
        onMessage: (message) => index.receive(message),
        onConnection: (connection) =>
          this.#mayLink ? neighbours.accept(connection) : connection.close(),
        onError: handlers.onError,
      },
    });
  }

  #tend(index: IndexClient): void {
    const { neighbours, now, signal } = this.#options;
    const refresh = setInterval(() => {
      const { lacking } = neighbours;
      const stale = now() - this.#joinedMs > CREDENTIALS_MS && this.#hasCredentials;
      if (this.#joined && this.#enabled && (lacking || stale)) index.refresh();
    }, REFRESH_MS);
    const tend = setInterval(() => neighbours.tick(), TEND_MS);
    signal.addEventListener("abort", () => {
      clearInterval(refresh);
      clearInterval(tend);
    });
  }

  async #onJoined(message: JoinedMessage): Promise<void> {
    const { config, handlers, neighbours, now, trust } = this.#options;
    neighbours.ownId = message.id;
    this.#signaling?.joined();
    handlers.onAdmission(undefined);
    const servers = config.iceServers.length > 0 ? config.iceServers : message.iceServers;
    if (this.#signaling) this.#signaling.iceServers = servers;
    this.#hasCredentials = servers.some(({ credential }) => credential !== undefined);
    this.#hasRelay = servers.some(({ urls }) => /^turns?:/.test(urls));
    this.#heed(message.config);
    if (message.neighbourhood) this.#neighbourhood = message.neighbourhood;
    await trust.meetServer(message.nowMs, message.keys);
    this.#joined = true;
    this.#joinedMs = now();
    this.#arrival.joined(
      message.peers.length + (message.neighbourhood?.members.length ?? 0),
      now(),
    );
    if (this.#index) this.#index.paused = !this.#mayLink;
    this.#settle();
    if (this.#mayLink) neighbours.suggest(message.peers);
  }

  #heed(config: RemoteConfig): void {
    // Before anything is attested or linked: what is sealed must not be shared openly for a moment.
    this.#options.trust.sealed = config.sealed;
    this.#options.handlers.onRemoteConfig(config);
  }

  #settle(): void {
    if (!this.#mayLink || !this.#neighbourhood) return;
    const { neighbours, planner } = this.#options;
    planner.election.members = this.#neighbourhood.members.map(([peerId]) => peerId);
    neighbours.settle(this.#neighbourhood);
  }
}
