/**
 * Sealed assets: their pieces travel between peers as ciphertext, under a key that the index gives to those
 * viewers alone whose site says that they may have the asset. Their id is made of that key, so whoever speaks
 * of one id has one key, and nobody can name the asset without it. This module is pure.
 * @module
 */
import { fromBase64Url, sha256, toBase64Url, utf8 } from "../core/digest.js";
import { NearcastError } from "../core/errors.js";
import { type UrlMatcher, urlMatcher } from "../core/url-pattern.js";
import type { AttestedWindow } from "./attestation.js";
import { type Guard, isArray, isString } from "./guards.js";
import { ASSET_ID_BYTES } from "./limits.js";
import type { VerifiedPiece } from "./verify.js";

/** Key of one version of one asset. */
export interface AssetSeal {
  /** 32 bytes, base64url: as the index gives it. */
  readonly text: string;
  readonly key: CipherKey;
}

/** Web Crypto's key, whose global type Node's declarations lack. */
type CipherKey = Awaited<ReturnType<typeof crypto.subtle.importKey>>;

declare const leaving: unique symbol;

/** What may leave for a peer: the open bytes of an asset that is not sealed, the ciphertext of one that is. */
export interface OutgoingPiece {
  readonly [leaving]: true;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** Paths, which hold on every origin, or absolute URLs; never with a query: it would let others pass by. */
const PATTERN = /^(https?:\/\/[^/*?#]+)?\/(?!\/)[^?#\s]*$/;

export const isSealPatterns: Guard<readonly string[]> = isArray(isString(512, PATTERN), 64);

/** Which URLs such patterns mean. Both are compared decoded: one path has many spellings. */
export function sealMatcher(patterns: readonly string[]): UrlMatcher {
  if (patterns.length === 0) return () => false;
  const matches = urlMatcher(patterns.map(decoded));
  return (text) => {
    const url = parsed(text);
    const path = decoded(url?.pathname ?? "");
    return matches(path) || matches(`${url?.origin}${path}`);
  };
}

function parsed(text: string): URL | undefined {
  try {
    return new URL(text);
  } catch {
    return undefined; // nobody attests it
  }
}

function decoded(path: string): string {
  try {
    return decodeURI(path);
  } catch {
    return path; // not UTF-8
  }
}

/** Ids of sealed assets begin with 30 bits that are set; of others, one in a thousand million does. */
const SEALED_ID = "_____";

/** Whether an id is that of a sealed asset: nobody is told of its holders who cannot say more than the id. */
export const isSealedId = (assetId: string): boolean => assetId.startsWith(SEALED_ID);

/** The id under which those who have the key know the asset. */
export async function sealedIdOf(assetId: string, text: string): Promise<string> {
  const digest = await sha256(utf8(`nearcast sealed asset\n${assetId}\n${text}`));
  return toBase64Url(digest.subarray(0, ASSET_ID_BYTES).fill(0xff, 0, 4));
}

/**
 * One window of a sealed asset.
 *
 * @param window As it was attested.
 * @throws {NearcastError} `protocol/malformed` if `text` is no key.
 */
export async function sealedWindow(window: AttestedWindow, text: string): Promise<AttestedWindow> {
  const raw = fromBase64Url(text);
  if (raw?.byteLength !== 32) throw new NearcastError("protocol/malformed", "Cannot use seal");
  const key = await crypto.subtle.importKey("raw", raw, "AES-CTR", false, ["encrypt"]);
  return { ...window, assetId: await sealedIdOf(window.assetId, text), seal: { text, key } };
}

/** A verified piece of this window as it leaves for a peer. @throws {RangeError} If it is none of this window. */
export async function toPeer(
  window: AttestedWindow,
  { piece, bytes }: VerifiedPiece,
): Promise<OutgoingPiece> {
  return { bytes: await crossed(window, piece, bytes) } as OutgoingPiece;
}

/** What a peer sent for a piece, opened where it is sealed: unverified. */
export function fromPeer(
  window: AttestedWindow,
  piece: number,
  bytes: Uint8Array<ArrayBuffer>,
): Uint8Array<ArrayBuffer> | Promise<Uint8Array<ArrayBuffer>> {
  return crossed(window, piece, bytes);
}

/**
 * Seals and opens, which are the same in AES-CTR. The counter begins with the hash of the plaintext, which both ends
 * have from the attestation: it cannot come twice under one key for different bytes, whatever an origin does.
 */
function crossed(
  { seal, hashes, firstPiece }: AttestedWindow,
  piece: number,
  bytes: Uint8Array<ArrayBuffer>,
): Uint8Array<ArrayBuffer> | Promise<Uint8Array<ArrayBuffer>> {
  if (!seal) return bytes;
  const hash = hashes[piece - firstPiece];
  if (!hash) throw new RangeError(`Cannot seal or open piece ${piece}: it is not of this window`);
  const counter = new Uint8Array(16);
  counter.set(hash.subarray(0, 12));
  return crypto.subtle
    .encrypt({ name: "AES-CTR", counter, length: 32 }, seal.key, bytes)
    .then((other) => new Uint8Array(other));
}
