/**
 * Reads assets from the folder that the first origin serves, so that attesting costs the origin nothing.
 * One HEAD per version asks the origin for the real headers; if it cannot answer, the folder and the
 * server's configuration speak for it.
 * @module
 */
import type { BigIntStats } from "node:fs";
import { constants, type FileHandle, open, readdir, realpath, stat } from "node:fs/promises";
import { basename, dirname, extname, join, sep } from "node:path";
import { windowCountOf } from "../../protocol/asset.js";
import type { Header } from "../../protocol/attestation.js";
import { ASSET_MAX_BYTES, WINDOW_BYTES } from "../../protocol/limits.js";
import { LruMap } from "../lru-map.js";
import {
  type AssetPlace,
  type AssetReading,
  failure,
  freshnessOf,
  hashWindow,
  originHeaderOf,
  refusal,
} from "./asset-rules.js";
import { contentTypeOf } from "./content-types.js";
import { headerOf, headersOf, type OriginClient, withDeadline } from "./origin-request.js";

const HEAD_TIMEOUT_MS = 500;
/** Time for which the answer to a HEAD is kept, and an origin that gave none is left alone. */
const HEAD_KEPT_MS = 60_000;
const HEADS_MAX = 2_000;

/** Answers by which the origin itself says that it does not serve the file to everybody. */
const PROHIBITING_STATUS: ReadonlySet<number> = new Set([401, 402, 403, 404, 410, 451]);

export interface DiskSourceOptions {
  /** Absolute path without symbolic links. */
  readonly root: string;
  /** Freshness when the origin states none. */
  readonly freshMs: number;
  readonly client: OriginClient;
  readonly signal: AbortSignal;
  readonly nowMs: () => number;
  /** Hears of every byte that was read. */
  readonly onBytes: (count: number) => void;
}

interface Head {
  /** `undefined` if the origin did not answer. */
  readonly response: { readonly status: number; readonly headers: readonly Header[] } | undefined;
  readonly untilMs: number;
}

/** Reads windows from one folder. */
export class DiskSource {
  readonly #options: DiskSourceOptions;
  readonly #heads = new LruMap<string, Head>(HEADS_MAX);

  constructor(options: DiskSourceOptions) {
    this.#options = options;
  }

  /** The version on disk now. @throws {NearcastError} As {@link read} does. */
  async versionOf(place: AssetPlace): Promise<string> {
    return versionOf(await stat(await this.#resolve(place), { bigint: true }));
  }

  /**
   * URLs of the files that follow this one in its folder: the next segments of a film, most likely.
   *
   * @returns At most `max`, of the same extension, in natural order (`s9` before `s10`).
   */
  async following(place: AssetPlace, max: number): Promise<string[]> {
    const path = await this.#resolve(place);
    const extension = extname(path);
    const names = (await readdir(dirname(path))).filter((name) => extname(name) === extension);
    names.sort(new Intl.Collator("en", { numeric: true }).compare);
    const next = names.indexOf(basename(path)) + 1;
    return names
      .slice(next, next + max)
      .map((name) => new URL(encodeURIComponent(name), place.url).href);
  }

  /**
   * @throws {NearcastError} `index/refused` or `origin/failed`; the message is the reason.
   */
  async read(
    place: AssetPlace,
    window: number,
    siteOrigin: string | undefined,
  ): Promise<AssetReading> {
    // Non-blocking, so that a pipe in the folder cannot hold the server up.
    const flags = constants.O_RDONLY | constants.O_NONBLOCK;
    const file = await open(await this.#resolve(place), flags);
    try {
      const before = await file.stat({ bigint: true });
      const lengthBytes = Number(before.size);
      if (!before.isFile()) throw refusal("not a file");
      if (lengthBytes > ASSET_MAX_BYTES) throw refusal("asset is too large");
      if (window >= windowCountOf(lengthBytes)) throw refusal("no such window");
      const version = versionOf(before);
      const facts = await this.#factsOf(place.asked, { version, lengthBytes, siteOrigin });
      const bytes = await this.#readWindow(file, window, lengthBytes);
      if (versionOf(await file.stat({ bigint: true })) !== version) {
        throw failure("file changed while it was read");
      }
      const windows = new Map([[window, await hashWindow(window, lengthBytes, bytes)]]);
      return { version, lengthBytes, ...facts, windows };
    } finally {
      await file.close();
    }
  }

  /** The real path of the file, which is inside the root whatever links it is reached by. */
  async #resolve({ pathBelowRoot }: AssetPlace): Promise<string> {
    const { root } = this.#options;
    try {
      const path = await realpath(join(root, pathBelowRoot ?? ""));
      if (path.startsWith(root.endsWith(sep) ? root : root + sep)) return path;
    } catch (error) {
      throw failure("no such file", error);
    }
    throw refusal("file is outside the served folder");
  }

  async #readWindow(file: FileHandle, window: number, lengthBytes: number): Promise<Uint8Array> {
    const start = window * WINDOW_BYTES;
    const bytes = Buffer.allocUnsafe(Math.min(WINDOW_BYTES, lengthBytes - start));
    let filled = 0;
    while (filled < bytes.byteLength) {
      const { bytesRead } = await file.read(
        bytes,
        filled,
        bytes.byteLength - filled,
        start + filled,
      );
      if (bytesRead === 0) throw failure("file changed while it was read");
      filled += bytesRead;
    }
    this.#options.onBytes(filled);
    return bytes;
  }

  /** Headers and freshness: the origin's own if it answers, else what the configuration says. */
  async #factsOf(
    url: URL,
    facts: { version: string; lengthBytes: number; siteOrigin: string | undefined },
  ): Promise<{ headers: readonly Header[]; freshMs: number }> {
    const { freshMs: defaultFreshMs } = this.#options;
    const { lengthBytes, siteOrigin } = facts;
    const head = await this.#headOf(url, facts.version, siteOrigin);
    if (head && PROHIBITING_STATUS.has(head.status)) throw refusal(`status ${head.status}`);
    const answered = head !== undefined && head.status < 400;
    const headers = answered ? head.headers : headersFor(url, defaultFreshMs);
    const status = answered ? head.status : 200;
    const declared = headerOf(headers, "content-length");
    if (declared !== undefined && Number(declared) !== lengthBytes) {
      throw failure("file differs from what the origin serves");
    }
    const crossOrigin = siteOrigin !== undefined && url.origin !== siteOrigin;
    const nowMs = this.#options.nowMs();
    const response = { status, headers, nowMs, siteOrigin, crossOrigin };
    const freshMs = freshnessOf(response, defaultFreshMs);
    return { headers, freshMs };
  }

  async #headOf(
    url: URL,
    version: string,
    siteOrigin: string | undefined,
  ): Promise<Head["response"]> {
    const { client, nowMs } = this.#options;
    const key = JSON.stringify([url.href, version, siteOrigin]);
    const known = this.#heads.get(key) ?? this.#heads.get(url.origin);
    if (known && nowMs() < known.untilMs) return known.response;
    const untilMs = nowMs() + HEAD_KEPT_MS;
    try {
      const message = await withDeadline(
        { timeoutMs: HEAD_TIMEOUT_MS, owner: this.#options.signal },
        (signal) =>
          client.open(url, { method: "HEAD", siteOrigin: originHeaderOf(url, siteOrigin), signal }),
      );
      message.on("error", () => {}).resume(); // a HEAD has no body; whatever comes is thrown away
      const response = { status: message.statusCode ?? 0, headers: headersOf(message) };
      this.#heads.set(key, { response, untilMs });
      return response;
    } catch {
      // An origin that cannot be reached from here costs the time-out once a minute, not once a file.
      this.#heads.set(url.origin, { response: undefined, untilMs });
      return undefined;
    }
  }
}

function versionOf({ size, mtimeNs }: BigIntStats): string {
  return `${size.toString(16)}-${mtimeNs.toString(16)}`;
}

/** The operator named both the folder and the sites that may use it: that is the permission by CORS. */
function headersFor(url: URL, freshMs: number): Header[] {
  return [
    ["content-type", contentTypeOf(extname(url.pathname))],
    ["accept-ranges", "bytes"],
    ["cache-control", `public, max-age=${Math.floor(freshMs / 1_000)}`],
    ["access-control-allow-origin", "*"],
  ];
}
