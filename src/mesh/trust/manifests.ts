/**
 * The publisher's manifests of a page: loaded from the origin when a file below them is first wanted, checked
 * against the pinned key, looked at again when they grow old or a name is missing. What a manifest covers is
 * trusted by it alone; what cannot be right closes the mesh (origin only), what is merely not there does not.
 * @module
 */

import { fromBase64Url, utf8 } from "../../core/digest.js";
import { NearcastError } from "../../core/errors.js";
import { trim } from "../../core/trim.js";
import type { AttestedWindow } from "../../protocol/attestation.js";
import {
  CHUNK_MAX_BYTES,
  chunkOf,
  decodeChunk,
  decodeHead,
  decodePart,
  HEAD_MAX_BYTES,
  isFromManifest,
  MANIFEST_FOLDER,
  type ManifestFile,
  type ManifestHead,
  manifestBytes,
  manifestWindow,
  nameBelow,
  PART_MAX_BYTES,
  partOf,
} from "../../protocol/manifest.js";

/** One window, valid until the manifest expires. */
export interface PublishedWindow {
  readonly window: AttestedWindow;
  /** When the manifest must be looked at again before the URL is taken to stand for it. */
  readonly freshUntilMs: number;
}

export interface ManifestsOptions {
  /** Absolute URLs of heads. */
  readonly urls: readonly string[];
  /** The pinned key: raw Ed25519, base64url. */
  readonly publicKey: string;
  /** Server time where it is known, Unix milliseconds. */
  readonly nowMs: () => number;
  readonly fetch: (url: string, init: RequestInit) => Promise<Response>;
  /** Where the highest sequence of each manifest is remembered; throws where storage is blocked. */
  readonly memory: () => Pick<Storage, "getItem" | "setItem">;
}

const ANSWER_TIMEOUT_MS = 5_000;
/** Shortest and longest time between two looks for a name that is missing; doubles while nothing is new. */
const LOOK_MIN_MS = 1_000;
const LOOK_MAX_MS = 60_000;
/** Parts and chunks in memory, and names known to be missing. */
const THINGS_MAX = 64;
const MISSING_MAX = 1_000;

type State = "unknown" | "absent" | "open" | "closed";

export class Manifests {
  readonly #options: ManifestsOptions;
  readonly #manifests: readonly Manifest[];

  constructor(options: ManifestsOptions) {
    this.#options = options;
    const key = importKey(options.publicKey);
    this.#manifests = options.urls.map((url) => new Manifest(url, key, options));
  }

  /** A manifest is not what was signed, or an older one than this profile saw: nothing is shared. */
  get closed(): boolean {
    return this.#manifests.some(({ state }) => state === "closed");
  }

  /** Whether a manifest speaks for the URL, or may once it is loaded: nobody else does then. */
  mayCover(url: string): boolean {
    return this.#manifests.some((manifest) => manifest.mayCover(url));
  }

  /** Whether an attestation of the store is one of these manifests'. */
  signed(attestation: { readonly keyId: string }): boolean {
    return isFromManifest(attestation, this.#options.publicKey);
  }

  /**
   * The hashes of one window.
   *
   * @returns `undefined` if no manifest lists the URL.
   * @throws {NearcastError} `integrity/signature` while a manifest is not to be trusted, `integrity/mismatch`
   * or `origin/failed` if a part of it cannot be had.
   */
  async find(url: string, window: number): Promise<PublishedWindow | undefined> {
    for (const manifest of this.#manifests) {
      const found = await manifest.find(url, window);
      if (found) return found;
    }
    return undefined;
  }
}

class Manifest {
  state: State = "unknown";
  readonly #url: string;
  readonly #key: Promise<CryptoKey | undefined>;
  readonly #options: ManifestsOptions;
  readonly #things = new Map<string, Promise<unknown>>();
  readonly #missing = new Set<string>();
  #head: ManifestHead | undefined;
  #base = "";
  #checkedMs = Number.NEGATIVE_INFINITY;
  #lookMs = LOOK_MIN_MS;
  #looking: Promise<void> | undefined;

  constructor(url: string, key: Promise<CryptoKey | undefined>, options: ManifestsOptions) {
    this.#url = url;
    this.#key = key;
    this.#options = options;
  }

  mayCover(url: string): boolean {
    if (this.state === "unknown" || this.state === "closed") return true;
    const name = this.state === "open" ? nameBelow(this.#base, url) : undefined;
    return name !== undefined && !this.#missing.has(name);
  }

  async find(url: string, window: number): Promise<PublishedWindow | undefined> {
    const ageMs = this.#options.nowMs() - this.#checkedMs;
    const oldMs = this.#head && this.state === "open" ? this.#head.freshMs : this.#lookMs;
    if (this.#expired || ageMs >= oldMs) await this.#look();
    if (this.state === "closed") throw untrusted("closed");
    let file = await this.#file(url);
    if (!file && this.state === "open" && nameBelow(this.#base, url) !== undefined) {
      // A live packager may have added it since.
      if (this.#options.nowMs() - this.#checkedMs >= this.#lookMs) await this.#look();
      file = await this.#file(url);
    }
    const head = this.#head;
    const name = nameBelow(this.#base, url);
    if (!file || !head || this.state !== "open") {
      if (name !== undefined) this.#miss(name);
      return undefined;
    }
    const chunk = chunkOf(file, window);
    const published = await manifestWindow({
      ...{ head, file, url, window, keyId: this.#options.publicKey },
      chunk: chunk && (await this.#chunk(chunk.digest)),
    });
    return { window: published, freshUntilMs: this.#checkedMs + head.freshMs };
  }

  get #expired(): boolean {
    return (this.#head?.expiresMs ?? Number.POSITIVE_INFINITY) <= this.#options.nowMs();
  }

  async #file(url: string): Promise<ManifestFile | undefined> {
    const head = this.#head;
    const name = head && this.state === "open" ? nameBelow(this.#base, url) : undefined;
    const entry = head && name !== undefined ? partOf(head, name) : undefined;
    if (!entry) return undefined;
    const [, digest] = entry;
    const part = await this.#once(digest, async () =>
      decodePart(await this.#load(`${MANIFEST_FOLDER}${digest}.json`, PART_MAX_BYTES), digest),
    );
    return part.files.find((file) => file.name === name);
  }

  #chunk(digest: string): Promise<readonly Uint8Array[]> {
    return this.#once(digest, async () =>
      decodeChunk(await this.#load(`${MANIFEST_FOLDER}${digest}.bin`, CHUNK_MAX_BYTES), digest),
    );
  }

  /** A thing that never changes, loaded once as long as it is among the last used. */
  async #once<T>(digest: string, load: () => Promise<T>): Promise<T> {
    const known = (this.#things.get(digest) as Promise<T> | undefined) ?? load();
    this.#things.delete(digest);
    this.#things.set(digest, known);
    trim(this.#things, THINGS_MAX);
    try {
      return await known;
    } catch (error) {
      this.#things.delete(digest);
      throw error;
    }
  }

  #miss(name: string): void {
    this.#missing.add(name);
    trim(this.#missing, MISSING_MAX);
  }

  /** Reads the head again; one at a time. */
  #look(): Promise<void> {
    this.#looking ??= this.#readHead().finally(() => {
      this.#looking = undefined;
    });
    return this.#looking;
  }

  async #readHead(): Promise<void> {
    const before = this.#head?.sequence;
    try {
      const text = new TextDecoder().decode(await this.#load("", HEAD_MAX_BYTES));
      await this.#take(text);
    } catch (error) {
      const wrong = error instanceof NearcastError && error.code !== "origin/failed";
      if (wrong) this.state = "closed";
      // Not there, or not now: what was read before holds until it expires.
      else if (!this.#head) this.state = "absent";
    }
    if (this.#expired && this.state === "open") this.state = "absent";
    const news = this.#head?.sequence !== before;
    if (news) this.#missing.clear();
    this.#lookMs = news ? LOOK_MIN_MS : Math.min(2 * this.#lookMs, LOOK_MAX_MS);
    this.#checkedMs = this.#options.nowMs();
  }

  /** @throws {NearcastError} For anything that the pinned key did not sign, or that is a replay. */
  async #take(text: string): Promise<void> {
    const key = await this.#key;
    // Without Ed25519 a manifest is no source of trust; the next one may be.
    if (!key) throw new NearcastError("origin/failed", "No Ed25519");
    const head = decodeHead(text);
    const signature = fromBase64Url(head.signature);
    const valid =
      signature !== undefined &&
      (await crypto.subtle.verify("Ed25519", key, signature, manifestBytes(head)));
    if (!valid) throw untrusted("signature");
    const held = this.#head;
    // An edge that is behind: what we have is newer.
    if (held && head.sequence < held.sequence && !this.#expired) return;
    if (head.sequence < this.#remembered()) throw untrusted("replay");
    this.#head = head;
    this.#base = new URL(head.base, this.#url).href;
    this.state = "open";
    this.#remember(head.sequence);
  }

  #remembered(): number {
    try {
      return Number(this.#options.memory().getItem(memoryKey(this.#url)) ?? 0) || 0;
    } catch {
      return 0; // storage is blocked: this page's own memory has to do
    }
  }

  #remember(sequence: number): void {
    try {
      this.#options.memory().setItem(memoryKey(this.#url), String(sequence));
    } catch {
      // See above.
    }
  }

  /** @param path Relative to the head; empty for the head itself, which is always asked for anew. */
  async #load(path: string, maxBytes: number): Promise<Uint8Array<ArrayBuffer>> {
    const url = new URL(path === "" ? this.#url : path, this.#url).href;
    try {
      const response = await this.#options.fetch(url, {
        cache: path === "" ? "no-cache" : "default",
        signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS),
      });
      if (!response.ok) throw new Error(`status ${response.status}`);
      return await bytesOf(response, maxBytes);
    } catch (cause) {
      throw new NearcastError("origin/failed", `Cannot load manifest "${url}"`, { cause });
    }
  }
}

async function bytesOf(response: Response, maxBytes: number): Promise<Uint8Array<ArrayBuffer>> {
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  const reader = response.body?.getReader();
  let bytes = 0;
  for (let next = await reader?.read(); next && !next.done; next = await reader?.read()) {
    bytes += next.value.byteLength;
    if (bytes > maxBytes) {
      await reader?.cancel();
      throw new Error("too large");
    }
    chunks.push(next.value);
  }
  return new Uint8Array(await new Blob(chunks).arrayBuffer());
}

async function importKey(publicKey: string): Promise<CryptoKey | undefined> {
  try {
    const raw = fromBase64Url(publicKey) ?? utf8("");
    return await crypto.subtle.importKey("raw", raw, "Ed25519", false, ["verify"]);
  } catch {
    return undefined; // the browser has no Ed25519; see #take
  }
}

function memoryKey(url: string): string {
  return `nearcast-manifest ${url}`;
}

function untrusted(why: string): NearcastError {
  return new NearcastError("integrity/signature", `Cannot use manifest: ${why}`);
}
