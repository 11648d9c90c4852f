/**
 * How verified pieces lie on disk. Chromium keeps a value of more than 64 KiB in a file of its own: a whole piece with
 * its header is just above, and costs 26 to 30 ms of processor time per MiB to write and 14 to 18 to read instead of
 * 11 and 8 (docs/decisions/0004). So the last bytes of a window's pieces lie together in one record, and everything of
 * a window below one prefix, as each record costs as much again to delete. This module does no I/O.
 * @module
 */
import { bytesOfPiece, windowOf } from "../protocol/asset.js";
import { PIECE_BYTES, WINDOW_PIECES } from "../protocol/limits.js";

/** A piece together with where it belongs. */
export interface StoredPiece {
  readonly piece: number;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** More than a value's header. */
const TAIL_BYTES = 256;
const RECORD_MAX_BYTES = PIECE_BYTES - TAIL_BYTES;

export const windowKey = (assetId: string, window: number) => `${assetId} ${window}`;
/** Of all windows of an asset, and of all records of pieces in them. */
export const windowKeysOf = (assetId: string) => IDBKeyRange.bound(`${assetId} `, `${assetId} ~`);
export const pieceKey = (assetId: string, piece: number) =>
  `${windowKey(assetId, windowOf(piece))} ${piece}`;
export const tailsKey = (window: string) => `${window} tails`;
/** Of the window that a record belongs to. */
export const windowKeyOf = (recordKey: string) => recordKey.slice(0, recordKey.lastIndexOf(" "));
/** Of all records of a window. */
export const keysBelow = (window: string) => IDBKeyRange.bound(`${window} `, `${window} ~`);

/** The records of pieces, without their tails; bytes are copied where a view would be stored with all of its buffer. */
export function recordsOf(
  assetId: string,
  pieces: readonly StoredPiece[],
): [key: string, value: Uint8Array][] {
  return pieces.map(({ piece, bytes }) => {
    const own =
      bytes.byteLength <= RECORD_MAX_BYTES && bytes.buffer.byteLength === bytes.byteLength;
    return [pieceKey(assetId, piece), own ? bytes : bytes.slice(0, RECORD_MAX_BYTES)];
  });
}

/** Whether any of the pieces is longer than its record: a picture of some kilobytes is not. */
export function haveTails(pieces: readonly StoredPiece[]): boolean {
  return pieces.some(({ bytes }) => bytes.byteLength > RECORD_MAX_BYTES);
}

/** The record of a window's tails, with those of `pieces` in it. */
export function withTails(earlier: unknown, pieces: readonly StoredPiece[]): Uint8Array {
  const known = earlier instanceof Uint8Array && earlier.byteLength === WINDOW_PIECES * TAIL_BYTES;
  const tails = known ? earlier : new Uint8Array(WINDOW_PIECES * TAIL_BYTES);
  for (const { piece, bytes } of pieces) {
    tails.set(bytes.subarray(RECORD_MAX_BYTES), (piece % WINDOW_PIECES) * TAIL_BYTES);
  }
  return tails;
}

/** @returns The piece of an asset of `length` bytes; `undefined` if it is not there, or something else is. */
export function joined(
  length: number,
  piece: number,
  record: unknown,
  tails: unknown,
): Uint8Array<ArrayBuffer> | undefined {
  const { start, end } = bytesOfPiece(piece, length);
  const bodyBytes = Math.min(end - start, RECORD_MAX_BYTES);
  if (!(record instanceof Uint8Array) || record.byteLength !== bodyBytes) return undefined;
  if (bodyBytes === end - start) return record as Uint8Array<ArrayBuffer>;
  if (!(tails instanceof Uint8Array)) return undefined;
  const at = (piece % WINDOW_PIECES) * TAIL_BYTES;
  const bytes = new Uint8Array(end - start);
  bytes.set(record);
  bytes.set(tails.subarray(at, at + end - start - bodyBytes), bodyBytes);
  return bytes;
}
