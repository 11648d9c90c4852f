/**
 * The map of who holds what, as far as nodes share it. Each node writes samples of its own viewers, one field
 * of one hash for an asset or a group, in batches; it reads when its own viewers do not suffice, and what it
 * read serves all questions of the next moment. Whatever is late, wrong or missing is as if nobody else were there.
 * @module
 */
import type { PeerHint } from "../../protocol/signal-messages.js";
import type { Metrics } from "../http/metrics.js";
import { LruMap } from "../lru-map.js";
import { BUDGET_MS } from "../redis/link-health.js";
import type { RedisLink } from "../redis/redis-link.js";
import { within } from "../redis/within.js";
import type { IndexChange, Presence } from "../swarm/index-change.js";
import type { Locality } from "../swarm/locality.js";
import { TokenBucket } from "../token-bucket.js";
import type { FarViewers, Found } from "./far-viewers.js";
import type { Marks } from "./marks.js";
import { type Bucket, type Names, TTL_MS } from "./names.js";
import { Outbox } from "./outbox.js";
import { decodeSample, encodeSample, FIELD_MAX_BYTES, SAMPLE_MAX } from "./records.js";
import { bucketsOf, hasWindow, type Sampled, sampleOf } from "./sampling.js";
import type { Seal } from "./seal.js";

/** Changes are gathered for so long. */
const FLUSH_INTERVAL_MS = 150;
const KEYS_PER_FLUSH_MAX = 1_000;

/** A third of what keys live: two refreshes may fail. */
const REFRESH_MS = TTL_MS.sample / 3;

/** Keys that one node keeps in Redis, some 2 kB each at most (threat E12). */
const ASSET_KEYS_MAX = 65_536;
const GROUP_KEYS_MAX = 16_384;

/** What the viewers of one address may cause to be written: the others' keys must not be crowded out. */
const WRITES = { perSecond: 256, burst: 16_384 };
const ADDRESSES_MAX = 100_000;

/** What was read is good for so long, for everybody. */
const CACHE_MS = 700;
const CACHE_MAX = 20_000;

/** Nodes that are read for one question. */
const NODES_PER_READ = 8;

/** Viewers of this node that a sample is chosen from. */
const SAMPLED_MAX = 128;

export interface SharedIndexOptions {
  readonly link: Pick<RedisLink, "state" | "put" | "drop" | "some">;
  readonly names: Names;
  readonly seal: Seal;
  readonly far: FarViewers;
  readonly marks: Marks;
  /** This node. */
  readonly node: string;
  readonly source: {
    holdersOf(assetId: string, max: number): readonly Presence[];
    membersOf(group: string, max: number): readonly Presence[];
  };
  readonly metrics: Metrics;
  readonly nowMs: () => number;
  readonly signal: AbortSignal;
}

/** One key with what it says of this node. */
interface Entry {
  readonly redisKey: string;
  readonly sample: readonly Sampled[];
  readonly full: boolean;
}

/** What was read, or is being read. */
interface Cached {
  readonly untilMs: number;
  found: Found[] | Promise<Found[]>;
}

export class SharedIndex {
  readonly #options: SharedIndexOptions;
  readonly #assets = new Outbox({ max: ASSET_KEYS_MAX, refreshMs: REFRESH_MS });
  readonly #groups = new Outbox({ max: GROUP_KEYS_MAX, refreshMs: REFRESH_MS });
  readonly #budgets = new LruMap<string, TokenBucket>(ADDRESSES_MAX);
  readonly #cache = new LruMap<string, Cached>(CACHE_MAX);
  #flushing = false;

  constructor(options: SharedIndexOptions) {
    this.#options = options;
    const timer = setInterval(() => void this.#flush(), FLUSH_INTERVAL_MS).unref();
    options.signal.addEventListener("abort", () => clearInterval(timer), { once: true });
  }

  /** Keys that this node keeps in Redis. */
  get keyCount(): number {
    return this.#assets.size + this.#groups.size;
  }

  /** Redis may have forgotten everything. */
  writeAll(): void {
    this.#assets.writeAll();
    this.#groups.writeAll();
  }

  /** Notes what others are to be told with the next flush. */
  tell({ kind, name, windows, viewer }: IndexChange): void {
    const { id, locality } = viewer;
    if (kind === "left") this.#groups.remove(name, id);
    else if (kind === "entered") this.#add(this.#groups, name, locality);
    else if (kind === "holds" && windows === "all") {
      this.#add(this.#assets, keyOf(name, "all"), locality);
    } else {
      for (const bucket of bucketsOf(windows)) {
        if (kind === "holds") this.#add(this.#assets, keyOf(name, bucket), locality);
        else this.#assets.remove(keyOf(name, bucket), id);
      }
    }
  }

  #add(outbox: Outbox, key: string, { address }: Locality): void {
    if (!outbox.wants(key)) return;
    if (this.#mayWrite(address)) outbox.add(key);
    else this.#options.metrics.add("nearcast_shared_index_total", "over budget");
  }

  /** `undefined`: nobody can be asked. */
  holders(asker: Locality, assetId: string, window: number): Promise<PeerHint[]> | undefined {
    const { names } = this.#options;
    const [bucket = "all"] = bucketsOf([window]);
    const keys = [names.asset(assetId, "all"), names.asset(assetId, bucket)];
    return this.#ask(asker, keys, ({ windows }) => hasWindow(windows, window));
  }

  members(asker: Locality, groups: readonly string[]): Promise<PeerHint[]> | undefined {
    if (groups.length === 0) return undefined;
    const { names } = this.#options;
    return this.#ask(
      asker,
      groups.map((group) => names.group(group)),
      () => true,
    );
  }

  #ask(
    asker: Locality,
    keys: readonly string[],
    fits: (viewer: Found) => boolean,
  ): Promise<PeerHint[]> | undefined {
    const { link, far, metrics, nowMs } = this.#options;
    const reads = keys.map((key) => this.#read(key));
    const choose = (lists: readonly (Found[] | undefined)[]) =>
      far.choose(asker, lists.flatMap((list) => list ?? []).filter(fits), nowMs());
    if (reads.every((read) => Array.isArray(read))) return Promise.resolve(choose(reads));
    if (reads.every((read) => read === undefined)) {
      if (link.state !== "up") metrics.add("nearcast_shared_index_total", "skipped");
      return undefined;
    }
    return within(Promise.all(reads), { limitMs: BUDGET_MS, late: () => undefined }).then(
      (lists) => {
        if (!lists) metrics.add("nearcast_shared_index_total", "late");
        return choose(lists ?? []);
      },
    );
  }

  /** One read for all who ask within {@link CACHE_MS}; never rejects. */
  #read(key: string): Found[] | Promise<Found[]> | undefined {
    const { link, metrics, nowMs } = this.#options;
    const cached = this.#cache.get(key);
    if (cached && nowMs() < cached.untilMs) {
      metrics.add("nearcast_shared_index_total", "cached");
      return cached.found;
    }
    if (link.state !== "up") return undefined;
    metrics.add("nearcast_shared_index_total", "read");
    const found = link.some(key, NODES_PER_READ, FIELD_MAX_BYTES).then(
      (fields) => this.#decode(key, fields),
      () => [],
    );
    const entry: Cached = { untilMs: nowMs() + CACHE_MS, found };
    this.#cache.set(key, entry);
    return found.then((there) => {
      entry.found = there;
      return there;
    });
  }

  /** What is malformed or old is nobody's any more, and is taken away for all. */
  #decode(key: string, fields: readonly [string, string][]): Found[] {
    const { link, far, seal, node: own, metrics, nowMs } = this.#options;
    return fields.flatMap(([node, value]) => {
      if (node === own) return [];
      const place = placeOf(key, node);
      const sample = decodeSample(value, { seal, place, nowMs: nowMs() });
      if (sample) {
        const { atMs, viewers } = sample;
        far.seen(node, atMs, nowMs());
        return viewers.map((viewer) => ({ ...viewer, node, atMs }));
      }
      metrics.add("nearcast_shared_index_total", "malformed");
      link.drop(key, node).catch(() => {}); // the key's own end comes soon enough
      return [];
    });
  }

  #mayWrite(address: string): boolean {
    let budget = this.#budgets.get(address);
    if (!budget) {
      budget = new TokenBucket(WRITES);
      this.#budgets.set(address, budget);
    }
    return budget.take(this.#options.nowMs());
  }

  async #flush(): Promise<void> {
    const { link, nowMs, metrics } = this.#options;
    if (this.#flushing || link.state === "down") return;
    this.#flushing = true;
    const assets = this.#assets.take(nowMs(), KEYS_PER_FLUSH_MAX);
    const groups = this.#groups.take(nowMs(), KEYS_PER_FLUSH_MAX);
    if (assets.length + groups.length > 0) metrics.add("nearcast_shared_index_total", "flush");
    await Promise.all([
      ...assets.map((key) => this.#write(this.#assets, key, this.#assetEntry(key))),
      ...groups.map((key) => this.#write(this.#groups, key, this.#groupEntry(key))),
    ]);
    this.#flushing = false;
  }

  #assetEntry(key: string): Entry {
    const { names, source } = this.#options;
    const [assetId = "", bucketText = ""] = key.split(" ");
    const bucket: Bucket = bucketText === "all" ? "all" : Number(bucketText);
    const sample = sampleOf(source.holdersOf(assetId, SAMPLED_MAX), bucket, SAMPLE_MAX);
    // A further holder of other windows says something new; one more of the whole asset does not.
    const full = bucket === "all" && sample.length >= SAMPLE_MAX;
    return { redisKey: names.asset(assetId, bucket), sample, full };
  }

  #groupEntry(group: string): Entry {
    const { names, source } = this.#options;
    const members = source.membersOf(group, SAMPLE_MAX);
    const sample = members.map((viewer) => ({ viewer, windows: "all" as const }));
    return { redisKey: names.group(group), sample, full: sample.length >= SAMPLE_MAX };
  }

  async #write(outbox: Outbox, key: string, { redisKey, sample, full }: Entry): Promise<void> {
    const { link, node, nowMs, metrics } = this.#options;
    const ids = sample.map(({ viewer }) => viewer.id);
    const surplus = outbox.wrote(key, ids, { full, nowMs: nowMs() });
    try {
      if (surplus !== undefined) await this.#takeBack(outbox, surplus);
      if (sample.length === 0) await link.drop(redisKey, node);
      else await link.put(redisKey, node, this.#valueOf(redisKey, sample), TTL_MS.sample);
      metrics.add("nearcast_shared_index_total", "written");
    } catch {
      outbox.failed(key);
    }
  }

  /** If that fails, the key's own end takes it back. */
  async #takeBack(outbox: Outbox, key: string): Promise<void> {
    const { redisKey } = outbox === this.#assets ? this.#assetEntry(key) : this.#groupEntry(key);
    await this.#options.link.drop(redisKey, this.#options.node);
  }

  #valueOf(redisKey: string, sample: readonly Sampled[]): string {
    const { seal, marks, node, nowMs } = this.#options;
    const records = sample.map(({ viewer: { id, locality, loadPercent }, windows }) => ({
      id,
      ...marks.of(locality),
      loadPercent,
      windows: windows === "all" ? windows : windows.toString(16),
    }));
    return encodeSample(records, { seal, place: placeOf(redisKey, node), nowMs: nowMs() });
  }
}

const keyOf = (assetId: string, bucket: Bucket) => `${assetId} ${bucket}`;
const placeOf = (redisKey: string, node: string) => `${redisKey} ${node}`;
