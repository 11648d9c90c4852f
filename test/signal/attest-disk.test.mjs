// Attestation of a folder: what is signed, what is refused, who hears of it.
import assert from "node:assert/strict";
import { mkdir, rename, symlink, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import test from "node:test";
import {
  bodyOf,
  folderFor,
  hashesOf,
  isSignedBy,
  originFor,
  SITE,
  serverFor,
  viewerFor,
} from "./support.mjs";

/** Files in a folder; the origin cannot be reached unless a script for it is given. */
async function setUp(t, { script, options, path = "/" } = {}) {
  const root = await folderFor(t);
  const origin = script ? await originFor(t, script) : { url: "http://127.0.0.1:1", requests: [] };
  const server = await serverFor(t, { root, origins: [origin.url + path], ...options });
  const viewer = (more) => viewerFor(t, server, more);
  const put = (name, body) => writeFile(join(root, name), body);
  const metrics = async () => (await fetch(`${server.url}/metrics`)).text();
  return { root, server, viewer, put, metrics, origin, url: (name) => origin.url + path + name };
}

const reasonOf = async (viewer, url, window) => (await viewer.want(url, window)).refused?.reason;

test("a small file is attested: signature, hashes, headers and expiry are right", async (t) => {
  const { viewer, put, url, metrics } = await setUp(t);
  const body = bodyOf(200_000);
  await put("a.mp4", body);
  const a = await viewer();
  const { keys } = await a.join(url(""));
  const { attestation, refused } = await a.want(url("a.mp4"));
  assert.equal(refused, undefined);
  assert.ok(isSignedBy(keys, attestation));
  assert.equal(attestation.url, url("a.mp4"));
  assert.equal(attestation.length, 200_000);
  assert.deepEqual(attestation.hashes, hashesOf(body));
  const headers = new Map(attestation.headers);
  assert.equal(headers.get("content-type"), "video/mp4");
  assert.equal(headers.get("accept-ranges"), "bytes");
  assert.equal(headers.get("cache-control"), "public, max-age=3600");
  assert.equal(attestation.expiresMs - attestation.issuedMs, 3_600_000);
  const text = await metrics();
  assert.match(text, /nearcast_attested_bytes_total\{source="disk"\} 200000\n/);
  assert.doesNotMatch(text, /source="http"/);
});

test("an 11 MB file is attested window by window, the empty file too, and no further", async (t) => {
  const { viewer, put, url } = await setUp(t);
  const body = bodyOf(11_000_000);
  await put("big.bin", body);
  await put("empty.bin", "");
  const a = await viewer();
  const versions = new Set();
  for (const window of [2, 0, 1]) {
    const { attestation } = await a.want(url("big.bin"), window);
    assert.equal(attestation.window, window);
    assert.deepEqual(attestation.hashes, hashesOf(body, window));
    versions.add(attestation.version);
  }
  assert.equal(versions.size, 1);
  assert.equal(await reasonOf(a, url("big.bin"), 3), "no such window");
  const { attestation } = await a.want(url("empty.bin"));
  assert.equal(attestation.length, 0);
  assert.deepEqual(attestation.hashes, []);
});

test("a second want is answered from memory, concurrent ones share one reading", async (t) => {
  const { viewer, put, url, metrics } = await setUp(t);
  await put("a.bin", bodyOf(100_000));
  const viewers = await Promise.all([viewer(), viewer(), viewer()]);
  const answers = await Promise.all(viewers.map((each) => each.want(url("a.bin"))));
  const signatures = new Set(answers.map(({ attestation }) => attestation.signature));
  signatures.add((await viewers[0].want(url("a.bin"))).attestation.signature);
  assert.equal(signatures.size, 1);
  assert.match(await metrics(), /nearcast_attested_windows_total 1\n/);
});

test("the origin's own headers are attested when it answers a HEAD", async (t) => {
  const { viewer, put, url, origin } = await setUp(t, {
    script: (_request, response) => {
      response.writeHead(200, {
        "content-type": "video/mp4",
        "content-length": "5",
        "cache-control": "max-age=60",
        etag: '"x"',
        "x-custom": "1",
        "access-control-allow-origin": "*",
        "strict-transport-security": "max-age=1",
        "alt-svc": "clear",
        connection: "x-hop, close",
        "x-hop": "1",
        age: "10",
      });
      response.end();
    },
  });
  await put("a.mp4", "hello");
  const { attestation } = await (await viewer()).want(url("a.mp4"));
  assert.deepEqual(attestation.headers.map(([name]) => name).sort(), [
    "access-control-allow-origin",
    "cache-control",
    "content-type",
    "date",
    "etag",
    "x-custom",
  ]);
  assert.equal(attestation.expiresMs - attestation.issuedMs, 50_000);
  const [head] = origin.requests;
  assert.equal(head.method, "HEAD");
  assert.equal(head.headers.origin, SITE);
  assert.equal(head.headers["accept-encoding"], "identity");
  assert.equal(head.headers.cookie, undefined);
});

test("what the origin prohibits by its HEAD is refused", async (t) => {
  const answers = {
    "private.bin": [200, { "cache-control": "private, max-age=60" }, /private/],
    "cookie.bin": [200, { "set-cookie": "a=b" }, /Set-Cookie/],
    "gone.bin": [404, {}, /404/],
    "login.bin": [401, {}, /401/],
    "moved.bin": [302, { location: "/other" }, /redirect/],
    "other-length.bin": [200, { "content-length": "9" }, /differs/],
    "no-cors.bin": [200, { "access-control-allow-origin": "http://other.test" }, /Allow-Origin/],
  };
  const { viewer, put, url } = await setUp(t, {
    script: ({ url: path }, response) => {
      const [status, headers] = answers[path.slice(1)];
      response.writeHead(status, { "access-control-allow-origin": "*", ...headers }).end();
    },
  });
  const a = await viewer();
  for (const [name, [, , reason]] of Object.entries(answers)) {
    await put(name, "hello");
    assert.match(await reasonOf(a, url(name)), reason);
  }
});

test("a HEAD that the origin cannot answer leaves the word to the configuration", async (t) => {
  const { viewer, put, url } = await setUp(t, {
    script: (_request, response) => response.writeHead(503).end(),
    options: { freshMs: 5_000 },
  });
  await put("a.ts", "hello");
  const { attestation } = await (await viewer()).want(url("a.ts"));
  assert.equal(new Map(attestation.headers).get("content-type"), "video/mp2t");
  assert.equal(attestation.expiresMs - attestation.issuedMs, 5_000);
});

test("E11, R63: nothing outside the folder is reached, whatever the URL says", async (t) => {
  const { root, viewer, put, url } = await setUp(t, { path: "/media/" });
  const outside = await folderFor(t);
  await writeFile(join(outside, "secret.bin"), "secret");
  await symlink(join(outside, "secret.bin"), join(root, "link.bin"));
  await symlink(outside, join(root, "linked"));
  await put("inside.bin", "hello");
  await symlink(join(root, "inside.bin"), join(root, "good-link.bin"));
  await put(".hidden", "x");
  await mkdir(join(root, "folder"));
  const a = await viewer();
  for (const path of [
    "..%2fsecret.bin",
    "..%2f..%2f..%2fetc%2fpasswd",
    "%2e%2e%2fsecret.bin",
    "..%5csecret.bin",
    "a%00.bin",
    "%ff",
    ".hidden",
    "link.bin",
    "linked/secret.bin",
    "folder",
    "folder/",
    "",
    "missing.bin",
    "../secret.bin",
    "%2e%2e/secret.bin",
    "inside.bin#fragment",
    "page.html",
    "list.m3u8",
  ]) {
    const answer = await a.want(url(path));
    assert.equal(answer.attestation, undefined, path);
    assert.equal(typeof answer.refused.reason, "string", path);
    assert.ok(answer.refused.retryMs > 0);
  }
  const good = await a.want(url("good-link.bin"));
  assert.equal(good.attestation.length, 5);
});

test("E11, R63: URLs below no allowed origin, or with credentials, are refused", async (t) => {
  const { viewer, put, url } = await setUp(t, { path: "/media/" });
  await put("a.bin", "hello");
  const a = await viewer();
  for (const foreign of [
    "http://169.254.169.254/latest/meta-data",
    "http://localhost/media/a.bin",
    url("a.bin").replace("/media/", "/"),
    url("a.bin").replace("/media/", "/mediax/"),
    url("a.bin").replace("http://", "http://user:pass@"),
    url("a.bin").replace("127.0.0.1", "127.1"),
    url("a.bin").replace("http:", "https:"),
  ]) {
    assert.match(await reasonOf(a, foreign), /URL/, foreign);
  }
});

test("a changed file gets a new attestation within two seconds", async (t) => {
  t.mock.timers.enable({ apis: ["Date"], now: Date.now() });
  const { root, viewer, put, url } = await setUp(t);
  await put("a.bin", "one");
  const a = await viewer();
  const before = (await a.want(url("a.bin"))).attestation;
  await put("next", "other");
  await rename(join(root, "next"), join(root, "a.bin"));
  t.mock.timers.tick(2_001);
  const after = (await a.want(url("a.bin"))).attestation;
  assert.notEqual(after.version, before.version);
  assert.deepEqual(after.hashes, hashesOf(Buffer.from("other")));
  await truncate(join(root, "a.bin"), 2);
  t.mock.timers.tick(2_001);
  assert.equal((await a.want(url("a.bin"))).attestation.length, 2);
});

test("a refusal is remembered, for a shorter time if it may pass", async (t) => {
  t.mock.timers.enable({ apis: ["Date"], now: Date.now() });
  const { viewer, put, url } = await setUp(t);
  const a = await viewer();
  const { refused } = await a.want(url("late.bin"));
  assert.equal(refused.retryMs, 5_000);
  await put("late.bin", "hello");
  assert.equal((await a.want(url("late.bin"))).attestation, undefined);
  t.mock.timers.tick(5_001);
  assert.equal((await a.want(url("late.bin"))).attestation.length, 5);
  assert.equal((await a.want(url("x.html"))).refused.retryMs, 60_000);
});

test("a new attestation is pushed to the group's other members, once", async (t) => {
  const { viewer, put, url } = await setUp(t);
  await put("a.bin", "hello");
  const [asker, member, stranger] = await Promise.all([viewer(), viewer(), viewer()]);
  await asker.join(url(""));
  await member.join(url(""));
  await stranger.join(url("elsewhere/"));
  const { attestation } = await asker.want(url("a.bin"));
  const pushed = await member.heard(({ type }) => type === "attested");
  assert.deepEqual(pushed, { type: "attested", attestation });
  await asker.want(url("a.bin"));
  for (const each of [asker, member, stranger]) {
    await each.settled();
    assert.deepEqual(each.messages, []);
  }
});

test("who joins gets the newest attestations of its groups, after joined", async (t) => {
  const { viewer, put, url } = await setUp(t, { options: { messagesBurst: 1_000 } });
  const a = await viewer();
  for (let n = 0; n < 70; n++) {
    await put(`${n}.bin`, `body ${n}`);
    await a.want(url(`${n}.bin`));
  }
  const late = await viewer();
  const joined = await late.join(url(""));
  assert.equal(joined.type, "joined");
  await late.settled();
  const names = late.messages.map(({ attestation }) => attestation.url.split("/").at(-1));
  assert.deepEqual(
    names,
    Array.from({ length: 64 }, (_, n) => `${n + 6}.bin`),
  );
});

test("C7: a URL with a query, which may be personal, is told to nobody else", async (t) => {
  const { viewer, put, url } = await setUp(t);
  await put("a.bin", "hello");
  const [asker, member] = await Promise.all([viewer(), viewer()]);
  await member.join(url(""));
  const { attestation } = await asker.want(url("a.bin?token=1"));
  assert.equal(attestation.url, url("a.bin?token=1"));
  await member.join(url(""));
  assert.deepEqual(member.messages, []);
});
