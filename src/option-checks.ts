/**
 * Checks and converts the value of one option each. All of them throw `config/invalid` naming option, value and rule.
 * @module
 */
import { NearcastError } from "./core/errors.js";
import type { JoinToken } from "./mesh/signaling/join-token.js";
import { OPTIONS } from "./option-table.js";
import type { IceServer } from "./protocol/signal-messages.js";

const TEXT_MAX_LENGTH = 1_000;

/** An absolute URL of a server that speaks HTTP and WebSocket. */
export function resolveServer(text: string): URL {
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    throw invalid("server", "be an absolute URL", text);
  }
  if (["ws:", "wss:", "http:", "https:"].includes(url.protocol)) return url;
  throw invalid("server", "start with wss: or https:", text);
}

/** @returns The absolute URL of a path of the site. */
export function resolvePath(
  name: "worker" | "scope" | "tokenUrl",
  text: unknown,
  pageUrl: string,
): string {
  const url = typeof text === "string" && URL.canParse(text, pageUrl) && new URL(text, pageUrl);
  if (url && url.origin === new URL(pageUrl).origin) return url.href;
  throw invalid(name, "be on the site's own origin", text);
}

/** One of the choices that the table names. */
export function resolveChoice(
  name: "consent" | "upload" | "privacy",
  value: unknown = OPTIONS[name].default,
): string {
  const { choices = [] } = OPTIONS[name];
  if (typeof value === "string" && choices.includes(value)) return value;
  throw invalid(name, `be ${choices.map((choice) => `"${choice}"`).join(" or ")}`, value);
}

/** A text that says something. */
export function resolveText(name: string, value: unknown): string {
  const valid = typeof value === "string" && value.trim() !== "" && value.length <= TEXT_MAX_LENGTH;
  if (valid) return value;
  throw invalid(name, `be a text of 1 to ${TEXT_MAX_LENGTH} characters`, value);
}

/** @returns The absolute URL of a page, anywhere. */
export function resolveLink(value: unknown, pageUrl: string): string {
  const url = typeof value === "string" && URL.canParse(value, pageUrl) && new URL(value, pageUrl);
  if (url && /^https?:$/.test(url.protocol)) return url.href;
  throw invalid("consentLink", "be the URL of a page", value);
}

/** One STUN or TURN server without credentials: those come from the server alone. */
export function resolveIce(urls: string): IceServer {
  if (/^(stuns?|turns?):/.test(urls)) return { urls };
  throw invalid("ice", "be stun: or turn: URLs", urls);
}

/** The name of a query parameter. */
export function resolveName(name: string): string {
  if (/^[\w.~-]{1,64}$/.test(name)) return name;
  throw invalid("stripParams", "be names of query parameters", name);
}

/** `true` or `false`, and no word for them. */
export function resolveBoolean(
  name: "lan" | "consentPrompt",
  value: unknown = OPTIONS[name].default,
): boolean {
  if (typeof value === "boolean") return value;
  throw invalid(name, "be true or false", value);
}

/** A raw Ed25519 public key in base64url, if any. */
export function resolveKey(
  name: "attestationKey" | "manifestKey",
  value: string | undefined,
): string | undefined {
  if (value === undefined || /^[A-Za-z0-9_-]{43}$/.test(value)) return value;
  throw invalid(name, "be 43 characters of base64url", value);
}

/** A join token, or what gets one, if any. */
export function resolveToken(value: unknown): JoinToken | undefined {
  if (value === undefined || typeof value === "function") return value as JoinToken | undefined;
  if (typeof value === "string" && value.startsWith("nc1.")) return value;
  throw invalid("joinToken", "be a join token or a function that gets one", value);
}

type NumberName =
  | "cacheMaxBytes"
  | "linksMax"
  | "uploadMaxRate"
  | "uploadMaxParallel"
  | "uploadDailyMaxBytes"
  | "controlTimeoutMs";

/** An integer within the bounds of the table. */
export function resolveNumber(name: NumberName, given: unknown): number {
  const { default: fallback, min = 0, max = Number.MAX_SAFE_INTEGER } = OPTIONS[name];
  const value = given ?? fallback;
  if (Number.isInteger(value) && (value as number) >= min && (value as number) <= max) {
    return value as number;
  }
  throw invalid(name, `be an integer from ${min} to ${max}`, value);
}

/** A list of strings, or one string with spaces between them. */
export function listOf(value: unknown, name: string): string[] {
  if (typeof value === "string") return value.split(/\s+/).filter((entry) => entry !== "");
  if (Array.isArray(value) && value.every((entry) => typeof entry === "string")) return value;
  throw invalid(name, "be a string or a list of strings", value);
}

/** The error of every check. */
export function invalid(name: string, rule: string, value: unknown): NearcastError {
  const shown = typeof value === "string" ? `"${value}"` : String(value);
  return new NearcastError(
    "config/invalid",
    `Cannot start nearcast as \`${name}\` must ${rule}: current value is ${shown}`,
  );
}
