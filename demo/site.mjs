/** The demo's web site as one request handler: its pages, the built SDK, hls.js and the sample origin. */
import { extname } from "node:path";
import { fileURLToPath } from "node:url";
import send from "send";
import { readCatalog } from "./catalog.mjs";

const folder = (path) => fileURLToPath(new URL(path, import.meta.url));

/** First match wins. `name` maps the path to a file of the folder; nothing outside these folders can be asked for. */
const ROUTES = [
  { path: /^\/$/, root: folder("./"), name: () => "/index.html" },
  { path: /^\/(demo\.(js|css)|favicon\.svg|parts\/[a-z-]+\.(js|css))$/, root: folder("./") },
  { path: /^\/[\w.-]+\.(js|js\.map)$/, root: folder("../dist/") },
  { path: /^\/dist\//, root: folder("../dist/"), name: (path) => path.slice("/dist".length) },
  {
    path: /^\/vendor\/hls[\w.]*\.(mjs|js)(\.map)?$/,
    root: folder("../node_modules/hls.js/dist/"),
    name: (path) => path.slice("/vendor".length),
  },
];

const TYPES = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".mjs": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
};

/**
 * Makes the handler of everything that is not the Nearcast server's own.
 *
 * @param mediaDir The folder that the sample origin serves; the catalog is read from it on each request.
 * @param origin What `createSampleOrigin` returned.
 * @returns `handle(req, res)`, which always answers.
 */
export function createDemoSite({ mediaDir, origin }) {
  return async function handle(req, res) {
    // No URL parser here: it throws for request targets such as "//", and one bad request must not end the demo.
    const [pathname] = req.url.split("?");
    if (origin.owns(pathname)) return origin.handle(req, res);
    if (!["GET", "HEAD"].includes(req.method))
      return answer(res, 405, "Only GET and HEAD are served here");
    if (pathname === "/demo/catalog.json") return sendCatalog(res, mediaDir);
    const route = ROUTES.find(({ path }) => path.test(pathname));
    if (!route) return answer(res, 404, "There is nothing here");
    sendPageFile(req, res, route, pathname);
  };
}

function sendPageFile(req, res, { root, name = (path) => path }, pathname) {
  const file = send(req, name(pathname), { root, dotfiles: "ignore", cacheControl: false });
  file.on("headers", (_, path) => {
    // Always ask again: a worker or script of yesterday's build beside today's page would be a puzzle for everybody.
    res.setHeader("Cache-Control", "no-cache");
    res.setHeader("X-Content-Type-Options", "nosniff");
    if (TYPES[extname(path)]) res.setHeader("Content-Type", TYPES[extname(path)]);
  });
  file.on("directory", () => answer(res, 404, "There is nothing here"));
  file.on("error", ({ status = 500 }) => answer(res, status, `${pathname} cannot be served`));
  file.pipe(res);
}

async function sendCatalog(res, mediaDir) {
  try {
    const catalog = await readCatalog(mediaDir);
    answer(res, 200, JSON.stringify(catalog), "application/json");
  } catch (error) {
    answer(res, 500, `The media folder cannot be read: ${error.message}`);
  }
}

function answer(res, status, body, type = "text/plain; charset=utf-8") {
  if (res.headersSent) return res.destroy();
  res.writeHead(status, { "Content-Type": type, "Cache-Control": "no-store" }).end(body);
}
