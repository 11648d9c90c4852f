/**
 * What the operator may set, one table of defaults and bounds, one function that checks it all at once.
 * @module
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import { NearcastError } from "../core/errors.js";
import { isOptional, isShape, isString } from "../protocol/guards.js";
import type { IceServer } from "../protocol/signal-messages.js";
import { invalid, listOf, optionalText, parseHttpUrl } from "./option-checks.js";
import { resolveRedisUrls } from "./redis/redis-urls.js";
import {
  resolveSiteBook,
  SITE_OPTIONS,
  type SiteBook,
  type SiteSettings,
} from "./site-settings.js";

/**
 * Options of the server. Times are in milliseconds; the name says so. Those of {@link SiteSettings} hold
 * for every site that `siteSettings` does not give its own.
 */
export interface ServerOptions extends SiteSettings {
  /** Address to listen on. @default "127.0.0.1" */
  readonly host?: string;
  /** TCP port, 0 for any free one. @default 9000 */
  readonly port?: number;
  /** Origins of the pages that may connect, e.g. `https://example.com`; `"*"` for development only. */
  readonly sites: readonly string[];
  /** Origins, with an optional path prefix, whose assets are attested. @default [] */
  readonly origins?: readonly string[];
  /** Folder that the first of `origins` serves at its path; with it assets are attested from disk. */
  readonly root?: string;
  /** How long an asset below `root` may be shared if its origin states nothing. @default 3600000 */
  readonly freshMs?: number;
  /** Ed25519 private key (PEM), created if missing. Without it ids and attestations end with the process. */
  readonly keyFile?: string;
  /** Redis or Valkey that ties several nodes together: a URL, or several of one cluster with commas. */
  readonly redis?: string;
  /** STUN and TURN servers that viewers are told to use. @default [] */
  readonly iceServers?: readonly (string | IceServer)[];
  /** TURN servers that share `turnSecret`: `turn:` or `turns:` URLs. @default [] */
  readonly turnUrls?: readonly string[];
  /** coturn's `static-auth-secret`: viewers get credentials made with it. @default none: no TURN */
  readonly turnSecret?: string;
  /** Time that such credentials are good for, in seconds. @default 600 */
  readonly turnTtlSeconds?: number;
  /** Whether the names of `origins` may stand for private addresses; written as addresses they may. @default false */
  readonly privateOrigins?: boolean;
  /** `false` drops ICE candidates with private addresses here already. @default true */
  readonly lan?: boolean;
  /** What single sites have otherwise, by origin. @default {} */
  readonly siteSettings?: Readonly<Record<string, SiteSettings>>;
  /** `false`: only viewers that the index introduced may call each other, not even two that never joined it. @default true */
  readonly stockClients?: boolean;
  /** Takes the viewer's address from the last entry of X-Forwarded-For. @default false */
  readonly trustProxy?: boolean;
  /** Messages that one socket may send in the long run, and at once. @default 30 and 60 */
  readonly messagesPerSecond?: number;
  readonly messagesBurst?: number;
  /** Sockets of one public address (of one /64 with IPv6). @default 64 */
  readonly socketsPerAddressMax?: number;
  /** TCP connections of one address, half-open ones included; not behind a proxy. @default 2048 */
  readonly connectionsPerAddressMax?: number;
  /** @default 50000 */
  readonly viewersMax?: number;
  /** Sockets of one site. @default 50000 */
  readonly viewersPerSiteMax?: number;
  /** Sockets that one address, and one site, may open in a minute. @default 240 and 60000 */
  readonly joinsPerMinutePerAddress?: number;
  readonly joinsPerMinutePerSite?: number;
  /** Attestations that the viewers of one address, and of one site, may ask for in a minute. @default 6000 and 600000 */
  readonly wantsPerMinutePerAddress?: number;
  readonly wantsPerMinutePerSite?: number;
  /** Bytes that are read in a minute to attest them for one site. @default 8589934592 */
  readonly attestedBytesPerMinutePerSite?: number;
  /** Time a viewer has to show its join token, where one is required. @default 10000 */
  readonly tokenTimeoutMs?: number;
  /** Time a join token is good for once it was taken; the viewer then comes back with a new one. @default 3600000 */
  readonly admittedMs?: number;
  /** Attested windows kept in memory, about 5 kB each. @default 20000 */
  readonly attestedWindowsMax?: number;
  /** Windows that are read and hashed at the same time. @default 8 */
  readonly attestConcurrentMax?: number;
  /** Time an origin may take for one window. @default 10000 */
  readonly attestTimeoutMs?: number;
  /** Time between WebSocket pings; a socket that misses two is dead. @default 25000 */
  readonly pingIntervalMs?: number;
  /** Answers every HTTP request that is not for one of the server's own paths; 404 without it. */
  readonly onRequest?: (request: IncomingMessage, response: ServerResponse) => unknown;
  /** Takes every upgrade that is not for the server's own path; 404 without it. */
  readonly onUpgrade?: (request: IncomingMessage, socket: Duplex, head: Buffer) => unknown;
  /** Receives one line per noteworthy event; never an address or a query string. */
  readonly log?: (line: string) => void;
}

/** One allow-listed origin; `prefix` starts and ends with a slash. */
export interface AllowedOrigin {
  readonly origin: string;
  readonly prefix: string;
  /** What the server adds to each URL it asks for: the operator's own token. Without question mark, or empty. */
  readonly query: string;
}

type NumberName = keyof typeof NUMBERS;
type FlagName = keyof typeof FLAGS;

/** Complete, checked and frozen: what the rest of the server sees. */
export type ServerConfig = Readonly<Record<NumberName, number>> &
  Readonly<Record<FlagName, boolean>> &
  Readonly<{
    host: string;
    sites: readonly string[];
    siteBook: SiteBook;
    origins: readonly AllowedOrigin[];
    root: string | undefined;
    keyFile: string | undefined;
    redisUrls: readonly string[];
    iceServers: readonly IceServer[];
    turnUrls: readonly string[];
    turnSecret: string | undefined;
    onRequest: NonNullable<ServerOptions["onRequest"]> | undefined;
    onUpgrade: NonNullable<ServerOptions["onUpgrade"]> | undefined;
    log: (line: string) => void;
  }>;

/** The one table of defaults and bounds. */
export const NUMBERS = {
  port: { default: 9_000, min: 0, max: 65_535 },
  freshMs: { default: 3_600_000, min: 1_000, max: 31_536_000_000 },
  messagesPerSecond: { default: 30, min: 1, max: 1_000_000 },
  messagesBurst: { default: 60, min: 1, max: 1_000_000 },
  socketsPerAddressMax: { default: 64, min: 1, max: 1_000_000 },
  connectionsPerAddressMax: { default: 2_048, min: 1, max: 1_000_000 },
  viewersMax: { default: 50_000, min: 1, max: 1_000_000 },
  viewersPerSiteMax: { default: 50_000, min: 1, max: 1_000_000 },
  joinsPerMinutePerAddress: { default: 240, min: 1, max: 1_000_000 },
  joinsPerMinutePerSite: { default: 60_000, min: 1, max: 10_000_000 },
  wantsPerMinutePerAddress: { default: 6_000, min: 1, max: 10_000_000 },
  wantsPerMinutePerSite: { default: 600_000, min: 1, max: 100_000_000 },
  attestedBytesPerMinutePerSite: { default: 8 * 2 ** 30, min: 1, max: 2 ** 50 },
  tokenTimeoutMs: { default: 10_000, min: 50, max: 60_000 },
  admittedMs: { default: 3_600_000, min: 1_000, max: 86_400_000 },
  attestedWindowsMax: { default: 20_000, min: 1, max: 1_000_000 },
  attestConcurrentMax: { default: 8, min: 1, max: 64 },
  attestTimeoutMs: { default: 10_000, min: 100, max: 60_000 },
  turnTtlSeconds: { default: 600, min: 60, max: 86_400 },
  pingIntervalMs: { default: 25_000, min: 50, max: 600_000 },
} as const;

export const FLAGS = {
  lan: true,
  trustProxy: false,
  stockClients: true,
  privateOrigins: false,
} as const;

/** Names of the options that are neither numbers nor flags. */
const OTHERS: ReadonlySet<string> = new Set([
  "host",
  "sites",
  "origins",
  "root",
  "keyFile",
  "redis",
  "iceServers",
  "turnUrls",
  "turnSecret",
  "siteSettings",
  "onRequest",
  "onUpgrade",
  "log",
]);

/**
 * Applies defaults and checks everything before anything starts.
 *
 * @throws {NearcastError} `config/invalid`, naming option, rule and value.
 */
export function resolveServerOptions(options: ServerOptions): ServerConfig {
  for (const name of Object.keys(options)) {
    if (
      !Object.hasOwn(NUMBERS, name) &&
      !Object.hasOwn(FLAGS, name) &&
      !OTHERS.has(name) &&
      !SITE_OPTIONS.has(name)
    ) {
      throw new NearcastError("config/invalid", `Cannot start server: unknown option "${name}"`);
    }
  }
  const origins = listOf("origins", options.origins ?? []).map(toAllowedOrigin);
  const root = optionalText("root", options.root);
  if (root !== undefined && origins.length === 0) {
    throw invalid("origins", "must name the origin that serves `root`", options.origins);
  }
  return Object.freeze({
    ...resolveNumbers(options),
    ...resolveFlags(options),
    host: optionalText("host", options.host) ?? "127.0.0.1",
    sites: toSites(options.sites),
    siteBook: resolveSiteBook(options),
    origins,
    root,
    keyFile: optionalText("keyFile", options.keyFile),
    redisUrls: resolveRedisUrls(options.redis),
    iceServers: toIceServers(options.iceServers),
    ...resolveTurn(options),
    onRequest: optionalFunction("onRequest", options.onRequest),
    onUpgrade: optionalFunction("onUpgrade", options.onUpgrade),
    log: optionalFunction("log", options.log) ?? (() => {}),
  });
}

function resolveNumbers(options: ServerOptions): Record<NumberName, number> {
  const names = Object.keys(NUMBERS) as NumberName[];
  return Object.fromEntries(
    names.map((name) => {
      const { default: fallback, min, max } = NUMBERS[name];
      const value = options[name] ?? fallback;
      if (!Number.isInteger(value) || value < min || value > max) {
        throw invalid(name, `must be an integer from ${min} to ${max}`, value);
      }
      return [name, value];
    }),
  ) as Record<NumberName, number>;
}

function resolveFlags(options: ServerOptions): Record<FlagName, boolean> {
  const names = Object.keys(FLAGS) as FlagName[];
  return Object.fromEntries(
    names.map((name) => {
      const value = options[name] ?? FLAGS[name];
      if (typeof value !== "boolean") throw invalid(name, "must be true or false", value);
      return [name, value];
    }),
  ) as Record<FlagName, boolean>;
}

function optionalFunction<T>(option: string, value: T | undefined): T | undefined {
  if (value === undefined || typeof value === "function") return value;
  throw invalid(option, "must be a function", value);
}

function toSites(given: unknown): readonly string[] {
  const sites = listOf("sites", given ?? []);
  if (sites.length === 0) {
    throw invalid(
      "sites",
      'must name at least one page origin, or be ["*"] for development',
      sites,
    );
  }
  return sites.map((site) => {
    const bare = site.replace(/\/$/, "");
    if (bare !== "*" && parseHttpUrl(bare)?.origin !== bare) {
      throw invalid("sites", "must hold origins such as https://example.com", site);
    }
    return bare;
  });
}

function toAllowedOrigin(text: string): AllowedOrigin {
  const url = parseHttpUrl(text);
  if (!url || url.username || url.password || url.hash) {
    throw invalid("origins", "must hold http(s) URLs without credentials and fragment", text);
  }
  const { origin, pathname, search } = url;
  const prefix = pathname.endsWith("/") ? pathname : `${pathname}/`;
  return { origin, prefix, query: search.slice(1) };
}

const isIceServer = isShape<IceServer>({
  urls: isString(512, /^(stun|turn)s?:/),
  username: isOptional(isString(256)),
  credential: isOptional(isString(256)),
});

function resolveTurn({ turnUrls: given, turnSecret: secret }: ServerOptions) {
  const turnUrls = listOf("turnUrls", given ?? []);
  const turnSecret = optionalText("turnSecret", secret);
  const wrong = turnUrls.find((url) => !/^turns?:/.test(url)) ?? (turnUrls.length > 4 && turnUrls);
  if (wrong) throw invalid("turnUrls", "must hold at most 4 turn: or turns: URLs", wrong);
  if (turnUrls.length > 0 !== (turnSecret !== undefined)) {
    throw invalid("turnUrls", "and `turnSecret` must be given together", turnUrls);
  }
  return { turnUrls, turnSecret };
}

function toIceServers(given: unknown = []): readonly IceServer[] {
  if (!Array.isArray(given) || given.length > 4) {
    throw invalid("iceServers", "must be a list of at most 4 servers", given);
  }
  return given.map((server: unknown) => {
    const shaped = typeof server === "string" ? { urls: server } : server;
    if (isIceServer(shaped)) return shaped;
    throw invalid("iceServers", "must hold stun: or turn: URLs", server);
  });
}
