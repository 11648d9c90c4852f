/**
 * Reads assets from their origin over HTTP: one window by Range, or a whole body where the origin knows
 * no ranges. An answer that is not consistent in itself is refused, never repaired.
 * @module
 */
import { createHash } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { windowCountOf } from "../../protocol/asset.js";
import type { Header } from "../../protocol/attestation.js";
import { ASSET_MAX_BYTES, WINDOW_BYTES } from "../../protocol/limits.js";
import {
  type AssetReading,
  failure,
  freshnessOf,
  hashWindow,
  originHeaderOf,
  refusal,
} from "./asset-rules.js";
import { headerOf, headersOf, type OriginClient, withDeadline } from "./origin-request.js";

/** Largest body that is read as a whole because the origin ignores ranges. */
const WHOLE_BODY_MAX_BYTES = 16 * WINDOW_BYTES;

export interface HttpSourceOptions {
  readonly client: OriginClient;
  readonly timeoutMs: number;
  /** Aborts everything under way. */
  readonly signal: AbortSignal;
  readonly nowMs: () => number;
  /** Hears of every body byte that was read. */
  readonly onBytes: (count: number) => void;
}

/** Reads windows over HTTP. */
export class HttpSource {
  readonly #options: HttpSourceOptions;

  constructor(options: HttpSourceOptions) {
    this.#options = options;
  }

  /**
   * @returns The window asked for, and all others if the origin sent the whole body.
   * @throws {NearcastError} `index/refused` or `origin/failed`; the message is the reason.
   */
  async read(url: URL, window: number, siteOrigin: string | undefined): Promise<AssetReading> {
    const { timeoutMs, signal: owner } = this.#options;
    return withDeadline({ timeoutMs, owner }, (signal) =>
      this.#read(url, { window, siteOrigin, signal }),
    );
  }

  async #read(
    url: URL,
    about: { window: number; siteOrigin: string | undefined; signal: AbortSignal },
  ): Promise<AssetReading> {
    const { window, siteOrigin, signal } = about;
    const { client } = this.#options;
    const start = window * WINDOW_BYTES;
    const range = `bytes=${start}-${start + WINDOW_BYTES - 1}`;
    let response: IncomingMessage | undefined;
    try {
      response = await client.open(url, {
        ...{ method: "GET", range, signal },
        siteOrigin: originHeaderOf(url, siteOrigin),
      });
      return await this.#readResponse(response, { url, window, siteOrigin });
    } catch (error) {
      if (signal.aborted) throw failure("origin took too long", error);
      throw error;
    } finally {
      response?.destroy();
    }
  }

  async #readResponse(
    response: IncomingMessage,
    { url, window, siteOrigin }: { url: URL; window: number; siteOrigin: string | undefined },
  ): Promise<AssetReading> {
    const headers = headersOf(response);
    const status = response.statusCode ?? 0;
    const crossOrigin = siteOrigin !== undefined && url.origin !== siteOrigin;
    const nowMs = this.#options.nowMs();
    const freshMs = freshnessOf({ status, headers, nowMs, siteOrigin, crossOrigin });
    const { lengthBytes, windows } =
      status === 206
        ? await this.#readWindow(response, headers, window)
        : await this.#readWhole(response, headers, window);
    const version = versionOf(headers, lengthBytes, windows);
    return { version, lengthBytes, headers, freshMs, windows };
  }

  async #readWindow(body: IncomingMessage, headers: readonly Header[], window: number) {
    const start = window * WINDOW_BYTES;
    const lengthBytes = totalOf(headerOf(headers, "content-range"), start);
    const bytes = new Uint8Array(Math.min(WINDOW_BYTES, lengthBytes - start));
    let received = 0;
    for await (const chunk of this.#chunks(body)) {
      if (received + chunk.byteLength > bytes.byteLength)
        throw refusal("body longer than its range");
      bytes.set(chunk, received);
      received += chunk.byteLength;
    }
    if (received < bytes.byteLength) throw failure("body shorter than its range");
    const windows = new Map([[window, await hashWindow(window, lengthBytes, bytes)]]);
    return { lengthBytes, windows };
  }

  /** The length is only known at the end, but a window's hashes need no more than its own bytes. */
  async #readWhole(body: IncomingMessage, headers: readonly Header[], window: number) {
    const declared = headerOf(headers, "content-length");
    if (declared === undefined && headerOf(headers, "transfer-encoding") === undefined) {
      throw refusal("length of the body is unknown"); // a cut could not be told from its end
    }
    if (Number(declared ?? 0) > WHOLE_BODY_MAX_BYTES) throw refusal("origin knows no ranges");
    const windows = new Map<number, string[]>();
    const buffer = new Uint8Array(WINDOW_BYTES);
    let lengthBytes = 0;
    let filled = 0;
    const flush = async () => {
      const hashes = await hashWindow(windows.size, lengthBytes, buffer.subarray(0, filled));
      windows.set(windows.size, hashes);
      filled = 0;
    };
    for await (const chunk of this.#chunks(body)) {
      for (let at = 0; at < chunk.byteLength; ) {
        if (filled === WINDOW_BYTES) await flush();
        const part = chunk.subarray(at, at + WINDOW_BYTES - filled);
        buffer.set(part, filled);
        filled += part.byteLength;
        lengthBytes += part.byteLength;
        at += part.byteLength;
      }
      if (lengthBytes > WHOLE_BODY_MAX_BYTES) throw refusal("origin knows no ranges");
    }
    await flush();
    if (!windows.has(window)) throw refusal("no such window");
    return { lengthBytes, windows };
  }

  async *#chunks(body: IncomingMessage): AsyncGenerator<Uint8Array> {
    try {
      for await (const chunk of body as AsyncIterable<Buffer>) {
        this.#options.onBytes(chunk.byteLength);
        yield chunk;
      }
    } catch (error) {
      throw failure("body was cut off", error);
    }
  }
}

/** Total of a Content-Range that is exactly the window asked for. */
function totalOf(contentRange: string | undefined, start: number): number {
  const match = /^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15})$/i.exec(contentRange ?? "");
  const [from, to, total] = (match?.slice(1) ?? []).map(Number);
  if (from === undefined || to === undefined || total === undefined) {
    throw refusal("Content-Range is missing or malformed");
  }
  if (from !== start || to !== Math.min(start + WINDOW_BYTES, total) - 1 || to < from) {
    throw refusal("Content-Range is not the range asked for");
  }
  if (total > ASSET_MAX_BYTES) throw refusal("asset is too large");
  return total;
}

/**
 * The strongest validator there is: a strong ETag, else date and length, else (one window only) the
 * hashes of its pieces, which are a digest of the body.
 */
function versionOf(
  headers: readonly Header[],
  lengthBytes: number,
  windows: ReadonlyMap<number, readonly string[]>,
): string {
  const etag = headerOf(headers, "etag");
  if (etag !== undefined && /^"[^"]{1,200}"$/.test(etag)) return etag;
  const modified = headerOf(headers, "last-modified");
  if (modified !== undefined && modified.length < 64) return `${modified} ${lengthBytes}`;
  const [hashes] = windows.values();
  if (windowCountOf(lengthBytes) === 1 && hashes) {
    return createHash("sha256").update(hashes.join("\n")).digest("hex");
  }
  throw refusal("no validator");
}
