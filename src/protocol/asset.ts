/**
 * What an asset is and how it is cut into pieces and windows. This module is pure.
 * @module
 */
import { sha256, toBase64Url, utf8 } from "../core/digest.js";
import { ASSET_ID_BYTES, PIECE_BYTES, WINDOW_PIECES } from "./limits.js";

/** Half-open byte range `[start, end)`. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

/** A range as asked for: `end` is exclusive, `undefined` when open. */
export interface AskedRange {
  readonly start: number;
  readonly end?: number;
}

/** Half-open range of piece indices `[from, to)`. */
export interface PieceRange {
  readonly from: number;
  readonly to: number;
}

/** Pieces of an asset of `lengthBytes`; 0 for an empty one. */
export function pieceCountOf(lengthBytes: number): number {
  return Math.ceil(lengthBytes / PIECE_BYTES);
}

/** Windows of an asset; an empty asset has one, so that it can be attested too. */
export function windowCountOf(lengthBytes: number): number {
  return Math.max(1, Math.ceil(pieceCountOf(lengthBytes) / WINDOW_PIECES));
}

export function windowOf(piece: number): number {
  return Math.floor(piece / WINDOW_PIECES);
}

/** The bytes of one piece; the last one of an asset is shorter. */
export function bytesOfPiece(piece: number, lengthBytes: number): ByteRange {
  const start = piece * PIECE_BYTES;
  return { start, end: Math.min(start + PIECE_BYTES, lengthBytes) };
}

/**
 * What a response to `asked` covers of an asset.
 *
 * @param openMaxBytes An open-ended range may be answered short (RFC 9110 section 14.2 lets the server
 * send less), a closed one never is.
 * @returns `undefined` if the range starts past the end: the origin answers 416.
 */
export function coveredRange(
  asked: AskedRange | undefined,
  length: number,
  openMaxBytes: number,
): ByteRange | undefined {
  if (!asked) return { start: 0, end: length };
  if (asked.start >= length) return undefined;
  return { start: asked.start, end: Math.min(asked.end ?? asked.start + openMaxBytes, length) };
}

/** The smallest range of pieces that covers the bytes; empty for an empty range. */
export function piecesOfBytes({ start, end }: ByteRange): PieceRange {
  if (end <= start) return { from: 0, to: 0 };
  return { from: Math.floor(start / PIECE_BYTES), to: pieceCountOf(end) };
}

/** The pieces of one window. */
export function piecesOfWindow(window: number, lengthBytes: number): PieceRange {
  const from = window * WINDOW_PIECES;
  return { from, to: Math.min(from + WINDOW_PIECES, pieceCountOf(lengthBytes)) };
}

/**
 * Identity of one version of one URL's body: 22 characters of base64url, 16 bytes on peer links.
 *
 * @param url Canonical (see {@link canonicalUrl}).
 * @param version A strong validator: whatever changes when the bytes change.
 */
export async function assetIdOf(url: string, version: string, length: number): Promise<string> {
  const digest = await sha256(utf8(`nearcast asset\n${url}\n${version}\n${length}`));
  return toBase64Url(digest.subarray(0, ASSET_ID_BYTES));
}

/**
 * The URL as key: no fragment, query kept.
 *
 * @param without Names of query parameters that are left out (`stripParams`); the rest stays byte for byte.
 * @throws {TypeError} If it cannot be parsed.
 */
export function canonicalUrl(url: string, without: readonly string[] = []): string {
  const parsed = new URL(url);
  parsed.hash = "";
  const parts = parsed.search.slice(1).split("&");
  const kept = parts.filter(
    (part) => !without.some((name) => new URLSearchParams(`&${part}`).has(name)),
  );
  if (kept.length < parts.length) parsed.search = kept.join("&");
  return parsed.href;
}

/** The directory of the URL: the group of assets that are consumed together. */
export function groupOf(url: string): string {
  const parsed = new URL(url);
  return parsed.origin + parsed.pathname.slice(0, parsed.pathname.lastIndexOf("/") + 1);
}

/**
 * Playlists say what is played, documents act for the whole site: both change and are small, so they come
 * from the origin always, however well they are signed (rule R6).
 */
export function isAlwaysFromOrigin(path: string): boolean {
  return /\.(m3u8|m3u|mpd|html?|xhtml|webmanifest)$/i.test(path);
}
