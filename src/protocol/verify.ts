/**
 * The only door through which bytes become trustworthy. `VerifiedPiece` cannot be made anywhere else, so
 * unverified bytes cannot be stored, announced, served or delivered by mistake: they do not compile.
 * @module
 */
import { equalBytes } from "../core/digest.js";
import { bytesOfPiece } from "./asset.js";
import { type AttestedWindow, pieceHash } from "./attestation.js";

declare const verified: unique symbol;

/** A piece whose hash equals the attested one. */
export interface VerifiedPiece {
  readonly [verified]: true;
  readonly assetId: string;
  readonly piece: number;
  /** Shared by all who hold the piece: never transferred, never written to. */
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/**
 * Compares one piece with its attested hash.
 *
 * @param bytes Handed over: nobody may change them afterwards.
 * @returns The piece, or `undefined` if it is not attested or anything at all does not match.
 */
export async function verifyPiece(
  window: AttestedWindow,
  piece: number,
  bytes: Uint8Array<ArrayBuffer>,
): Promise<VerifiedPiece | undefined> {
  const expected = window.hashes[piece - window.firstPiece];
  const { start, end } = bytesOfPiece(piece, window.attestation.length);
  if (expected === undefined || bytes.byteLength !== end - start) return undefined;
  if (!(await matchesHash(expected, piece, bytes))) return undefined;
  return { assetId: window.assetId, piece, bytes } as VerifiedPiece;
}

/** Whether `bytes` hash to `expected` as piece number `piece`. */
export async function matchesHash(
  expected: Uint8Array,
  piece: number,
  bytes: Uint8Array,
): Promise<boolean> {
  return equalBytes(await pieceHash(piece, bytes), expected);
}
