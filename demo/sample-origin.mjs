/**
 * The sample origin: a small static media server that stands for the customer's CDN and counts what it really sent.
 *
 * The counts are the yardstick of every test and benchmark, so a byte counts only when the socket has taken it: each
 * chunk is written after the socket confirmed the one before, and an aborted response counts what was confirmed.
 */
import { createReadStream } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import send from "send";
import { Throttle } from "./throttle.mjs";

const TYPES = {
  ".m3u8": "application/vnd.apple.mpegurl",
  ".mpd": "application/dash+xml",
  ".ts": "video/mp2t",
  ".m4s": "video/mp4",
  ".m4v": "video/mp4",
  ".m4vh": "video/mp4",
  ".mp4": "video/mp4",
  ".cmfv": "video/mp4",
  ".m4a": "audio/mp4",
  ".m4ah": "audio/mp4",
  ".cmfa": "audio/mp4",
  ".aac": "audio/aac",
  ".mp3": "audio/mpeg",
  ".webm": "video/webm",
  ".vtt": "text/vtt; charset=utf-8",
};

const SHARED_HEADERS = {
  "Access-Control-Allow-Origin": "*",
  "Access-Control-Expose-Headers": "Content-Range, Content-Length, ETag, Accept-Ranges",
  "Cross-Origin-Resource-Policy": "cross-origin",
  "Timing-Allow-Origin": "*",
};

/** More paths than any demo or benchmark asks for; beyond it only the totals grow. */
const PATHS_MAX = 20_000;

const extension = (path) => /\.[a-z0-9]+$/i.exec(path)?.[0].toLowerCase() ?? "";
const isPlaylist = (path) => [".m3u8", ".mpd"].includes(extension(path));
const emptyCount = () => ({ requests: 0, bytes: 0, aborted: 0 });
const emptyCounts = () => ({
  total: emptyCount(),
  media: emptyCount(),
  playlists: emptyCount(),
  paths: {},
});

/**
 * Makes a sample origin over one folder.
 *
 * @param root The folder whose files are served; read only.
 * @param prefix Where the folder appears in URLs, with a slash at both ends.
 * @param rateBytesPerS Body bytes per second, shared by all responses; 0 is unlimited.
 * @param delayMs Wait before the first byte of each answer.
 * @returns `owns(pathname)` says whether a path is the origin's; `handle(req, res)` answers it; `counts()` gives a copy
 *   of the counts since `reset()`; `throttle({ rateBytesPerS, delayMs })` changes the line for later requests.
 */
export function createSampleOrigin({ root, prefix = "/media/", rateBytesPerS = 0, delayMs = 0 }) {
  let counts = emptyCounts();
  let line = { throttle: new Throttle(rateBytesPerS), delayMs };

  /** The places where a request for `path` is counted. After a reset, a response under way counts for the old era. */
  function countersOf(path) {
    const own = counts;
    if (!Object.hasOwn(own.paths, path) && Object.keys(own.paths).length < PATHS_MAX)
      own.paths[path] = emptyCount();
    return [own.total, isPlaylist(path) ? own.playlists : own.media, own.paths[path]].filter(
      Boolean,
    );
  }

  async function serveFile(req, res, pathname) {
    const { throttle, delayMs } = line;
    const counters = countersOf(pathname);
    const add = (name, amount) => {
      for (const counter of counters) counter[name] += amount;
    };
    const gone = new AbortController();
    res.once("close", () => {
      if (!res.writableFinished) add("aborted", 1);
      gone.abort();
    });
    add("requests", 1);
    if (delayMs > 0) await sleep(delayMs, undefined, { signal: gone.signal });

    const file = send(req, pathname.slice(prefix.length - 1), {
      root,
      dotfiles: "ignore",
      index: false,
    });
    file.on("headers", (_, path, stat) => setFileHeaders(res, path, stat));
    file.on("directory", () => fail(res, 404));
    file.on("error", (error) => fail(res, error.status ?? 500, error.headers));
    // `send` would pipe the file to the socket at full speed; everything before that (ranges, conditions) stays its own.
    file.stream = (path, range) => {
      const chunks = createReadStream(path, { ...range, highWaterMark: throttle.chunkBytes });
      deliver(chunks, {
        res,
        throttle,
        signal: gone.signal,
        onSent: (bytes) => add("bytes", bytes),
      });
    };
    file.pipe(res);
  }

  async function handle(req, res) {
    // No URL parser here: it throws for request targets such as "//", and one bad request must not end the demo.
    const [pathname] = req.url.split("?");
    for (const [name, value] of Object.entries(SHARED_HEADERS)) res.setHeader(name, value);
    try {
      if (req.method === "OPTIONS") return preflight(res);
      if (pathname === "/origin/counts/reset" && req.method === "POST") counts = emptyCounts();
      else if (!["GET", "HEAD"].includes(req.method))
        return fail(res, 405, { Allow: "GET, HEAD, OPTIONS" });
      if (pathname.startsWith("/origin/counts")) return sendJson(res, counts);
      if (!pathname.startsWith(prefix)) return fail(res, 404);
      await serveFile(req, res, pathname);
    } catch (error) {
      // The client that left is no error; anything else ends this response and no other.
      if (error.name !== "AbortError") fail(res, 500);
    }
  }

  return {
    owns: (pathname) =>
      pathname.startsWith(prefix) || /^\/origin\/counts(\/reset)?$/.test(pathname),
    handle,
    counts: () => structuredClone(counts),
    reset: () => {
      counts = emptyCounts();
    },
    throttle: ({ rateBytesPerS = 0, delayMs = 0 }) => {
      line = { throttle: new Throttle(rateBytesPerS), delayMs };
    },
  };
}

function setFileHeaders(res, path, stat) {
  // Strong enough for If-Range, which weak tags may not be used for: a changed file has another size or time.
  res.setHeader(
    "ETag",
    `"${stat.size.toString(16)}-${Math.round(stat.mtimeMs * 1000).toString(16)}"`,
  );
  res.setHeader("Cache-Control", `public, max-age=${isPlaylist(path) ? 2 : 3600}`);
  const type = TYPES[extension(path)];
  if (type) res.setHeader("Content-Type", type);
}

/** Sends a file chunk by chunk and reports each one that the socket took; destroys the reader when the client leaves. */
async function deliver(chunks, { res, throttle, signal, onSent }) {
  try {
    for await (const chunk of chunks) {
      await throttle.admit(chunk.length, signal);
      await written(res, chunk);
      onSent(chunk.length);
    }
    res.end();
  } catch {
    // A short body must look broken, never complete.
    res.destroy();
  }
}

const written = (res, chunk) =>
  new Promise((resolve, reject) => {
    if (res.destroyed) return reject(new Error("Cannot write as the client has left"));
    // A socket that closes may drop the callback of a write that it never started.
    const closed = () => reject(new Error("Cannot write as the client has left"));
    res.once("close", closed);
    res.write(chunk, (error) => {
      res.off("close", closed);
      error ? reject(error) : resolve();
    });
  });

function preflight(res) {
  res.setHeader("Access-Control-Allow-Methods", "GET, HEAD, OPTIONS");
  res.setHeader(
    "Access-Control-Allow-Headers",
    "Range, If-Range, If-None-Match, If-Modified-Since, Cache-Control",
  );
  res.setHeader("Access-Control-Max-Age", "600");
  res.writeHead(204).end();
}

function sendJson(res, value) {
  res.setHeader("Cache-Control", "no-store");
  res.setHeader("Content-Type", "application/json");
  res.end(JSON.stringify(value));
}

function fail(res, status, headers = {}) {
  if (res.headersSent) return res.destroy();
  for (const name of ["ETag", "Last-Modified", "Content-Length"]) res.removeHeader(name);
  res.setHeader("Cache-Control", "no-store");
  res.setHeader("Content-Type", "text/plain; charset=utf-8");
  res.writeHead(status, headers).end(`${status}\n`);
}
