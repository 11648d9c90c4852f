/**
 * Verified pieces and their attestations on disk, bounded by bytes, least recently used windows first. The host tab
 * writes; nothing on a request's way ever waits for a write, and every storage failure is reported, never thrown at a
 * request.
 * @module
 */
import {
  del,
  delMany,
  entries,
  get,
  keys,
  promisifyRequest,
  set,
  setMany,
  update,
} from "idb-keyval";
import { windowOf } from "../protocol/asset.js";
import { isThere } from "./open-store.js";
import { PieceReader, type StoredAsset, type StoredWindow } from "./piece-reader.js";
import {
  haveTails,
  keysBelow,
  recordsOf,
  type StoredPiece,
  tailsKey,
  windowKey,
  windowKeyOf,
  windowKeysOf,
  withTails,
} from "./piece-records.js";

/**
 * Written in one go. The page can do nothing else meanwhile, not even ask for its next bytes: a window of 64 took
 * it 15 ms, alone on the machine.
 */
const WRITTEN_MAX_PIECES = 16;
/** While a page waits for bytes, four fifths of the time are the page's: a disk that is slow, or far, gets less. */
const REST_SHARE = 4;
/** One write may be slow for reasons of its own. */
const REST_MAX_MS = 1_000;
/** Uses closer together than this are one use. */
const TOUCH_MS = 10_000;

interface WindowEntry {
  bytes: number;
  usedMs: number;
}

/** Writing side; exactly one lives per browser profile, in the host tab. */
export class PieceStore extends PieceReader {
  readonly #maxBytes: number;
  readonly #now: () => number;
  readonly #busy: () => boolean;
  readonly #rest: (ms: number) => Promise<void>;
  readonly #onEvict: (assetId: string, window: number) => void;
  /** Insertion order is not age: eviction looks for the smallest `usedMs`. */
  readonly #entries = new Map<string, WindowEntry>();
  #bytes = 0;
  /** Writes run one after another, so that a bit map never overtakes its pieces. */
  #queue: Promise<unknown> = Promise.resolve();
  /** Bytes that wait to be written: when the disk is slower than the mesh, storing is what gives way. */
  #waitingBytes = 0;
  /** Assets that are to go: nothing of them that waits is written any more. */
  readonly #leaving = new Set<string>();

  /**
   * @param options.now Unix milliseconds.
   * @param options.busy Whether a page waits for bytes.
   * @param options.rest Waits.
   */
  constructor(options: {
    readonly maxBytes: number;
    readonly now: () => number;
    readonly busy: () => boolean;
    readonly rest: (ms: number) => Promise<void>;
    readonly onError: (error: unknown) => void;
    readonly onEvict: (assetId: string, window: number) => void;
  }) {
    super(options);
    this.#maxBytes = options.maxBytes;
    this.#now = options.now;
    this.#busy = options.busy;
    this.#rest = options.rest;
    this.#onEvict = options.onEvict;
  }

  /** Bytes on disk. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Reads what earlier pages left; what expired or belongs to no window is removed. Call once, first. */
  async load(nowMs: number): Promise<StoredWindow[]> {
    if (!(await isThere("assets"))) return []; // which is written before all else
    const all = await this.attempt(() => entries<string, StoredWindow>(this.windows));
    const fresh: StoredWindow[] = [];
    for (const [key, window] of all ?? []) {
      this.#entries.set(key, { bytes: window.bytes, usedMs: window.usedMs });
      this.#bytes += window.bytes;
      if (window.attestation.expiresMs > nowMs) fresh.push(window);
      else void this.#enqueue(() => this.#evict(key));
    }
    if (all) void this.#enqueue(() => this.#sweep());
    void this.#enqueue(() => this.#forgetExpiredAssets(nowMs));
    return fresh;
  }

  /** Remembers what the URL stands for. */
  saveAsset(asset: StoredAsset): void {
    void this.#enqueue(async () => {
      if (!this.#leaving.has(asset.assetId)) await set(asset.url, asset, this.assets);
    });
  }

  /**
   * Stores verified pieces of one window and the window's new bit map.
   *
   * @param pieces Owned by the store from now on; must not be transferred elsewhere.
   * @returns Whether they will be stored; `false` when 32 MiB already wait for the disk.
   */
  savePieces(window: Omit<StoredWindow, "usedMs">, pieces: readonly StoredPiece[]): boolean {
    const addedBytes = pieces.reduce((sum, { bytes }) => sum + bytes.byteLength, 0);
    if (this.#waitingBytes + addedBytes > 32 * 2 ** 20) return false;
    this.#waitingBytes += addedBytes;
    const key = windowKey(window.assetId, window.attestation.window);
    void this.#enqueue(async () => {
      try {
        if (this.#leaving.has(window.assetId)) return;
        await this.#makeRoom(addedBytes, key);
        for (let at = 0; at < pieces.length; at += WRITTEN_MAX_PIECES) {
          const some = pieces.slice(at, at + WRITTEN_MAX_PIECES);
          await this.#atEase(() => setMany(recordsOf(window.assetId, some), this.pieces));
        }
        if (this.#leaving.has(window.assetId)) return;
        if (haveTails(pieces)) {
          await update(tailsKey(key), (earlier) => withTails(earlier, pieces), this.pieces);
        }
        const usedMs = this.#now();
        await set(key, { ...window, usedMs }, this.windows);
        this.#bytes += window.bytes - (this.#entries.get(key)?.bytes ?? 0);
        this.#entries.set(key, { bytes: window.bytes, usedMs });
      } finally {
        this.#waitingBytes -= addedBytes;
      }
    });
    return true;
  }

  /** Marks windows of `[from, to)` as just used. */
  touch(assetId: string, from: number, to: number): void {
    for (let window = windowOf(from); window <= windowOf(Math.max(from, to - 1)); window++) {
      const key = windowKey(assetId, window);
      const entry = this.#entries.get(key);
      if (!entry) continue;
      const usedMs = this.#now();
      const stale = usedMs - entry.usedMs > TOUCH_MS;
      entry.usedMs = usedMs;
      if (stale) void this.#enqueue(() => this.#persistUse(key, usedMs));
    }
  }

  async #persistUse(key: string, usedMs: number): Promise<void> {
    const window = await get<StoredWindow>(key, this.windows);
    if (window) await set(key, { ...window, usedMs }, this.windows);
  }

  /** Removes one window and its pieces. */
  remove(assetId: string, window: number): void {
    void this.#enqueue(() => this.#evict(windowKey(assetId, window)));
  }

  /** Takes back what the URL stands for, and removes all of the asset. */
  forget(url: string, assetId: string): void {
    this.#leaving.add(assetId);
    void this.#enqueue(async () => {
      this.#leaving.delete(assetId);
      await del(url, this.assets);
      const ofAsset = [...this.#entries.keys()].filter((key) => key.startsWith(`${assetId} `));
      for (const key of ofAsset) await this.#evict(key);
      // And pieces of a window that was being written, and has no record.
      await this.pieces("readwrite", (store) => {
        store.delete(windowKeysOf(assetId));
        return promisifyRequest(store.transaction);
      });
    });
  }

  /** Resolves when everything asked so far is on disk (or has failed). */
  async settled(): Promise<void> {
    await this.#queue;
  }

  async #forgetExpiredAssets(nowMs: number): Promise<void> {
    const all = await entries<string, StoredAsset>(this.assets);
    const expired = all.filter(([, asset]) => asset.expiresMs <= nowMs).map(([url]) => url);
    await delMany(expired, this.assets);
  }

  /** Records whose window is not known: a tab that was closed between two writes left them. */
  async #sweep(): Promise<void> {
    const recordKeys = await keys<string>(this.pieces);
    const orphans = recordKeys.filter((key) => !this.#entries.has(windowKeyOf(key)));
    if (orphans.length > 0) await delMany(orphans, this.pieces);
  }

  async #makeRoom(addedBytes: number, sparedKey: string): Promise<void> {
    while (this.#bytes + addedBytes > this.#maxBytes) {
      const oldest = [...this.#entries]
        .filter(([key]) => key !== sparedKey)
        .reduce<[string, WindowEntry] | undefined>(
          (least, entry) => (least && least[1].usedMs <= entry[1].usedMs ? least : entry),
          undefined,
        );
      if (!oldest) return;
      await this.#evict(oldest[0]);
    }
  }

  async #evict(key: string): Promise<void> {
    const entry = this.#entries.get(key);
    if (!entry) return;
    this.#entries.delete(key);
    this.#bytes -= entry.bytes;
    const [assetId = "", window = "0"] = key.split(" ");
    const index = Number(window);
    this.#onEvict(assetId, index);
    // The record goes first: a bit map must never promise pieces that are gone.
    await del(key, this.windows);
    await this.pieces("readwrite", (store) => {
      store.delete(keysBelow(key));
      return promisifyRequest(store.transaction);
    });
  }

  /** Writes, and rests after it while a page waits. */
  async #atEase(write: () => Promise<void>): Promise<void> {
    const startMs = this.#now();
    await write();
    if (!this.#busy()) return;
    const tookMs = Math.max(0, this.#now() - startMs);
    await this.#rest(Math.min(REST_SHARE * tookMs, REST_MAX_MS));
  }

  #enqueue(work: () => Promise<unknown>): Promise<void> {
    const run = this.#queue.then(() => this.#guarded(work));
    this.#queue = run;
    return run;
  }

  /** A full disk gives back half of what we hold and goes on without storing. */
  async #guarded(work: () => Promise<unknown>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.onError(error);
      if (error instanceof DOMException && error.name === "QuotaExceededError") {
        const oldestFirst = [...this.#entries].sort(([, a], [, b]) => a.usedMs - b.usedMs);
        for (const [key] of oldestFirst.slice(0, Math.ceil(oldestFirst.length / 2))) {
          await this.attempt(() => this.#evict(key));
        }
      }
    }
  }
}
