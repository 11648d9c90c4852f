/**
 * Waits for the script tag's Nearcast, and never fails: the page must work as well without it.
 *
 * The panel reads only what `stats()`, `links()` and the events say; nothing here looks behind the public API.
 */

const PATIENCE_MS = 10_000;

const NOTHING = {
  role: "off",
  links: 0,
  requests: { total: 0, cache: 0, mesh: 0, origin: 0, mixed: 0 },
  bytes: { cache: 0, mesh: 0, origin: 0, uploaded: 0, rejected: 0 },
  stalls: 0,
  index: "closed",
};

/** What an absent Nearcast would say, so that the panel knows one shape only. */
function absent(reason) {
  const silent = Object.assign(new EventTarget(), {
    stats: () => ({ ...NOTHING, reason }),
    links: () => [],
  });
  return Object.assign(silent, { absent: true, pause() {}, resume() {} });
}

/** @returns Why there will be no Nearcast, or `undefined` when it has arrived; resolves as soon as either is sure. */
async function arrival(script) {
  if (window.nearcast) return undefined;
  if (!script) return "this page has no script tag for it";
  const missing = "nearcast.js is not there; build it with npm run build";
  if (script.dataset.failed) return missing;
  const done = new AbortController();
  const heard = (target, type) =>
    new Promise((resolve) =>
      target.addEventListener(type, () => resolve(type), { signal: done.signal }),
    );
  const patience = new Promise((resolve) => setTimeout(resolve, PATIENCE_MS, "late"));
  const first = await Promise.race([
    heard(window, "nearcast:ready"),
    heard(script, "error"),
    heard(script, "load"),
    patience,
  ]);
  done.abort();
  if (window.nearcast) return undefined;
  return first === "error" ? missing : "nearcast.js was loaded but did not start";
}

/** @returns The page's Nearcast, ready, or a stand-in that is off and says why. */
export async function connect() {
  const reason = await arrival(document.querySelector('script[src="/nearcast.js"]'));
  if (reason) return absent(reason);
  try {
    // Some seconds at most: a promise that never settles must not keep the film from starting.
    const patience = new Promise((resolve) => setTimeout(resolve, PATIENCE_MS));
    await Promise.race([window.nearcast.ready, patience]);
    return window.nearcast;
  } catch (error) {
    return absent(error.message);
  }
}

const REASONS = [
  [/insecure|secure.?context/i, "browsers allow it only on https and localhost"],
  [/service.?worker|unsupported/i, "this browser has no service worker here (a private window?)"],
  [/consent/i, "it waits for your consent"],
  [/webrtc|rtcpeer/i, "this browser has no WebRTC"],
  [/hidden|save-?data|metered/i, "this device asks to save data"],
];

/** Whether the viewer wants a pause; else who is off cannot be switched on by a button. */
export const isPaused = ({ role, reason }) => role === "off" && reason === "paused";

/** @returns One sentence for the header about what Nearcast is doing. */
export function describeState(stats) {
  const { role, reason, links, index } = stats;
  if (isPaused(stats)) return "Sharing is paused";
  if (role === "off") {
    const known = REASONS.find(([pattern]) => pattern.test(reason ?? ""));
    return `Nearcast is off: ${known?.[1] ?? reason ?? "no reason given"}`;
  }
  if (links > 0) return `Sharing with ${links === 1 ? "one neighbour" : `${links} neighbours`}`;
  if (role === "guest") return "On, by way of another tab of this browser";
  return index === "closed" ? "On, ready to share" : "On, waiting for neighbours";
}
