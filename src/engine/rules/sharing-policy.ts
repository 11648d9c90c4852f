/**
 * What may travel through the mesh: the mesh is a shared cache in the sense of RFC 9111, and stricter
 * where a mistake would show one viewer's bytes to another. The worker asks before it intercepts, the
 * server before it attests; both use this module. It is pure.
 * @module
 */
import { isAlwaysFromOrigin } from "../../protocol/asset.js";
import type { Header } from "../../protocol/attestation.js";
import { isManifestPath } from "../../protocol/manifest.js";

/** The parts of a request that decide whether the worker touches it (SECURITY rules S5, S6, S14). */
export interface RequestFacts {
  readonly method: string;
  readonly url: string;
  readonly destination: string;
  readonly mode: string;
  readonly credentials: string;
  readonly cache: string;
  readonly sameOrigin: boolean;
  readonly authorization: boolean;
  /** `If-None-Match`, `Cache-Control` and their kin: the page talks to caches itself. */
  readonly conditional: boolean;
  /** A range that the worker does not answer. */
  readonly unusualRange: boolean;
}

/** Kinds of request whose bytes cannot act: never document, script, style, worker, frame, manifest. */
const PASSIVE_DESTINATIONS: ReadonlySet<string> = new Set([
  "",
  "audio",
  "font",
  "image",
  "track",
  "video",
]);

/** Kinds of request whose bytes act in the page: shared only where the publisher signed them (rule R7). */
const ACTIVE_DESTINATIONS: ReadonlySet<string> = new Set(["json", "script", "style"]);

/** What acts when it is opened, whatever it was asked for as. */
const ACTIVE_PATH = /\.(m?js|css|wasm|json|svg|xml)$/i;

/** Cache modes that ask for the origin itself. */
const ORIGIN_CACHE_MODES: ReadonlySet<string> = new Set(["no-store", "reload", "only-if-cached"]);

/** Whether a request is for content that only the publisher's signature lets travel (rule R7). */
export function needsSignature({
  url,
  destination,
}: Pick<RequestFacts, "url" | "destination">): boolean {
  return ACTIVE_DESTINATIONS.has(destination) || ACTIVE_PATH.test(pathOf(url));
}

/** Whether a response is such content, by its URL or by its type. */
export function isActive(url: string, headers: readonly Header[]): boolean {
  return ACTIVE_PATH.test(pathOf(url)) || hasActiveType(headers);
}

/**
 * Whether the worker may answer this request; decided without waiting (rule R13).
 *
 * @param signed Whether the publisher signs what is below this URL: active content may be asked for then, and
 * is refused later unless it is signed indeed.
 */
export function mayAccelerate(request: RequestFacts, signed = false): boolean {
  const path = pathOf(request.url);
  return (
    request.method === "GET" &&
    /^https?:/.test(request.url) &&
    (PASSIVE_DESTINATIONS.has(request.destination) ||
      ACTIVE_DESTINATIONS.has(request.destination)) &&
    (signed || !needsSignature(request)) &&
    !ORIGIN_CACHE_MODES.has(request.cache) &&
    !request.authorization &&
    !request.conditional &&
    !request.unusualRange &&
    !isAlwaysFromOrigin(path) &&
    !isManifestPath(path) &&
    mayCrossOrigins(request)
  );
}

/**
 * Whether the worker may look at the answer on its way, to learn from a playlist what comes next. The
 * request goes to the origin as it is.
 */
export function mayWatch({ method, url, mode, destination }: RequestFacts): boolean {
  return (
    method === "GET" &&
    /^https?:/.test(url) &&
    destination === "" &&
    (mode === "cors" || mode === "same-origin") &&
    /\.(m3u8|m3u|mpd)$/i.test(pathOf(url))
  );
}

/** Cross-origin bytes only where CORS already makes them readable and no credentials are sent. */
function mayCrossOrigins({ sameOrigin, mode, credentials }: RequestFacts): boolean {
  if (sameOrigin) return mode === "cors" || mode === "same-origin" || mode === "no-cors";
  return mode === "cors" && credentials !== "include";
}

/** What the origin answered to an anonymous request. */
export interface ResponseFacts {
  readonly status: number;
  readonly headers: readonly Header[];
  /** Unix time at which it is judged: what its `Date` says of its age counts too. */
  readonly nowMs?: number | undefined;
  /** Origin of the site whose viewers want to share; cross-origin responses must allow it by CORS. */
  readonly siteOrigin?: string | undefined;
  readonly crossOrigin?: boolean | undefined;
}

export type SharingDecision =
  | { readonly shared: true; readonly freshMs: number }
  | { readonly shared: false; readonly reason: string };

/** Content that acts when opened, whatever its URL looks like (threat A7, C8). */
const ACTIVE_TYPE =
  /^text\/(html|css|xml|xsl|json|jscript|livescript|(x-)?(java|ecma)script)|^application\/(xml|xhtml|json|wasm|pdf|(x-)?(java|ecma)script)|^image\/svg|\+(xml|json)$|mpegurl|dash\+xml/i;

/** Headers of an answer that was meant for one client. */
const PERSONAL = ["Set-Cookie", "WWW-Authenticate"];

function hasActiveType(headers: readonly Header[]): boolean {
  return headers
    .filter(([name]) => name === "content-type")
    .flatMap(([, value]) => value.split(","))
    .some((type) => ACTIVE_TYPE.test(type.split(";")[0]?.trim() ?? ""));
}

const SHARED_VARY: ReadonlySet<string> = new Set(["origin", "accept-encoding"]);

/**
 * Whether a response may be shared, and for how long it is fresh.
 *
 * @param defaultFreshMs Freshness when the response states none; `undefined` means: then not shared.
 * Source: RFC 9111 sections 3, 3.5, 4.1, 4.2; RFC 9110 section 8.8. Stricter than the RFC on purpose:
 * `Set-Cookie`, `Vary` beyond Origin and Accept-Encoding, no heuristic freshness.
 */
export function decideSharing(
  { status, headers, nowMs, siteOrigin, crossOrigin }: ResponseFacts,
  defaultFreshMs?: number,
): SharingDecision {
  const value = (name: string) =>
    headers
      .filter(([header]) => header === name)
      .map(([, text]) => text)
      .join(", ");
  const has = (name: string) => headers.some(([header]) => header === name);
  const cache = parseCacheControl(value("cache-control"));
  const no = (reason: string): SharingDecision => ({ shared: false, reason });

  if (status !== 200 && status !== 206) return no(`status ${status}`);
  if (cache === undefined) return no("Cache-Control: malformed");
  for (const directive of ["no-store", "private", "no-cache", "must-understand"]) {
    if (cache.has(directive)) return no(`Cache-Control: ${directive}`);
  }
  // A part that calls itself the whole: nobody can say what it is.
  if (status === 200 && has("content-range")) return no("Content-Range without 206");
  const personal = PERSONAL.find((name) => has(name.toLowerCase()));
  if (personal !== undefined) return no(personal);
  const vary = listOf(value("vary")).find((name) => !SHARED_VARY.has(name));
  if (vary !== undefined) return no(`Vary: ${vary}`);
  if (!["", "identity"].includes(value("content-encoding").toLowerCase())) {
    return no(`Content-Encoding: ${value("content-encoding")}`);
  }
  if (hasActiveType(headers)) return no(`Content-Type: ${value("content-type")}`);
  if (crossOrigin === true && !allowsOrigin(value("access-control-allow-origin"), siteOrigin)) {
    return no("Access-Control-Allow-Origin");
  }
  const ageMs = ageOf(value("age"), value("date"), nowMs);
  const freshMs = freshnessMs(cache, value("expires"), value("date"), ageMs);
  if (freshMs === undefined && defaultFreshMs === undefined) return no("no explicit freshness");
  const lifetimeMs = freshMs ?? defaultFreshMs ?? 0;
  return lifetimeMs > 0 ? { shared: true, freshMs: lifetimeMs } : no("stale");
}

/**
 * Explicit freshness that is left; `undefined` if the response states none. Where `s-maxage` and `max-age`
 * disagree the smaller counts: a CDN that was given the larger one can be purged, viewers cannot.
 */
function freshnessMs(
  cache: ReadonlyMap<string, string>,
  expires: string,
  date: string,
  ageMs: number,
): number | undefined {
  const ages = ["s-maxage", "max-age"].flatMap((name) => cache.get(name) ?? []);
  if (ages.length > 0) {
    const readable = ages.every((seconds) => /^\d{1,10}$/.test(seconds));
    return readable ? Math.min(...ages.map(Number)) * 1_000 - ageMs : 0;
  }
  if (expires === "") return undefined;
  const lifetimeMs = parseHttpDate(expires) - parseHttpDate(date);
  return Number.isFinite(lifetimeMs) ? lifetimeMs - ageMs : 0;
}

/** Age by `Age` or by `Date`, whichever is more (RFC 9111 section 4.2.3); infinite if it cannot be read. */
function ageOf(age: string, date: string, nowMs: number | undefined): number {
  const stated = age === "" ? 0 : /^\d{1,10}$/.test(age) ? Number(age) * 1_000 : Infinity;
  const dateMs = parseHttpDate(date);
  if (nowMs === undefined || Number.isNaN(dateMs)) return stated;
  // A date has no fractions of a second, so an answer of this moment may look almost a second old.
  return Math.max(stated, Math.floor((nowMs - dateMs) / 1_000) * 1_000);
}

/** IMF-fixdate only (RFC 9110 section 5.6.7); the obsolete forms count as expired, not as fresh. */
function parseHttpDate(text: string): number {
  const fixdate = /^\w{3}, \d{2} \w{3} \d{4} \d{2}:\d{2}:\d{2} GMT$/.test(text.trim());
  return fixdate ? Date.parse(text) : Number.NaN;
}

/**
 * Directives by lower-case name, quotes removed. Duplicates that disagree leave a directive without a value,
 * so that no freshness is read from them (RFC 9111 section 4.2.1: the first one, or stale).
 *
 * @returns `undefined` if a quote is left open: what it hides cannot be known.
 */
export function parseCacheControl(text: string): ReadonlyMap<string, string> | undefined {
  if ((text.replace(/\\./g, "").match(/"/g)?.length ?? 0) % 2 === 1) return undefined;
  const directives = new Map<string, string>();
  for (const [, name = "", quoted, plain] of text.matchAll(
    /([!#$%&'*+.^_`|~\w-]+)(?:=(?:"((?:[^"\\]|\\.)*)"|([^\s,]*)))?/g,
  )) {
    const key = name.toLowerCase();
    const value = quoted ?? plain ?? "";
    directives.set(key, directives.has(key) && directives.get(key) !== value ? "" : value);
  }
  return directives;
}

function allowsOrigin(allowed: string, siteOrigin: string | undefined): boolean {
  return allowed === "*" || (siteOrigin !== undefined && allowed === siteOrigin);
}

function listOf(text: string): string[] {
  return text
    .split(",")
    .map((name) => name.trim().toLowerCase())
    .filter((name) => name !== "");
}

function pathOf(url: string): string {
  return url.replace(/[?#].*$/s, "");
}
