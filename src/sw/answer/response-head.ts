/**
 * Status and headers of a response that the worker makes itself: from the attestation, never from a peer,
 * and for another origin only what CORS would have shown. This module is pure.
 * @module
 */
import type { ByteRange } from "../../protocol/asset.js";
import type { Header } from "../../protocol/attestation.js";
import { formatContentRange } from "../request/byte-range.js";

/** Response headers that any page may read of another origin (Fetch, CORS-safelisted response-header name). */
const SAFELISTED: ReadonlySet<string> = new Set([
  "cache-control",
  "content-language",
  "content-length",
  "content-type",
  "expires",
  "last-modified",
  "pragma",
]);

export interface ResponseHead {
  readonly status: 200 | 206;
  readonly statusText: string;
  readonly headers: [string, string][];
}

/**
 * @param covered The bytes of the asset that the body carries.
 * @param ranged Whether the request had a Range header.
 * @param crossOrigin Whether the CORS filter applies.
 */
export function responseHead(
  asset: { readonly length: number; readonly headers: readonly Header[] },
  { covered, ranged, crossOrigin }: { covered: ByteRange; ranged: boolean; crossOrigin: boolean },
): ResponseHead {
  const all: [string, string][] = [
    ...asset.headers.map(([name, value]): [string, string] => [name, value]),
    ["content-length", String(covered.end - covered.start)],
  ];
  if (ranged) all.push(["content-range", formatContentRange(covered, asset.length)]);
  const headers = crossOrigin ? visibleHeaders(all) : all;
  return ranged
    ? { status: 206, statusText: "Partial Content", headers }
    : { status: 200, statusText: "OK", headers };
}

/** The CORS filter (rule R36). */
function visibleHeaders(headers: readonly [string, string][]): [string, string][] {
  const exposed = headers
    .filter(([name]) => name === "access-control-expose-headers")
    .flatMap(([, value]) => value.split(",").map((name) => name.trim().toLowerCase()));
  return headers.filter(
    ([name]) => SAFELISTED.has(name) || exposed.includes(name) || exposed.includes("*"),
  );
}

/** Whether CORS lets a page of `siteOrigin` read the asset without credentials. */
export function corsAllows(headers: readonly Header[], siteOrigin: string): boolean {
  const allowed = headers.find(([name]) => name === "access-control-allow-origin")?.[1];
  return allowed === "*" || allowed === siteOrigin;
}
