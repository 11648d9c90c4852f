/**
 * What is stored, for those who only look: the service worker, and the host before it writes. Three idb-keyval stores
 * (IndexedDB with relaxed durability: 1.1 ms a write, 0.6 ms a read of 256 KiB, 2.5 times faster than Cache Storage
 * both ways, see docs/decisions/0004): `assets` by URL, `windows` by asset and window, `pieces` by asset, window and
 * piece (`piece-records.ts`). A failed read is a miss, told to `onError`; it never fails a request.
 * @module
 */
import { del, get, getMany, promisifyRequest, type UseStore } from "idb-keyval";
import { PieceSet } from "../core/piece-set.js";
import { type PieceRange, pieceCountOf, windowOf } from "../protocol/asset.js";
import type { Attestation, Header } from "../protocol/attestation.js";
import { WINDOW_PIECES } from "../protocol/limits.js";
import { isThere, openStore } from "./open-store.js";
import {
  joined,
  pieceKey,
  type StoredPiece,
  tailsKey,
  windowKey,
  windowKeysOf,
} from "./piece-records.js";

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

/** Reading side, shared by worker and host. */
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
    const asset = await this.attempt(() => this.#assetOf(url));
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

  /**
   * Takes back what a URL stands for, from the worker: what is stored of it is found by nobody any more, a page that
   * starts later included. Its pieces go with the store's next `PieceStore.load`. Rejects if the disk fails.
   */
  async takeBack(url: string): Promise<void> {
    const asset = await this.#assetOf(url);
    if (!asset) return;
    await del(url, this.assets);
    await this.windows("readwrite", (store) => {
      store.delete(windowKeysOf(asset.assetId));
      return promisifyRequest(store.transaction);
    });
  }

  async #assetOf(url: string): Promise<StoredAsset | undefined> {
    return (await isThere("assets")) ? get<StoredAsset>(url, this.assets) : undefined;
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
