/**
 * The patterns of `data-include`: absolute URLs, or paths of the site, with `*` for anything within one
 * path segment and `**` for anything. The query is matched only if the pattern has one. This module is pure.
 * @module
 */
import { NearcastError } from "./errors.js";

/** Tells whether an absolute URL matches. */
export type UrlMatcher = (url: string) => boolean;

/**
 * Makes a pattern absolute: `/media/**` becomes `https://site.example/media/**`.
 *
 * @throws {NearcastError} `config/invalid` if it is neither a path nor an http(s) URL.
 */
export function absolutePattern(pattern: string, siteOrigin: string): string {
  if (pattern.startsWith("/") && !pattern.startsWith("//")) return siteOrigin + pattern;
  if (/^https?:\/\/[^/*]+\//.test(pattern)) return pattern;
  throw new NearcastError(
    "config/invalid",
    `Cannot use URL pattern as it must be a path or an http(s) URL with a path: current value is "${pattern}"`,
  );
}

/** Compiles absolute patterns; an empty list matches nothing. */
export function urlMatcher(patterns: readonly string[]): UrlMatcher {
  const compiled = patterns.map((pattern) => ({
    expression: compile(pattern),
    withQuery: pattern.includes("?"),
  }));
  return (url) => {
    const whole = url.replace(/#.*$/s, "");
    const bare = whole.replace(/\?.*$/s, "");
    return compiled.some(({ expression, withQuery }) => expression.test(withQuery ? whole : bare));
  };
}

function compile(pattern: string): RegExp {
  const source = pattern
    .split(/(\*+)/)
    .map((part) => {
      if (part === "*") return "[^/]*";
      return /^\*+$/.test(part) ? ".*" : part.replace(/[.+?^${}()|[\]\\]/g, "\\$&");
    })
    .join("");
  return new RegExp(`^${source}$`, "s");
}
