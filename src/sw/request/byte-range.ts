/**
 * The Range header, as far as the worker answers it: one range with a start. Everything else (suffixes,
 * several ranges, other units) is left to the origin. This module is pure.
 *
 * Source: RFC 9110 sections 14.1, 14.2 and 15.3.7.
 * @module
 */
import type { AskedRange, ByteRange } from "../../protocol/asset.js";

/** @returns The range, or `undefined` if the header is not one we answer. */
export function parseRange(header: string): AskedRange | undefined {
  const match = /^bytes=(\d{1,15})-(\d{1,15})?$/.exec(header.trim());
  if (!match) return undefined;
  const start = Number(match[1]);
  if (match[2] === undefined) return { start };
  const last = Number(match[2]);
  return last >= start ? { start, end: last + 1 } : undefined;
}

/** A parsed `Content-Range`; `length` is `undefined` for `*`. */
export interface ContentRange extends ByteRange {
  readonly length: number | undefined;
}

export function parseContentRange(header: string | null): ContentRange | undefined {
  const match = /^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15}|\*)$/.exec(header?.trim() ?? "");
  if (!match) return undefined;
  const length = match[3] === "*" ? undefined : Number(match[3]);
  return { start: Number(match[1]), end: Number(match[2]) + 1, length };
}

export function formatContentRange({ start, end }: ByteRange, length: number): string {
  return `bytes ${start}-${end - 1}/${length}`;
}
