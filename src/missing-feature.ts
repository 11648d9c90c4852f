/**
 * What a browser must have. Checked once, before anything starts.
 * @module
 */

/** The first thing missing of all that Nearcast cannot do without. */
export function missingFeature(): string | undefined {
  if (!globalThis.isSecureContext) return "insecure context";
  if (!("serviceWorker" in navigator)) return "no service worker";
  if (typeof RTCPeerConnection !== "function") return "no WebRTC";
  if (!("locks" in navigator)) return "no Web Locks";
  if (typeof BroadcastChannel !== "function") return "no BroadcastChannel";
  if (typeof Promise.withResolvers !== "function" || !("any" in AbortSignal)) return "old browser";
  return undefined;
}
