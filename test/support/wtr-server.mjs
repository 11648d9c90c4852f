/**
 * The servers that browser tests talk to: the built index server and the sample origin, on random ports of
 * the loopback interface. Tests read the ports from `/__env.json` (see test/support/env.ts). What is not
 * built is left out, so that unit tests run without a build.
 * @module
 */
import { once } from "node:events";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";

const HOST = "127.0.0.1";
const MEDIA_FOLDER = resolve("demo/media");

/** @returns A plugin for `plugins` of the web-test-runner configuration. */
export function nearcastPlugin() {
  const servers = [];
  const env = {};

  async function start(name, make) {
    const server = await make();
    if (server === undefined) return undefined;
    servers.push(server);
    env[`${name}Port`] = server.port;
    return `http://${HOST}:${server.port}`;
  }

  return {
    name: "nearcast",

    async serverStart({ config }) {
      const { hostname = "localhost", port, protocol = "http:" } = config;
      const site = `${protocol}//${hostname}:${port}`;
      const origin = await start("origin", startOrigin);
      await start("server", () => startIndex({ site, origin }));
    },

    async serverStop() {
      await Promise.all(servers.splice(0).map((server) => server.close()));
    },

    async serve({ path }) {
      if (path === "/__env.json") return { body: JSON.stringify(env), type: "json" };
      if (path === "/viewer.html") return { body: VIEWER_PAGE, type: "html" };
      if (path === "/nearcast-sw.js") return worker();
      return undefined;
    },
  };
}

/** The page that `viewer:open` shows by default: empty, so that a test decides what runs in it. */
const VIEWER_PAGE = '<!doctype html><meta charset="utf-8"><title>viewer</title>';

async function worker() {
  if (!existsSync("dist/nearcast-sw.js")) return undefined;
  return {
    body: await readFile("dist/nearcast-sw.js", "utf8"),
    type: "js",
    headers: { "Service-Worker-Allowed": "/", "Cache-Control": "no-store" },
  };
}

/** The sample origin over demo/media, at `/media/`; what it sent is at `/origin/counts`. */
async function startOrigin() {
  const createSampleOrigin = await exported("demo/sample-origin.mjs", "createSampleOrigin");
  if (createSampleOrigin === undefined) return undefined;
  const origin = createSampleOrigin({ root: MEDIA_FOLDER });
  const server = createServer((request, response) => origin.handle(request, response));
  server.listen(0, HOST);
  await once(server, "listening");
  return {
    port: server.address().port,
    async close() {
      server.close();
      server.closeAllConnections();
      await once(server, "close");
    },
  };
}

/** The index server; it attests the sample origin from its folder, so that the origin counts only viewers. */
async function startIndex({ site, origin }) {
  const startServer = await exported("dist/server.js", "startServer");
  const sampled = origin && { origins: [`${origin}/media/`], root: MEDIA_FOLDER };
  return startServer?.({ host: HOST, port: 0, sites: [site], ...sampled });
}

/** The named export of a file of this project, or `undefined` while the file does not exist. */
async function exported(file, name) {
  if (!existsSync(file)) return undefined;
  const module = await import(pathToFileURL(resolve(file)).href);
  if (typeof module[name] === "function") return module[name];
  throw new TypeError(`Cannot start test server as ${file} must export ${name}()`);
}
