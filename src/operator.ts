/**
 * What the site's operator wishes, remembered from page to page: a page that starts applies the last word
 * it heard before it does anything, and one that is switched off asks now and then whether it still is.
 * @module
 */
import { absolutePattern } from "./core/url-pattern.js";
import {
  type PageRules,
  type RemoteBarrier,
  remoteBarrier,
  withRemoteRules,
} from "./engine/rules/remote-rules.js";
import { isRemoteConfig } from "./protocol/signal-decoder.js";
import type { RemoteConfig } from "./protocol/signal-messages.js";

/** What is read and written by name; throws where the browser blocks storage. */
export type Memory = Pick<Storage, "getItem" | "setItem">;

const CONFIG_KEY = "nearcast-operator";
const DRAW_KEY = "nearcast-draw";
const ANSWER_TIMEOUT_MS = 10_000;

export interface OperatorOptions {
  readonly serverUrl: URL;
  readonly siteOrigin: string;
  readonly build: string;
  readonly memory: () => Memory;
  readonly random: () => number;
}

/** The operator of one page. */
export class Operator {
  readonly #options: OperatorOptions;
  readonly #draw: number;
  #config: RemoteConfig | undefined;

  constructor(options: OperatorOptions) {
    this.#options = options;
    this.#draw = this.#drawn();
    this.#config = this.#remembered();
  }

  /** Why the operator keeps this viewer out; `undefined` if nothing is known against it. */
  get barrier(): RemoteBarrier | undefined {
    const { build } = this.#options;
    return this.#config && remoteBarrier(this.#config, { build, draw: this.#draw });
  }

  /** The page's own rules under those of the operator. */
  applyTo(own: PageRules): PageRules {
    if (!this.#config) return own;
    const { siteOrigin } = this.#options;
    return withRemoteRules(own, this.#config, (pattern) => absolutePattern(pattern, siteOrigin));
  }

  /** Takes the operator's word, for this page and the next ones. */
  set(config: RemoteConfig): void {
    this.#config = config;
    const server = this.#options.serverUrl.href;
    this.#remember(CONFIG_KEY, JSON.stringify({ server, config }));
  }

  /** Asks the server, without joining. @returns Its answer; `undefined` if there is none worth having. */
  async ask(): Promise<RemoteConfig | undefined> {
    const url = new URL("peerjs/config", withSlash(this.#options.serverUrl));
    url.searchParams.set("site", this.#options.siteOrigin);
    url.protocol = url.protocol.replace("ws", "http");
    try {
      const response = await fetch(url, {
        credentials: "omit",
        cache: "no-store", // keeps the worker away, too
        redirect: "error",
        signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS),
      });
      const config: unknown = response.ok ? await response.json() : undefined;
      return isRemoteConfig(config) ? config : undefined;
    } catch {
      return undefined; // the server is down: its last word stands
    }
  }

  #drawn(): number {
    const known = Number(this.#recall(DRAW_KEY) ?? Number.NaN);
    if (known >= 0 && known < 100) return known;
    const draw = Math.floor(this.#options.random() * 10_000) / 100;
    this.#remember(DRAW_KEY, String(draw));
    return draw;
  }

  #remembered(): RemoteConfig | undefined {
    try {
      const { server, config } = JSON.parse(this.#recall(CONFIG_KEY) ?? "null") ?? {};
      const ours = server === this.#options.serverUrl.href && isRemoteConfig(config);
      return ours ? config : undefined;
    } catch {
      return undefined; // somebody else's, or another version's
    }
  }

  #recall(key: string): string | null {
    try {
      return this.#options.memory().getItem(key);
    } catch {
      return null; // storage is blocked: every page starts anew
    }
  }

  #remember(key: string, text: string): void {
    try {
      this.#options.memory().setItem(key, text);
    } catch {
      // as above
    }
  }
}

function withSlash(url: URL): URL {
  return url.pathname.endsWith("/") ? url : new URL(`${url.pathname}/`, url);
}
