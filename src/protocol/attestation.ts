/**
 * The attestation: what the index vouches for about one window (up to 64 pieces, 4 MiB) of one asset.
 * The server signs it, every viewer checks it; nothing else makes a peer's bytes trustworthy.
 * @module
 */
import { fromBase64Url, sha256, utf8 } from "../core/digest.js";
import { NearcastError } from "../core/errors.js";
import { assetIdOf, canonicalUrl, piecesOfWindow, windowCountOf } from "./asset.js";
import { type Guard, isArray, isCount, isLiteral, isShape, isString, isTuple } from "./guards.js";
import {
  ASSET_MAX_BYTES,
  HEADERS_MAX_BYTES,
  PIECE_BYTES,
  URL_MAX_LENGTH,
  WINDOW_PIECES,
} from "./limits.js";
import type { AssetSeal } from "./seal.js";

/** One response header: lower-case name, value. */
export type Header = readonly [name: string, value: string];

export interface Attestation {
  readonly v: 1;
  /** Canonical URL of the asset. */
  readonly url: string;
  /** Strong validator of the version: changes whenever the bytes change. */
  readonly version: string;
  /** Length of the whole asset in bytes. */
  readonly length: number;
  /** What the origin answers to an anonymous request, without hop-by-hop, cookie and length headers. */
  readonly headers: readonly Header[];
  /** Index of the window of 64 pieces that `hashes` covers. */
  readonly window: number;
  /** SHA-256 of `0x00 ‖ piece index:u32 ‖ piece length:u32 ‖ piece` for each piece, base64url. */
  readonly hashes: readonly string[];
  /** Server time of signing and of expiry, Unix milliseconds. */
  readonly issuedMs: number;
  readonly expiresMs: number;
  /** Names the Ed25519 key that signed. */
  readonly keyId: string;
  /** Ed25519 over {@link attestationBytes}, base64url. */
  readonly signature: string;
}

export const isHeader: Guard<Header> = isTuple<Header>(
  isString(128, /^[a-z0-9!#$%&'*+.^_`|~-]+$/),
  isString(HEADERS_MAX_BYTES),
);

const isHash = isString(43, /^[A-Za-z0-9_-]{43}$/);

export const isAttestation: Guard<Attestation> = isShape<Attestation>({
  v: isLiteral(1),
  url: isString(URL_MAX_LENGTH),
  version: isString(256),
  length: isCount(ASSET_MAX_BYTES),
  headers: isArray(isHeader, 64),
  window: isCount(ASSET_MAX_BYTES),
  hashes: isArray(isHash, WINDOW_PIECES),
  issuedMs: isCount(Number.MAX_SAFE_INTEGER),
  expiresMs: isCount(Number.MAX_SAFE_INTEGER),
  keyId: isString(64),
  signature: isString(86, /^[A-Za-z0-9_-]{86}$/),
});

/** The bytes that are signed: a domain-separated JSON array, so that field order is fixed. */
export function attestationBytes(a: Omit<Attestation, "signature">): Uint8Array<ArrayBuffer> {
  return utf8(
    `nearcast attestation 1\n${JSON.stringify([a.url, a.version, a.length, a.headers, a.window, a.hashes, a.issuedMs, a.expiresMs, a.keyId])}`,
  );
}

const LEAF_PREFIX_BYTES = 9;

/**
 * What is hashed for one piece. The prefix separates leaves from anything else that is ever hashed and
 * binds index and length (RFC 9162 section 2.1.1), so no piece can stand in for another.
 */
export function pieceLeaf(piece: number, bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return writeLeaf(new Uint8Array(LEAF_PREFIX_BYTES + bytes.byteLength), piece, bytes);
}

/** @returns The leaf, a view of `room`; its first byte is 0 in any room. */
function writeLeaf(
  room: Uint8Array<ArrayBuffer>,
  piece: number,
  bytes: Uint8Array,
): Uint8Array<ArrayBuffer> {
  const view = new DataView(room.buffer);
  view.setUint32(1, piece);
  view.setUint32(5, bytes.byteLength);
  room.set(bytes, LEAF_PREFIX_BYTES);
  return room.subarray(0, LEAF_PREFIX_BYTES + bytes.byteLength);
}

/** Room for one leaf: to make one for each piece took a page three quarters of the time that `digest()` takes it. */
const leafRoom = new Uint8Array(LEAF_PREFIX_BYTES + PIECE_BYTES);

/** SHA-256 of {@link pieceLeaf}. Web Crypto copies what it is given before it returns, so the room is free at once. */
export function pieceHash(piece: number, bytes: Uint8Array): Promise<Uint8Array<ArrayBuffer>> {
  const fits = bytes.byteLength <= PIECE_BYTES;
  return sha256(fits ? writeLeaf(leafRoom, piece, bytes) : pieceLeaf(piece, bytes));
}

/** An attestation whose fields agree with each other, ready for use. */
export interface AttestedWindow {
  readonly assetId: string;
  readonly attestation: Attestation;
  /** 32-byte SHA-256 of piece `firstPiece + index`. */
  readonly hashes: readonly Uint8Array[];
  readonly firstPiece: number;
  /** Of a sealed asset, see `seal.ts`. */
  readonly seal?: AssetSeal;
}

/**
 * Checks what a signature cannot: that window, length and number of hashes fit together.
 *
 * @throws {NearcastError} `protocol/malformed` if they do not, or the URL is not canonical.
 */
export async function openAttestation(attestation: Attestation): Promise<AttestedWindow> {
  const { url, version, length, window, hashes, headers } = attestation;
  const headersBytes = headers.reduce((sum, [name, value]) => sum + name.length + value.length, 0);
  const { from, to } = piecesOfWindow(window, length);
  if (
    window >= windowCountOf(length) ||
    hashes.length !== Math.max(0, to - from) ||
    headersBytes > HEADERS_MAX_BYTES ||
    attestation.issuedMs >= attestation.expiresMs ||
    !isCanonical(url)
  ) {
    throw new NearcastError("protocol/malformed", "Cannot use attestation: its fields disagree");
  }
  return {
    assetId: await assetIdOf(url, version, length),
    attestation,
    hashes: hashes.map((hash) => fromBase64Url(hash) ?? new Uint8Array()),
    firstPiece: from,
  };
}

function isCanonical(url: string): boolean {
  try {
    return /^https?:\/\/[^@/]+\//.test(url) && canonicalUrl(url) === url;
  } catch {
    return false;
  }
}
