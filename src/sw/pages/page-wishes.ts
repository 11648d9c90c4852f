/**
 * What the last page that spoke to this worker wants accelerated. It is on disk as well: a worker that was stopped
 * remembers nothing.
 * @module
 */
import { type UrlMatcher, urlMatcher } from "../../core/url-pattern.js";
import type { WorkerConfig } from "../../protocol/worker-messages.js";
import { loadWorkerConfig, saveWorkerConfig } from "../../store/worker-config-store.js";

/** A configuration, compiled. */
interface Wishes {
  readonly enabled: boolean;
  readonly included: UrlMatcher;
  readonly excluded: UrlMatcher;
  readonly signed: readonly string[];
  readonly stripParams: readonly string[];
}

/** On a first visit the page has better use for the processor than to make a database. */
const FIRST_SAVE_MS = 2_000;

export class PageWishes {
  #wishes: Wishes | undefined;
  /** What the last page said, and what the disk says. */
  #heard: WorkerConfig | undefined;
  #stored: WorkerConfig | undefined;
  readonly #loaded: Promise<void>;

  /** @param onError Told if the disk fails: then the next page's hello is waited for. */
  constructor(onError: (error: unknown) => void) {
    this.#loaded = loadWorkerConfig()
      .then((stored) => {
        this.#stored = stored;
        if (stored) this.#wishes ??= compile(stored);
      })
      .catch(onError);
  }

  /** `false` before a page spoke, or the disk has. */
  get known(): boolean {
    return this.#wishes !== undefined;
  }

  /** Resolves when the disk has spoken. */
  get loaded(): Promise<void> {
    return this.#loaded;
  }

  /** Query parameters that only authorise. */
  get stripParams(): readonly string[] {
    return this.#wishes?.stripParams ?? [];
  }

  /** A page says what it wants; resolves when the next start of the worker will know. */
  async heed(config: WorkerConfig): Promise<void> {
    this.#wishes = compile(config);
    this.#heard = config;
    await this.#loaded;
    if (!this.#stored) await new Promise((resolve) => setTimeout(resolve, FIRST_SAVE_MS));
    const heard = this.#heard;
    if (JSON.stringify(heard) === JSON.stringify(this.#stored)) return;
    // Said before it is so: what is heard while this is being written must be written after it.
    this.#stored = heard;
    await saveWorkerConfig(heard).catch((error: unknown) => {
      this.#stored = undefined;
      throw error;
    });
  }

  /** Whether the URL is to be accelerated; not before anything is known. */
  include(url: string): boolean {
    const wishes = this.#wishes;
    return wishes?.enabled === true && wishes.included(url) && !wishes.excluded(url);
  }

  /** Whether the publisher signs what is below the URL. */
  signed(url: string): boolean {
    return this.#wishes?.signed.some((folder) => url.startsWith(folder)) ?? false;
  }
}

/** A page of an earlier build does not know all of it. */
function compile({
  enabled,
  include,
  exclude,
  signed = [],
  stripParams = [],
}: WorkerConfig): Wishes {
  const [included, excluded] = [urlMatcher(include), urlMatcher(exclude)];
  return { enabled, included, excluded, signed, stripParams };
}
