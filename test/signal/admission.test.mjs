// Who may join, and how much anybody may ask for: join tokens and quotas (threats C1, C2; rules R59, R65).
import assert from "node:assert/strict";
import { createHmac, generateKeyPairSync, randomBytes } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import test from "node:test";
import { mintJoinToken } from "../../dist/server.js";
import {
  bodyOf,
  connect,
  folderFor,
  idFrom,
  refusedUpgrade,
  SITE,
  serverFor,
  viewerFor,
} from "./support.mjs";

const SECRET = "0123456789abcdef0123456789abcdef";
const GROUP = "http://127.0.0.1:1/media/";
const required = { joinSecret: SECRET, requireToken: true };
const mint = (more = {}) => mintJoinToken({ site: SITE, secret: SECRET, ...more });
const joinWith = (viewer, token) => viewer.ask({ type: "join", v: 1, groups: [GROUP], token });

/** A token that the helper would not make. */
function forged(claims, secret = SECRET) {
  const all = { site: SITE, jti: randomBytes(16).toString("base64url"), ...claims };
  const payload = Buffer.from(JSON.stringify(all)).toString("base64url");
  const mac = createHmac("sha256", secret).update(`nearcast join 1\n${payload}`);
  return `nc1.${payload}.${mac.digest("base64url")}`;
}

test("C1, R59: with a token of the site's secret a viewer joins, once", async (t) => {
  const server = await serverFor(t, required);
  const token = await mint();
  const a = await viewerFor(t, server);
  assert.equal((await joinWith(a, token)).type, "joined");
  // Further joins of the same socket need none.
  assert.equal((await a.join(`${GROUP}more/`)).type, "joined");
  const b = await viewerFor(t, server);
  const refused = await joinWith(b, token);
  assert.equal(refused.code, "index/token");
  assert.match(refused.message, /used before/);
  assert.equal(await b.closed, 4003);
});

test("C1, R59: forged, foreign, stale, long-lived and malformed tokens are refused with the reason", async (t) => {
  const server = await serverFor(t, required);
  const now = Date.now();
  const fresh = { issuedMs: now, expiresMs: now + 60_000 };
  const good = await mint();
  for (const [token, reason] of [
    [undefined, /missing/],
    ["", /malformed/],
    ["nc1.x", /malformed/],
    [forged({ ...fresh, jti: "short" }), /malformed/],
    [forged({ ...fresh, extra: 1 }), /malformed/],
    [`${good.slice(0, -2)}AA`, /wrong signature/],
    [good.replace(/\.[^.]+$/, "."), /malformed/],
    [good.replace(/\.[^.]+$/, `.${"A".repeat(43)}`), /wrong signature/],
    [forged(fresh, "another secret, also long enough......"), /wrong signature/],
    [forged({ ...fresh, site: "http://other.test" }), /another site/],
    [forged({ issuedMs: now, expiresMs: now + 121_000 }), /too long/],
    [forged({ issuedMs: now + 100_000, expiresMs: now + 160_000 }), /too long/],
    [forged({ issuedMs: now - 180_000, expiresMs: now - 61_000 }), /expired/],
  ]) {
    const viewer = await viewerFor(t, server);
    const { code, message } = await joinWith(viewer, token);
    assert.equal(code, "index/token");
    assert.match(message, reason);
    assert.equal(await viewer.closed, 4003);
  }
  const metrics = await (await fetch(`${server.url}/metrics`)).text();
  assert.match(metrics, /nearcast_viewers 0\n/);
});

test("R59: clocks may differ by a minute in either direction", async (t) => {
  const server = await serverFor(t, required);
  const now = Date.now();
  for (const issuedMs of [now - 110_000, now + 50_000]) {
    const viewer = await viewerFor(t, server);
    const token = forged({ issuedMs, expiresMs: issuedMs + 60_000 });
    assert.equal((await joinWith(viewer, token)).type, "joined");
  }
});

test("R59: a site can sign tokens with an Ed25519 key that the server does not have", async (t) => {
  const { publicKey, privateKey } = generateKeyPairSync("ed25519");
  const joinKey = publicKey.export({ format: "jwk" }).x;
  const pem = privateKey.export({ format: "pem", type: "pkcs8" });
  const server = await serverFor(t, { joinKey, requireToken: true });
  const signed = await mintJoinToken({ site: SITE, privateKey: pem });
  assert.equal((await joinWith(await viewerFor(t, server), signed)).type, "joined");
  // The public key is public: a MAC made with it proves nothing.
  const now = Date.now();
  const confused = forged({ issuedMs: now, expiresMs: now + 60_000 }, joinKey);
  assert.match((await joinWith(await viewerFor(t, server), confused)).message, /wrong signature/);
  assert.match((await joinWith(await viewerFor(t, server), await mint())).message, /signature/);
});

test("C1: without its token a viewer learns nothing, reaches nobody, and is sent away in time", async (t) => {
  const server = await serverFor(t, { ...required, tokenTimeoutMs: 300, origins: [GROUP] });
  const inside = await viewerFor(t, server);
  await joinWith(inside, await mint());
  const outside = await viewerFor(t, server);
  outside.say({ type: "want", q: 5, url: `${GROUP}a.bin`, window: 0 });
  outside.announce([["a".repeat(22), "all"]]);
  const payload = { candidate: {}, type: "data", connectionId: "c" };
  outside.say({ type: "CANDIDATE", dst: inside.id, payload });
  assert.equal(await outside.closed, 4003);
  assert.deepEqual(outside.messages, []);
  assert.deepEqual(inside.messages, []);
});

test("R59: admission ends after its time, and a fresh token renews it", async (t) => {
  const server = await serverFor(t, { ...required, admittedMs: 1_000 });
  const a = await viewerFor(t, server);
  assert.equal((await joinWith(a, await mint())).type, "joined");
  assert.equal(await a.closed, 4003);
  const again = await viewerFor(t, server, { id: a.id, token: a.token });
  assert.match((await joinWith(again, undefined)).message, /missing/);
  const renewed = await viewerFor(t, server, { id: a.id, token: a.token });
  assert.equal((await joinWith(renewed, await mint())).type, "joined");
});

test("a stock PeerJS client may show its join token as its PeerJS token", async (t) => {
  const server = await serverFor(t, required);
  const [a, b] = [
    await viewerFor(t, server, { token: await mint() }),
    await viewerFor(t, server, { token: await mint() }),
  ];
  const payload = { candidate: {}, type: "data", connectionId: "c" };
  a.say({ type: "CANDIDATE", dst: b.id, payload });
  assert.equal((await b.heard(({ type }) => type === "CANDIDATE")).src, a.id);
  const replayed = await connect(t, server, { token: a.token });
  await replayed.heard(({ type }) => type === "ERROR");
  await replayed.closed;
});

test("tokens are judged where they are optional too, and ignored where there is no key", async (t) => {
  const optional = await serverFor(t, { joinSecret: SECRET });
  const a = await viewerFor(t, optional);
  assert.match((await joinWith(a, "nonsense")).message, /malformed/);
  assert.equal((await joinWith(a, undefined)).type, "joined");
  const none = await serverFor(t);
  assert.equal((await joinWith(await viewerFor(t, none), "nonsense")).type, "joined");
});

test("each site has its own secret: another site's token opens nothing", async (t) => {
  const other = "http://other.test";
  const server = await serverFor(t, {
    sites: [SITE, other],
    siteSettings: {
      [SITE]: required,
      [other]: { joinSecret: SECRET.replace("0", "z"), requireToken: true },
    },
  });
  const stolen = await viewerFor(t, server, { origin: other });
  assert.match((await joinWith(stolen, await mint())).message, /wrong signature/);
  const forOther = await mint({ site: other });
  const still = await viewerFor(t, server, { origin: other });
  assert.match((await joinWith(still, forOther)).message, /wrong signature/);
});

test("mintJoinToken() names option, rule and value of what it rejects", async () => {
  for (const [options, message] of [
    [{ site: "example.com" }, /`site` must be an origin/],
    [{ site: `${SITE}/` }, /`site`/],
    [{ secret: "short" }, /`secret` must have at least 32/],
    [{ secret: undefined }, /`secret` or `privateKey`/],
    [{ privateKey: "x" }, /not both/],
    [{ secret: undefined, privateKey: "x" }, /`privateKey` must be an Ed25519/],
    [{ ttlSeconds: 121 }, /`ttlSeconds` must be an integer from 1 to 120: current value is 121/],
    [{ ttlSeconds: 0 }, /`ttlSeconds`/],
  ]) {
    await assert.rejects(mint(options), { code: "config/invalid", message });
  }
});

test("C2, R65: joins above an address's or a site's quota get 429 and a time to come back", async (t) => {
  const byAddress = await serverFor(t, { joinsPerMinutePerAddress: 3 });
  for (let n = 0; n < 3; n++) (await viewerFor(t, byAddress)).ws.close();
  assert.equal(await refusedUpgrade(byAddress, { origin: SITE }), 429);
  await viewerFor(t, byAddress, { localAddress: "127.0.0.2" });

  const other = "http://other.test";
  const bySite = await serverFor(t, { sites: [SITE, other], joinsPerMinutePerSite: 2 });
  for (let n = 0; n < 2; n++) await viewerFor(t, bySite);
  assert.equal(await refusedUpgrade(bySite, { origin: SITE }), 429);
  await viewerFor(t, bySite, { origin: other });

  const crowded = await serverFor(t, { sites: [SITE, other], viewersPerSiteMax: 1 });
  const first = await viewerFor(t, crowded);
  assert.equal(await refusedUpgrade(crowded, { origin: SITE }), 429);
  await viewerFor(t, crowded, { origin: other });
  first.ws.close();
  await first.closed;
  await viewerFor(t, crowded);
  assert.equal((await idFrom(crowded)).length, 48);
});

test("C2, R65: wants and bytes above the quota are refused for a while, known ones still answered", async (t) => {
  const root = await folderFor(t);
  for (const name of ["a", "b"]) await writeFile(join(root, `${name}.bin`), bodyOf(200_000));
  const server = await serverFor(t, {
    root,
    origins: [GROUP],
    attestedBytesPerMinutePerSite: 50_000,
    wantsPerMinutePerAddress: 4,
  });
  const a = await viewerFor(t, server);
  assert.ok((await a.want(`${GROUP}a.bin`)).attestation);
  const { refused } = await a.want(`${GROUP}b.bin`);
  assert.deepEqual(refused, { reason: "quota", retryMs: 30_000 });
  assert.ok((await a.want(`${GROUP}a.bin`)).attestation, "what is known costs nothing");
  await a.want(`${GROUP}a.bin`);
  assert.equal((await a.want(`${GROUP}a.bin`)).refused.reason, "quota", "the address's wants");
  const elsewhere = await viewerFor(t, server, { localAddress: "127.0.0.2" });
  assert.ok((await elsewhere.want(`${GROUP}a.bin`)).attestation);
});
