/**
 * Verified pieces and their attestations on disk, bounded by bytes, least recently used windows first.
 *
 * Three idb-keyval stores (IndexedDB with relaxed durability: 1.1 ms a write, 0.6 ms a read of 256 KiB,
 * 2.5 times faster than Cache Storage both ways, see docs/decisions/0004): `assets` by URL, `windows` by
 * asset and window, `pieces` by asset, window and piece (`piece-records.ts`). The host tab writes; the worker only reads.
 * Nothing on a request's way ever waits for a write, and every storage failure is reported, never thrown at a
 * request.
 * @module
 */
import {
  del,
  delMany,
  entries,
  get,
  getMany,
  promisifyRequest,
  set,
  setMany,
  type UseStore,
  update,
} from "idb-keyval";
import { PieceSet } from "../core/piece-set.js";
import { type PieceRange, pieceCountOf, windowOf } from "../protocol/asset.js";
import type { Attestation, Header } from "../protocol/attestation.js";
import { WINDOW_PIECES } from "../protocol/limits.js";
import { openStore } from "./open-store.js";
import {
  haveTails,
  joined,
  keysBelow,
  pieceKey,
  recordsOf,
  type StoredPiece,
  tailsKey,
  windowKey,
  withTails,
} from "./piece-records.js";

export type { StoredPiece } from "./piece-records.js";

/** What is known of one asset. */
export interface StoredAsset {
  readonly assetId: string;
  readonly url: string;
  readonly length: number;
  readonly headers: readonly Header[];
  /** End of its last window, in this device's clock; other windows may end before. */
  readonly expiresMs: number;
}

/** One window on disk: its attestation and which of its pieces are there. */
export interface StoredWindow {
  readonly assetId: string;
  readonly attestation: Attestation;
  /** Key of a sealed asset: without it what is held could not be shared any more. */
  readonly seal?: string | undefined;
  /** End of the attestation in this device's clock, which is all that the worker has. */
  readonly expiresMs: number;
  /** Bits of the window's pieces, see `PieceSet.toBits`. */
  readonly bits: Uint8Array;
  readonly bytes: number;
  readonly usedMs: number;
}

/** Reading side, shared by worker and host. A failed read is a miss, told to `onError`. */
export class PieceReader {
  protected readonly assets: UseStore;
  protected readonly windows: UseStore;
  protected readonly pieces: UseStore;
  protected readonly onError: (error: unknown) => void;

  constructor({ onError }: { onError: (error: unknown) => void }) {
    this.assets = openStore("assets");
    this.windows = openStore("windows");
    this.pieces = openStore("pieces");
    this.onError = onError;
  }

  /** The asset behind a canonical URL if it is known and fresh at `nowMs`. */
  async findAsset(url: string, nowMs: number): Promise<StoredAsset | undefined> {
    const asset = await this.attempt(() => get<StoredAsset>(url, this.assets));
    return asset !== undefined && asset.expiresMs > nowMs ? asset : undefined;
  }

  /** The windows of `[from, to)` if every piece of that range is on disk and fresh at `nowMs`, else `undefined`. */
  async holds(
    asset: StoredAsset,
    { from, to }: PieceRange,
    nowMs: number,
  ): Promise<StoredWindow[] | undefined> {
    if (from >= to) return [];
    const keys: string[] = [];
    for (let window = windowOf(from); window <= windowOf(to - 1); window++) {
      keys.push(windowKey(asset.assetId, window));
    }
    const found = await this.attempt(() => getMany<StoredWindow | undefined>(keys, this.windows));
    const windows = (found ?? []).flatMap((window) =>
      window !== undefined && window.expiresMs > nowMs ? [window] : [],
    );
    const have = new PieceSet(pieceCountOf(asset.length));
    for (const { bits, attestation } of windows) {
      have.addBits(bits, attestation.window * WINDOW_PIECES);
    }
    return have.hasRange(from, to) ? windows : undefined;
  }

  /** Pieces of `[from, to)` that are on disk with their right length, in order. */
  async readPieces(
    assetId: string,
    length: number,
    from: number,
    to: number,
  ): Promise<StoredPiece[]> {
    const pieces = Array.from({ length: to - from }, (_, index) => from + index);
    const windows = [...new Set(pieces.map(windowOf))];
    const keys = [
      ...pieces.map((piece) => pieceKey(assetId, piece)),
      ...windows.map((window) => tailsKey(windowKey(assetId, window))),
    ];
    const found = await this.attempt(() => getMany<unknown>(keys, this.pieces));
    const tails = found?.splice(pieces.length);
    return pieces.flatMap((piece, index) => {
      const ofWindow = tails?.[windows.indexOf(windowOf(piece))];
      const bytes = joined(length, piece, found?.[index], ofWindow);
      return bytes ? [{ piece, bytes }] : [];
    });
  }

  protected async attempt<T>(work: () => Promise<T>): Promise<T | undefined> {
    try {
      return await work();
    } catch (error) {
      this.onError(error);
      return undefined;
    }
  }
}

/**
 * Written in one go. The page can do nothing else meanwhile, not even ask for its next bytes: a window of 64 took
 * it 15 ms, alone on the machine.
 */
const WRITTEN_MAX_PIECES = 16;
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
  readonly #onEvict: (assetId: string, window: number) => void;
  /** Insertion order is not age: eviction looks for the smallest `usedMs`. */
  readonly #entries = new Map<string, WindowEntry>();
  #bytes = 0;
  /** Writes run one after another, so that a bit map never overtakes its pieces. */
  #queue: Promise<unknown> = Promise.resolve();
  /** Bytes that wait to be written: when the disk is slower than the mesh, storing is what gives way. */
  #waitingBytes = 0;

  constructor(options: {
    readonly maxBytes: number;
    readonly now: () => number;
    readonly onError: (error: unknown) => void;
    readonly onEvict: (assetId: string, window: number) => void;
  }) {
    super(options);
    this.#maxBytes = options.maxBytes;
    this.#now = options.now;
    this.#onEvict = options.onEvict;
  }

  /** Bytes on disk. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Reads what earlier pages left; expired windows are removed. Call once, first. */
  async load(nowMs: number): Promise<StoredWindow[]> {
    const all = await this.attempt(() => entries<string, StoredWindow>(this.windows));
    const fresh: StoredWindow[] = [];
    for (const [key, window] of all ?? []) {
      this.#entries.set(key, { bytes: window.bytes, usedMs: window.usedMs });
      this.#bytes += window.bytes;
      if (window.attestation.expiresMs > nowMs) fresh.push(window);
      else void this.#enqueue(() => this.#evict(key));
    }
    void this.#enqueue(() => this.#forgetExpiredAssets(nowMs));
    return fresh;
  }

  /** Remembers what the URL stands for. */
  saveAsset(asset: StoredAsset): void {
    void this.#enqueue(() => set(asset.url, asset, this.assets));
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
        await this.#makeRoom(addedBytes, key);
        for (let at = 0; at < pieces.length; at += WRITTEN_MAX_PIECES) {
          const some = pieces.slice(at, at + WRITTEN_MAX_PIECES);
          await setMany(recordsOf(window.assetId, some), this.pieces);
        }
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

  /** Resolves when everything asked so far is on disk (or has failed). */
  async settled(): Promise<void> {
    await this.#queue;
  }

  async #forgetExpiredAssets(nowMs: number): Promise<void> {
    const all = await entries<string, StoredAsset>(this.assets);
    const expired = all.filter(([, asset]) => asset.expiresMs <= nowMs).map(([url]) => url);
    await delMany(expired, this.assets);
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
