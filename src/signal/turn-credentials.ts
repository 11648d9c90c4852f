/**
 * Credentials for a TURN server that live some minutes: the REST scheme that coturn calls `use-auth-secret`
 * (draft-uberti-behave-turn-rest-00). The server and coturn share a secret; no account is kept anywhere.
 * This module does no I/O.
 * @module
 */
import { createHash, createHmac } from "node:crypto";
import type { IceServer } from "../protocol/signal-messages.js";

export interface TurnConfig {
  readonly turnUrls: readonly string[];
  readonly turnSecret: string | undefined;
  readonly turnTtlSeconds: number;
}

/**
 * The TURN servers for one viewer.
 *
 * @param viewerId Its hash is the user's name, so that coturn's quotas are per viewer.
 */
export function turnServersFor(
  viewerId: string,
  { turnUrls, turnSecret, turnTtlSeconds }: TurnConfig,
  nowMs: number,
): IceServer[] {
  if (turnSecret === undefined) return [];
  const expiresS = Math.floor(nowMs / 1_000) + turnTtlSeconds;
  const user = createHash("sha256").update(viewerId).digest("hex").slice(0, 16);
  const username = `${expiresS}:${user}`;
  const credential = createHmac("sha1", turnSecret).update(username).digest("base64");
  return turnUrls.map((urls) => ({ urls, username, credential }));
}
