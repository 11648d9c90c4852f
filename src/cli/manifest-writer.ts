/**
 * Keeps the manifest of one folder: reads only what changed, writes parts and chunks before the head that
 * names them, and each by rename, so that whoever loads sees one signed state or the next, never a mixture.
 * @module
 */
import { type KeyObject, sign } from "node:crypto";
import { mkdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { toBase64Url, utf8 } from "../core/digest.js";
import { NearcastError } from "../core/errors.js";
import {
  decodeHead,
  digestOf,
  HEAD_MAX_BYTES,
  MANIFEST_FOLDER,
  type ManifestFile,
  type ManifestHead,
  type ManifestPart,
  manifestBytes,
  PART_MAX_BYTES,
  type PartEntry,
} from "../protocol/manifest.js";
import type { SignOptions } from "./manifest-options.js";
import { type FoundFile, findFiles, type HashedFile, hashFile } from "./manifest-scan.js";

/** A page reads one part to play one file, and the head names all: both stay small. */
const PART_MIN_BYTES = 16_384;
const PARTS_AIM = 128;

/** Heads of the past whose parts are kept: viewers and caches may still hold one of them. */
const GENERATIONS_KEPT = 32;

/** A file that was touched so long ago is not being written any more. */
const SETTLED_MS = 2_000;

export interface UpdateReport {
  /** Whether a new head was written. */
  readonly written: boolean;
  readonly files: number;
  /** Bytes that were read and hashed for this. */
  readonly hashedBytes: number;
  readonly sequence: number;
}

interface Known extends HashedFile {
  readonly stamp: string;
}

export class ManifestWriter {
  readonly #options: SignOptions & { readonly key: KeyObject; readonly nowMs: () => number };
  readonly #folder: string;
  readonly #seen = new Map<string, string>();
  #known = new Map<string, Known>();
  #head: ManifestHead | undefined;
  #generations: ReadonlySet<string>[] = [];
  #hashedBytes = 0;

  constructor(options: SignOptions & { readonly key: KeyObject; readonly nowMs: () => number }) {
    this.#options = options;
    this.#folder = join(dirname(options.outFile), MANIFEST_FOLDER);
  }

  /**
   * Looks at the folder and signs what it holds now, if that is news or half of the signature's life is over.
   *
   * @param patient Leave a file for later that may still be written to.
   * @throws {NearcastError} `config/invalid`, or `origin/failed` for a file that changes (not if patient).
   */
  async update({ patient }: { patient: boolean }): Promise<UpdateReport> {
    const { outFile, dir, lifetimeMs, nowMs } = this.#options;
    const before = this.#hashedBytes;
    const known = new Map<string, Known>();
    for (const found of await findFiles(dir)) {
      const hashed = await this.#hashed(found, patient);
      if (hashed) known.set(found.name, hashed);
    }
    const changed =
      known.size !== this.#known.size ||
      [...known].some(([name, { stamp }]) => this.#known.get(name)?.stamp !== stamp);
    this.#known = known;
    const ageing = this.#head && nowMs() > this.#head.issuedMs + lifetimeMs / 2;
    const written = changed || ageing || this.#head === undefined;
    if (written) this.#head = await this.#write(await this.#lastSequence(outFile));
    return {
      ...{ written, files: known.size, hashedBytes: this.#hashedBytes - before },
      sequence: this.#head?.sequence ?? 0,
    };
  }

  async #hashed(found: FoundFile, patient: boolean): Promise<Known | undefined> {
    const { name, stamp, bytes } = found;
    const known = this.#known.get(name);
    if (known?.stamp === stamp) return known;
    const unchanged = this.#seen.get(name) === stamp;
    this.#seen.set(name, stamp);
    if (patient && !unchanged && !(await settled(found, this.#options.nowMs()))) return undefined;
    try {
      const hashed = await hashFile(found);
      this.#hashedBytes += bytes;
      this.#seen.delete(name);
      return { ...hashed, stamp };
    } catch (error) {
      const passing = !(error instanceof NearcastError) || error.code === "origin/failed";
      if (patient && passing) return undefined; // changed or gone meanwhile: the next look decides
      throw error;
    }
  }

  async #write(lastSequence: number): Promise<ManifestHead> {
    const { base, headers, freshMs, lifetimeMs, outFile, key, nowMs } = this.#options;
    await mkdir(this.#folder, { recursive: true });
    const used = new Set<string>();
    for (const { file, chunks } of this.#known.values()) {
      if (typeof file.hashes === "string") continue;
      for (const [index, chunk] of chunks.entries()) {
        await this.#keep(`${file.hashes[index]}.bin`, chunk, used);
      }
    }
    const parts: PartEntry[] = [];
    for (const files of partsOf([...this.#known.values()].map(({ file }) => file))) {
      const bytes = utf8(JSON.stringify({ v: 1, files } satisfies ManifestPart));
      const digest = await digestOf(bytes);
      await this.#keep(`${digest}.json`, bytes, used);
      parts.push([files.at(-1)?.name ?? "", digest]);
    }
    const issuedMs = nowMs();
    // The clock counts too, so that a manifest that was lost does not begin below its viewers' memory.
    const sequence = Math.max(lastSequence + 1, issuedMs);
    const unsigned = { v: 1 as const, base, sequence, issuedMs, freshMs, headers, parts };
    const facts = { ...unsigned, expiresMs: issuedMs + lifetimeMs };
    const signature = toBase64Url(sign(null, manifestBytes(facts), key));
    const head: ManifestHead = { ...facts, signature };
    const bytes = utf8(`${JSON.stringify(head)}\n`);
    if (bytes.byteLength > HEAD_MAX_BYTES) throw tooLarge(this.#known.size);
    await replaceFile(outFile, bytes);
    await this.#forgetOld(used);
    return head;
  }

  /** Stores a thing that never changes, unless it is there. */
  async #keep(name: string, bytes: Uint8Array, used: Set<string>): Promise<void> {
    used.add(name);
    const path = join(this.#folder, name);
    const there = await stat(path).catch(() => undefined);
    if (there?.size !== bytes.byteLength) await replaceFile(path, bytes);
  }

  /** Removes what only heads older than the kept ones name; what other runs wrote is not ours to judge. */
  async #forgetOld(used: ReadonlySet<string>): Promise<void> {
    this.#generations.push(used);
    const old = this.#generations.splice(0, this.#generations.length - GENERATIONS_KEPT);
    const kept = new Set(this.#generations.flatMap((generation) => [...generation]));
    const gone = old.flatMap((generation) => [...generation]).filter((name) => !kept.has(name));
    for (const name of gone) await rm(join(this.#folder, name), { force: true });
  }

  /** Of the head that is there, whoever wrote it. @throws {NearcastError} If the file is something else. */
  async #lastSequence(outFile: string): Promise<number> {
    if (this.#head) return this.#head.sequence;
    const text = await readFile(outFile, "utf8").catch(() => undefined);
    if (text === undefined) return 0;
    try {
      return decodeHead(text).sequence;
    } catch (cause) {
      throw new NearcastError(
        "config/invalid",
        `Cannot sign manifest as --out must be a manifest or not exist: current value is "${outFile}"`,
        { cause },
      );
    }
  }
}

/** Files in groups, so that neither a group nor the list of groups is large. */
function partsOf(files: readonly ManifestFile[]): ManifestFile[][] {
  const sizes = files.map((file) => JSON.stringify(file).length + 1);
  const totalBytes = sizes.reduce((sum, size) => sum + size, 0);
  let aimBytes = PART_MIN_BYTES;
  while (aimBytes * PARTS_AIM < totalBytes) aimBytes *= 2;
  const parts: ManifestFile[][] = [];
  let partBytes = Number.POSITIVE_INFINITY;
  for (const [index, file] of files.entries()) {
    const size = sizes[index] ?? 0;
    if (partBytes + size > Math.min(aimBytes, PART_MAX_BYTES - 64)) {
      parts.push([]);
      partBytes = 0;
    }
    parts.at(-1)?.push(file);
    partBytes += size;
  }
  return parts;
}

async function settled({ path }: FoundFile, nowMs: number): Promise<boolean> {
  const found = await stat(path).catch(() => undefined);
  return found !== undefined && nowMs - found.mtimeMs > SETTLED_MS;
}

async function replaceFile(path: string, bytes: Uint8Array): Promise<void> {
  const temporary = join(dirname(path), `.nearcast-${process.pid}.tmp`);
  await writeFile(temporary, bytes);
  await rename(temporary, path);
}

function tooLarge(files: number): NearcastError {
  return new NearcastError(
    "config/invalid",
    `Cannot sign manifest as its head must have at most ${HEAD_MAX_BYTES} bytes: sign sub-folders of the ${files} files one by one`,
  );
}
