/**
 * The stage of the end-to-end tests: a site with a sample origin, an index server of its own that can be
 * killed and started again, and viewers, each in a browser profile of its own. All of it is the built
 * product; nothing is faked but where a test says so.
 */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { buildSync } from "esbuild";
import puppeteer from "puppeteer-core";
import send from "send";
import { createSampleOrigin } from "../../../demo/sample-origin.mjs";
import { chromeArgs, ensureChrome, findFirefox } from "../../../tools/ensure-browser.mjs";
import { freePort, PROGRAMS, RedisProcess } from "../../support/redis.mjs";

/** The real film beside the checkout where there is one, else the demo's own. */
const SHARED_MEDIA = resolve("..", "shared", "media", "bbb");
export const media = existsSync(SHARED_MEDIA)
  ? { real: true, dir: SHARED_MEDIA, hls: "hls/playlist.m3u8", mp4: "bbb-720p-60s.mp4" }
  : { real: false, dir: resolve("demo/media"), hls: "film/master.m3u8", mp4: "film/film.mp4" };

const sha256 = (bytes) => createHash("sha256").update(bytes).digest("hex");

/** SHA-256 of a media file, by its path below `/media/`. */
export const fileHash = (path) => sha256(readFileSync(join(media.dir, decodeURIComponent(path))));

/**
 * Everything a test needs; `close()` ends what was started.
 *
 * @param pages More pages of the site: bodies by path, before the script tag.
 * @param pageHeaders Headers of all its pages.
 * @param files More files of the site: `{ type, body, headers }` by path, or a function that returns one.
 * @param intercept Sees each request for the origin's files first; `true` says that it answers.
 * @param lab Answers all below `/lab/`, on the site and on the CDN; the index attests it over HTTP.
 * @param labQuery What the index adds to URLs below `/lab/`, as an operator with a token of its own has it.
 * @param indexArgs More arguments of the index server.
 * @param forgetful Whether the index has no key file: it knows no id any more when it is started again.
 * @param redis `true`: a Redis (`rig.redis`) and a second node of the index (`rig.otherNode`).
 */
export async function openRig({
  rateBytesPerS = 0,
  delayMs = 0,
  root = media.dir,
  pages = {},
  pageHeaders = {},
  files = {},
  intercept = () => false,
  lab,
  labQuery = "",
  indexArgs = [],
  forgetful = false,
  redis: withRedis = false,
} = {}) {
  const folder = mkdtempSync(join(tmpdir(), "nearcast-e2e-"));
  const sample = createSampleOrigin({ root, rateBytesPerS, delayMs });
  const origin = {
    ...sample,
    owns: (pathname) => sample.owns(pathname) || (lab !== undefined && isLab(pathname)),
    handle: (req, res) => {
      if (lab && isLab(req.url)) return lab(req, res);
      return intercept(req, res) ? undefined : sample.handle(req, res);
    },
  };
  const content = {
    pages: { ...PAGES, ...pages },
    pageHeaders,
    files: { ...siteFiles(), ...files },
  };
  const site = createServer((req, res) => serve(req, res, origin, content));
  site.listen(0, "127.0.0.1");
  await once(site, "listening");
  const url = `http://localhost:${site.address().port}`;
  // The CDN: the same files on another origin, attested over HTTP.
  const cdn = createServer((req, res) => origin.handle(req, res));
  cdn.listen(0, "127.0.0.1");
  await once(cdn, "listening");
  const cdnUrl = `http://localhost:${cdn.address().port}`;
  const redis = withRedis ? new RedisProcess(PROGRAMS[0], await freePort()) : undefined;
  await redis?.start();
  const node = () =>
    new IndexProcess({
      site: url,
      cdn: cdnUrl,
      root,
      keyFile: forgetful ? undefined : join(folder, "key.pem"),
      indexArgs: [
        ...(lab ? [url, cdnUrl].flatMap((base) => ["--origin", `${base}/lab/${labQuery}`]) : []),
        ...(redis ? ["--redis", redis.url] : []),
        ...indexArgs,
      ],
    });
  const index = node();
  await index.start();
  const otherNode = redis && node();
  await otherNode?.start();
  const browsers = [];

  /** Starts a browser of its own, `"chromium"` or `"firefox"`; by default the one that `NEARCAST_BROWSER` names. */
  async function launch(
    name = process.env.NEARCAST_BROWSER ?? "chromium",
    { preferences = {} } = {},
  ) {
    const browser = await puppeteer.launch({
      headless: true,
      protocolTimeout: 240_000,
      ...(name === "firefox"
        ? {
            browser: "firefox",
            executablePath: findFirefox(),
            args: ["--remote-allow-system-access"],
            extraPrefsFirefox: preferences,
          }
        : { executablePath: ensureChrome(), args: chromeArgs(), pipe: true }),
    });
    browsers.push(browser);
    return browser;
  }

  /** Opens one profile; `open(path)` of it opens pages that share worker, store and host tab. */
  const profile = async () => new Profile(await launch(), url);

  /** A profile that shares the browser with others, and nothing else: a private context of `browser`. */
  const context = async (browser) => new Profile(await browser.createBrowserContext(), url);

  return {
    url,
    origin,
    index,
    redis,
    otherNode,
    cdn: cdnUrl,
    profile,
    launch,
    context,
    async close() {
      await Promise.all(browsers.map((browser) => browser.close()));
      await index.stop();
      await otherNode?.stop();
      await redis?.end();
      for (const server of [site, cdn]) {
        server.closeAllConnections();
        server.close();
      }
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

const isLab = (path) => path.startsWith("/lab/");

/** The index server as a process of its own, so that it can really be killed. */
class IndexProcess {
  #options;
  #child;
  port = 0;

  constructor(options) {
    this.#options = options;
  }

  get url() {
    return `ws://localhost:${this.port}`;
  }

  async start() {
    const { site, cdn, root, keyFile, indexArgs } = this.#options;
    const args = [
      ...["--port", String(this.port), "--site", site, "--root", root],
      ...(keyFile === undefined ? [] : ["--key-file", keyFile]),
      ...["--origin", `${site}/media/`, "--origin", `${cdn}/media/`],
      ...indexArgs,
    ];
    this.#child = spawn(process.execPath, ["dist/cli.js", "serve", ...args], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    let text = "";
    for await (const chunk of this.#child.stdout) {
      text += chunk;
      const found = /https?:\/\/[^\s:]+:(\d+)/.exec(text);
      if (!found) continue;
      this.port = Number(found[1]);
      break;
    }
    if (this.port === 0) throw new Error(`Cannot start the index server: ${text}`);
  }

  /** SIGKILL: no goodbye of any kind. */
  async kill() {
    await this.#end("SIGKILL");
  }

  async stop() {
    await this.#end("SIGTERM");
  }

  async #end(signal) {
    const child = this.#child;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    child.kill(signal);
    await once(child, "exit");
  }

  /** What /healthz answers; always with status 200. */
  async health() {
    const response = await fetch(`http://localhost:${this.port}/healthz`);
    if (response.status !== 200) throw new Error(`/healthz answers ${response.status}`);
    return response.json();
  }

  /** One sample of /metrics, labels included in the name. */
  async metric(name) {
    const text = await (await fetch(`http://localhost:${this.port}/metrics`)).text();
    const line = text.split("\n").find((entry) => entry.startsWith(`${name} `));
    return line === undefined ? 0 : Number(line.split(" ").at(-1));
  }
}

/** One browser profile. */
class Profile {
  #url;

  constructor(browser, url) {
    this.browser = browser;
    this.#url = url;
  }

  /**
   * Opens a page of the site.
   *
   * @param prepare Runs in the page before any script of it.
   */
  async open(path, { prepare, argument } = {}) {
    const page = await this.browser.newPage();
    page.errors = [];
    page.on("pageerror", (error) => {
      if (!BROWSERS_OWN.test(String(error))) page.errors.push(String(error));
    });
    await page.evaluateOnNewDocument(recordSegments);
    if (prepare) await page.evaluateOnNewDocument(prepare, argument);
    await page.goto(this.#url + path);
    return page;
  }
}

/** What Firefox writes of a socket or a body that fails or is blocked looks like an uncaught error, and is none. */
const BROWSERS_OWN =
  /^Error: (Firefox can.t establish a connection to|The connection to|Failed to load .* A ServiceWorker|WebRTC: ICE failed|Cross-Origin Request Blocked|The resource at .* was blocked due to its Cross-Origin-Resource-Policy)/;

/** Runs in the page: the SHA-256 of every body that a player received, by URL. */
function recordSegments() {
  window.received = [];
  const { send: realSend } = XMLHttpRequest.prototype;
  XMLHttpRequest.prototype.send = function (...args) {
    this.addEventListener("load", () => {
      // A player that parses in a worker has given the buffer away.
      if (!(this.response instanceof ArrayBuffer) || this.response.detached) return;
      const { responseURL, status, response } = this;
      const copy = response.slice(0);
      window.received.push({
        url: responseURL,
        status,
        hash: hexHash(copy),
        bytes: copy.byteLength,
      });
    });
    return realSend.apply(this, args);
  };
  async function hexHash(buffer) {
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", buffer));
    return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
  }
}

/** What the page received so far: path below /media/, status, bytes, hash. */
export async function receivedBy(page) {
  return page.evaluate(() =>
    Promise.all(
      window.received.map(async ({ url, status, bytes, hash }) => ({
        path: new URL(url).pathname.replace("/media/", ""),
        status,
        bytes,
        hash: await hash,
      })),
    ),
  );
}

/** Waits for a condition in the page, by polling its state. What does not come true says how the page is. */
export async function until(page, condition, argument, timeoutMs = 30_000) {
  try {
    await page.waitForFunction(condition, { timeout: timeoutMs, polling: 50 }, argument);
  } catch (cause) {
    const state = await page.evaluate(() => window.nearcast?.stats()).catch(() => undefined);
    throw new Error(`${cause.message}: ${condition}, ${JSON.stringify(state)}`, { cause });
  }
}

export const stats = (page) => page.evaluate(() => window.nearcast.stats());

/** Polls a condition of the test's own side; for what no event tells. */
export async function soon(condition, what, timeoutMs = 15_000) {
  const endMs = Date.now() + timeoutMs;
  while (!(await condition())) {
    if (Date.now() > endMs) throw new Error(`It did not come true in ${timeoutMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Reports of requests come after their bodies: waits until so many bytes of peers are counted. */
export const meshed = (page, leastBytes = 1) =>
  soon(async () => (await stats(page)).bytes.mesh >= leastBytes, `${leastBytes} bytes of peers`);

/** Opens the SDK-only page and waits until the worker controls it. */
export async function openBlank(profile, rig, { options = {}, ...how } = {}) {
  const parameters = new URLSearchParams({ server: rig.index.url, ...options });
  const page = await profile.open(`/blank?${parameters}`, how);
  await page.evaluate(() => window.ready);
  return page;
}

/** `fetch()` in the page: status, headers, hash and length of the body, or the error's name. */
export async function fetchIn(page, url, init = {}) {
  return page.evaluate(
    async (target, options) => {
      try {
        const response = await fetch(target, options);
        const body = new Uint8Array(await response.arrayBuffer());
        const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", body));
        return {
          status: response.status,
          statusText: response.statusText,
          url: response.url,
          redirected: response.redirected,
          headers: Object.fromEntries(response.headers),
          bytes: body.byteLength,
          hash: Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join(""),
        };
      } catch (error) {
        return { error: error.name };
      }
    },
    url,
    init,
  );
}

/**
 * Fetches in the page until the viewer answers by itself: then the index has attested the file, with the origin's own
 * validators. An origin that is slowed down or cut off before may never be attested in time.
 */
export async function holds(page, path, { init = {}, timeoutMs = 30_000 } = {}) {
  const held = await page.evaluate(
    async (target, how, patienceMs) => {
      const url = new URL(target, location.href).href;
      const endMs = performance.now() + patienceMs;
      while (performance.now() < endMs) {
        const reported = new Promise((resolve) => {
          window.nearcast.addEventListener("request", function heard({ detail }) {
            if (detail.url !== url) return;
            window.nearcast.removeEventListener("request", heard);
            resolve(detail.bytes);
          });
        });
        await (await fetch(target, how)).arrayBuffer();
        const late = new Promise((resolve) => setTimeout(resolve, endMs - performance.now(), {}));
        const { mesh, origin } = await Promise.race([reported, late]);
        if (mesh + origin === 0) return true;
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      return false;
    },
    path,
    init,
    timeoutMs,
  );
  if (!held) throw new Error(`The viewer does not hold ${path}`);
}

/** Waits until the page's viewer is linked with that many others. */
export const linked = (page, count) =>
  until(page, (links) => window.nearcast.stats().links >= links, count);

const PAGES = {
  /** A film in hls.js. */
  "/hls": `<video id="video" muted playsinline style="width:320px"></video>
    <script src="/vendor/hls.min.js"></script>
    <script>
      window.ready = new Promise((done) => addEventListener("nearcast:ready", done, { once: true }));
      window.play = (src, rate = 1) => {
        const hls = new Hls({ enableWorker: false });
        window.fatal = [];
        hls.on(Hls.Events.ERROR, (_, data) => data.fatal && window.fatal.push(data.details));
        hls.loadSource(src);
        hls.attachMedia(video);
        hls.on(Hls.Events.MANIFEST_PARSED, () => { video.defaultPlaybackRate = rate; video.playbackRate = rate; video.play(); });
        window.stalls = []; 
        let started = false;
        video.addEventListener("playing", () => { started = true; });
// Dry means that bytes were late; a full buffer that waits is a busy machine.
        const ahead = () => { const { buffered: b, currentTime: t } = video; for (let i = 0; i < b.length; i++) if (b.start(i) <= t + 0.3 && b.end(i) > t) return b.end(i) - t; return 0; };
        video.addEventListener("waiting", () => { if (started && !video.seeking && !video.ended && ahead() < 0.5) window.stalls.push(video.currentTime); });
        window.hls = hls;
      };
    </script>`,
  /** The film as a plain file in a plain element. */
  "/mp4": `<video id="video" crossorigin muted playsinline style="width:320px"></video>
    <script>window.ready = new Promise((done) => addEventListener("nearcast:ready", done, { once: true }));</script>`,
  /** Nothing but the SDK. */
  "/blank": `<script>window.ready = new Promise((done) => addEventListener("nearcast:ready", done, { once: true }));</script>`,
};

/** What a site's bundler would do with its own worker. */
function bundleSiteWorker() {
  const { outputFiles } = buildSync({
    entryPoints: ["test/e2e/support/site-worker.js"],
    bundle: true,
    write: false,
    format: "iife",
    define: { "process.env.NODE_ENV": '"production"' },
  });
  return outputFiles[0].text;
}

/** Scripts of the site; those of the build are read when asked for. */
const siteFiles = () => ({
  "/site-sw.js": { type: "text/javascript", body: bundleSiteWorker() },
  "/stranger-sw.js": { type: "text/javascript", body: "self.x = 1;" },
});

const BUILT = {
  "/nearcast.js": "dist/nearcast.js",
  "/nearcast-sw.js": "dist/nearcast-sw.js",
  "/nearcast-playlists.js": "dist/nearcast-playlists.js",
  "/vendor/hls.min.js": "node_modules/hls.js/dist/hls.min.js",
};

function serve(req, res, origin, { pages, pageHeaders, files }) {
  const { pathname, searchParams } = new URL(req.url, "http://site");
  if (origin.owns(pathname)) return origin.handle(req, res);
  const page = pages[pathname];
  if (page !== undefined) {
    res.setHeader("Content-Type", "text/html; charset=utf-8");
    res.setHeader("Cache-Control", "no-store");
    for (const [name, value] of Object.entries(pageHeaders)) res.setHeader(name, value);
    res.end(
      `<!doctype html><meta charset="utf-8"><title>test</title>${page}${tagOf(searchParams)}`,
    );
    return;
  }
  const given = files[pathname];
  const file = typeof given === "function" ? given(req, res) : given;
  if (file !== undefined) {
    res.writeHead(200, { "Content-Type": file.type, ...file.headers });
    res.end(file.body);
    return;
  }
  if (given !== undefined) return; // it answers by itself
  const built = BUILT[pathname];
  if (built) return void send(req, resolve(built), { cacheControl: false }).pipe(res);
  res.statusCode = 404;
  res.end();
}

/** The script tag as a customer writes it; `?off` leaves it out, other parameters become `data-`. */
function tagOf(parameters) {
  if (parameters.has("off")) return "";
  const data = { include: "/media/**", ...Object.fromEntries(parameters) };
  const attributes = Object.entries(data).map(([name, value]) => ` data-${name}="${value}"`);
  return `<script src="/nearcast.js"${attributes.join("")}></script>`;
}
