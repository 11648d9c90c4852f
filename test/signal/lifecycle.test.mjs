// Start and end of the server, its own HTTP paths, its options.
import assert from "node:assert/strict";
import { readFile, stat, writeFile } from "node:fs/promises";
import { createConnection } from "node:net";
import { join } from "node:path";
import test from "node:test";
import { resolveServerOptions, startServer } from "../../dist/server.js";
import {
  bodyOf,
  connect,
  folderFor,
  idFrom,
  originFor,
  refusedUpgrade,
  SITE,
  serverFor,
  viewerFor,
} from "./support.mjs";

test("R70: close() tells viewers to come back at random times, closes with 1012 and ends when they go", async () => {
  const server = await startServer({ port: 0, sites: [SITE] });
  const t = { after: () => {} };
  const viewers = await Promise.all([viewerFor(t, server), viewerFor(t, server)]);
  for (const viewer of viewers) await viewer.settled();
  const closing = server.close();
  for (const viewer of viewers) {
    const { withinMs } = await viewer.heard(({ type }) => type === "retry");
    assert.ok(withinMs >= 1_000 && withinMs <= 30_000);
  }
  assert.deepEqual(await Promise.all(viewers.map(({ closed }) => closed)), [1012, 1012]);
  await closing;
  await server.close();
  await assert.rejects(fetch(`${server.url}/healthz`));
});

test("close() ends within two seconds even if viewers and origins do not answer", async (t) => {
  const origin = await originFor(t, () => {});
  const server = await startServer({ port: 0, sites: [SITE], origins: [origin.url] });
  const deaf = await viewerFor(t, server);
  deaf.say({ type: "want", q: 1, url: `${origin.url}/a.bin`, window: 0 });
  await deaf.settled();
  deaf.ws._socket.pause();
  const startMs = performance.now();
  await server.close();
  assert.ok(performance.now() - startMs < 2_000);
});

test("with a key file ids and key survive a restart; without one they do not", async (t) => {
  const keyFile = join(await folderFor(t), "key.pem");
  const run = async (options, id) => {
    const server = await startServer({ port: 0, sites: [SITE], ...options });
    const viewer = await connect(t, server, { id, token: "t" });
    const { type } = await viewer.heard(() => true);
    const [[keyId]] = type === "OPEN" ? (await viewer.settled()).keys : [[]];
    await server.close();
    return { type, keyId, id: viewer.id };
  };
  const first = await run({ keyFile });
  assert.equal((await stat(keyFile)).mode & 0o777, 0o600);
  assert.match(await readFile(keyFile, "utf8"), /BEGIN PRIVATE KEY/);
  const second = await run({ keyFile }, first.id);
  assert.deepEqual(second, first);
  assert.equal((await run({}, first.id)).type, "ERROR");
});

test("GET /healthz counts viewers", async (t) => {
  const server = await serverFor(t);
  await viewerFor(t, server);
  const response = await fetch(`${server.url}/healthz`);
  assert.equal(response.status, 200);
  assert.deepEqual(await response.json(), { status: "ok", viewers: 1 });
});

test("its own paths answer GET and HEAD with a length, and nothing else", async (t) => {
  const server = await serverFor(t);
  const ask = (path, init) => fetch(server.url + path, init);
  for (const path of ["/healthz", "/metrics", "/dashboard", "/peerjs/id", "/peerjs/config"]) {
    const body = await (await ask(path)).arrayBuffer();
    const head = await ask(path, { method: "HEAD" });
    assert.equal(head.status, 200, path);
    // Metrics may grow by a digit between two answers.
    assert.ok(Math.abs(Number(head.headers.get("content-length")) - body.byteLength) < 200, path);
    const post = await ask(path, { method: "POST", body: "x" });
    assert.equal(post.status, 405, path);
    assert.equal(post.headers.get("allow"), "GET, HEAD, OPTIONS");
  }
});

test("what is no HTTP, or too much of it, is told so", async (t) => {
  const { port } = await serverFor(t);
  const answerTo = async (text) => {
    const socket = createConnection(port, "127.0.0.1");
    socket.end(text);
    return (await socket.toArray()).join("");
  };
  assert.match(await answerTo("NONSENSE\r\n\r\n"), /^HTTP\/1\.1 400 /);
  const long = `GET /healthz HTTP/1.1\r\nHost: x\r\nX-Long: ${"a".repeat(20_000)}\r\n\r\n`;
  assert.match(await answerTo(long), /^HTTP\/1\.1 431 /);
});

test("R58: GET /metrics prints what happened in the format of Prometheus", async (t) => {
  const server = await serverFor(t);
  const [a, b] = [await viewerFor(t, server), await viewerFor(t, server)];
  a.say({ type: "HEARTBEAT" });
  const payload = { candidate: {}, type: "data", connectionId: "c" };
  a.say({ type: "CANDIDATE", dst: b.id, payload });
  const counts = { cache: 1, mesh: 20, origin: 300, uploaded: 4_000, rejected: 5 };
  const stats = { type: "stats", ...counts, goodput: [[b.id, 1_000]] };
  a.say(stats);
  a.say(stats);
  a.say({ type: "report", peerId: b.id, reason: "corrupt" });
  a.say("nonsense");
  await a.settled();
  const response = await fetch(`${server.url}/metrics`);
  assert.match(response.headers.get("content-type"), /^text\/plain; version=0\.0\.4/);
  const text = await response.text();
  for (const line of [
    "nearcast_viewers 2",
    "nearcast_sockets_total 2",
    'nearcast_messages_total{type="HEARTBEAT"} 1',
    'nearcast_messages_total{type="stats"} 2',
    'nearcast_relayed_total{type="CANDIDATE"} 1',
    'nearcast_viewer_bytes_total{source="mesh"} 40',
    'nearcast_viewer_bytes_total{source="uploaded"} 8000',
    'nearcast_reports_total{reason="corrupt"} 1',
    'nearcast_rejected_total{reason="json"} 1',
  ]) {
    assert.ok(text.split("\n").includes(line), `${line}\nin\n${text}`);
  }
  for (const line of text.trim().split("\n")) {
    assert.match(line, /^(# (HELP|TYPE) \w+ .+|\w+(\{\w+="[\w-]+"\})? \d+)$/);
  }
});

test("other requests go to the embedder, whose failures are its own", async (t) => {
  const server = await serverFor(t, {
    onRequest: async ({ url }, response) => {
      if (url === "/throw") throw new Error("embedder");
      response.end("mine");
    },
  });
  assert.equal(await (await fetch(`${server.url}/page?x`)).text(), "mine");
  assert.equal((await fetch(`${server.url}/throw`)).status, 500);
  assert.equal((await fetch(`${server.url}/healthz`)).status, 200);
  const bare = await serverFor(t);
  assert.equal((await fetch(`${bare.url}/page`)).status, 404);
});

test("viewers above the maximum are refused before they open", async (t) => {
  const server = await serverFor(t, { viewersMax: 1 });
  await viewerFor(t, server);
  assert.equal(await refusedUpgrade(server, { origin: SITE }), 503);
});

test("with * any site and clients without Origin may connect", async (t) => {
  const server = await serverFor(t, { sites: ["*"] });
  await viewerFor(t, server, { origin: "http://anything.test" });
  await viewerFor(t, server, { origin: undefined, id: await idFrom(server) });
});

test("R66: logs hold neither addresses nor query strings", async (t) => {
  const lines = [];
  const root = await folderFor(t);
  await writeFile(join(root, "a.bin"), bodyOf(10));
  const origins = ["http://127.0.0.1:1"];
  const log = (line) => lines.push(line);
  const server = await startServer({
    port: 0,
    host: "localhost",
    sites: [SITE],
    root,
    origins,
    log,
  });
  const a = await viewerFor(t, server);
  await a.want("http://127.0.0.1:1/a.bin?secret=1");
  await server.close();
  assert.ok(lines.length > 0);
  assert.doesNotMatch(lines.join("\n"), /127\.0\.0\.1|secret|\?/);
});

test("resolveServerOptions() applies defaults and freezes the result", () => {
  const config = resolveServerOptions({ sites: ["https://a.test/"], origins: ["http://o.test/x"] });
  assert.equal(config.host, "127.0.0.1");
  assert.equal(config.port, 9_000);
  assert.equal(config.freshMs, 3_600_000);
  assert.deepEqual(config.sites, ["https://a.test"]);
  assert.deepEqual(config.origins, [{ origin: "http://o.test", prefix: "/x/", query: "" }]);
  assert.ok(Object.isFrozen(config));
});

test("resolveServerOptions() names option, rule and value of what it rejects", () => {
  for (const [options, message] of [
    [{ sites: [] }, /`sites` must name at least one/],
    [{}, /`sites`/],
    [{ sites: ["example.com"] }, /`sites` .*: current value is "example.com"/],
    [{ sites: ["https://a.test/path"] }, /`sites`/],
    [{ port: 70_000 }, /`port` must be an integer from 0 to 65535: current value is 70000/],
    [{ port: "80" }, /`port`/],
    [{ lan: "yes" }, /`lan` must be true or false/],
    [{ host: "" }, /`host`/],
    [{ origins: ["ftp://o.test"] }, /`origins`/],
    [{ origins: ["http://u:p@o.test"] }, /`origins`/],
    [{ origins: ["http://o.test/#q"] }, /`origins`/],
    [{ root: "/tmp" }, /`origins` must name the origin that serves `root`/],
    [{ iceServers: ["http://x"] }, /`iceServers`/],
    [{ joinKey: "x" }, /`joinKey` must be an Ed25519 public key/],
    [{ enabled: "no" }, /`enabled` must be true or false/],
    [{ include: ["media"] }, /`include` must be at most 64 URL patterns/],
    [{ siteSettings: { x: {} } }, /`siteSettings` must have origins/],
    [{ siteSettings: { [SITE]: { port: 1 } } }, /unknown option "port" of site/],
    [{ siteSettings: { [SITE]: { rampPercent: -1 } } }, /rampPercent` must be/],
    [{ onRequest: 1 }, /`onRequest` must be a function/],
    [{ colour: "red" }, /unknown option "colour"/],
    [{ toString: 1 }, /unknown option "toString"/],
  ]) {
    const all = "sites" in options || message.source.includes("`sites`") ? {} : { sites: ["*"] };
    assert.throws(() => resolveServerOptions({ ...all, ...options }), {
      code: "config/invalid",
      message,
    });
  }
});

test("startServer() rejects a root that is no folder and a key file that is no key", async (t) => {
  const folder = await folderFor(t);
  await writeFile(join(folder, "key"), "not a key");
  const origins = ["http://o.test"];
  const start = (options) => startServer({ port: 0, sites: ["*"], origins, ...options });
  await assert.rejects(start({ root: join(folder, "missing") }), /`root` must be a folder/);
  await assert.rejects(start({ root: join(folder, "key") }), /`root` must be a folder/);
  await assert.rejects(start({ keyFile: join(folder, "key") }), /`keyFile`/);
  await assert.rejects(start({ keyFile: join(folder, "no", "key") }), /`keyFile` .*ENOENT/);
});

test("startServer() rejects when the port is in use", async (t) => {
  const { port } = await serverFor(t);
  await assert.rejects(startServer({ port, sites: ["*"] }), { code: "EADDRINUSE" });
});
