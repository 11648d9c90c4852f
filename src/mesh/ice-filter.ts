/**
 * Which addresses of other viewers may be dialled. A peer could name any host of the viewer's own
 * network; without the option `lan` only public addresses and the browser's own mDNS names pass (rules
 * R51, D5). This module is pure.
 * @module
 */

/** Private, loopback, link-local, shared (RFC 6598), multicast and unspecified addresses. */
const PRIVATE_V4 =
  /^(0\.|10\.|127\.|169\.254\.|172\.(1[6-9]|2\d|3[01])\.|192\.168\.|192\.0\.0\.|100\.(6[4-9]|[7-9]\d|1[01]\d|12[0-7])\.|22[4-9]\.|2[3-5]\d\.)/;
const PRIVATE_V6 = /^(::1?$|::ffff:|64:ff9b:|f[cd]|fe[89a-f]|ff)/i;

/** Tells whether one `candidate:` line may be used. An empty line ends the candidates and passes. */
export function mayDial(candidate: string, { lan }: { readonly lan: boolean }): boolean {
  if (candidate === "") return true;
  const [, , , , address = "", , , type = ""] = candidate.split(" ");
  // What a TURN server relays hides the address behind it.
  if (lan || type === "relay") return address !== "";
  if (/^[0-9a-f-]{36}\.local$/i.test(address)) return true;
  return isPublic(address);
}

function isPublic(address: string): boolean {
  if (/^\d{1,3}(\.\d{1,3}){3}$/.test(address)) return !PRIVATE_V4.test(address);
  return address.includes(":") && !PRIVATE_V6.test(address);
}

/** Removes the candidates that may not be dialled from a session description. */
export function filterDescription(sdp: string, options: { readonly lan: boolean }): string {
  return sdp
    .split("\r\n")
    .filter((line) => !line.startsWith("a=candidate:") || mayDial(line.slice(2), options))
    .join("\r\n");
}
