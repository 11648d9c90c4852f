/**
 * Redis as the other modules see it: commands that never take long and fail at once while it is down.
 * @module
 */
import { setTimeout as sleep } from "node:timers/promises";
import { backoffMs } from "../../core/backoff.js";
import {
  type Connection,
  connectRedis,
  type Library,
  loadLibrary,
  RETRY_MS,
} from "./connection.js";
import { LinkHealth, type LinkState } from "./link-health.js";
import { HOLD, PUT, type Script, SOME, SWAP } from "./scripts.js";
import { within } from "./within.js";

/** What takes longer has failed, whatever becomes of it. */
const COMMAND_MAX_MS = 500;

/** Commands under way; more are refused. */
const PENDING_MAX = 10_000;

/** How often it is looked whether Redis answers. */
const PROBE_INTERVAL_MS = 200;

/** The start of the server waits no longer for a Redis. */
const FIRST_MAX_MS = 2_000;

export interface RedisLinkOptions {
  /** One server, or some of a cluster's. */
  readonly urls: readonly string[];
  /** Where this node listens. */
  readonly channel: string;
  readonly onText: (text: string) => void;
  /** Redis can be asked (again). */
  readonly onUp: () => void;
  readonly onFailure: () => void;
  readonly log: (line: string) => void;
  readonly nowMs: () => number;
  readonly random: () => number;
  readonly signal: AbortSignal;
}

/** A link to one Redis, or cluster of them, that may be down at any time. */
export class RedisLink {
  readonly #options: RedisLinkOptions;
  readonly #library: Library;
  readonly #health = new LinkHealth();
  readonly #timer: NodeJS.Timeout;
  #connection: Connection | undefined;
  #pending = 0;
  #wasUp = false;
  #lastProblem = "";

  private constructor(options: RedisLinkOptions, library: Library) {
    this.#options = options;
    this.#library = library;
    this.#timer = setInterval(() => void this.#probe(), PROBE_INTERVAL_MS).unref();
  }

  /**
   * Resolves after the first attempt, whatever came of it; others follow.
   *
   * @throws {NearcastError} `config/invalid` without the client library.
   */
  static async open(options: RedisLinkOptions): Promise<RedisLink> {
    const link = new RedisLink(options, await loadLibrary());
    options.signal.addEventListener("abort", () => link.#close(), { once: true });
    const first = link.#connect();
    void first.then((connected) => (connected ? undefined : link.#connectLater()));
    await Promise.race([first, sleep(FIRST_MAX_MS, undefined, { ref: false })]);
    await link.#probe();
    return link;
  }

  get state(): LinkState {
    if (!this.#connection?.isListening()) return "down";
    return this.#health.state(this.#options.nowMs());
  }

  /** Of the last probe. */
  get latencyMs(): number {
    return this.#health.latencyMs;
  }

  /** Sets a field of a hash that then lives for `ttlMs`. */
  async put(key: string, field: string, value: string, ttlMs: number): Promise<void> {
    await this.#run(key, PUT, [field, value, String(ttlMs)]);
  }

  /** Takes a field back. */
  async drop(key: string, field: string): Promise<void> {
    await this.#command(key, ["HDEL", key, field]);
  }

  /** Random fields of a hash that are named like nodes, with their values, none longer than `maxBytes`. */
  async some(key: string, count: number, maxBytes: number): Promise<[string, string][]> {
    const flat = asTexts(await this.#run(key, SOME, [String(count), String(maxBytes)]));
    return flat.flatMap((text, place) =>
      place % 2 === 0 ? [[text, flat[place + 1] ?? ""] as [string, string]] : [],
    );
  }

  /** Keeps `value` under a key. @returns What is there instead, at most `maxBytes` of it. */
  async hold(key: string, value: string, ttlMs: number, maxBytes: number) {
    const other = await this.#run(key, HOLD, [value, String(ttlMs), String(maxBytes)]);
    return typeof other === "string" ? other : undefined;
  }

  /** Replaces `old` by `value`. @returns Whether `old` was there. */
  async swap(key: string, old: string, value: string, ttlMs: number): Promise<boolean> {
    return (await this.#run(key, SWAP, [old, value, String(ttlMs)])) === 1;
  }

  async set(key: string, value: string, ttlMs: number): Promise<void> {
    await this.#command(key, ["SET", key, value, "PX", String(ttlMs)]);
  }

  /** @returns Whether nothing was there. */
  async setIfAbsent(key: string, value: string, ttlMs: number): Promise<boolean> {
    return (await this.#command(key, ["SET", key, value, "PX", String(ttlMs), "NX"])) === "OK";
  }

  /** The beginning of a value; empty if there is none. */
  async read(key: string, maxBytes: number): Promise<string> {
    return String(await this.#command(key, ["GETRANGE", key, "0", String(maxBytes)]));
  }

  /** @returns Whether anybody listens; `undefined` where Redis cannot tell. */
  async publish(channel: string, text: string): Promise<boolean | undefined> {
    const verb = this.#connection?.sharded ? "SPUBLISH" : "PUBLISH";
    const listeners = await this.#command(channel, [verb, channel, text]);
    return this.#connection?.countsListeners ? listeners !== 0 : undefined;
  }

  async #run(key: string, { sha1, text }: Script, args: readonly string[]): Promise<unknown> {
    try {
      return await this.#command(key, ["EVALSHA", sha1, "1", key, ...args]);
    } catch (error) {
      if (!isUnknownScript(error)) throw error;
      return this.#command(key, ["EVAL", text, "1", key, ...args]);
    }
  }

  /** @throws {Error} At once while Redis is down, else within half a second. */
  async #command(key: string, args: readonly string[]): Promise<unknown> {
    if (this.state === "down" || this.#pending >= PENDING_MAX) throw new Error("Redis is down");
    return this.#limited(key, args);
  }

  async #limited(key: string, args: readonly string[]): Promise<unknown> {
    if (!this.#connection) throw new Error("Redis is not connected");
    this.#pending++;
    try {
      return await within(this.#connection.send(key, args), {
        limitMs: COMMAND_MAX_MS,
        late: () => {
          throw new Error("Redis takes too long");
        },
      });
    } catch (error) {
      if (!isUnknownScript(error)) this.#options.onFailure();
      throw error;
    } finally {
      this.#pending--;
    }
  }

  async #probe(): Promise<void> {
    const { nowMs, onUp, log, signal } = this.#options;
    const connection = this.#connection;
    if (!connection || signal.aborted) return;
    if (!this.#health.asking) {
      this.#health.asked(nowMs());
      // The probe has no limit of its own: as long as it is not answered, nothing would be.
      connection.probe().then(
        () => this.#health.answered(nowMs()),
        () => this.#health.failed(),
      );
    }
    await sleep(0); // a local answer may be here by now
    const isUp = this.state !== "down";
    if (isUp === this.#wasUp) return;
    this.#wasUp = isUp;
    log(isUp ? "redis: up" : "redis: down; each node serves its own viewers");
    if (isUp) onUp();
  }

  async #connectLater(): Promise<void> {
    const { random, signal } = this.#options;
    for (let attempt = 0; !signal.aborted; attempt++) {
      await sleep(backoffMs(attempt, { ...RETRY_MS, random }), undefined, { ref: false });
      if (!signal.aborted && (await this.#connect())) return;
    }
  }

  /** @returns Whether something was there. From then on the connections come back by themselves. */
  async #connect(): Promise<boolean> {
    const { urls, onFailure, log, signal } = this.#options;
    for (const url of urls) {
      try {
        const connection = await connectRedis(this.#library, url, this.#options);
        if (signal.aborted) connection.close();
        else this.#connection = connection;
        return true;
      } catch (error) {
        onFailure();
        const problem = error instanceof Error ? error.message : String(error);
        if (problem !== this.#lastProblem) log(`redis: cannot connect (${problem.slice(0, 200)})`);
        this.#lastProblem = problem;
      }
    }
    return false;
  }

  #close(): void {
    clearInterval(this.#timer);
    this.#connection?.close();
    this.#connection = undefined;
  }
}

/** Replies of scripts: anything else in the list is not ours. */
function asTexts(reply: unknown): string[] {
  return Array.isArray(reply) ? reply.map(String) : [];
}

/** Redis forgets scripts when it starts; they are sent in full once. */
function isUnknownScript(error: unknown): boolean {
  return error instanceof Error && error.message.startsWith("NOSCRIPT");
}
