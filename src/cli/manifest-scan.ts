/**
 * What lies below a folder, and the hashes of it. A file that changes while it is read is never listed.
 * @module
 */
import { type FileHandle, lstat, open, readdir } from "node:fs/promises";
import { extname, join } from "node:path";
import { NearcastError } from "../core/errors.js";
import { isAlwaysFromOrigin } from "../protocol/asset.js";
import { pieceHash } from "../protocol/attestation.js";
import { PIECE_BYTES } from "../protocol/limits.js";
import {
  fileEntry,
  MANIFEST_FILE,
  MANIFEST_FILE_MAX_BYTES,
  MANIFEST_FOLDER,
  type ManifestFile,
} from "../protocol/manifest.js";
import { contentTypeOf } from "../signal/attest/content-types.js";

/** A file as it was found; `stamp` changes whenever its bytes may have. */
export interface FoundFile {
  readonly name: string;
  readonly path: string;
  readonly bytes: number;
  readonly stamp: string;
}

export interface HashedFile {
  readonly file: ManifestFile;
  readonly chunks: readonly Uint8Array<ArrayBuffer>[];
}

/** All files below `dir` that a manifest may list, in order of name. */
export async function findFiles(dir: string): Promise<FoundFile[]> {
  const found = await filesBelow(dir, "");
  return found.sort((a, b) => (a.name < b.name ? -1 : 1));
}

async function filesBelow(dir: string, prefix: string): Promise<FoundFile[]> {
  const entries = await readdir(dir, { withFileTypes: true });
  const nested = await Promise.all(
    entries.map(async (entry): Promise<FoundFile[]> => {
      const path = join(dir, entry.name);
      const name = prefix + entry.name;
      if (entry.name.startsWith(".")) return [];
      if (entry.isDirectory()) {
        return `${entry.name}/` === MANIFEST_FOLDER ? [] : filesBelow(path, `${name}/`);
      }
      if (!entry.isFile() || entry.name === MANIFEST_FILE || isAlwaysFromOrigin(name)) return [];
      // Gone since the folder was read, as live segments go.
      const found = await lstat(path, { bigint: true }).catch(() => undefined);
      if (!found?.isFile()) return [];
      return [{ name, path, bytes: Number(found.size), stamp: stampOf(found) }];
    }),
  );
  return nested.flat();
}

/**
 * Reads one file and hashes its pieces.
 *
 * @throws {NearcastError} `origin/failed` if it changes meanwhile, `config/invalid` if it is too large.
 */
export async function hashFile({ name, path, stamp, bytes }: FoundFile): Promise<HashedFile> {
  if (bytes > MANIFEST_FILE_MAX_BYTES) {
    throw new NearcastError(
      "config/invalid",
      `Cannot sign "${name}" as files must have at most ${MANIFEST_FILE_MAX_BYTES} bytes: current value is ${bytes}`,
    );
  }
  const handle = await open(path, "r");
  try {
    const hashes: Uint8Array[] = [];
    const buffer = new Uint8Array(PIECE_BYTES);
    for (let at = 0; at < bytes; at += PIECE_BYTES) {
      const size = Math.min(PIECE_BYTES, bytes - at);
      await fill(handle, buffer.subarray(0, size), at, name);
      hashes.push(await pieceHash(hashes.length, buffer.subarray(0, size)));
    }
    if (stampOf(await handle.stat({ bigint: true })) !== stamp) throw changed(name);
    return await fileEntry({ name, length: bytes, type: contentTypeOf(extname(name)) }, hashes);
  } finally {
    await handle.close();
  }
}

async function fill(
  handle: FileHandle,
  target: Uint8Array,
  position: number,
  name: string,
): Promise<void> {
  let filled = 0;
  while (filled < target.byteLength) {
    const { bytesRead } = await handle.read(
      target,
      filled,
      target.byteLength - filled,
      position + filled,
    );
    if (bytesRead === 0) throw changed(name);
    filled += bytesRead;
  }
}

function stampOf(found: { size: bigint; mtimeNs: bigint; ino: bigint }): string {
  return `${found.size} ${found.mtimeNs} ${found.ino}`;
}

function changed(name: string): NearcastError {
  return new NearcastError(
    "origin/failed",
    `Cannot sign "${name}" as it changed while it was read`,
  );
}
