/**
 * The patterns of `data-include`: absolute URLs, or paths of the site, with `*` for anything within one
 * path segment and `**` for anything. The query is matched only if the pattern has one. This module is pure.
 * @module
 */
import { NearcastError } from "./errors.js";

/** Tells whether an absolute URL matches. */
export type UrlMatcher = (url: string) => boolean;

/** What {@link absolutePattern} demands, for error messages. */
export const PATTERN_RULE = "a path or an http(s) URL with a path";

/** Whether a pattern is a path of the site or an http(s) URL with a path. */
export function isUrlPattern(pattern: string): boolean {
  return split(pattern) !== undefined;
}

/**
 * Makes a pattern absolute, and writes it as URLs are written: `/médias/**` becomes
 * `https://site.example/m%C3%A9dias/**`, and `HTTPS://CDN.example:443/**` loses its port.
 *
 * @throws {NearcastError} `config/invalid` if it is neither a path nor an http(s) URL.
 */
export function absolutePattern(pattern: string, siteOrigin: string): string {
  const { origin = siteOrigin, path } = split(pattern) ?? {};
  if (path !== undefined) {
    return origin + path.replace(/[^\x21-\x7e]+/g, (text) => encodeURIComponent(text));
  }
  throw new NearcastError(
    "config/invalid",
    `Cannot use URL pattern as it must be ${PATTERN_RULE}: current value is "${pattern}"`,
  );
}

function split(pattern: string): { readonly origin?: string; readonly path: string } | undefined {
  // Half of a character cannot be written in a URL.
  if (/\p{Surrogate}/u.test(pattern)) return undefined;
  if (/^\/(?!\/)/.test(pattern)) return { path: pattern };
  const [, host = "", path = ""] = /^(https?:\/\/[^/*]+)(\/.*)$/is.exec(pattern) ?? [];
  return URL.canParse(host) ? { origin: new URL(host).origin, path } : undefined;
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
