// Attestation over HTTP: a scripted origin, and every answer that must not be vouched for.
import assert from "node:assert/strict";
import test from "node:test";
import {
  bodyOf,
  hashesOf,
  originFor,
  SITE,
  serverFor,
  viewerFor,
  WINDOW_BYTES,
} from "./support.mjs";

const OPEN = { "access-control-allow-origin": "*", "cache-control": "max-age=60" };

/** Serves `body` as a good origin does, by Range. */
function serve(request, response, { body, headers = {} }) {
  const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range).map(Number);
  const end = Math.min(to + 1, body.length);
  response.writeHead(206, {
    ...OPEN,
    "content-type": "video/mp4",
    "content-range": `bytes ${from}-${end - 1}/${body.length}`,
    "content-length": end - from,
    ...headers,
  });
  response.end(body.subarray(from, end));
}

async function setUp(t, script, options = {}) {
  const origin = await originFor(t, script);
  const sites = [SITE, "http://second.test", origin.url];
  const server = await serverFor(t, { origins: [origin.url], sites, ...options });
  const viewer = (more) => viewerFor(t, server, more);
  const metrics = async () => (await fetch(`${server.url}/metrics`)).text();
  return { origin, viewer, metrics, url: (name) => `${origin.url}/${name}` };
}

test("a window is fetched anonymously by Range and attested with the strong ETag", async (t) => {
  const body = bodyOf(11_000_000);
  const { origin, viewer, metrics, url } = await setUp(t, (request, response) =>
    serve(request, response, { body, headers: { etag: '"v1"' } }),
  );
  const { attestation } = await (await viewer()).want(url("a.mp4"), 2);
  assert.equal(attestation.version, '"v1"');
  assert.equal(attestation.length, 11_000_000);
  assert.deepEqual(attestation.hashes, hashesOf(body, 2));
  // Less a second, if the clock struck one between the origin's Date and the judgement.
  assert.ok([59_000, 60_000].includes(attestation.expiresMs - attestation.issuedMs));
  const [{ headers, method }] = origin.requests;
  assert.equal(method, "GET");
  assert.equal(headers.range, `bytes=${2 * WINDOW_BYTES}-${3 * WINDOW_BYTES - 1}`);
  assert.equal(headers["accept-encoding"], "identity");
  assert.equal(headers.origin, SITE);
  assert.equal(headers.cookie, undefined);
  const text = await metrics();
  assert.match(text, /nearcast_attested_bytes_total\{source="http"\} 2611392\n/);
  assert.doesNotMatch(text, /source="disk"/);
});

test("many wants of one window cost the origin one request", async (t) => {
  const body = bodyOf(100_000);
  const { origin, viewer, url } = await setUp(t, (request, response) =>
    serve(request, response, { body, headers: { etag: '"v1"' } }),
  );
  const viewers = await Promise.all(Array.from({ length: 10 }, () => viewer()));
  await Promise.all(viewers.map((each) => each.want(url("a.mp4"))));
  await viewers[0].want(url("a.mp4"));
  assert.equal(origin.requests.length, 1);
});

test("a whole body is hashed window by window where the origin knows no ranges", async (t) => {
  const body = bodyOf(2 * WINDOW_BYTES + 5);
  const { origin, viewer, url } = await setUp(t, (_request, response) =>
    response.writeHead(200, { ...OPEN, etag: '"v1"', "content-length": body.length }).end(body),
  );
  const a = await viewer();
  for (const window of [1, 0, 2]) {
    const { attestation } = await a.want(url("a.bin"), window);
    assert.deepEqual(attestation.hashes, hashesOf(body, window));
  }
  assert.equal(origin.requests.length, 1);
  assert.equal((await a.want(url("a.bin"), 3)).refused.reason, "no such window");
});

test("R34: the operator's query goes to the origin, and nobody else hears of it", async (t) => {
  const body = bodyOf(1_000);
  const origin = await originFor(t, (request, response) => {
    if (!request.url.endsWith("token=op&e=9")) return response.writeHead(403, OPEN).end();
    serve(request, response, { body, headers: { etag: '"v1"' } });
  });
  const lines = [];
  const server = await serverFor(t, {
    origins: [`${origin.url}/?token=op&e=9`],
    log: (line) => lines.push(line),
  });
  const a = await viewerFor(t, server);
  const { attestation } = await a.want(`${origin.url}/a.bin?v=1`);
  assert.equal(attestation.url, `${origin.url}/a.bin?v=1`);
  assert.deepEqual(attestation.hashes, hashesOf(body, 0));
  const { refused } = await a.want(`${origin.url}/a.bin?token=mine`);
  assert.equal(refused.reason, "URL has its own token");
  assert.deepEqual(
    origin.requests.map(({ url }) => url),
    ["/a.bin?v=1&token=op&e=9"],
  );
  assert.doesNotMatch(JSON.stringify([attestation, refused, lines]), /op&e|token=/);
});

test("the version is the ETag, else the date and length, else the body's digest", async (t) => {
  let body = bodyOf(1_000);
  const headers = {
    "/weak.bin": { etag: 'W/"1"', "last-modified": "Mon, 01 Jan 2024 00:00:00 GMT" },
    "/none.bin": {},
  };
  const { viewer, url } = await setUp(t, (request, response) =>
    serve(request, response, { body, headers: headers[request.url.replace(/\?.*/, "")] }),
  );
  const a = await viewer();
  const version = async (name) => (await a.want(url(name))).attestation.version;
  assert.equal(await version("weak.bin"), "Mon, 01 Jan 2024 00:00:00 GMT 1000");
  const digest = await version("none.bin");
  assert.equal(await version("none.bin?same"), digest);
  body = bodyOf(1_000, 2);
  assert.notEqual(await version("none.bin?other"), digest);
  body = bodyOf(WINDOW_BYTES + 1);
  assert.equal((await a.want(url("none.bin?large"))).refused.reason, "no validator");
});

test("C5, C8, E11, R63: what must not be shared, or is not consistent, is refused with a reason", async (t) => {
  const body = bodyOf(1_000);
  const good = (headers) => (request, response) => serve(request, response, { body, headers });
  const scripts = {
    "private.bin": [good({ "cache-control": "private" }), /private/],
    "no-store.bin": [good({ "cache-control": "no-store" }), /no-store/],
    "no-cache.bin": [good({ "cache-control": "no-cache" }), /no-cache/],
    "cookie.bin": [good({ "set-cookie": "a=b" }), /Set-Cookie/],
    "vary.bin": [good({ vary: "Origin, Cookie" }), /Vary: cookie/],
    "not-fresh.bin": [good({ "cache-control": "public" }), /freshness/],
    "stale.bin": [good({ age: "61" }), /stale/],
    "gzip.bin": [good({ "content-encoding": "gzip" }), /Content-Encoding/],
    "html.bin": [good({ "content-type": "text/html" }), /Content-Type/],
    "no-cors.bin": [good({ "access-control-allow-origin": "http://other.test" }), /Allow-Origin/],
    "moved.bin": [
      (_request, response) =>
        response.writeHead(302, { ...OPEN, location: "http://169.254.169.254/" }).end(),
      /redirect/,
    ],
    "missing.bin": [(_request, response) => response.writeHead(404, OPEN).end("no"), /404/],
    "broken.bin": [(_request, response) => response.writeHead(500, OPEN).end("no"), /500/],
    "wrong-range.bin": [good({ "content-range": "bytes 1-1000/1001" }), /Content-Range/],
    "no-total.bin": [good({ "content-range": "bytes 0-999/*" }), /Content-Range/],
    "long.bin": [good({ "content-range": "bytes 0-998/999" }), /longer/],
    "short.bin": [good({ "content-range": "bytes 0-1000/1001" }), /shorter/],
    "cut.bin": [
      (_request, response) => {
        response.writeHead(200, { ...OPEN, "content-length": 1_000 });
        response.write("x".repeat(500), () => response.destroy());
      },
      /cut off/,
    ],
    "endless.bin": [
      (_request, response) => {
        response.socket.end(
          "HTTP/1.0 200 OK\r\nAccess-Control-Allow-Origin: *\r\nCache-Control: max-age=9\r\n\r\nbody",
        );
      },
      /length/,
    ],
    "too-large.bin": [
      (_request, response) =>
        response.writeHead(200, { ...OPEN, "content-length": 2 ** 27 }).flushHeaders(),
      /ranges/,
    ],
    "reset.bin": [(_request, response) => response.destroy(), /could not be read/],
    "no-body.bin": [(_request, response) => response.writeHead(206, OPEN).flushHeaders(), /Range/],
    "silent.bin": [() => {}, /too long/],
    "stalled.bin": [
      (_request, response) => response.writeHead(200, { ...OPEN, "content-length": 9 }).write("x"),
      /too long/,
    ],
  };
  const { viewer, url, metrics } = await setUp(
    t,
    (request, response) => scripts[request.url.slice(1)][0](request, response),
    { attestTimeoutMs: 500 },
  );
  const a = await viewer();
  await Promise.all(
    Object.entries(scripts).map(async ([name, [, reason]]) => {
      const { attestation, refused, holders } = await a.want(url(name));
      assert.equal(attestation, undefined, name);
      assert.match(refused.reason, reason, name);
      assert.ok(refused.retryMs > 0 && refused.retryMs <= 60_000);
      assert.deepEqual(holders, []);
    }),
  );
  const text = await metrics();
  assert.match(text, new RegExp(`nearcast_refused_total ${Object.keys(scripts).length}\n`));
  assert.match(text, /nearcast_attested_windows_total 0\n/);
});

test("C5: an attestation for one site's viewers is not given to another's", async (t) => {
  const { origin, viewer, url } = await setUp(t, (request, response) =>
    serve(request, response, {
      body: bodyOf(10),
      headers: {
        "access-control-allow-origin":
          request.headers.origin === SITE ? SITE : "http://nobody.test",
        vary: "Origin",
      },
    }),
  );
  const [first, second] = [await viewer(), await viewer({ origin: "http://second.test" })];
  await second.join(url(""));
  assert.ok((await first.want(url("a.bin"))).attestation);
  assert.match((await second.want(url("a.bin"))).refused.reason, /Allow-Origin/);
  await second.join(url(""));
  assert.deepEqual(second.messages, []);
  assert.equal(origin.requests.length, 2);
});

test("the origin's own pages need no CORS permission", async (t) => {
  const { origin, viewer, url } = await setUp(t, (request, response) =>
    serve(request, response, {
      body: bodyOf(10),
      headers: { "access-control-allow-origin": "http://nobody.test" },
    }),
  );
  const a = await viewer({ origin: origin.url });
  assert.ok((await a.want(url("a.bin"))).attestation);
});

test("headers that do not fit are left out, essential ones first in", async (t) => {
  const { viewer, url } = await setUp(t, (request, response) =>
    serve(request, response, {
      body: bodyOf(10),
      headers: { "x-long": "x".repeat(4_000), "x-longer": "y".repeat(4_096), etag: '"1"' },
    }),
  );
  const { attestation } = await (await viewer()).want(url("a.bin"));
  const names = attestation.headers.map(([name]) => name);
  assert.ok(names.includes("etag") && names.includes("content-type"));
  assert.ok(!names.includes("x-longer") && !names.includes("content-length"));
  assert.ok(JSON.stringify(attestation.headers).length < 5_000);
});
