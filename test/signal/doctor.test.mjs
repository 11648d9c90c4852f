// `nearcast doctor` against a site that is right, and sites that each have one thing wrong.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import test from "node:test";
import { bodyOf, originFor, serverFor } from "./support.mjs";

const BODY = bodyOf(5_000);

/** A site with page, worker and a film; `wrong` changes single answers. */
async function siteFor(t, wrong = {}) {
  let tag = "";
  const answers = {
    "/": (response) => response.writeHead(200, { "content-type": "text/html" }).end(tag),
    "/nearcast-sw.js": (response) =>
      response.writeHead(200, { "content-type": "text/javascript" }).end("// nearcast"),
    "/film.mp4": (response) => {
      response.writeHead(206, {
        "content-type": "video/mp4",
        "content-range": `bytes 0-${BODY.length - 1}/${BODY.length}`,
        "cache-control": "max-age=60",
        etag: '"1"',
      });
      response.end(BODY);
    },
    ...wrong,
  };
  const site = await originFor(t, ({ url }, response) => {
    const answer = answers[url];
    if (answer) answer(response);
    else response.writeHead(404).end();
  });
  return {
    url: site.url,
    names: (server, more = "") => {
      tag = `<script src="/nearcast.js" data-server="${server}" ${more} async></script>`;
    },
  };
}

async function doctor(url, ...flags) {
  const child = spawn(process.execPath, ["dist/cli.js", "doctor", `${url}/`, ...flags]);
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (data) => {
      output += data;
    });
  }
  const [code] = await once(child, "close");
  return { code, output };
}

async function setUp(t, { wrong, options = {}, more } = {}) {
  const site = await siteFor(t, wrong);
  const server = await serverFor(t, { sites: [site.url], origins: [site.url], ...options });
  site.names(server.url.replace("http", "ws"), more);
  return doctor(site.url, "--asset", "/film.mp4");
}

test("doctor finds nothing wrong where nothing is wrong", async (t) => {
  const { code, output } = await setUp(t);
  assert.equal(code, 0, output);
  assert.doesNotMatch(output, /FAIL|warn/);
  assert.match(output, /attests the asset/);
  assert.match(output, /may be shared for 60 s/);
});

for (const [what, setting, message] of [
  [
    "a missing worker",
    { wrong: { "/nearcast-sw.js": (r) => r.writeHead(404).end() } },
    /status 404\n.*copy/,
  ],
  [
    "a worker of the wrong type",
    {
      wrong: {
        "/nearcast-sw.js": (r) =>
          r.writeHead(200, { "content-type": "text/plain" }).end("nearcast"),
      },
    },
    /type "text\/plain"/,
  ],
  [
    "a worker too deep",
    { more: 'data-worker="/nearcast-sw.js" data-scope="/deep/"' },
    /outside the scope/,
  ],
  [
    "a site that is not on the list",
    { options: { sites: ["http://other.test"] } },
    /status 403\n.*--site/,
  ],
  [
    "a required token",
    { options: { joinSecret: "x".repeat(32), requireToken: true } },
    /missing\n.*data-token-url/,
  ],
  [
    "an origin that is not on the list",
    { options: { origins: ["http://other.test"] } },
    /not below an allowed origin/,
  ],
]) {
  test(`doctor names ${what} and what to do`, async (t) => {
    const { code, output } = await setUp(t, setting);
    assert.equal(code, 1, output);
    assert.match(output, message);
  });
}

test("doctor names an answer that may not be shared, a server that is down, and how it is used", async (t) => {
  const { output } = await setUp(t, {
    wrong: {
      "/film.mp4": (r) =>
        r.writeHead(200, { "cache-control": "private", "content-length": 2 }).end("xx"),
    },
  });
  assert.match(output, /does not attest the asset: .*private/);
  assert.match(output, /answers 200 to a range/);
  const site = await siteFor(t);
  site.names("ws://127.0.0.1:1/");
  assert.match((await doctor(site.url)).output, /FAIL the server does not answer at http:\/\/127/);
  const child = spawn(process.execPath, ["dist/cli.js", "doctor"]);
  assert.deepEqual((await once(child, "close"))[0], 2);
});

test("doctor names what it cannot use, on the errors, and ends with code 2", async () => {
  for (const [args, message] of [
    [[], /the page must be one http\(s\) URL: current value is ""/],
    [["example.com"], /the page must be .*"example.com"/],
    [["file:///etc/passwd"], /the page must be .*"file:/],
    [["http://a.test/", "--asset", "http://["], /--asset must be a URL: .*"http:\/\/\["/],
    [["http://a.test/", "--colour"], /Cannot read flags: Unknown option '--colour'/],
  ]) {
    const child = spawn(process.execPath, ["dist/cli.js", "doctor", ...args]);
    let errors = "";
    child.stderr.on("data", (data) => {
      errors += data;
    });
    const [code] = await once(child, "close");
    assert.deepEqual([code, message.test(errors)], [2, true], errors);
  }
});
