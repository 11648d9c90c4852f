/**
 * The site of every benchmark, as a process of its own (so that it can live in a namespace and its work is not counted
 * as a viewer's): pages, the built SDK, the sample origin and the Nearcast server, all on one port. It is told what to
 * do over the channel to its parent and ends with it.
 */
import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import send from "send";
import { createSampleOrigin } from "../../demo/sample-origin.mjs";
import { Throttle } from "../../demo/throttle.mjs";
import { startServer } from "../../dist/server.js";
import { LivePlaylist } from "./live-playlist.mjs";
import { pageOf } from "./pages.mjs";
import { PLAYERS } from "./players.mjs";

const project = (path) => new URL(`../../${path}`, import.meta.url);
const text = (path) => readFileSync(project(path), "utf8");

/** Read once: somebody who builds while a benchmark runs must not change what it measures. */
const SCRIPTS = {
  // The first line of the script tag is what `control` starts its clock with.
  "/nearcast.js": `window.scriptStartMs = performance.now();\n${text("dist/nearcast.js")}`,
  "/nearcast-sw.js": text("dist/nearcast-sw.js"),
  "/nearcast-playlists.js": text("dist/nearcast-playlists.js"),
  // The least that a worker can do: the twin of ours.
  "/bare-sw.js":
    'oninstall = () => skipWaiting(); onactivate = (e) => e.waitUntil(clients.claim()); addEventListener("fetch", () => {});',
  "/vendor/hls.js": text("node_modules/hls.js/dist/hls.min.js"),
  ...Object.fromEntries(
    Object.entries(PLAYERS).map(([name, { file }]) => [`/vendor/player/${name}`, text(file)]),
  ),
};

/** As every CDN sends them. */
const COMPRESSED = Object.fromEntries(
  Object.entries(SCRIPTS).map(([path, script]) => [path, gzipSync(script)]),
);

async function startSite({ host, name, port, root, keyFile }) {
  const origin = createSampleOrigin({ root });
  const recorded = join(root, "film", "index.m3u8");
  const live = existsSync(recorded) ? new LivePlaylist(recorded) : undefined;
  const url = `http://${name}:${port}`;
  const handle = (req, res) => {
    const { pathname, searchParams } = new URL(req.url, url);
    if (live && pathname === "/media/film/live.m3u8") return live.handle(res);
    if (origin.owns(pathname)) return origin.handle(req, res);
    // The same files at a place that the SDK does not accelerate.
    if (pathname.startsWith("/other/"))
      return void send(req, pathname.slice("/other".length), { root }).pipe(res);
    const script = SCRIPTS[pathname];
    const page = script === undefined && pageOf(pathname, searchParams);
    if (!script && !page) return void res.writeHead(404).end();
    res.setHeader("Content-Type", script ? "text/javascript" : "text/html; charset=utf-8");
    res.setHeader("Cache-Control", "no-store");
    if (script) res.setHeader("Content-Encoding", "gzip");
    void deliver(res, script ? COMPRESSED[pathname] : Buffer.from(page));
  };
  // Players and SDK come over the viewer's line as well, one after the other like the pages that load them.
  let line = new Throttle();
  const deliver = async (res, bytes) => {
    for (let at = 0; at < bytes.length; at += line.chunkBytes) {
      const chunk = bytes.subarray(at, at + line.chunkBytes);
      await line.admit(chunk.length);
      res.write(chunk);
    }
    res.end();
  };
  const server = await startServer({
    ...{ host, port, keyFile, root, sites: [url], origins: [`${url}/media/`] },
    onRequest: handle,
  });
  return {
    url,
    counts: () => origin.counts(),
    reset: () => origin.reset(),
    /** @param asked `pages`: pages and scripts as well, as behind a viewer's own thin line. */
    throttle: ({ pages = false, ...asked }) => {
      if (pages) line = new Throttle(asked.rateBytesPerS);
      origin.throttle(asked);
    },
    size: (path) => statSync(join(root, path)).size,
    startLive: () => live?.start(),
    metrics: async () => (await fetch(`${server.url.replace(/^ws/, "http")}/metrics`)).text(),
  };
}

let site;
process.on("message", async ({ id, name, argument }) => {
  try {
    if (name === "start") site = await startSite(argument);
    const result = name === "start" ? site.url : await site[name](argument);
    process.send({ id, result });
  } catch (error) {
    process.send({ id, error: error.message });
  }
});
process.on("disconnect", () => process.exit(0));
