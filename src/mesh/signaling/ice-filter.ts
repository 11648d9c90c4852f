/**
 * Which addresses of other viewers may be dialled. A peer could name any host of the viewer's own
 * network; without the option `lan` only public addresses and the browser's own mDNS names pass (rules
 * R51, D5). This module is pure.
 * @module
 */

/** Private, loopback, link-local, shared (RFC 6598), multicast and unspecified addresses. */
const PRIVATE_V4 =
  /^(0\.|10\.|127\.|169\.254\.|172\.(1[6-9]|2\d|3[01])\.|192\.168\.|192\.0\.0\.|100\.(6[4-9]|[7-9]\d|1[01]\d|12[0-7])\.|22[4-9]\.|2[3-5]\d\.)/;
/** Decimal octets without leading zeros: other spellings mean other addresses to other parsers. */
const V4 = /^(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!$)|$)){4}$/;
/** Global unicast (RFC 4291 section 2.5.4) without 6to4, which embeds an IPv4 address. */
const PUBLIC_V6 = /^(?!2002:)[23][0-9a-f]{3}:/;

/** Tells whether one `candidate:` line may be used. An empty line ends the candidates and passes. */
export function mayDial(candidate: string, { lan }: { readonly lan: boolean }): boolean {
  if (candidate === "") return true;
  // The type is the sender's word: a relay's address is dialled like any other.
  const [, , , , address = ""] = candidate.split(" ");
  if (lan) return address !== "";
  if (/^[0-9a-f-]{36}\.local$/i.test(address)) return true;
  return isPublic(address);
}

function isPublic(address: string): boolean {
  if (V4.test(address)) return !PRIVATE_V4.test(address);
  return /^[0-9a-f:.]+$/i.test(address) && PUBLIC_V6.test(address.toLowerCase());
}

/** Removes the candidates that may not be dialled from a session description. */
export function filterDescription(sdp: string, options: { readonly lan: boolean }): string {
  return sdp
    .split(/\r?\n/) // browsers take a bare line feed too
    .filter((line) => !line.startsWith("a=candidate:") || mayDial(line.slice(2), options))
    .join("\r\n");
}
