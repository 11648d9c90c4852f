/**
 * Assets with real bytes, real hashes and, where asked for, real Ed25519 signatures.
 * @module
 */
import { sha256, toBase64Url } from "../../src/core/digest.js";
import { bytesOfPiece, pieceCountOf, windowCountOf } from "../../src/protocol/asset.js";
import {
  type Attestation,
  type AttestedWindow,
  attestationBytes,
  type Header,
  openAttestation,
  pieceLeaf,
} from "../../src/protocol/attestation.js";
import { WINDOW_PIECES } from "../../src/protocol/limits.js";
import { sealedWindow } from "../../src/protocol/seal.js";
import { type VerifiedPiece, verifyPiece } from "../../src/protocol/verify.js";
import { sampleAttestation } from "./attestations.js";
import { bytesFrom } from "./random.js";

type Bytes = Uint8Array<ArrayBuffer>;

/** An asset as origin, server and viewers see it. */
export interface TestAsset {
  readonly assetId: string;
  readonly url: string;
  readonly length: number;
  readonly headers: readonly Header[];
  /** The whole body. */
  readonly bytes: Bytes;
  readonly attestations: readonly Attestation[];
  readonly windows: readonly AttestedWindow[];
  /** Its key, if it is sealed. */
  readonly seal: string | undefined;
  /** A copy of one piece. */
  pieceOf(piece: number): Bytes;
  hashOf(piece: number): Uint8Array;
  verified(piece: number): Promise<VerifiedPiece>;
}

export interface AssetOptions {
  readonly seed?: number;
  readonly sign?: (attestation: Attestation) => Promise<Attestation>;
  readonly fields?: Partial<Attestation>;
  /** Key of a sealed asset: 43 characters. */
  readonly seal?: string | undefined;
}

/** Makes an asset of `length` bytes; the same options give the same asset. */
export async function makeAsset(
  length: number,
  { seed = 1, sign = async (attestation) => attestation, fields = {}, seal }: AssetOptions = {},
): Promise<TestAsset> {
  const bytes = bytesFrom(seed, length);
  const pieceOf = (piece: number): Bytes => {
    const { start, end } = bytesOfPiece(piece, length);
    return bytes.slice(start, end);
  };
  const hashes = await Promise.all(
    Array.from({ length: pieceCountOf(length) }, (_, piece) =>
      sha256(pieceLeaf(piece, pieceOf(piece))),
    ),
  );
  const attestations = await Promise.all(
    Array.from({ length: windowCountOf(length) }, (_, window) =>
      sign(
        sampleAttestation({
          ...{ url: `https://cdn.example/${seed}.ts`, length, window },
          hashes: hashes
            .slice(window * WINDOW_PIECES, (window + 1) * WINDOW_PIECES)
            .map((hash) => toBase64Url(hash)),
          ...fields,
        }),
      ),
    ),
  );
  const opened = await Promise.all(attestations.map(openAttestation));
  const windows =
    seal === undefined
      ? opened
      : await Promise.all(opened.map((window) => sealedWindow(window, seal)));
  const [first] = windows;
  if (!first) throw new Error("Cannot make asset without windows");
  return {
    assetId: first.assetId,
    url: first.attestation.url,
    headers: first.attestation.headers,
    ...{ length, bytes, attestations, windows, pieceOf, seal },
    hashOf: (piece) => hashes[piece] ?? new Uint8Array(),
    async verified(piece) {
      const window = windows[Math.floor(piece / WINDOW_PIECES)];
      const result = window && (await verifyPiece(window, piece, pieceOf(piece)));
      if (!result) throw new Error(`Cannot verify piece ${piece} of a test's own asset`);
      return result;
    },
  };
}

/** A server's key: what it publishes, and how it signs. */
export interface SigningKey {
  readonly keyId: string;
  readonly publicKey: string;
  sign(attestation: Attestation): Promise<Attestation>;
}

export async function makeKey(keyId = "k1"): Promise<SigningKey> {
  const pair = (await crypto.subtle.generateKey("Ed25519", true, ["sign"])) as CryptoKeyPair;
  const raw = new Uint8Array(await crypto.subtle.exportKey("raw", pair.publicKey));
  return {
    keyId,
    publicKey: toBase64Url(raw),
    async sign(attestation) {
      const signed = { ...attestation, keyId };
      const signature = await crypto.subtle.sign(
        "Ed25519",
        pair.privateKey,
        attestationBytes(signed),
      );
      return { ...signed, signature: toBase64Url(new Uint8Array(signature)) };
    },
  };
}
