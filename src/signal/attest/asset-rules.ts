/**
 * Which URLs the server looks at, which answers it vouches for, and which of their headers. The sharing
 * policy itself is `engine/rules/sharing-policy.ts`; here it meets Node. This module does no I/O.
 * @module
 */

import { toBase64Url } from "../../core/digest.js";
import { NearcastError } from "../../core/errors.js";
import {
  decideSharing,
  mayAccelerate,
  parseCacheControl,
  type ResponseFacts,
} from "../../engine/rules/sharing-policy.js";
import { canonicalUrl, piecesOfWindow } from "../../protocol/asset.js";
import { type Header, pieceHash } from "../../protocol/attestation.js";
import { HEADERS_MAX_BYTES, PIECE_BYTES } from "../../protocol/limits.js";
import type { AllowedOrigin } from "../options.js";

/** What was read of one asset in order to attest it. */
export interface AssetReading {
  /** Strong validator: changes whenever the bytes change. */
  readonly version: string;
  readonly lengthBytes: number;
  readonly headers: readonly Header[];
  readonly freshMs: number;
  /** Piece hashes (base64url) by window: the one that was asked for, perhaps others. */
  readonly windows: ReadonlyMap<number, readonly string[]>;
}

/** An allow-listed URL. */
export interface AssetPlace {
  readonly url: URL;
  /** What the origin is asked for: the URL with the operator's query, which nobody else gets to see. */
  readonly asked: URL;
  /** Decoded path below the prefix of the first origin; `undefined` below any other origin. */
  readonly pathBelowRoot: string | undefined;
}

/** A lasting refusal: the reason goes to the viewer. Any other error is taken for a passing one. */
export function refusal(reason: string): NearcastError {
  return new NearcastError("index/refused", reason);
}

/** A passing failure of the origin or the disk: asking again soon may help. */
export function failure(reason: string, cause?: unknown): NearcastError {
  return new NearcastError("origin/failed", reason, { cause });
}

/**
 * Finds the allow-listed origin of a URL.
 *
 * @throws {NearcastError} `index/refused` for any URL that is not canonical, not below an allow-listed
 * origin and prefix, or ambiguous once decoded (rules E11, R63).
 */
export function placeAsset(text: string, origins: readonly AllowedOrigin[]): AssetPlace {
  const url = parseUrl(text);
  if (url?.username !== "" || url.password !== "" || canonicalUrl(text) !== text) {
    throw refusal("URL is not canonical");
  }
  const place = origins.findIndex(
    ({ origin, prefix }) => url.origin === origin && url.pathname.startsWith(prefix),
  );
  const allowed = origins[place];
  if (!allowed) throw refusal("URL is not below an allowed origin");
  if (!isShareableKind(text)) throw refusal("this kind of file is always loaded from the origin");
  const path = decodePath(url.pathname.slice(allowed.prefix.length));
  const asked = withQuery(url, allowed.query);
  return { url, asked, pathBelowRoot: place === 0 ? path : undefined };
}

/** Which of two values an origin takes, nobody can say: a viewer's URL must not have what the operator adds. */
function withQuery(url: URL, query: string): URL {
  if (query === "") return url;
  const names = [...new URLSearchParams(query).keys()];
  if (names.some((name) => url.searchParams.has(name))) throw refusal("URL has its own token");
  const asked = new URL(url);
  asked.search = url.search === "" ? query : `${url.search}&${query}`;
  return asked;
}

function parseUrl(text: string): URL | undefined {
  try {
    return new URL(text);
  } catch {
    return undefined; // refused by the caller
  }
}

/** The worker never asks for playlists and active files; neither may anybody else. */
function isShareableKind(url: string): boolean {
  return mayAccelerate({
    method: "GET",
    url,
    destination: "",
    mode: "cors",
    credentials: "omit",
    cache: "default",
    sameOrigin: true,
    authorization: false,
    conditional: false,
    unusualRange: false,
  });
}

function decodePath(path: string): string {
  return path
    .split("/")
    .map((segment) => {
      let decoded: string;
      try {
        decoded = decodeURIComponent(segment);
      } catch {
        throw refusal("URL path cannot be decoded");
      }
      // A leading dot covers "..", "." and files that no web server should publish.
      if (/^\.|[/\\\0]/.test(decoded)) throw refusal("URL path is ambiguous");
      return decoded;
    })
    .join("/");
}

/** Answers that may soon be others; 404 too, as a live segment exists from one moment to the next. */
const PASSING_STATUS: ReadonlySet<number> = new Set([404, 408, 425, 429]);

/** Freshness of a response that may be shared. @throws {NearcastError} `index/refused` if it may not. */
export function freshnessOf(facts: ResponseFacts, defaultFreshMs?: number): number {
  const { status } = facts;
  if (PASSING_STATUS.has(status) || status >= 500) throw failure(`status ${status}`);
  if (status >= 300 && status < 400) throw refusal("redirect");
  const decision = decideSharing(facts, defaultFreshMs);
  if (!decision.shared) throw refusal(decision.reason);
  return decision.freshMs;
}

/** Whose viewers may read a response: `"*"` for all, else one site's origin. */
export function audienceOf(headers: readonly Header[], siteOrigin: string | undefined): string {
  const allowed = headers.find(([name]) => name === "access-control-allow-origin");
  return allowed?.[1] === "*" ? "*" : (siteOrigin ?? "");
}

/** What a page's `GET` sends as `Origin`: nothing to its own origin, whose answer may depend on it (rule R22). */
export function originHeaderOf(url: URL, siteOrigin: string | undefined): string | undefined {
  return url.origin === siteOrigin ? undefined : siteOrigin;
}

/** Headers that belong to one connection, one transfer or one moment, or act on the whole site. */
const NOT_ATTESTED: ReadonlySet<string> = new Set([
  "age",
  "alt-svc",
  "clear-site-data",
  "connection",
  "content-encoding",
  "content-length",
  "content-range",
  "keep-alive",
  "nel",
  "report-to",
  "reporting-endpoints",
  "server-timing",
  "set-cookie",
  "set-cookie2",
  "strict-transport-security",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

/** Headers that decide how a body is used; they get their place first. */
const ESSENTIAL = /^(content-|cache-control$|access-control-|etag$|last-modified$|vary$|expires$)/;

/** The headers that an attestation carries; what does not fit `HEADERS_MAX_BYTES` is left out. */
export function attestedHeaders(headers: readonly Header[]): Header[] {
  const connection = headers.flatMap(([name, value]) => (name === "connection" ? [value] : []));
  const hopByHop = new Set(parseCacheControl(connection.join(","))?.keys());
  const order = (name: string) => (ESSENTIAL.test(name) ? 0 : 1);
  let leftBytes = HEADERS_MAX_BYTES;
  return headers
    .filter(
      ([name]) => !NOT_ATTESTED.has(name) && !name.startsWith("proxy-") && !hopByHop.has(name),
    )
    .sort(([a], [b]) => order(a) - order(b))
    .filter(([name, value]) => {
      const bytes = Buffer.byteLength(name) + Buffer.byteLength(value);
      if (name.length > 128 || bytes > leftBytes) return false;
      leftBytes -= bytes;
      return true;
    })
    .slice(0, 64);
}

/** Hashes the pieces of one window. @param bytes All bytes of the window. */
export function hashWindow(
  window: number,
  lengthBytes: number,
  bytes: Uint8Array,
): Promise<string[]> {
  const { from, to } = piecesOfWindow(window, lengthBytes);
  const pieces = Array.from({ length: Math.max(0, to - from) }, (_, index) => index);
  return Promise.all(
    pieces.map(async (index) => {
      const piece = bytes.subarray(index * PIECE_BYTES, (index + 1) * PIECE_BYTES);
      return toBase64Url(await pieceHash(from + index, piece));
    }),
  );
}
