/**
 * The publisher's manifest: piece hashes of the files below one URL, signed when they were packaged with a
 * key that the site pins. Three layers, so that a page reads little to play one file: a signed *head* names
 * parts by digest; a *part* lists some files in order of name; a *chunk* holds the hashes of 16 windows of a
 * big file. Parts and chunks are named after their digest: they never change, and vouching for the head
 * vouches for all of them. PROTOCOL.md section 4.1 is the specification.
 * @module
 */
import { equalBytes, fromBase64Url, sha256, toBase64Url, utf8 } from "../core/digest.js";
import { NearcastError } from "../core/errors.js";
import { pieceCountOf } from "./asset.js";
import { type AttestedWindow, type Header, isHeader, openAttestation } from "./attestation.js";
import { type Guard, isArray, isCount, isEither, isLiteral, isShape, isString } from "./guards.js";
import { PIECE_BYTES, WINDOW_PIECES } from "./limits.js";

/** Name of the head, and of the folder beside it that holds parts and chunks. */
export const MANIFEST_FILE = "nearcast-manifest.json";
export const MANIFEST_FOLDER = "nearcast-manifest/";

/** Windows whose hashes one chunk holds: 64 MiB of the file, 32 KiB of hashes. */
const CHUNK_WINDOWS = 16;
const CHUNK_PIECES = CHUNK_WINDOWS * WINDOW_PIECES;
const HASH_BYTES = 32;

/** Up to so many pieces (8 MiB) a file's hashes stand in its part; beyond, in chunks. */
export const INLINE_PIECES_MAX = 128;

/** Largest file: its chunks' digests alone are 44 KiB then. */
export const MANIFEST_FILE_MAX_BYTES = 1_024 * CHUNK_PIECES * PIECE_BYTES;

export const HEAD_MAX_BYTES = 262_144;
export const PART_MAX_BYTES = 2 ** 20;
export const CHUNK_MAX_BYTES = CHUNK_PIECES * HASH_BYTES;
const PARTS_MAX = 2_048;
const NAME_MAX_LENGTH = 1_024;

/** Signs in place of a key id: an attested window that comes from a manifest. */
const KEY_ID_PREFIX = "manifest ";

/** One part in the head: the last name that it lists (names are in order of code units), and its digest. */
export type PartEntry = readonly [lastName: string, digest: string];

export interface ManifestHead {
  readonly v: 1;
  /** Where the names start: relative to the head's own URL, or absolute; ends with `/`. */
  readonly base: string;
  /** Grows with every signature: a lower one is a replay. */
  readonly sequence: number;
  /** Unix milliseconds by the publisher's clock. */
  readonly issuedMs: number;
  readonly expiresMs: number;
  /** How long a viewer may use what it read without looking at the head again. */
  readonly freshMs: number;
  /** What responses carry besides each file's own `content-type`. */
  readonly headers: readonly Header[];
  readonly parts: readonly PartEntry[];
  /** Ed25519 over {@link manifestBytes}, base64url. */
  readonly signature: string;
}

/** One file: its path below the base, not percent-encoded; its hashes in a row, or its chunks' digests. */
export interface ManifestFile {
  readonly name: string;
  readonly length: number;
  readonly type: string;
  readonly hashes: string | readonly string[];
}

/** What a part holds; names ascend. */
export interface ManifestPart {
  readonly v: 1;
  readonly files: readonly ManifestFile[];
}

const isDigest = isString(43, /^[A-Za-z0-9_-]{43}$/);
const isName = isString(NAME_MAX_LENGTH, /^[^/\0]+(\/[^/\0]+)*$/);
const isTime = isCount(Number.MAX_SAFE_INTEGER);

const isPartEntry: Guard<PartEntry> = (value): value is PartEntry =>
  Array.isArray(value) && value.length === 2 && isName(value[0]) && isDigest(value[1]);

const isHead: Guard<ManifestHead> = isShape<ManifestHead>({
  v: isLiteral(1),
  base: isString(NAME_MAX_LENGTH, /\/$/),
  sequence: isTime,
  issuedMs: isTime,
  expiresMs: isTime,
  freshMs: isTime,
  headers: isArray(isHeader, 32),
  parts: isArray(isPartEntry, PARTS_MAX),
  signature: isString(86, /^[A-Za-z0-9_-]{86}$/),
});

const isPart: Guard<ManifestPart> = isShape<ManifestPart>({
  v: isLiteral(1),
  files: isArray(
    isShape<ManifestFile>({
      name: isName,
      length: isCount(MANIFEST_FILE_MAX_BYTES),
      type: isString(128),
      hashes: isEither(
        isString(INLINE_PIECES_MAX * 43, /^[A-Za-z0-9_-]*$/),
        isArray(isDigest, 1_024),
      ),
    }),
    100_000,
  ),
});

/** The bytes that are signed: a domain-separated JSON array, so that field order is fixed. */
export function manifestBytes(head: Omit<ManifestHead, "signature">): Uint8Array<ArrayBuffer> {
  const { base, sequence, issuedMs, expiresMs, freshMs, headers, parts } = head;
  const fields = [base, sequence, issuedMs, expiresMs, freshMs, headers, parts];
  return utf8(`nearcast manifest 1\n${JSON.stringify(fields)}`);
}

/** @throws {NearcastError} `protocol/malformed`; the signature is the caller's to check. */
export function decodeHead(text: string): ManifestHead {
  const head = parse(text);
  if (isHead(head) && ascending(head.parts.map(([name]) => name))) return head;
  throw malformed("head");
}

/** Reads a part. @throws {NearcastError} `integrity/mismatch` if it is not the one of this digest. */
export async function decodePart(
  bytes: Uint8Array<ArrayBuffer>,
  digest: string,
): Promise<ManifestPart> {
  await checkDigest(bytes, digest);
  const part = parse(new TextDecoder().decode(bytes));
  if (isPart(part) && ascending(part.files.map(({ name }) => name))) return part;
  throw malformed("part");
}

/** Hashes of a chunk. @throws {NearcastError} `integrity/mismatch` if it is not the one of this digest. */
export async function decodeChunk(
  bytes: Uint8Array<ArrayBuffer>,
  digest: string,
): Promise<Uint8Array<ArrayBuffer>[]> {
  await checkDigest(bytes, digest);
  return hashesIn(bytes);
}

/** Name of the thing with this digest, below {@link MANIFEST_FOLDER}. */
export async function digestOf(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  return toBase64Url(await sha256(bytes));
}

/** The part that lists `name` if any does. */
export function partOf(head: ManifestHead, name: string): PartEntry | undefined {
  return head.parts.find(([last]) => name <= last);
}

/** Which chunk holds the hashes of a window; `undefined` if they stand in the part. */
export function chunkOf(
  { hashes }: ManifestFile,
  window: number,
): { readonly digest: string; readonly firstWindow: number } | undefined {
  if (typeof hashes === "string") return undefined;
  const index = Math.floor(window / CHUNK_WINDOWS);
  return { digest: hashes[index] ?? "", firstWindow: index * CHUNK_WINDOWS };
}

/** A file's hashes as its part tells them, and the chunks that go with it. @param hashes One per piece. */
export async function fileEntry(
  file: Omit<ManifestFile, "hashes">,
  hashes: readonly Uint8Array[],
): Promise<{ file: ManifestFile; chunks: readonly Uint8Array<ArrayBuffer>[] }> {
  if (hashes.length <= INLINE_PIECES_MAX) {
    return { file: { ...file, hashes: toBase64Url(joined(hashes)) }, chunks: [] };
  }
  const chunks = Array.from({ length: Math.ceil(hashes.length / CHUNK_PIECES) }, (_, index) =>
    joined(hashes.slice(index * CHUNK_PIECES, (index + 1) * CHUNK_PIECES)),
  );
  return { file: { ...file, hashes: await Promise.all(chunks.map(digestOf)) }, chunks };
}

/**
 * One window of a file, as trustworthy as the head it comes from.
 *
 * @param url Canonical URL by which the file was asked for.
 * @param chunk The hashes of the window's chunk, if {@link chunkOf} names one.
 * @throws {NearcastError} `protocol/malformed` if length and hashes disagree.
 */
export async function manifestWindow(options: {
  readonly head: ManifestHead;
  readonly file: ManifestFile;
  readonly url: string;
  readonly window: number;
  readonly chunk: readonly Uint8Array[] | undefined;
  readonly keyId: string;
}): Promise<AttestedWindow> {
  const { head, file, url, window, chunk, keyId } = options;
  const inline = typeof file.hashes === "string" ? fromBase64Url(file.hashes) : undefined;
  const all = chunk ?? (inline && hashesIn(inline)) ?? [];
  const first = chunkOf(file, window)?.firstWindow ?? 0;
  const at = (window - first) * WINDOW_PIECES;
  const count = typeof file.hashes === "string" ? all.length : file.hashes.length;
  const pieces = pieceCountOf(file.length);
  const wanted = typeof file.hashes === "string" ? pieces : Math.ceil(pieces / CHUNK_PIECES);
  if (count !== wanted) throw malformed("file");
  return openAttestation({
    v: 1,
    url,
    version: await versionOf(file),
    length: file.length,
    headers: [["content-type", file.type], ...head.headers],
    window,
    hashes: all.slice(at, at + WINDOW_PIECES).map((hash) => toBase64Url(hash)),
    issuedMs: head.issuedMs,
    expiresMs: head.expiresMs,
    keyId: KEY_ID_PREFIX + keyId,
    signature: head.signature,
  });
}

/** Whether a window comes from a manifest, and from one of this key if `keyId` is given. */
export function isFromManifest({ keyId: signer }: { keyId: string }, keyId?: string): boolean {
  return keyId === undefined ? signer.startsWith(KEY_ID_PREFIX) : signer === KEY_ID_PREFIX + keyId;
}

/** The content's own digest is its version: equal bytes, equal version. */
async function versionOf({ hashes }: ManifestFile): Promise<string> {
  const text = typeof hashes === "string" ? hashes : hashes.join("\n");
  return toBase64Url(await sha256(utf8(`nearcast manifest version\n${text}`)));
}

/**
 * The name of a URL below a base, or `undefined` if it has none: another place, a query (it may choose other
 * bytes), or a path that is ambiguous once decoded.
 */
export function nameBelow(base: string, url: string): string | undefined {
  if (!url.startsWith(base) || url.includes("?") || url.length === base.length) return undefined;
  try {
    const segments = url.slice(base.length).split("/").map(decodeURIComponent);
    const name = segments.join("/");
    return segments.every((segment) => segment !== "" && !/[/\0]/.test(segment)) ? name : undefined;
  } catch {
    return undefined; // not percent-encoded UTF-8
  }
}

/** A manifest's own files come from the origin: nothing could vouch for them but themselves. */
export function isManifestPath(path: string): boolean {
  return /\/nearcast-manifest(\.json$|\/)/.test(path);
}

function hashesIn(bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer>[] {
  if (bytes.byteLength % HASH_BYTES !== 0) throw malformed("hashes");
  return Array.from({ length: bytes.byteLength / HASH_BYTES }, (_, index) =>
    bytes.slice(index * HASH_BYTES, (index + 1) * HASH_BYTES),
  );
}

function joined(hashes: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(hashes.length * HASH_BYTES);
  for (const [index, hash] of hashes.entries()) bytes.set(hash, index * HASH_BYTES);
  return bytes;
}

async function checkDigest(bytes: Uint8Array<ArrayBuffer>, digest: string): Promise<void> {
  const expected = fromBase64Url(digest);
  if (expected && equalBytes(await sha256(bytes), expected)) return;
  throw new NearcastError("integrity/mismatch", "Cannot use manifest: wrong part");
}

function ascending(names: readonly string[]): boolean {
  return names.every((name, index) => index === 0 || (names[index - 1] ?? "") < name);
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function malformed(what: string): NearcastError {
  return new NearcastError("protocol/malformed", `Cannot use manifest: malformed ${what}`);
}
