/**
 * Join tokens: what a site's backend gives to a page so that it may join, and nobody else's page may. A
 * token is `nc1.<payload>.<proof>`: base64url of the JSON claims, and of HMAC-SHA-256 or Ed25519 over
 * `nearcast join 1\n<payload>`. Minting needs Web Crypto only, so it runs in any modern runtime.
 * @module
 */
import { toBase64Url, utf8 } from "../../core/digest.js";
import { NearcastError } from "../../core/errors.js";
import { type Guard, isArray, isString } from "../../protocol/guards.js";
import { JOIN_TOKEN_MAX_LENGTH } from "../../protocol/limits.js";
import { isSealPatterns } from "../../protocol/seal.js";

/** Longest life of a token (rule R59). */
export const JOIN_TOKEN_MAX_S = 120;

/** Shortest shared secret, in characters: 256 bits as base64url or more. */
export const JOIN_SECRET_MIN_LENGTH = 32;

export const JOIN_TOKEN_PREFIX = "nc1.";

/** What a token says. */
export interface JoinClaims {
  /** Origin of the pages that may use it. */
  readonly site: string;
  /** 128 random bits, base64url: a token is good for one join. */
  readonly jti: string;
  /** Unix milliseconds. */
  readonly issuedMs: number;
  readonly expiresMs: number;
  /** Patterns of the sealed paths that its viewer may have; none without it. */
  readonly paths?: readonly string[] | undefined;
}

const isFew = isArray(isString(512), 16);
export const isPaths: Guard<readonly string[]> = (value): value is readonly string[] =>
  isFew(value) && isSealPatterns(value);

export interface MintOptions {
  /** Origin of the page, e.g. `https://example.com`. */
  readonly site: string;
  /** The secret of `--join-secret`, at least 32 characters. Either this or `privateKey`. */
  readonly secret?: string;
  /** Ed25519 private key, PKCS #8 as PEM text or a `CryptoKey`, whose public half is `--join-key`. */
  readonly privateKey?: string | CryptoKey;
  /** 1 to 120. @default 60 */
  readonly ttlSeconds?: number;
  /** Which sealed paths the viewer may have: at most 16 patterns, paths or http(s) URLs. @default [] */
  readonly paths?: readonly string[];
}

/** Web Crypto's key, whose global type Node's declarations lack. */
type CryptoKey = Awaited<ReturnType<typeof crypto.subtle.importKey>>;

/** The bytes that are signed: separated from everything else that anybody signs with the same key. */
export function joinTokenBytes(payload: string): Uint8Array<ArrayBuffer> {
  return utf8(`nearcast join 1\n${payload}`);
}

/**
 * Makes a token for one join, to be called by the site's backend for each page that asks for one.
 *
 * @throws {NearcastError} `config/invalid` for an option that cannot be used.
 */
export async function mintJoinToken(options: MintOptions): Promise<string> {
  const { site, secret, privateKey, ttlSeconds = 60, paths = [] } = checked(options);
  const issuedMs = Date.now();
  const claims: JoinClaims = {
    site,
    jti: toBase64Url(crypto.getRandomValues(new Uint8Array(16))),
    issuedMs,
    expiresMs: issuedMs + 1_000 * ttlSeconds,
    ...(paths.length > 0 && { paths }),
  };
  const payload = toBase64Url(utf8(JSON.stringify(claims)));
  const key = secret === undefined ? await signingKey(privateKey) : await macKey(secret);
  const proof = await crypto.subtle.sign(key.algorithm.name, key, joinTokenBytes(payload));
  const token = `${JOIN_TOKEN_PREFIX}${payload}.${toBase64Url(new Uint8Array(proof))}`;
  if (token.length <= JOIN_TOKEN_MAX_LENGTH) return token;
  throw invalid("paths", `must be fewer or shorter: ${JOIN_TOKEN_MAX_LENGTH} is`, token.length);
}

function checked(options: MintOptions): MintOptions {
  const { site, secret, privateKey, ttlSeconds = 60, paths = [] } = options;
  if (!URL.canParse(site) || new URL(site).origin !== site) {
    throw invalid("site", "must be an origin such as https://example.com", site);
  }
  if ((secret === undefined) === (privateKey === undefined)) {
    throw invalid("secret", "or `privateKey` must be given, and not both", typeof secret);
  }
  if (secret !== undefined && secret.length < JOIN_SECRET_MIN_LENGTH) {
    throw invalid("secret", `must have at least ${JOIN_SECRET_MIN_LENGTH} characters`, "shorter");
  }
  if (!Number.isInteger(ttlSeconds) || ttlSeconds < 1 || ttlSeconds > JOIN_TOKEN_MAX_S) {
    throw invalid("ttlSeconds", `must be an integer from 1 to ${JOIN_TOKEN_MAX_S}`, ttlSeconds);
  }
  if (!isPaths(paths)) {
    throw invalid("paths", "must be at most 16 patterns: paths or http(s) URLs", String(paths));
  }
  return options;
}

function macKey(secret: string): Promise<CryptoKey> {
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  return crypto.subtle.importKey("raw", utf8(secret), algorithm, false, ["sign"]);
}

async function signingKey(key: string | CryptoKey | undefined): Promise<CryptoKey> {
  if (typeof key === "object") return key;
  const base64 = (key ?? "").replace(/-----[A-Z ]+-----|\s/g, "");
  try {
    const der = Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
    return await crypto.subtle.importKey("pkcs8", der, "Ed25519", false, ["sign"]);
  } catch {
    throw invalid("privateKey", "must be an Ed25519 key in PKCS #8 PEM", "something else");
  }
}

function invalid(option: string, rule: string, value: unknown): NearcastError {
  const message = `Cannot mint join token as \`${option}\` ${rule}: current value is ${value}`;
  return new NearcastError("config/invalid", message);
}
