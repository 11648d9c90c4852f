/**
 * http-tests/cache-tests (npm `http-cache-tests`): its own server, client and tests, unchanged, served by a site
 * that also has Nearcast. The attestor and the peer are further clients of the same origin; the tests count
 * requests, so what those two ask is answered like the request before and left out of the count.
 * @module
 */
import { EventEmitter, once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join, resolve } from "node:path";
import handleConfig from "http-cache-tests/server/handle-config.mjs";
import handleState from "http-cache-tests/server/handle-state.mjs";
import handleTest from "http-cache-tests/server/handle-test.mjs";
import { configs, stash } from "http-cache-tests/server/utils.mjs";

const SUITE = resolve("node_modules/http-cache-tests");
const TYPES = { ".mjs": "text/javascript", ".js": "text/javascript" };
/** The other viewer of the accelerated run says so; nothing else tells it from the first one. */
export const PEER_HEADER = "x-conformance-peer";

/** Starts the site; `close()` ends it. @param tag The script tag for a page's query parameters. */
export async function openSuite(tag) {
  const server = createServer((req, res) => {
    const { pathname, searchParams } = new URL(req.url, "http://site");
    const [kind, ...rest] = pathname.slice(1).split("/");
    if (kind === "config") return handleConfig(rest, req, res);
    if (kind === "state") return handleState(rest, req, res);
    if (kind === "test") return answerTest(rest, req, res);
    if (kind === "page") {
      res.setHeader("Content-Type", "text/html; charset=utf-8");
      return res.end(`<!doctype html><title>cache-tests</title>${tag(searchParams)}`);
    }
    return serveFile(pathname, res);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://localhost:${server.address().port}`,
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
}

/** Emits the id of each test that was asked its next request. */
const asked = new EventEmitter().setMaxListeners(0);
/**
 * Who makes the attestor look has asked the origin, or is about to but may wait for a free connection. An attestor that
 * waited for one who has asked would look later than the page, and see it fresh for longer.
 */
const REQUEST_MAX_MS = 1_500;
/** The number of the latest request that a bystander was answered like, by id of the test. */
const looked = new Map();
const latestOf = (id) => (stash.get(id) ?? []).at(-1)?.request_num;

async function answerTest(path, req, res) {
  const bystander =
    req.headers["user-agent"] === "nearcast-attestor" || req.headers[PEER_HEADER] !== undefined;
  if (!bystander) {
    handleTest(path, req, res);
    return asked.emit(path[0]);
  }
  if (latestOf(path[0]) === looked.get(path[0])) {
    const signal = AbortSignal.timeout(REQUEST_MAX_MS);
    await once(asked, path[0], { signal }).catch(() => null);
  }
  // As the origin stands now: what it answers to the latest request, or would if that were not conditional.
  const state = stash.get(path[0]) ?? [];
  const latest = latestOf(path[0]);
  if (latest === undefined) return res.writeHead(404).end();
  looked.set(path[0], latest);
  const config = configs.get(path[0]);
  const { expected_type: _, ...unconditional } = config[latest - 1];
  configs.set(path[0], config.with(latest - 1, unconditional));
  stash.set(path[0], state.slice(0, -1));
  req.headers["req-num"] = String(latest);
  try {
    handleTest(path, req, res);
  } finally {
    stash.set(path[0], state);
    configs.set(path[0], config);
  }
}

async function serveFile(pathname, res) {
  const built = ["/nearcast.js", "/nearcast-sw.js"].includes(pathname);
  const path = built ? resolve("dist", pathname.slice(1)) : join(SUITE, pathname);
  try {
    const body = await readFile(path);
    res.setHeader("Content-Type", TYPES[extname(path)] ?? "application/octet-stream");
    res.setHeader("Cache-Control", "no-cache");
    res.end(body);
  } catch {
    res.writeHead(404).end();
  }
}

/**
 * Runs in a page: the suites, with the page's own fetch.
 *
 * @param only Ids of the tests to run; all without it.
 */
export async function runInPage(only) {
  const [{ runTests, getResults }, { default: suites }] = await Promise.all([
    import("/client/runner.mjs"),
    import("/tests/index.mjs"),
  ]);
  const chosen = suites.map((suite) => ({
    ...suite,
    tests: suite.tests.filter(({ id }) => only === undefined || only.includes(id)),
  }));
  const { afterTestRequest = async () => undefined } = window;
  const viaPage = async (url, init) => {
    const response = await fetch(url, init);
    if (!String(url).includes("/test/")) return response;
    // The body first: what follows must find a request that is over.
    const body = await response.clone().arrayBuffer();
    await afterTestRequest(url, init, body.byteLength);
    return response;
  };
  await runTests(chosen, viaPage, true, "");
  return getResults();
}

/** Tests by id, with kind (`required`, `optimal`, `check`) and the part of the suite. */
export async function catalogue() {
  const { default: suites } = await import("http-cache-tests/tests/index.mjs");
  const tests = suites.flatMap(({ id: suite, tests }) =>
    tests.map(({ id, kind = "required", requests, ...rest }) => [
      id,
      { suite, kind, waits: requests.some(({ pause_after }) => pause_after), ...rest },
    ]),
  );
  return new Map(tests);
}

/**
 * What one result says, in one word: `pass`; `fail`, the cache did what the test forbids; `setup`, the test
 * could not be made (the cache stores nothing, for one). Messages hold random ids and are left out.
 */
export function verdictOf(result) {
  if (result === true) return "pass";
  if (result === undefined) return "missing";
  return result[0] === "Setup" ? "setup" : "fail";
}

/** Ids whose verdict differs: `[id, before, after]`. */
export function differences(before, after) {
  const ids = new Set([...Object.keys(before), ...Object.keys(after)]);
  return [...ids]
    .map((id) => [id, verdictOf(before[id]), verdictOf(after[id])])
    .filter(([, was, is]) => was !== is)
    .sort();
}
