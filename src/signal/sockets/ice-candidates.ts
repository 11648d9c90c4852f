/**
 * Keeps private addresses out of signaling for sites that want no LAN links: a page must not be made to
 * probe its own network (threat D5). Names of mDNS stay: they reveal nothing. This module is pure.
 * @module
 */
import { isPrivateAddress } from "../private-addresses.js";

/** A payload of OFFER, ANSWER or CANDIDATE; nothing in it is checked yet. */
export interface SignalPayload {
  readonly type?: unknown;
  readonly connectionId?: unknown;
  readonly serialization?: unknown;
  readonly candidate?: unknown;
  readonly sdp?: unknown;
}

/** Copies a payload without the candidates (its own and those inside its SDP) of private addresses. */
export function withoutPrivateCandidates(payload: SignalPayload): SignalPayload | undefined {
  const candidate = textOf(payload.candidate, "candidate");
  if (candidate !== undefined && isPrivateCandidate(candidate)) return undefined;
  const sdp = textOf(payload.sdp, "sdp");
  if (sdp === undefined) return payload;
  const lines = sdp.split("\r\n");
  const kept = lines.filter(
    (line) => !line.startsWith("a=candidate:") || !isPrivateCandidate(line),
  );
  return { ...payload, sdp: { ...(payload.sdp as object), sdp: kept.join("\r\n") } };
}

/** @param line A candidate attribute; its fifth word is the address (RFC 8839 section 5.1). */
function isPrivateCandidate(line: string): boolean {
  return isPrivateAddress(line.trim().split(/\s+/)[4] ?? "");
}

function textOf(value: unknown, name: string): string | undefined {
  if (typeof value !== "object" || value === null || !Object.hasOwn(value, name)) return undefined;
  const text = (value as Record<string, unknown>)[name];
  return typeof text === "string" ? text : undefined;
}
