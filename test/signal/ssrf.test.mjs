// The attestor fetches what viewers name, so it must be led nowhere (threat E11, rule R63).
import assert from "node:assert/strict";
import test from "node:test";
import { build } from "esbuild";
import { originFor, SITE, serverFor, viewerFor } from "./support.mjs";

const OPEN = { "access-control-allow-origin": "*", "cache-control": "max-age=60" };

test("E11, R63: addresses, schemes, ports and spellings off the allow-list are refused without a request", async (t) => {
  const origin = await originFor(t, (_request, response) => response.writeHead(200, OPEN).end("x"));
  const { port } = new URL(origin.url);
  const server = await serverFor(t, { origins: [`http://cdn.test:${port}/media/`] });
  const viewer = await viewerFor(t, server);
  for (const url of [
    "http://169.254.169.254/latest/meta-data/a.bin",
    `http://localhost:${port}/media/a.bin`,
    `http://127.0.0.1:${port}/media/a.bin`,
    `http://[::1]:${port}/media/a.bin`,
    "http://cdn.test/media/a.bin",
    `https://cdn.test:${port}/media/a.bin`,
    `http://user:word@cdn.test:${port}/media/a.bin`,
    `http://cdn.test.evil.test:${port}/media/a.bin`,
    `http://cdn.test:${port}/media/../admin/a.bin`,
    `http://cdn.test:${port}/media/%2e%2e/a.bin`,
    `http://cdn.test:${port}/media/..%2fadmin/a.bin`,
    `http://cdn.test:${port}/other/a.bin`,
  ]) {
    const { refused, attestation } = await viewer.want(url);
    assert.equal(attestation, undefined, url);
    assert.ok(refused.reason.length > 0);
  }
  for (const url of ["file:///etc/passwd", "ftp://cdn.test/a.bin", "gopher://cdn.test/"]) {
    viewer.say({ type: "want", q: 9, url, window: 0 });
    assert.equal((await viewer.heard(({ type }) => type === "error")).code, "protocol/malformed");
  }
  assert.equal(origin.requests.length, 0);
});

test("E11, R63: a redirect is not followed, wherever it leads", async (t) => {
  const inside = await originFor(t, (_request, response) => response.writeHead(200, OPEN).end("x"));
  const origin = await originFor(t, (_request, response) =>
    response.writeHead(302, { ...OPEN, location: `${inside.url}/secret.bin` }).end(),
  );
  const server = await serverFor(t, { origins: [origin.url], sites: [SITE] });
  const { refused } = await (await viewerFor(t, server)).want(`${origin.url}/a.bin`);
  assert.equal(refused.reason, "redirect");
  assert.equal(inside.requests.length, 0);
});

/** The attestor's client from its source, so that a test can stand in for DNS. */
async function originClient() {
  const { outputFiles } = await build({
    entryPoints: ["src/signal/attest/origin-request.ts"],
    ...{ bundle: true, format: "esm", platform: "node", write: false },
  });
  const code = Buffer.from(outputFiles[0].contents).toString("base64");
  return (await import(`data:text/javascript;base64,${code}`)).OriginClient;
}

test("E11, R63: a name of the allow-list that turns private (DNS rebinding) is not connected to", async (t) => {
  const OriginClient = await originClient();
  const origin = await originFor(t, (_request, response) => response.end("x"));
  const { port } = new URL(origin.url);
  const open = async (addresses, more = {}) => {
    const resolve = (_name, options, callback) => {
      const found = addresses.map((address) => ({
        address,
        family: address.includes(":") ? 6 : 4,
      }));
      if (options.all) callback(null, found);
      else callback(null, found[0].address, found[0].family);
    };
    const client = new OriginClient({ mayBePrivate: false, resolve, ...more });
    t.after(() => client.close());
    const stop = new AbortController();
    t.after(() => stop.abort());
    const how = { method: "GET", siteOrigin: SITE, signal: stop.signal };
    return client.open(new URL(`http://cdn.test:${port}/a.bin`), how);
  };
  for (const addresses of [
    ["127.0.0.1"],
    ["10.0.0.1"],
    ["169.254.169.254"],
    ["::1"],
    ["::ffff:127.0.0.1"],
    ["fd00::1"],
    ["0.0.0.0"],
    ["93.184.216.34", "127.0.0.1"],
  ]) {
    await assert.rejects(open(addresses), { code: "index/refused", message: /private address/ });
  }
  assert.equal(origin.requests.length, 0);
  // The operator may say that names of the own network are meant.
  assert.equal((await open(["127.0.0.1"], { mayBePrivate: true })).statusCode, 200);
});
