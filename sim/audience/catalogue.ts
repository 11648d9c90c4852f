/**
 * What can be watched: titles cut into segments. An asset is one segment; its size depends on seed and
 * index only.
 * @module
 */
import { PieceSet } from "../../src/core/piece-set.js";
import { pieceCountOf } from "../../src/protocol/asset.js";
import { PIECE_BYTES } from "../../src/protocol/limits.js";
import { bytesPerMs, type SimConfig } from "../config.js";
import { HeldTable, maskOf } from "../page/held-table.js";
import { logNormal, seeded } from "./random.js";

export interface Asset {
  readonly index: number;
  readonly id: string;
  readonly bytes: number;
  readonly pieceCount: number;
  /** When it is published; before the start for on-demand titles. */
  readonly publishedMs: number;
  /** All pieces: shared by everybody who holds them all, never written to. */
  readonly all: PieceSet;
  readonly held: HeldTable;
  /** All pieces, as `held` takes them. */
  readonly allMask: Uint32Array;
  /** When the server's attestation is ready; infinite until the first viewer asks for it. */
  attestedMs: number;
  /** Whether anybody asked for it. */
  wanted: boolean;
}

export class Catalogue {
  readonly live: boolean;
  readonly segmentMs: number;
  readonly #config: SimConfig;
  readonly #assets: Asset[] = [];
  readonly #perTitle: number;

  constructor(config: SimConfig) {
    this.#config = config;
    this.live = config.windowSegments > 0;
    this.segmentMs = config.segment * 1_000;
    this.#perTitle = this.live
      ? config.windowSegments + Math.ceil(config.seconds / config.segment) + 1
      : config.titleSegments;
    const random = seeded(config.seed ^ 0x5e9);
    for (let index = 0; index < this.#perTitle * config.titles; index++) {
      this.#assets.push(this.#make(index, logNormal(random, 1, 0.15)));
    }
  }

  #make(index: number, factor: number): Asset {
    const { bitrate, windowSegments } = this.#config;
    const bytes = Math.max(1_000, Math.round(bytesPerMs(bitrate) * this.segmentMs * factor));
    const all = new PieceSet(pieceCountOf(bytes));
    all.addRange(0, all.pieceCount);
    const inTitle = index % this.#perTitle;
    return {
      ...{ index, id: String(index), bytes, pieceCount: all.pieceCount, all },
      held: new HeldTable(all.pieceCount),
      allMask: maskOf(all.pieceCount, { from: 0, bits: undefined }),
      publishedMs: this.live ? (inTitle + 1 - windowSegments) * this.segmentMs : -1,
      attestedMs: Number.POSITIVE_INFINITY,
      wanted: false,
    };
  }

  get assets(): readonly Asset[] {
    return this.#assets;
  }

  at(index: number): Asset {
    const asset = this.#assets[index];
    if (!asset) throw new RangeError(`Cannot find asset: its index is ${index}`);
    return asset;
  }

  segment(title: number, segment: number): Asset {
    return this.at(title * this.#perTitle + segment);
  }

  /** Segments of a title that are published, as a half-open range. */
  published(nowMs: number): { from: number; to: number } {
    if (!this.live) return { from: 0, to: this.#perTitle };
    const { windowSegments } = this.#config;
    const to = Math.min(this.#perTitle, windowSegments + Math.floor(nowMs / this.segmentMs));
    return { from: Math.max(0, to - windowSegments), to };
  }

  bytesOf(asset: Asset, piece: number): number {
    return Math.min(PIECE_BYTES, asset.bytes - piece * PIECE_BYTES);
  }
}
