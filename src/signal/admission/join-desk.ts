/**
 * Judges join tokens: made by the site whose page shows them, not older than two minutes, and never shown
 * before. What it remembers is bounded; it would rather turn somebody away than let a token in twice.
 * @module
 */
import { createHmac, timingSafeEqual, verify } from "node:crypto";
import { isCount, isOptional, isShape, isString } from "../../protocol/guards.js";
import { JOIN_TOKEN_MAX_LENGTH } from "../../protocol/limits.js";
import type { SiteConfig } from "../site-settings.js";
import {
  isPaths,
  JOIN_TOKEN_MAX_S,
  JOIN_TOKEN_PREFIX,
  type JoinClaims,
  joinTokenBytes,
} from "./join-token.js";

/** Clocks of site and server may differ by that much. */
const CLOCK_SKEW_MS = 60_000;

/** No token is good for longer than this after it was first shown. */
const REMEMBERED_MS = 1_000 * JOIN_TOKEN_MAX_S + 2 * CLOCK_SKEW_MS;
const REMEMBERED_MAX = 500_000;

const TOKEN_PATTERN = /^nc1\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)$/;

const isClaims = isShape<JoinClaims>({
  site: isString(512),
  jti: isString(22, /^[A-Za-z0-9_-]{22}$/),
  issuedMs: isCount(Number.MAX_SAFE_INTEGER),
  expiresMs: isCount(Number.MAX_SAFE_INTEGER),
  paths: isOptional(isPaths),
});

/** Why a token is not taken; the words go to the page. */
export type TokenObjection =
  | "missing"
  | "malformed"
  | "wrong signature"
  | "for another site"
  | "lives too long"
  | "expired"
  | "used before"
  | "too many at once";

/** A good token: its id, how long it could still be shown, and which sealed paths it opens. */
export interface TakenToken {
  readonly jti: string;
  readonly lifeMs: number;
  readonly paths: readonly string[];
}

/** The judge of one server. */
export class JoinDesk {
  /** Tokens that were shown, by the time until which they are remembered; the oldest comes first. */
  readonly #used = new Map<string, number>();

  /**
   * Takes a token, which is worthless afterwards.
   *
   * @returns Why it is not good, or what other nodes must know of it.
   */
  admit(
    token: string | undefined,
    {
      siteOrigin,
      site,
      nowMs,
    }: { siteOrigin: string | undefined; site: SiteConfig; nowMs: number },
  ): TokenObjection | TakenToken {
    if (token === undefined) return "missing";
    const [, payload, proof] =
      token.length > JOIN_TOKEN_MAX_LENGTH ? [] : (TOKEN_PATTERN.exec(token) ?? []);
    if (payload === undefined || proof === undefined) return "malformed";
    if (!isProven(payload, proof, site)) return "wrong signature";
    const claims = parseClaims(payload);
    if (!claims) return "malformed";
    const objection = this.#objectionTo(claims, siteOrigin, nowMs);
    const { jti, expiresMs, paths = [] } = claims;
    return objection ?? { jti, lifeMs: expiresMs + CLOCK_SKEW_MS - nowMs, paths };
  }

  #objectionTo(
    { site, jti, issuedMs, expiresMs }: JoinClaims,
    siteOrigin: string | undefined,
    nowMs: number,
  ): TokenObjection | undefined {
    if (site !== siteOrigin) return "for another site";
    if (expiresMs - issuedMs > 1_000 * JOIN_TOKEN_MAX_S || issuedMs > nowMs + CLOCK_SKEW_MS) {
      return "lives too long";
    }
    if (nowMs >= expiresMs + CLOCK_SKEW_MS) return "expired";
    this.#forget(nowMs);
    if (this.#used.has(jti)) return "used before";
    if (this.#used.size >= REMEMBERED_MAX) return "too many at once";
    this.#used.set(jti, nowMs + REMEMBERED_MS);
    return undefined;
  }

  #forget(nowMs: number): void {
    for (const [jti, untilMs] of this.#used) {
      if (untilMs > nowMs) return;
      this.#used.delete(jti);
    }
  }
}

/** Whether a text is meant as a join token: PeerJS's own tokens look different. */
export function looksLikeJoinToken(text: string): boolean {
  return text.startsWith(JOIN_TOKEN_PREFIX);
}

/** Each key is used with its own algorithm only; a token cannot choose. */
function isProven(payload: string, proof: string, { joinSecret, joinKey }: SiteConfig): boolean {
  const bytes = Buffer.from(joinTokenBytes(payload));
  const given = Buffer.from(proof, "base64url");
  if (joinSecret !== undefined && given.length === 32) {
    const expected = createHmac("sha256", joinSecret).update(bytes).digest();
    if (timingSafeEqual(given, expected)) return true;
  }
  return joinKey !== undefined && given.length === 64 && verify(null, bytes, joinKey, given);
}

function parseClaims(payload: string): JoinClaims | undefined {
  try {
    const claims: unknown = JSON.parse(Buffer.from(payload, "base64url").toString());
    return isClaims(claims) ? claims : undefined;
  } catch {
    return undefined; // signed, but not by our helper
  }
}
