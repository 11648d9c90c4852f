/**
 * The option `redis`, checked. This module is pure.
 * @module
 */
import { NearcastError } from "../../core/errors.js";
import { optionalText } from "../option-checks.js";

const URLS_MAX = 16;

const PROTOCOLS: Readonly<Record<string, string>> = {
  "redis:": "redis:",
  "rediss:": "rediss:",
  "valkey:": "redis:",
  "valkeys:": "rediss:",
};

/**
 * One URL, or several of one cluster with commas between them.
 *
 * @returns URLs as the client library reads them; none without the option.
 * @throws {NearcastError} `config/invalid`; never with a password in it.
 */
export function resolveRedisUrls(given: unknown): readonly string[] {
  const text = optionalText("redis", given);
  if (text === undefined) return [];
  const urls = text.split(",").map((part) => part.trim());
  if (urls.length > URLS_MAX) throw refused(`must name at most ${URLS_MAX} servers`, "more");
  return urls.map((url) => {
    const parsed = URL.canParse(url) ? new URL(url) : undefined;
    const protocol = PROTOCOLS[parsed?.protocol ?? ""];
    if (!parsed || protocol === undefined || parsed.hostname === "" || parsed.hash !== "") {
      const rule = "must be redis:, rediss:, valkey: or valkeys: URLs such as redis://host:6379";
      throw refused(rule, url.replace(/\/\/.*@/s, "//…@"));
    }
    return url.replace(/^\w+:/, protocol);
  });
}

function refused(rule: string, value: string): NearcastError {
  const shown = JSON.stringify(value.slice(0, 200));
  return new NearcastError(
    "config/invalid",
    `Cannot start server as \`redis\` ${rule}: current value is ${shown}`,
  );
}
