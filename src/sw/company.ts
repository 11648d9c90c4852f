/**
 * Equal requests that are on their way at once. The first, the leader, goes its way; those that come before its
 * answer does, its companions, get copies of that, as they would from the browser's own cache. Alone, each would ask
 * the host and pass its bytes through the worker: fifty for one file took seconds (docs/decisions/0029).
 * @module
 */
import { parseCacheControl } from "../engine/rules/sharing-policy.js";
import type { BytesBySource } from "../protocol/worker-messages.js";
import { within } from "./within.js";

/** Who waits longer goes its own way: a host's plan takes a moment, an origin's head as a rule not much more. */
const PATIENCE_MS = 1_000;
/** A slow reader's copy waits in the worker's memory; what is longer is not copied. */
export const COPIED_MAX_BYTES = 4 * 2 ** 20;

/** One request of a company. */
export interface Member {
  /** As `RequestMeter`. */
  readonly meter: {
    count(source: keyof BytesBySource, bytes: number): void;
    end(status: number): Promise<void>;
  };
  /** The page gave the request up. */
  readonly signal: AbortSignal;
}

/** Makes a copy of the leader's answer, or `undefined` if that broke off. */
type Copy = () => Promise<Response | undefined>;

interface Companion extends Member {
  readonly copy: PromiseWithResolvers<Copy | undefined>;
}

/** The requests that are equal to one, from its start to its answer. */
export class Company {
  readonly #leader: Member;
  readonly #onClosed: () => void;
  readonly #companions = new Set<Companion>();
  readonly #gone = new AbortController();
  #open = true;
  #passedBytes = 0;
  #endStatus: number | undefined;

  /** @param onClosed It takes no more companions. */
  constructor(leader: Member, onClosed: () => void) {
    this.#leader = leader;
    this.#onClosed = onClosed;
    this.#watch(leader.signal);
  }

  /** Aborts when every request of the company was given up. */
  get gone(): AbortSignal {
    return this.#gone.signal;
  }

  /** Whether the leader has companions. */
  get accompanied(): boolean {
    return this.#companions.size > 0;
  }

  /** Resolves to a copy of the leader's answer, or to `undefined`: then the request goes its own way. */
  async join(member: Member): Promise<Response | undefined> {
    const companion = { ...member, copy: Promise.withResolvers<Copy | undefined>() };
    const leave = () => {
      this.#companions.delete(companion);
      this.#left();
    };
    this.#companions.add(companion);
    this.#watch(member.signal);
    const copy = await within(companion.copy.promise, PATIENCE_MS, leave);
    return copy?.();
  }

  /** The leader was given `bytes` more, and its companions copies of them: those cost neither peers nor origin. */
  count(source: keyof BytesBySource, bytes: number): void {
    this.#passedBytes += bytes;
    this.#leader.meter.count(source, bytes);
    if (this.#open) return; // told when it is clear who gets a copy
    for (const { meter, signal } of this.#companions) {
      if (!signal.aborted) meter.count("cache", bytes);
    }
  }

  /** The origin sent bytes that nobody was given, as a peer was first. */
  countSurplus(bytes: number): void {
    this.#leader.meter.count("origin", bytes);
  }

  /** The answer is over. */
  end(status: number): void {
    this.#endStatus = status;
    void this.#leader.meter.end(status);
    if (this.#open) return;
    for (const { meter } of this.#companions) void meter.end(status);
  }

  /** Takes no more companions; those that wait go their own ways. */
  dismiss(): void {
    if (!this.#open) return;
    const waiting = [...this.#companions];
    this.#companions.clear();
    this.#close();
    for (const { copy } of waiting) copy.resolve(undefined);
  }

  /** @returns The leader's answer, of which each companion has a copy if it may have one. */
  share(response: Response): Response {
    if (!this.accompanied || !isCopyable(response)) {
      this.dismiss();
      return response;
    }
    this.#close();
    const { status, statusText, headers } = response;
    const head = { status, statusText, headers };
    const [own, others] = (response.body as ReadableStream<Uint8Array>).tee();
    const copy = copies(others, head);
    for (const { meter, copy: wanted } of this.#companions) {
      wanted.resolve(copy);
      meter.count("cache", this.#passedBytes);
      if (this.#endStatus !== undefined) void meter.end(this.#endStatus);
    }
    return new Response(own, head);
  }

  #close(): void {
    this.#open = false;
    this.#onClosed();
  }

  #watch(signal: AbortSignal): void {
    signal.addEventListener("abort", () => this.#left(), { once: true });
  }

  #left(): void {
    const all = [this.#leader, ...this.#companions];
    if (all.every(({ signal }) => signal.aborted)) this.#gone.abort();
  }
}

/**
 * Copies of a body: of the whole, if that is here in a moment. A browser passes a blob on by itself, and a stream
 * chunk by chunk: fifty of 1 MiB took Firefox 360 ms and 700 ms.
 */
function copies(body: ReadableStream<Uint8Array>, head: ResponseInit): Copy {
  let [read, kept] = body.tee();
  const whole = within(new Response(read).blob(), PATIENCE_MS).catch(() => null);
  return async () => {
    const blob = await whole;
    if (blob === null) return undefined;
    if (blob) {
      void kept.cancel();
      return new Response(blob, head);
    }
    [read, kept] = kept.tee();
    return new Response(read, head);
  };
}

/** The companies that still take companions. */
export class Companies {
  readonly #open = new Map<string, Company>();

  /** The company of requests that are equal to this, if it still takes companions. */
  find(key: string): Company | undefined {
    return this.#open.get(key);
  }

  /** Founds one; it is found unless another is there. */
  lead(key: string, leader: Member): Company {
    const company: Company = new Company(leader, () => {
      if (this.#open.get(key) === company) this.#open.delete(key);
    });
    if (!this.#open.has(key)) this.#open.set(key, company);
    return company;
  }
}

/** Equal for requests that differ in nothing that store, mesh, origin or pace could see. */
export function companyKey(request: Request, clientId: string): string {
  const { url, mode, credentials, cache, redirect, integrity, destination } = request;
  const { referrer, referrerPolicy, headers } = request;
  const fixed = [url, mode, credentials, cache, redirect, integrity, destination];
  return JSON.stringify([clientId, ...fixed, referrer, referrerPolicy, ...headers]);
}

/** Whether the browser's own cache would answer an equal request with it, and it is short. */
function isCopyable({ body, type, redirected, headers }: Response): boolean {
  const length = headers.get("content-length");
  if (!body || type === "opaque" || redirected || length === null) return false;
  const directives = parseCacheControl(headers.get("cache-control") ?? "");
  if (!directives || directives.has("no-store") || directives.has("no-cache")) return false;
  const freshS = Number(directives.get("max-age") ?? 0) - Number(headers.get("age") ?? 0);
  return freshS > 0 && Number(length) <= COPIED_MAX_BYTES;
}
