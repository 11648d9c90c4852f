/**
 * Takes the place of webrtc-adapter in the page script: browsers of the last two years need none of its shims, and PeerJS only
 * reads from it which browser it runs in. Versions are counted as webrtc-adapter counts them.
 */
const KINDS = [
  ["firefox", /Firefox\/(\d+)/],
  ["chrome", /Chrom(?:e|ium)\/(\d+)/],
  ["safari", /AppleWebKit\/(\d+)/],
];

function browserDetails(userAgent) {
  for (const [browser, pattern] of KINDS) {
    const match = pattern.exec(userAgent);
    if (match) return { browser, version: Number(match[1]) };
  }
  return { browser: "Not a supported browser.", version: null };
}

export default { browserDetails: browserDetails(globalThis.navigator?.userAgent ?? "") };
