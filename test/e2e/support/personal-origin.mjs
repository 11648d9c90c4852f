/**
 * An origin that knows its users: what it answers consists of one letter, the user's, as a grey picture. So a
 * byte of another user is seen wherever it turns up, in a body or on a canvas.
 * @module
 */
import { randomInt } from "node:crypto";

const SIDE = 256;
const HEAD_BYTES = 54;
/** A bitmap of three pieces and a bit. */
export const PICTURE_BYTES = HEAD_BYTES + SIDE * SIDE * 3;
const PUBLIC = "P";
const NOBODY = "?";

const FRESH = { "cache-control": "public, max-age=3600" };
const mine = (user) => user;
const everybodys = () => PUBLIC;

/** Case by name: headers, whose letter, how the user is known (a cookie, if not said), what else is special. */
export const CASES = {
  // Control: shared, or nothing of the rest would prove anything.
  public: { headers: FRESH, letter: everybodys, shared: true },
  cookie: { headers: FRESH, letter: mine },
  private: { headers: { "cache-control": "private, max-age=3600" }, letter: mine },
  "no-store": { headers: { "cache-control": "no-store" }, letter: mine },
  "no-cache": { headers: { "cache-control": "no-cache" }, letter: mine },
  "set-cookie": { headers: { ...FRESH, "set-cookie": "seen=1" }, letter: mine },
  "vary-cookie": { headers: { ...FRESH, vary: "Cookie" }, letter: mine },
  "vary-user-agent": { headers: { ...FRESH, vary: "User-Agent" }, letter: mine },
  "vary-all": { headers: { ...FRESH, vary: "*" }, letter: mine },
  "no-cache-control": {
    headers: { "last-modified": "Mon, 02 Nov 2026 00:00:00 GMT" },
    letter: mine,
  },
  authorization: { headers: FRESH, letter: mine, by: "authorization" },
  "signed-url": { headers: FRESH, letter: mine, by: "token" },
  // The edge writes into each answer, whoever asks.
  "edge-personalised": { headers: FRESH, letter: mine, unique: true },
  // The same for all but a few bytes in the middle.
  watermarked: { headers: FRESH, letter: mine, watermark: true },
  // Web-cache deception: the account page under a name that looks like a file.
  "account/x.css": { headers: { ...FRESH, "content-type": "text/html" }, letter: mine },
  "account/x.bmp": { headers: { ...FRESH, "content-type": "text/html" }, letter: mine },
};

function userOf(req, by) {
  if (by === "authorization") return /^Bearer (\w)$/.exec(req.headers.authorization ?? "")?.[1];
  if (by === "token") return new URL(req.url, "http://lab").searchParams.get("token") ?? undefined;
  return /(?:^|; )user=(\w)/.exec(req.headers.cookie ?? "")?.[1];
}

function picture(letter, { watermark = false, unique = false }, user) {
  const body = Buffer.alloc(PICTURE_BYTES, watermark ? PUBLIC : letter);
  body.fill(0, 0, HEAD_BYTES);
  body.write("BM", 0);
  body.writeUInt32LE(PICTURE_BYTES, 2);
  body.writeUInt32LE(HEAD_BYTES, 10);
  body.writeUInt32LE(40, 14);
  body.writeInt32LE(SIDE, 18);
  body.writeInt32LE(SIDE, 22);
  body.writeUInt16LE(1, 26);
  body.writeUInt16LE(24, 28);
  if (watermark) body.fill(user, 100_000, 100_768);
  if (unique) body.writeUInt32LE(randomInt(2 ** 32), 38); // resolution: seen by nobody
  return body;
}

/** Answers `/lab/<any>/<case>`. */
export function answerPersonally(req, res) {
  const { pathname } = new URL(req.url, "http://lab");
  const [, , , ...rest] = pathname.split("/");
  const name = Object.keys(CASES).find((known) => known === rest.join("/"));
  const { headers, letter, by, ...special } = CASES[name] ?? {};
  if (!headers) return res.writeHead(404).end();
  const user = userOf(req, by) ?? NOBODY;
  if (req.headers.origin) {
    res.setHeader("access-control-allow-origin", req.headers.origin);
    res.setHeader("access-control-allow-credentials", "true");
    res.setHeader("access-control-allow-headers", "authorization, range");
  }
  if (req.method === "OPTIONS") return res.writeHead(204).end();
  if (by !== undefined && user === NOBODY) {
    res.setHeader("cache-control", "no-store");
    return res.writeHead(by === "token" ? 403 : 401).end("no");
  }
  const body = picture(letter(user), special, user);
  res.setHeader("content-type", "image/bmp");
  for (const [header, value] of Object.entries(headers)) res.setHeader(header, value);
  const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(req.headers.range ?? "") ?? [];
  const end = Math.min(Number(to ?? Infinity) + 1, body.byteLength);
  const part = from === undefined ? body : body.subarray(Number(from), end);
  if (from !== undefined) {
    res.setHeader("content-range", `bytes ${from}-${end - 1}/${body.byteLength}`);
  }
  res.setHeader("content-length", part.byteLength);
  res.writeHead(from === undefined ? 200 : 206).end(part);
}
