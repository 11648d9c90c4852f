/**
 * A request as the sharing policy sees it. This module is pure.
 * @module
 */
import type { RequestFacts } from "../../engine/rules/sharing-policy.js";
import { parseRange } from "./byte-range.js";

/** Request headers by which a page speaks with caches; the browser answers them as it always did. */
const TALKS_TO_CACHES = [
  "cache-control",
  "if-match",
  "if-none-match",
  "if-modified-since",
  "if-unmodified-since",
  "if-range",
  "pragma",
];

/** Whether the request's range is the origin's business: a suffix, several, or a part of a body that has a digest. */
export function hasUnusualRange({ headers, integrity }: Request): boolean {
  const header = headers.get("range");
  return header !== null && (integrity !== "" || !parseRange(header));
}

/** What the sharing policy wants to know. */
export function factsOf(request: Request, sameOrigin: boolean): RequestFacts {
  const { method, url, destination, mode, credentials, cache, headers } = request;
  return {
    method,
    url,
    destination,
    mode,
    credentials,
    cache,
    sameOrigin,
    authorization: headers.has("authorization"),
    conditional: TALKS_TO_CACHES.some((name) => headers.has(name)),
    unusualRange: hasUnusualRange(request),
  };
}
