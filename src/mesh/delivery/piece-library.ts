/**
 * The verified pieces this viewer holds: a memory cache of recent ones in front of the store, one set of
 * indices per asset, and news for those who want to hear what is new or gone. Only verified pieces enter.
 * @module
 */
import { PieceSet } from "../../core/piece-set.js";
import { pieceCountOf, piecesOfWindow, windowOf } from "../../protocol/asset.js";
import type { AttestedWindow } from "../../protocol/attestation.js";
import { PIECE_BYTES, WINDOW_PIECES } from "../../protocol/limits.js";
import { type OutgoingPiece, toPeer } from "../../protocol/seal.js";
import { type VerifiedPiece, verifyPiece } from "../../protocol/verify.js";
import type { StoredPiece } from "../../store/piece-records.js";
import type { PieceStore } from "../../store/piece-store.js";
import type { Trust, TrustedAsset } from "../trust/trust.js";

export interface LibraryHandlers {
  onAdded(asset: TrustedAsset, piece: number): void;
  onGone(assetId: string): void;
}

/**
 * The last minute or so of what this viewer watched: what neighbours ask for. A piece from disk costs its peer's
 * holder as much of the processor as sending it does.
 */
const MEMORY_BYTES = { perDeviceGib: 8 * 2 ** 20, min: 16 * 2 ** 20, max: 64 * 2 ** 20 };
/** Where the browser does not say how much memory the device has. */
const ASSUMED_DEVICE_GIB = 4;
/** Pieces of a window are written together after this pause. */
const WRITE_DELAY_MS = 200;
/** While a page waits for bytes nothing is written, up to 5 s: the disk takes as much of the processor as the mesh. */
const POSTPONED_MAX = 25;
/** More than this does not wait in memory. */
const UNWRITTEN_MAX_BYTES = 16 * 2 ** 20;
/** What goes to the disk at a time while a page waits, in whole windows; all at once would hold up its next request. */
const TRICKLE_BYTES = 2 * 2 ** 20;

interface Writing {
  readonly window: AttestedWindow;
  readonly pieces: StoredPiece[];
}

export class PieceLibrary {
  readonly #store: PieceStore;
  readonly #trust: Trust;
  readonly #handlers: LibraryHandlers;
  readonly #have = new Map<string, PieceSet>();
  readonly #memory = new Map<string, VerifiedPiece>();
  readonly #memoryMaxBytes: number;
  #memoryBytes = 0;
  readonly #writing = new Map<string, Writing>();
  readonly #busy: () => boolean;
  #unwrittenBytes = 0;
  #postponed = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /**
   * @param options.busy Whether a page waits for bytes.
   * @param options.deviceGib Memory of the device, if the browser tells.
   */
  constructor(options: {
    readonly store: PieceStore;
    readonly trust: Trust;
    readonly handlers: LibraryHandlers;
    readonly busy: () => boolean;
    readonly deviceGib?: number | undefined;
  }) {
    this.#store = options.store;
    this.#trust = options.trust;
    this.#handlers = options.handlers;
    this.#busy = options.busy;
    const { perDeviceGib, min, max } = MEMORY_BYTES;
    const shareBytes = (options.deviceGib ?? ASSUMED_DEVICE_GIB) * perDeviceGib;
    this.#memoryMaxBytes = Math.min(max, Math.max(min, shareBytes));
  }

  /** Takes over what earlier pages of this profile stored. */
  async load(): Promise<void> {
    const stored = await this.#store.load(this.#trust.serverNowMs);
    // Of two versions of a URL the latest attested is the one that it stands for.
    stored.sort((a, b) => a.attestation.issuedMs - b.attestation.issuedMs);
    for (const { attestation, bits, seal } of stored) {
      const asset = await this.#trust.restore(attestation, seal);
      if (asset) this.have(asset).addBits(bits, attestation.window * WINDOW_PIECES);
    }
  }

  /** Pieces held of an asset; live, owned by the library. */
  have(asset: TrustedAsset): PieceSet {
    let have = this.#have.get(asset.assetId);
    if (!have) {
      have = new PieceSet(pieceCountOf(asset.length));
      this.#have.set(asset.assetId, have);
    }
    return have;
  }

  /** Assets of which at least one piece is held. */
  *holdings(): Generator<{ asset: TrustedAsset; have: PieceSet }> {
    for (const [assetId, have] of this.#have) {
      const asset = this.#trust.byId(assetId);
      if (asset && have.size > 0) yield { asset, have };
    }
  }

  /** Adds a piece; storing happens later and may fail without harm. Of what was disowned none is kept. */
  add(asset: TrustedAsset, piece: VerifiedPiece): void {
    if (!this.#trust.byId(asset.assetId) || !this.have(asset).add(piece.piece)) return;
    this.#remember(piece);
    this.#write(asset, piece);
    this.#handlers.onAdded(asset, piece.piece);
  }

  /** A held piece, verified again if it comes from disk (rule R11); `undefined` if it is gone or rotten. */
  async read(asset: TrustedAsset, piece: number): Promise<VerifiedPiece | undefined> {
    // Expired is absent, wherever the piece is kept (rule R10).
    const window = asset.windows.get(windowOf(piece));
    if (!window) return undefined;
    const remembered = this.#memory.get(keyOf(asset.assetId, piece));
    if (remembered) return remembered;
    if (!this.have(asset).has(piece)) return undefined;
    const [stored] = await this.#store.readPieces(asset.assetId, asset.length, piece, piece + 1);
    const verified = stored && (await verifyPiece(window, piece, stored.bytes));
    if (verified) this.#remember(verified);
    else this.#lose(asset.assetId, piece);
    return verified;
  }

  /** A held piece as it leaves for a peer: sealed, if its asset is. */
  async readForPeer(assetId: string, piece: number): Promise<OutgoingPiece | undefined> {
    const asset = this.#trust.byId(assetId);
    const held = asset && (await this.read(asset, piece));
    const window = asset?.windows.get(windowOf(piece));
    return held && window && toPeer(window, held);
  }

  /** Whether every piece of a window is held. */
  holdsWindow(asset: TrustedAsset, window: number): boolean {
    const { from, to } = piecesOfWindow(window, asset.length);
    return this.have(asset).hasRange(from, to);
  }

  /**
   * What is held of a URL is not what it stands for: this viewer's origin says otherwise, or its page has changed it.
   * Nothing of it is shown or shared any more, by the pages to come neither. Answers that have begun go on with the set
   * of pieces that {@link have} gave them: it is theirs now.
   */
  disown(url: string): void {
    const asset = this.#trust.distrust(url);
    if (!asset) return;
    const { assetId } = asset;
    for (let piece = 0; piece < pieceCountOf(asset.length); piece++) {
      this.#forget(keyOf(assetId, piece));
    }
    this.#have.delete(assetId);
    this.#handlers.onGone(assetId);
    this.#store.forget(url, assetId);
  }

  /** The store evicted a window: what is not in memory is gone. */
  evicted(assetId: string, window: number): void {
    const have = this.#have.get(assetId);
    if (!have) return;
    const from = window * WINDOW_PIECES;
    for (let piece = from; piece < from + WINDOW_PIECES; piece++) {
      have.delete(piece);
      this.#forget(keyOf(assetId, piece));
    }
    this.#handlers.onGone(assetId);
  }

  #lose(assetId: string, piece: number): void {
    if (this.#have.get(assetId)?.delete(piece)) this.#handlers.onGone(assetId);
  }

  #remember(piece: VerifiedPiece): void {
    this.#forget(keyOf(piece.assetId, piece.piece)); // two reads of one piece may meet here
    this.#memory.set(keyOf(piece.assetId, piece.piece), piece);
    this.#memoryBytes += piece.bytes.byteLength;
    for (const key of this.#memory.keys()) {
      if (this.#memoryBytes <= this.#memoryMaxBytes) break;
      this.#forget(key);
    }
  }

  #forget(key: string): void {
    this.#memoryBytes -= this.#memory.get(key)?.bytes.byteLength ?? 0;
    this.#memory.delete(key);
  }

  #write(asset: TrustedAsset, { piece, bytes }: VerifiedPiece): void {
    const window = asset.windows.get(windowOf(piece));
    if (!window) return;
    const key = keyOf(asset.assetId, window.attestation.window);
    let writing = this.#writing.get(key);
    if (!writing) {
      writing = { window, pieces: [] };
      this.#writing.set(key, writing);
    }
    writing.pieces.push({ piece, bytes });
    this.#unwrittenBytes += bytes.byteLength;
    if (this.#unwrittenBytes >= UNWRITTEN_MAX_BYTES) this.#trickle();
    this.#timer ??= setTimeout(() => this.#due(), WRITE_DELAY_MS);
  }

  #due(): void {
    this.#timer = undefined;
    if (!this.#busy()) return this.flush();
    if (++this.#postponed >= POSTPONED_MAX) this.#trickle();
    if (this.#writing.size === 0) this.#postponed = 0;
    else this.#timer = setTimeout(() => this.#due(), WRITE_DELAY_MS);
  }

  /** Hands the oldest of what waits to the store. */
  #trickle(): void {
    let bytes = 0;
    for (const [key, { window, pieces }] of this.#writing) {
      if (bytes >= TRICKLE_BYTES) return;
      this.#writing.delete(key);
      const savedBytes = pieces.reduce((sum, piece) => sum + piece.bytes.byteLength, 0);
      bytes += savedBytes;
      this.#unwrittenBytes -= savedBytes;
      this.#save(window, pieces);
    }
  }

  /** Hands everything that waits to the store. */
  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#postponed = 0;
    this.#unwrittenBytes = 0;
    for (const { window, pieces } of this.#writing.values()) this.#save(window, pieces);
    this.#writing.clear();
  }

  #save({ assetId, attestation, seal }: AttestedWindow, pieces: readonly StoredPiece[]): void {
    const asset = this.#trust.byId(assetId);
    if (!asset) return;
    const { from, to } = piecesOfWindow(attestation.window, asset.length);
    const have = this.have(asset);
    const bits = have.toBits(from, to);
    let bytes = 0;
    for (let piece = from; piece < to; piece++) if (have.has(piece)) bytes += PIECE_BYTES;
    const { url, length, headers } = asset;
    const ends = [...asset.windows.values()].map((window) => window.attestation.expiresMs);
    const localMs = (serverMs: number) => this.#trust.toLocalMs(serverMs);
    this.#store.saveAsset({
      ...{ assetId, url, length, headers },
      expiresMs: localMs(Math.min(asset.freshUntilMs, Math.max(attestation.expiresMs, ...ends))),
    });
    const window = {
      ...{ assetId, attestation, bits, bytes, seal: seal?.text },
      expiresMs: localMs(attestation.expiresMs),
    };
    if (this.#store.savePieces(window, pieces)) return;
    // The disk is far behind: what it cannot take is not held, or the next bit map would promise it.
    for (const { piece } of pieces) {
      have.delete(piece);
      this.#forget(keyOf(assetId, piece));
    }
    this.#handlers.onGone(assetId);
  }
}

function keyOf(assetId: string, index: number): string {
  return `${assetId} ${index}`;
}
