/**
 * Which node each viewer's id is at. An id has one viewer on all nodes: whoever shows the same token and site
 * may move it, and the last socket counts; anybody else is refused, also for a minute after it is gone. While
 * Redis is down each node sees to that for itself; when it is back, the claims are compared.
 * @module
 */
import type { Metrics } from "../http/metrics.js";
import type { RedisLink } from "../redis/redis-link.js";
import { type Names, TTL_MS } from "./names.js";
import type { Claimant } from "./other-nodes.js";
import { CLAIM_MAX_BYTES, type Claim, decodeClaim, encodeClaim } from "./records.js";
import type { Seal } from "./seal.js";

/** How often a claim is renewed, and how many at once. */
const RENEW_MS = TTL_MS.claim / 3;
const RENEWED_AT_ONCE_MAX = 1_000;
const LOOK_INTERVAL_MS = 250;

export interface ClaimsOptions {
  readonly link: Pick<RedisLink, "state" | "hold" | "swap" | "set" | "read">;
  readonly names: Names;
  readonly seal: Seal;
  readonly node: string;
  readonly metrics: Metrics;
  readonly nowMs: () => number;
  readonly signal: AbortSignal;
  /** A viewer is at this node now, and no more at that one. */
  readonly onMoved: (id: string, from: string) => void;
  /** A viewer of this node is at another one now. */
  readonly onLost: (id: string) => void;
}

interface Own {
  readonly claim: Claim;
  readonly text: string;
  /** When it was renewed last; never: it is not in Redis yet. */
  renewedMs: number;
}

export class Claims {
  readonly #options: ClaimsOptions;
  /** The claims of this node's viewers, the one renewed longest ago first. */
  readonly #own = new Map<string, Own>();

  constructor(options: ClaimsOptions) {
    this.#options = options;
    const timer = setInterval(() => this.#renewDue(), LOOK_INTERVAL_MS).unref();
    options.signal.addEventListener("abort", () => clearInterval(timer), { once: true });
  }

  /** @returns Whether this node may have the id; also if nobody can be asked. Never rejects. */
  async claim({ id, token, siteOrigin }: Claimant): Promise<boolean> {
    const { seal, node, nowMs } = this.#options;
    const claim: Claim = {
      node,
      token: seal.mark("token", token),
      site: seal.mark("site", siteOrigin ?? ""),
      sinceMs: nowMs(),
    };
    const own = { claim, text: this.#encode(id, claim), renewedMs: Number.NEGATIVE_INFINITY };
    try {
      if (!(await this.#hold(id, own, mayMove))) return false;
      own.renewedMs = nowMs();
    } catch {
      // Every node for itself; the claim is made when Redis can be asked.
      this.#options.metrics.add("nearcast_shared_index_total", "claimed alone");
    }
    this.#own.delete(id);
    this.#own.set(id, own);
    return true;
  }

  /** The viewer is gone: its id stays reserved for its token. */
  release(id: string): void {
    const own = this.#own.get(id);
    if (!own) return;
    this.#own.delete(id);
    const { link, names } = this.#options;
    const reserved = this.#encode(id, { ...own.claim, node: "" });
    // Unless the viewer is elsewhere by now; and what fails ends by itself.
    link.swap(names.claim(id), own.text, reserved, TTL_MS.reserved).catch(() => {});
  }

  /** The viewer is elsewhere: nothing is to be said of it any more. */
  forget(id: string): void {
    this.#own.delete(id);
  }

  /** The node that a viewer is at; rejects if nobody can be asked. */
  async nodeOf(id: string): Promise<string | undefined> {
    const { link, names } = this.#options;
    const claim = this.#decode(id, await link.read(names.claim(id), CLAIM_MAX_BYTES));
    return claim?.node || undefined;
  }

  /** Redis may have forgotten everything. */
  renewAll(): void {
    for (const own of this.#own.values()) own.renewedMs = Number.NEGATIVE_INFINITY;
  }

  #renewDue(): void {
    const { link, nowMs } = this.#options;
    if (link.state === "down") return;
    let left = RENEWED_AT_ONCE_MAX;
    for (const [id, own] of this.#own) {
      if (nowMs() - own.renewedMs < RENEW_MS) return;
      if (left-- === 0) return;
      this.#own.delete(id);
      this.#own.set(id, own);
      own.renewedMs = nowMs();
      void this.#renew(id, own);
    }
  }

  async #renew(id: string, own: Own): Promise<void> {
    try {
      if (await this.#hold(id, own, (other) => isOlder(own.claim, other))) return;
      if (this.#own.get(id) !== own) return;
      this.#own.delete(id);
      this.#options.onLost(id);
    } catch {
      own.renewedMs = Number.NEGATIVE_INFINITY;
    }
  }

  /** Puts a claim into Redis, over another one if `mayReplace` says so. @returns Whether it is there. */
  async #hold(
    id: string,
    { claim, text }: Own,
    mayReplace: (other: Claim, own: Claim) => boolean,
  ): Promise<boolean> {
    const { link, names, node, onMoved } = this.#options;
    const key = names.claim(id);
    const there = await link.hold(key, text, TTL_MS.claim, CLAIM_MAX_BYTES);
    if (there === undefined) return true;
    const other = this.#decode(id, there);
    if (!other) await link.set(key, text, TTL_MS.claim);
    else if (!mayReplace(other, claim)) return false;
    else if (!(await link.swap(key, there, text, TTL_MS.claim))) {
      throw new Error("Cannot claim id: somebody else did at the same moment");
    } else if (other.node !== "" && other.node !== node) onMoved(id, other.node);
    return true;
  }

  #encode(id: string, claim: Claim): string {
    const { seal, names } = this.#options;
    return encodeClaim(claim, { seal, place: names.claim(id) });
  }

  #decode(id: string, text: string): Claim | undefined {
    const { seal, names } = this.#options;
    return decodeClaim(text, { seal, place: names.claim(id) });
  }
}

/** A new socket: the same viewer may take its id along. An id that is only reserved asks for no site. */
function mayMove(other: Claim, own: Claim): boolean {
  return other.token === own.token && (other.node === "" || other.site === own.site);
}

/** Two nodes found out later: of one viewer the last socket counts, of two viewers the first. */
function isOlder(own: Claim, other: Claim): boolean {
  const same = own.token === other.token && own.site === other.site;
  if (other.node === "") return same;
  return same ? own.sinceMs >= other.sinceMs : own.sinceMs < other.sinceMs;
}
