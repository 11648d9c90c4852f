/**
 * Whether the disk holds what a request asks for. The second record is found by what the first one says; of a URL that
 * was looked for lately both are read at once, as a player takes range after range and waits for each.
 * @module
 */
import { type ByteRange, piecesOfBytes } from "../protocol/asset.js";
import { OPEN_RANGE_MAX_BYTES } from "../protocol/limits.js";
import type { PieceReader, StoredAsset, StoredWindow } from "../store/piece-store.js";
import { type AskedRange, coveredRange } from "./byte-range.js";
import { DiskPatience } from "./disk-patience.js";

/** What a request asks for, all of it on disk. */
export interface StoredSpan {
  readonly asset: StoredAsset;
  readonly covered: ByteRange;
  readonly windows: readonly StoredWindow[];
}

const URLS_MAX = 64;

export class StoreLookup {
  readonly #store: Pick<PieceReader, "findAsset" | "holds">;
  readonly #disk = new DiskPatience();
  /** What URLs stood for when they were last looked for, the latest last. */
  readonly #lately = new Map<string, StoredAsset>();

  constructor(store: Pick<PieceReader, "findAsset" | "holds">) {
    this.#store = store;
  }

  /** @returns `undefined` if anything of it is missing or old, or the disk takes too long. */
  async find(
    url: string,
    range: AskedRange | undefined,
    nowMs: number,
  ): Promise<StoredSpan | undefined> {
    const expected = this.#lately.get(url);
    const early = expected && this.#span(expected, range, nowMs);
    const asset = await this.#disk.read(() => this.#store.findAsset(url, nowMs));
    if (!asset) return undefined;
    this.#remember(asset);
    const { assetId, length } = asset;
    const same = assetId === expected?.assetId && length === expected.length;
    const span = await (same ? early : this.#span(asset, range, nowMs));
    return span && { ...span, asset };
  }

  async #span(
    asset: StoredAsset,
    range: AskedRange | undefined,
    nowMs: number,
  ): Promise<Omit<StoredSpan, "asset"> | undefined> {
    const covered = coveredRange(range, asset.length, OPEN_RANGE_MAX_BYTES);
    if (!covered) return undefined;
    const pieces = piecesOfBytes(covered);
    const windows = await this.#disk.read(() => this.#store.holds(asset, pieces, nowMs));
    return windows && { covered, windows };
  }

  #remember(asset: StoredAsset): void {
    this.#lately.delete(asset.url);
    this.#lately.set(asset.url, asset);
    for (const oldest of this.#lately.keys()) {
      if (this.#lately.size <= URLS_MAX) break;
      this.#lately.delete(oldest);
    }
  }
}
