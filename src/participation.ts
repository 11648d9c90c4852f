/**
 * One page's part in the mesh, from a start to the next withdrawal: the worker is asked to control the page, the
 * tabs of the profile hear of each other, and one of them is host. It decides nothing: what the viewer, the
 * operator or the server wants is told to it.
 * @module
 */
import type { NearcastError } from "./core/errors.js";
import { urlMatcher } from "./core/url-pattern.js";
import { MeshHost } from "./mesh/host.js";
import type { PeerLink } from "./mesh/links/peer-link.js";
import type { AllPlayback } from "./mesh/playback/all-playback.js";
import { watchPlayback } from "./mesh/playback/playback.js";
import type { LoadPlaylistReader } from "./mesh/playback/showing.js";
import { joinTokenSource } from "./mesh/signaling/join-token.js";
import { runForHost } from "./mesh/tabs/host-election.js";
import { openTabs, type TabMessage } from "./mesh/tabs/tabs.js";
import { WorkerBridge } from "./mesh/tabs/worker-bridge.js";
import type { NearcastConfig } from "./options.js";
import { canonicalUrl, groupOf } from "./protocol/asset.js";
import type { RemoteConfig } from "./protocol/signal-messages.js";
import type { ProgressReport, RequestReport } from "./protocol/worker-messages.js";

export interface ParticipationHandlers {
  /** The worker is there: requests come, as a guest. */
  onGuest(): void;
  /** This tab is about to run the mesh. Whoever aborts the lifetime now prevents it. */
  onElected(): void;
  /** It does. @param groups To be entered, once the host knows the switches. */
  onHost(host: MeshHost, groups: readonly string[]): void;
  onLink(link: PeerLink, state: "open" | "closed"): void;
  onProgress(report: ProgressReport): void;
  onRequest(report: RequestReport): void;
  onStall(): void;
  /** The viewer switched in another tab. */
  onSwitch(enabled: boolean): void;
  /** The server, asked by this tab or another one, let this viewer in or not. */
  onAdmission(refused: string | undefined): void;
  /** @param heard Whether another tab said so, and all of them know. */
  onRemoteConfig(config: RemoteConfig, heard: boolean): void;
  /** The browser ended the worker while it worked. */
  onCrash(): void;
  /** The worker was taken away. */
  onRemoved(): void;
  onError(error: unknown): void;
}

export interface ParticipationOptions {
  readonly config: NearcastConfig;
  readonly loadPlaylistReader: LoadPlaylistReader;
  readonly playback: AllPlayback;
  /** What the profile's hosts shared in, as far as this page heard. */
  readonly groups: readonly string[];
  readonly handlers: ParticipationHandlers;
  /** Of this start. */
  readonly signal: AbortSignal;
}

/** Groups that are entered because of what was loaded before the worker was there; the last ones. */
const GROUPS_BEFORE_CONTROL_MAX = 4;

export class Participation {
  readonly #options: ParticipationOptions;
  #bridge: WorkerBridge | undefined;
  #host: MeshHost | undefined;
  #tell: ((message: TabMessage) => void) | undefined;
  #groups: readonly string[];

  /** Constructs only; {@link begin} starts. */
  constructor(options: ParticipationOptions) {
    this.#options = options;
    this.#groups = options.groups;
  }

  /** `undefined` in a guest tab. */
  get host(): MeshHost | undefined {
    return this.#host;
  }

  /** The way to the worker, once it is there. */
  get bridge(): WorkerBridge | undefined {
    return this.#bridge;
  }

  get groups(): readonly string[] {
    return this.#groups;
  }

  /** Tells the profile's other tabs. */
  tell(message: TabMessage): void {
    this.#tell?.(message);
  }

  /** Its lifetime is over: nobody hears of it any more. */
  end(): void {
    this.#bridge = undefined;
    this.#host = undefined;
    this.#tell = undefined;
  }

  /**
   * Resolves when the worker controls the page and a tab is host, or that took longer than the site waits.
   *
   * @returns Whether the worker of another library has the page.
   */
  async begin(): Promise<{ readonly foreign: boolean }> {
    const { config, handlers, signal } = this.#options;
    const bridge = await this.#openBridge();
    if (signal.aborted) return { foreign: false };
    this.#bridge = bridge;
    handlers.onGuest();
    this.#tell = openTabs((message) => this.#hear(message), signal);
    // The first request after `start()` must find a host, or it would pass by the mesh.
    const hosted = bridge.clientId.then((clientId) => this.#controlled(clientId));
    hosted.catch((error: unknown) => handlers.onError(error));
    const outcome = await Promise.race([hosted, elapsed(config.controlTimeoutMs)]);
    return { foreign: outcome === undefined && bridge.foreign };
  }

  #openBridge(): Promise<WorkerBridge> {
    const { config, handlers, signal } = this.#options;
    return WorkerBridge.open({
      workerUrl: config.workerUrl,
      scope: config.scope,
      signal,
      handlers: {
        onWant: (want, port) => void this.#host?.serve(want, port).catch(handlers.onError),
        onPace: (question, port) => this.#host?.advise(question, port),
        onPlaylist: (report) => this.#host?.learn(report),
        onProgress: (report) => this.#progress(report),
        onRequest: (report) => handlers.onRequest(report),
        onUsed: ({ assetId, from, to }) => this.#host?.used(assetId, from, to),
        onChanged: ({ url }) => this.#host?.changed(url),
        onCrash: () => handlers.onCrash(),
        onRemoved: () => handlers.onRemoved(),
      },
    });
  }

  /** The worker controls this page: its playback counts, and it may become the host. */
  async #controlled(clientId: string): Promise<"controlled"> {
    const { handlers, playback, signal } = this.#options;
    if (signal.aborted) return "controlled";
    const read = watchPlayback(
      {
        onState: (state) => {
          playback.set(clientId, state);
          this.tell({ type: "playback", clientId, state });
        },
        onStall: () => handlers.onStall(),
      },
      signal,
    );
    playback.own(clientId, read);
    addEventListener("pagehide", () => this.tell({ type: "closing", clientId }), { signal });
    await runForHost(clientId, { signal, onElected: () => this.#becomeHost() });
    return "controlled";
  }

  #becomeHost(): void {
    const { config, handlers, signal } = this.#options;
    handlers.onElected();
    if (signal.aborted) return;
    this.#host = this.#openHost();
    handlers.onHost(this.#host, [...this.#groups, ...groupsBeforeControl(config)]);
  }

  #openHost(): MeshHost {
    const { config, handlers, loadPlaylistReader, playback, signal } = this.#options;
    return new MeshHost({
      config,
      loadPlaylistReader,
      joinToken: joinTokenSource(config.joinToken, config.tokenUrl),
      now: () => performance.now(),
      wallNow: () => Date.now(),
      random: Math.random,
      signal,
      handlers: {
        playbackOf: (clientId) => playback.of(clientId),
        playing: () => playback.playing,
        onLink: (link, state) => handlers.onLink(link, state),
        onCompany: () => this.#bridge?.tellCompany(),
        openAhead: (ahead) => this.#bridge?.openAhead(ahead),
        onGroups: (groups) => {
          this.#groups = groups;
          this.tell({ type: "groups", groups });
        },
        onAdmission: (error) => this.#admitted(error),
        onRemoteConfig: (remote) => handlers.onRemoteConfig(remote, false),
        onError: (error) => handlers.onError(error),
      },
    });
  }

  #admitted(error: NearcastError | undefined): void {
    const { handlers } = this.#options;
    if (error) handlers.onError(error);
    handlers.onAdmission(error?.message);
    this.tell({ type: "admission", refused: error?.message });
  }

  #progress(report: ProgressReport): void {
    this.#options.handlers.onProgress(report);
    if (this.#host) this.#host.countDelivered(report.bytes);
    else this.tell({ type: "delivered", ...report.bytes });
  }

  #hear(message: TabMessage): void {
    const { handlers, playback } = this.#options;
    switch (message.type) {
      case "playback":
        return playback.set(message.clientId, message.state);
      case "closing":
        return playback.set(message.clientId, undefined);
      case "groups":
        this.#groups = message.groups;
        return;
      case "delivered":
        return this.#host?.countDelivered(message);
      case "switch":
        return handlers.onSwitch(message.enabled);
      case "remote":
        return handlers.onRemoteConfig(message.config, true);
      case "admission":
        return handlers.onAdmission(message.refused);
    }
  }
}

/** What this page loaded before the worker controlled it: the mesh is wanted as if it had been asked. */
function groupsBeforeControl({ include, exclude }: NearcastConfig): string[] {
  const [included, excluded] = [urlMatcher(include), urlMatcher(exclude)];
  const groups = performance
    .getEntriesByType("resource")
    .filter(({ name }) => included(name) && !excluded(name))
    .map(({ name }) => groupOf(canonicalUrl(name)));
  return [...new Set(groups)].slice(-GROUPS_BEFORE_CONTROL_MAX);
}

async function elapsed(ms: number): Promise<undefined> {
  await new Promise((resolve) => setTimeout(resolve, ms));
  return undefined;
}
