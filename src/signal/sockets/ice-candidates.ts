/**
 * Keeps private addresses out of signaling for sites that want no LAN links: a page must not be made to
 * probe its own network (threat D5). Names of mDNS stay: they reveal nothing. This module is pure.
 * @module
 */
import { BlockList, isIP } from "node:net";

const PRIVATE = new BlockList();
for (const [network, prefix] of [
  ["0.0.0.0", 8],
  ["10.0.0.0", 8],
  ["100.64.0.0", 10],
  ["127.0.0.0", 8],
  ["169.254.0.0", 16],
  ["172.16.0.0", 12],
  ["192.168.0.0", 16],
] as const) {
  PRIVATE.addSubnet(network, prefix, "ipv4");
}
for (const [network, prefix] of [
  ["::", 127],
  ["fc00::", 7],
  ["fe80::", 10],
] as const) {
  PRIVATE.addSubnet(network, prefix, "ipv6");
}

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
  const address = line.trim().split(/\s+/)[4] ?? "";
  const version = isIP(address);
  return version !== 0 && PRIVATE.check(address, version === 4 ? "ipv4" : "ipv6");
}

function textOf(value: unknown, name: string): string | undefined {
  if (typeof value !== "object" || value === null || !Object.hasOwn(value, name)) return undefined;
  const text = (value as Record<string, unknown>)[name];
  return typeof text === "string" ? text : undefined;
}
