/**
 * What decides, while a page is open, whether it takes part and by which rules: the viewer's pause, the operator's
 * word and the server's admission. It switches nothing itself: whoever owns it is told, and applies.
 * @module
 */
import type { PageRules } from "./engine/rules/remote-rules.js";
import { recall, remember } from "./mesh/tabs/memory.js";
import { Operator } from "./operator.js";
import type { NearcastConfig } from "./options.js";
import type { RemoteConfig } from "./protocol/signal-messages.js";
import type { WorkerConfig } from "./protocol/worker-messages.js";

const PAUSED_KEY = "nearcast-paused";

export interface SwitchesOptions {
  readonly config: NearcastConfig;
  /** Something was switched: what {@link Switches} says now applies. */
  readonly onChange: () => void;
  /** Storage is blocked: the viewer's wish holds for this page. */
  readonly onForgotten: (key: string) => void;
}

export class Switches {
  readonly #options: SwitchesOptions;
  readonly #operator: Operator;
  /** The viewer's wish. */
  #paused = false;
  /** Why the server does not let this viewer in. */
  #refused: string | undefined;

  constructor(options: SwitchesOptions) {
    this.#options = options;
    this.#operator = new Operator({
      serverUrl: options.config.serverUrl,
      siteOrigin: location.origin,
      build: NEARCAST_BUILD,
      memory: () => localStorage,
      random: Math.random,
    });
  }

  /** A page starts as the viewer left the last one. */
  recall(): void {
    this.#paused ||= recall(PAUSED_KEY) === "yes";
  }

  /** What keeps a viewer out that would take part; it may change at any time. */
  get #barrier(): string | undefined {
    return this.#operator.barrier ?? this.#refused;
  }

  /** Why this viewer takes no part now; `undefined` if it does. */
  get rest(): string | undefined {
    return this.#barrier ?? (this.#paused ? "paused" : undefined);
  }

  get enabled(): boolean {
    return this.rest === undefined;
  }

  /** What the worker is to accelerate. */
  get workerConfig(): WorkerConfig {
    const { manifestUrls, stripParams } = this.#options.config;
    const { include, exclude } = this.#rules;
    const signed = manifestUrls.map((url) => new URL(".", url).href);
    return { enabled: this.enabled, include, exclude, signed, stripParams };
  }

  /** Bytes per second, 0 for none, and other viewers served at a time. */
  get uploadCaps(): { maxBytesPerS: number; maxParallel: number } {
    const { uploadMaxRate, uploadMaxParallel } = this.#rules;
    return { maxBytesPerS: uploadMaxRate, maxParallel: uploadMaxParallel };
  }

  get #rules(): PageRules {
    return this.#operator.applyTo(this.#options.config);
  }

  /** The viewer's wish, for this page and the next ones of this site. */
  pause(paused: boolean): void {
    if (!remember(PAUSED_KEY, paused ? "yes" : "no")) this.#options.onForgotten(PAUSED_KEY);
    this.heardPause(paused);
  }

  /** The viewer's wish, told in another page. */
  heardPause(paused: boolean): void {
    this.#paused = paused;
    this.#options.onChange();
  }

  /** The server lets this viewer in (`undefined`) or says why not. */
  admit(refused: string | undefined): void {
    if (refused === this.#refused) return;
    this.#refused = refused;
    this.#options.onChange();
  }

  /** The operator's word, for this page and the next ones. */
  obey(config: RemoteConfig): void {
    this.#operator.set(config);
    this.#options.onChange();
  }

  /**
   * A page that is switched off has perhaps no socket by which it would hear that it is on again.
   *
   * @returns The operator's word, if there is one that may be new.
   */
  async askOperator(): Promise<RemoteConfig | undefined> {
    return this.#operator.barrier === undefined ? undefined : this.#operator.ask();
  }
}
