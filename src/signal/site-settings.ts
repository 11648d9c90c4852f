/**
 * What differs from site to site and may change while the server runs: who may join, and what the
 * operator tells the pages (kill switch, ramp, rules). Checked as a whole before any of it counts.
 * @module
 */
import { createPublicKey, type KeyObject } from "node:crypto";
import { NearcastError } from "../core/errors.js";
import type { UrlMatcher } from "../core/url-pattern.js";
import { isSealPatterns, sealMatcher } from "../protocol/seal.js";
import { isRemoteConfig } from "../protocol/signal-decoder.js";
import type { RemoteConfig } from "../protocol/signal-messages.js";
import { JOIN_SECRET_MIN_LENGTH } from "./admission/join-token.js";
import { invalid, optionalText, parseHttpUrl } from "./option-checks.js";

/** Settings of one site, or of all. */
export interface SiteSettings extends Partial<RemoteConfig> {
  /** Secret that the site's backend mints join tokens with, at least 32 characters. */
  readonly joinSecret?: string;
  /** Ed25519 public key that they are checked with instead: raw, base64url, or PEM. */
  readonly joinKey?: string;
  /** Whether nobody joins without a token. @default false */
  readonly requireToken?: boolean;
}

/** The same, complete and checked. */
export interface SiteConfig {
  readonly joinSecret: string | undefined;
  readonly joinKey: KeyObject | undefined;
  readonly requireToken: boolean;
  /** What tokens of this site may open. */
  readonly opens: UrlMatcher;
  readonly remote: RemoteConfig;
}

/** Settings of all sites of one server. */
export interface SiteBook {
  of(siteOrigin: string | undefined): SiteConfig;
  /** What any of the sites sealed is sealed for all of them. */
  readonly isSealed: UrlMatcher;
}

const REMOTE_DEFAULTS: RemoteConfig = {
  enabled: true,
  rampPercent: 100,
  minVersion: "",
  include: [],
  exclude: [],
  sealed: [],
  uploadMaxRate: 0,
  uploadMaxParallel: 0,
};

/** What each field must be, for the error that names it. */
const REMOTE_RULES: Readonly<Record<keyof RemoteConfig, string>> = {
  enabled: "must be true or false",
  rampPercent: "must be an integer from 0 to 100",
  minVersion: 'must be a version such as "1.2.0", or ""',
  include: "must be at most 64 URL patterns: paths or http(s) URLs",
  exclude: "must be at most 64 URL patterns: paths or http(s) URLs",
  sealed: "must be at most 64 URL patterns without a query: paths or http(s) URLs",
  uploadMaxRate: "must be a whole number of bytes per second, 0 for no cap",
  uploadMaxParallel: "must be an integer from 0 to 16, 0 for no cap",
};

/** Names of all settings. */
export const SITE_OPTIONS: ReadonlySet<string> = new Set([
  ...Object.keys(REMOTE_DEFAULTS),
  "joinSecret",
  "joinKey",
  "requireToken",
]);

/** Settings of all sites, and what single ones have otherwise. */
export interface SettingsOfSites extends SiteSettings {
  readonly siteSettings?: Readonly<Record<string, SiteSettings>>;
}

/** @throws {NearcastError} `config/invalid`, naming option, rule and value. */
export function resolveSiteBook(options: SettingsOfSites): SiteBook {
  const common = resolveSettings(options, "");
  const bySite = new Map<string, SiteConfig>();
  const { siteSettings = {} } = options;
  if (typeof siteSettings !== "object" || siteSettings === null || Array.isArray(siteSettings)) {
    throw invalid("siteSettings", "must be an object with origins as names", siteSettings);
  }
  for (const [origin, own] of Object.entries(siteSettings)) {
    if (parseHttpUrl(origin)?.origin !== origin) {
      throw invalid("siteSettings", "must have origins such as https://example.com", origin);
    }
    for (const name of Object.keys(own)) {
      if (!SITE_OPTIONS.has(name)) {
        const message = `Cannot start server: unknown option "${name}" of site "${origin}"`;
        throw new NearcastError("config/invalid", message);
      }
    }
    bySite.set(origin, resolveSettings({ ...options, ...own }, `siteSettings["${origin}"].`));
  }
  const sealed = sealedBy([common, ...bySite.values()]);
  const telling = (site: SiteConfig) => ({ ...site, remote: { ...site.remote, sealed } });
  const told = new Map([...bySite].map(([origin, site]) => [origin, telling(site)]));
  const others = telling(common);
  return {
    of: (siteOrigin) => told.get(siteOrigin ?? "") ?? others,
    isSealed: sealMatcher(sealed),
  };
}

/** What all sites together seal: each page is told of all of it, or some would share openly what is another's. */
function sealedBy(sites: readonly SiteConfig[]): readonly string[] {
  const sealed = [...new Set(sites.flatMap(({ remote }) => remote.sealed))];
  if (!isSealPatterns(sealed)) throw invalid("sealed", REMOTE_RULES.sealed, sealed);
  const opened = sites.some(
    ({ remote, joinSecret, joinKey }) => remote.sealed.length > 0 && (joinSecret ?? joinKey),
  );
  if (sealed.length > 0 && !opened) {
    throw invalid("sealed", "needs `joinSecret` or `joinKey`: join tokens say who may", sealed);
  }
  return sealed;
}

function resolveSettings(settings: SiteSettings, path: string): SiteConfig {
  const { requireToken = false } = settings;
  if (typeof requireToken !== "boolean") {
    throw invalid(`${path}requireToken`, "must be true or false", requireToken);
  }
  const joinSecret = optionalText(`${path}joinSecret`, settings.joinSecret);
  if (joinSecret !== undefined && joinSecret.length < JOIN_SECRET_MIN_LENGTH) {
    const rule = `must have at least ${JOIN_SECRET_MIN_LENGTH} characters`;
    throw invalid(`${path}joinSecret`, rule, `(${joinSecret.length} characters)`);
  }
  const joinKey = resolveKey(`${path}joinKey`, settings.joinKey);
  if (requireToken && joinSecret === undefined && joinKey === undefined) {
    throw invalid(`${path}requireToken`, "needs `joinSecret` or `joinKey`", requireToken);
  }
  const remote = resolveRemote(settings, path);
  return { joinSecret, joinKey, requireToken, opens: sealMatcher(remote.sealed), remote };
}

function resolveRemote(settings: SiteSettings, path: string): RemoteConfig {
  const names = Object.keys(REMOTE_DEFAULTS) as (keyof RemoteConfig)[];
  const given = names.filter((name) => settings[name] !== undefined);
  for (const name of given) {
    if (!isRemoteConfig({ ...REMOTE_DEFAULTS, [name]: settings[name] })) {
      throw invalid(path + name, REMOTE_RULES[name], settings[name]);
    }
  }
  return { ...REMOTE_DEFAULTS, ...Object.fromEntries(given.map((name) => [name, settings[name]])) };
}

function resolveKey(option: string, given: unknown): KeyObject | undefined {
  const text = optionalText(option, given);
  if (text === undefined) return undefined;
  try {
    const key = /^[A-Za-z0-9_-]{43}$/.test(text)
      ? createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x: text }, format: "jwk" })
      : createPublicKey(text);
    if (key.asymmetricKeyType === "ed25519") return key;
  } catch {
    // told below
  }
  throw invalid(option, "must be an Ed25519 public key, 43 characters of base64url or PEM", text);
}
