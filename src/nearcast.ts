/**
 * The composition root of a page: builds everything, owns the root AbortController, obeys the switches.
 * Whatever fails in here leaves the page as it would be without Nearcast.
 * @module
 */
import { ConsentAnswer } from "./consent.js";
import { NearcastError } from "./core/errors.js";
import { CrashGuard } from "./crash-guard.js";
import { type LinkInfo, type NearcastEvents, NearcastTarget } from "./events.js";
import type { MeshHost } from "./mesh/host.js";
import type { PeerLink } from "./mesh/links/peer-link.js";
import { AllPlayback } from "./mesh/playback/all-playback.js";
import type { LoadPlaylistReader } from "./mesh/playback/showing.js";
import { NOTHING, removeWorker, silenceWorker } from "./mesh/tabs/worker-bridge.js";
import { missingFeature } from "./missing-feature.js";
import type { NearcastConfig } from "./options.js";
import { type NearcastStats, PageCounts, type Role } from "./page-counts.js";
import { Participation } from "./participation.js";
import type { RemoteConfig } from "./protocol/signal-messages.js";
import { Switches } from "./switches.js";

/** Where the page's code comes from. */
export interface NearcastCode {
  /** The script, if Nearcast is alone in it. */
  readonly scriptUrl: string | undefined;
  readonly loadPlaylistReader: LoadPlaylistReader;
}

const STATS_INTERVAL_MS = 1_000;
/** How often a page that the operator switched off asks whether it still is. */
const ASK_OPERATOR_MS = 30_000;

/** Nearcast in one page. What it tells is in {@link NearcastEvents}. */
export class Nearcast extends NearcastTarget {
  readonly #config: NearcastConfig;
  readonly #code: NearcastCode;
  readonly #page = new AbortController();
  readonly #guard = new CrashGuard(
    () => Date.now(),
    () => this.#withdraw("crashed"),
  );
  /** From a start to the next withdrawal. */
  #lifetime = new AbortController();
  readonly #counts = new PageCounts();
  readonly #playback = new AllPlayback();
  readonly #consent: ConsentAnswer;
  #role: Role = "off";
  #reason: string | undefined = "starting";
  readonly #switches: Switches;
  /** Of the last start; over if its lifetime is. */
  #participation: Participation | undefined;
  #opening: Promise<void> = Promise.resolve();

  /** Constructs only; {@link open} starts. */
  constructor(config: NearcastConfig, code: NearcastCode) {
    super();
    this.#config = config;
    this.#switches = new Switches({
      config,
      onChange: () => this.#applySwitches(),
      onForgotten: (key) => this.#forgotten(key),
    });
    this.#consent = new ConsentAnswer({
      required: config.consent === "required",
      prompt: config.prompt,
      onAnswer: (given) => this.#answered(given),
      onForgotten: (key) => this.#forgotten(key),
      signal: this.#page.signal,
    });
    this.#code = code;
  }

  /**
   * Starts, and resolves when the worker controls the page and a tab is host, or it is clear that they will not (soon).
   * Never rejects: what is missing shows in `stats().reason`.
   */
  open(): Promise<void> {
    this.#guard.watch(this.#code.scriptUrl, this.#page.signal);
    this.#consent.listen();
    return this.#reopen();
  }

  /** Resolves as {@link open} did. */
  get ready(): Promise<void> {
    return this.#opening;
  }

  #reopen(): Promise<void> {
    this.#opening = this.#open();
    return this.#opening;
  }

  async #open(): Promise<void> {
    const missing = missingFeature();
    if (missing) return this.#off(missing);
    const { signal } = this.#lifetime;
    // The script that comes next may start a player, and a browser's first look at its storage takes a while.
    await new Promise((resolve) => setTimeout(resolve));
    if (signal.aborted) return;
    if (this.#guard.off) return this.#crashed();
    if (this.#consent.lacking) return this.#refrain();
    this.#switches.recall();
    this.#reason = "starting";
    try {
      this.#participation = this.#participate(signal);
      const { foreign } = await this.#participation.begin();
      if (foreign) this.#off("another worker");
    } catch (error) {
      this.#failed(error);
      this.#off(error instanceof NearcastError ? error.code : "error");
    }
  }

  /** Too many crashes: not even the worker is wanted before the day is over. */
  #crashed(): void {
    this.#off("crashed");
    silenceWorker();
    void removeWorker(this.#config).catch((error: unknown) => this.#failed(error));
  }

  /** Nothing starts; who has not answered yet is asked. */
  #refrain(): void {
    this.#off("consent");
    silenceWorker();
    this.#consent.ask();
  }

  /** What happened since page load. */
  stats(): NearcastStats {
    const { rest } = this.#switches;
    const role = rest === undefined ? this.#role : "off";
    const reason = this.#role === "off" ? this.#reason : rest;
    return {
      role,
      ...(role === "off" && reason !== undefined && { reason }),
      links: this.#host?.links.length ?? 0,
      ...this.#counts.shown(this.#host?.counts),
      index: this.#host?.indexState ?? "closed",
    };
  }

  /** The open links of this tab's mesh; empty in a guest tab. */
  links(): LinkInfo[] {
    return (this.#host?.links ?? []).map((link) => this.#linkInfo(link));
  }

  /** Stops sharing in all pages of this profile until {@link resume}; requests go to the origin. */
  pause(): void {
    this.#switches.pause(true);
    this.#participation?.tell({ type: "switch", enabled: false });
  }

  /** Takes up sharing again. */
  resume(): void {
    this.#switches.pause(false);
    this.#participation?.tell({ type: "switch", enabled: true });
  }

  /**
   * Ends Nearcast in this page for good: it shares nothing any more. Requests under way finish from the
   * origin; later ones are served as far as other tabs and the store can.
   */
  stop(): void {
    this.#page.abort();
    this.#end();
    this.#off("stopped");
  }

  /**
   * The viewer's answer to the question of consent, for all pages of this profile; remembered for this
   * site. `false` ends the mesh, its links and its socket, until `true`.
   */
  consent(given: boolean): void {
    this.#consent.give(given);
  }

  #answered(given: boolean): void {
    this.#emit("consent", given);
    if (!given) this.#withdraw("consent");
    else if (this.#reason === "consent") void this.#reopen();
  }

  /** Ends the mesh in this page, and lets the worker pass everything, until it is opened again. */
  #withdraw(reason: string): void {
    if (this.#role === "off" && this.#reason !== "starting") return;
    this.#participation?.bridge?.configure(NOTHING);
    this.#end();
    this.#off(reason);
  }

  #end(): void {
    this.#lifetime.abort(new NearcastError("mesh/unavailable", "Cannot use mesh: it was stopped"));
    this.#lifetime = new AbortController();
    if (this.#host) this.#counts.keep(this.#host.counts);
    this.#participation?.end();
  }

  #participate(signal: AbortSignal): Participation {
    return new Participation({
      config: this.#config,
      loadPlaylistReader: this.#code.loadPlaylistReader,
      playback: this.#playback,
      groups: this.#participation?.groups ?? [],
      signal,
      handlers: {
        onGuest: () => this.#begun(signal),
        onElected: () => this.#guard.hosting(signal),
        onHost: (host, groups) => {
          this.#role = "host";
          this.#applySwitches();
          void this.#askOperator();
          host.resume(groups);
        },
        onLink: (link, state) => this.#emit("link", { ...this.#linkInfo(link), state }),
        onProgress: ({ bytes }) => this.#counts.addBytes(bytes),
        onRequest: ({ url, status, durationMs, bytes }) => {
          this.#counts.addRequest(bytes);
          this.#emit("request", { url, status, durationMs, bytes });
        },
        onStall: () => this.#counts.addStall(),
        onSwitch: (enabled) => this.#switches.heardPause(!enabled),
        onAdmission: (refused) => this.#switches.admit(refused),
        onRemoteConfig: (config, heard) => this.#setRemote(config, heard),
        onCrash: () => this.#role === "host" && this.#guard.count(),
        onRemoved: () => this.#withdraw("removed"),
        onError: (error) => this.#failed(error),
      },
    });
  }

  #begun(signal: AbortSignal): void {
    this.#role = "guest";
    this.#reason = undefined;
    this.#applySwitches();
    const timer = setInterval(() => this.#emit("stats", this.stats()), STATS_INTERVAL_MS);
    const asking = setInterval(() => void this.#askOperator(), ASK_OPERATOR_MS);
    signal.addEventListener("abort", () => {
      clearInterval(timer);
      clearInterval(asking);
    });
  }

  /**
   * The operator's word reaches this tab, the worker, the other tabs and the next pages.
   *
   * @param heard From another tab: all of them know.
   */
  #setRemote(config: RemoteConfig, heard: boolean): void {
    if (!heard) this.#participation?.tell({ type: "remote", config });
    this.#switches.obey(config);
  }

  async #askOperator(): Promise<void> {
    // An open socket tells by itself.
    if (!this.#host || this.#host.indexState === "open") return;
    const config = await this.#switches.askOperator();
    if (config && !this.#lifetime.signal.aborted) this.#setRemote(config, false);
  }

  /** The mesh, if this tab runs it. */
  get #host(): MeshHost | undefined {
    return this.#participation?.host;
  }

  #applySwitches(): void {
    if (this.#host) {
      this.#host.enabled = this.#switches.enabled;
      this.#host.limitUploads(this.#switches.uploadCaps);
    }
    this.#participation?.bridge?.configure(this.#switches.workerConfig);
    this.#emit("stats", this.stats());
  }

  /** Where storage is blocked an answer holds for this page. */
  #forgotten(key: string): void {
    this.#failed(new Error(`Cannot remember "${key}"`));
  }

  #linkInfo({ peerId, rttMs, bytesReceived, bytesSent }: PeerLink): LinkInfo {
    const distance = this.#host?.distanceOf(peerId) ?? 2;
    return { peerId, distance, rttMs, bytesReceived, bytesSent };
  }

  #off(reason: string): void {
    this.#role = "off";
    this.#reason = reason;
    this.#emit("stats", this.stats());
  }

  #failed(error: unknown): void {
    this.#emit("error", error);
  }

  #emit<Name extends keyof NearcastEvents>(
    type: Name,
    detail: NearcastEvents[Name]["detail"],
  ): void {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
