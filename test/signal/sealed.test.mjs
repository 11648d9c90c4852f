// Sealed mode (threat C4): who may not have an asset learns neither its attestation, nor who holds it, nor its key.
import assert from "node:assert/strict";
import { createHash, createHmac, randomBytes } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import test from "node:test";
import { mintJoinToken, startServer } from "../../dist/server.js";
import { assetIdOf, bodyOf, folderFor, SITE, serverFor, viewerFor } from "./support.mjs";

const SECRET = "0123456789abcdef0123456789abcdef";
const OTHER_SITE = "http://other.test";
const BASE = "http://127.0.0.1:1/media/";
const PAID = `${BASE}paid/`;
const FILM = `${PAID}film.bin`;
const FREE = `${BASE}free/film.bin`;

/** The id under which those who have the key know the asset, written down independently. */
function sealedIdOf(assetId, seal) {
  const text = `nearcast sealed asset\n${assetId}\n${seal}`;
  const id = createHash("sha256").update(text).digest().subarray(0, 16);
  return id.fill(0xff, 0, 4).toString("base64url");
}

const mint = (paths, more = {}) => mintJoinToken({ site: SITE, secret: SECRET, paths, ...more });
const idsOf = (hints) => hints.map(([id]) => id);

/** A server whose films are on disk, those below `paid/` sealed. */
async function setUp(t, options = {}) {
  const folder = await folderFor(t);
  const root = join(folder, "media");
  await mkdir(join(root, "paid"), { recursive: true });
  await mkdir(join(root, "free"));
  await writeFile(join(root, "paid", "film.bin"), bodyOf(100_000, 1));
  await writeFile(join(root, "paid", "next.bin"), bodyOf(100_000, 2));
  await writeFile(join(root, "free", "film.bin"), bodyOf(100_000, 3));
  const all = {
    ...{ root, origins: [BASE], keyFile: join(folder, "key.pem"), sites: [SITE, OTHER_SITE] },
    ...{ sealed: ["/media/paid/**"], joinSecret: SECRET, ...options },
  };
  const server = await serverFor(t, all);
  const viewer = async (token, { groups = [PAID], ...more } = {}) => {
    const fresh = await viewerFor(t, more.at ?? server, more);
    fresh.joined = await fresh.ask({ type: "join", v: 1, groups, token });
    return fresh;
  };
  return { server, options: all, viewer };
}

/** What a viewer that is not entitled is answered. */
function assertBarred(answer, what) {
  assert.match(answer.refused?.reason ?? "", /sealed/, what);
  assert.deepEqual(answer.holders, [], what);
  assert.equal(answer.attestation, undefined, what);
  assert.equal(answer.seal, undefined, what);
}

test("C4: an entitled viewer gets attestation, key and holders; the key is of this asset and no part of what is signed", async (t) => {
  const { viewer } = await setUp(t);
  const a = await viewer(await mint(["/media/paid/film.bin", "/media/paid/next*"]));
  const b = await viewer(await mint(["/media/**"]));
  assert.deepEqual(a.joined.config.sealed, ["/media/paid/**"]);
  const first = await a.want(FILM);
  assert.match(first.seal, /^[A-Za-z0-9_-]{43}$/);
  assert.equal(JSON.stringify(first.attestation).includes(first.seal), false);
  a.announce([[sealedIdOf(assetIdOf(first.attestation), first.seal), "all"]]);
  await a.settled();
  const second = await b.want(FILM);
  assert.equal(second.seal, first.seal, "everybody's is the same");
  assert.deepEqual(idsOf(second.holders), [a.id]);
  assert.notEqual((await a.want(`${PAID}next.bin`)).seal, first.seal);
  const free = await a.want(FREE);
  assert.ok(free.attestation);
  assert.equal("seal" in free, false);
});

test("C4: without a claim, with another's, with a forged one a viewer learns nothing of what is sealed", async (t) => {
  const { viewer, server } = await setUp(t);
  const a = await viewer(await mint(["/media/paid/**"]));
  const { attestation, seal } = await a.want(FILM);
  const sealedId = sealedIdOf(assetIdOf(attestation), seal);
  a.announce([
    [sealedId, "all"],
    [assetIdOf(attestation), "all"],
  ]);
  await a.settled();
  const spellings = [FILM, `${BASE}%70aid/film.bin`, `${BASE}paid/../paid/film.bin`];
  for (const [what, token] of [
    ["no token", undefined],
    ["no claim", await mint(undefined)],
    ["no paths", await mint([])],
    ["other paths", await mint(["/media/paid/next.bin", "/media/free/**", "/"])],
    ["another origin", await mint(["http://elsewhere.test/media/**"])],
  ]) {
    const barred = await viewer(token);
    for (const url of spellings) assertBarred(await barred.want(url), `${what}: ${url}`);
    for (const assetId of [sealedId, assetIdOf(attestation)]) {
      assertBarred(await barred.ask({ type: "want", url: FILM, window: 0, assetId }), what);
    }
    // By its id, which neighbours tell of, nobody is named either, whatever URL is asked for.
    const named = await barred.ask({ type: "want", url: FREE, window: 0, assetId: sealedId });
    assert.deepEqual([named.holders, named.seal], [[], undefined], what);
    assert.equal(barred.messages.filter(({ type }) => type === "attested").length, 0, what);
  }

  const good = await mint(["/media/free/**"]);
  const [, payload, proof] = good.split(".");
  const claims = JSON.parse(Buffer.from(payload, "base64url"));
  const changed = Buffer.from(JSON.stringify({ ...claims, paths: ["/**"] })).toString("base64url");
  const mac = (text, secret) =>
    createHmac("sha256", secret).update(`nearcast join 1\n${text}`).digest("base64url");
  for (const token of [
    `nc1.${changed}.${proof}`,
    `nc1.${changed}.${mac(changed, "x".repeat(32))}`,
  ]) {
    const forger = await viewer(token);
    assert.match(forger.joined.message, /wrong signature/);
  }
  for (const paths of [["/a?x"], ["film"], Array.from({ length: 17 }, () => "/a"), "/**", [1]]) {
    const text = Buffer.from(
      JSON.stringify({ ...claims, jti: randomBytes(16).toString("base64url"), paths }),
    ).toString("base64url");
    const odd = await viewer(`nc1.${text}.${mac(text, SECRET)}`);
    assert.match(odd.joined.message, /malformed/, String(paths));
  }
  assert.match(await (await fetch(`${server.url}/metrics`)).text(), /nearcast_refused_total [1-9]/);
});

test("C4: whoever may have one asset gets no key of another by naming its id", async (t) => {
  const { viewer } = await setUp(t);
  const owner = await viewer(await mint(["/media/paid/film.bin"]));
  const thief = await viewer(await mint(["/media/paid/next.bin"]));
  const { attestation, seal } = await owner.want(FILM);
  const assetId = assetIdOf(attestation);
  owner.announce([[sealedIdOf(assetId, seal), "all"]]);
  await owner.settled();
  for (const named of [assetId, sealedIdOf(assetId, seal)]) {
    const url = `${PAID}next.bin`;
    const answer = await thief.ask({ type: "want", url, window: 0, assetId: named });
    assert.notEqual(answer.seal, seal);
    assert.deepEqual(answer.holders, []);
  }
  // The publisher's version, which the index does not attest, has a key of its own.
  const published = await owner.ask({
    type: "want",
    url: FILM,
    window: 0,
    assetId: "P".repeat(22),
  });
  assert.match(published.seal, /^[A-Za-z0-9_-]{43}$/);
  assert.notEqual(published.seal, seal);
});

test("C4: attestations of what is sealed are pushed to nobody, whoever wants it and whoever joins", async (t) => {
  const { viewer } = await setUp(t);
  const entitled = () => mint(["/media/**"]);
  const groups = [PAID, `${BASE}free/`];
  const inside = [await viewer(undefined, { groups }), await viewer(await entitled(), { groups })];
  const asker = await viewer(await entitled());
  assert.ok((await asker.want(FILM)).attestation);
  assert.ok((await asker.want(FREE)).attestation);
  const late = [await viewer(undefined, { groups }), await viewer(await entitled(), { groups })];
  for (const member of [...inside, ...late]) {
    // What is open is pushed, later than what is sealed would have been.
    const pushed = await member.heard(({ type }) => type === "attested");
    assert.equal(pushed.attestation.url, FREE);
    await member.settled();
    assert.equal(member.messages.filter(({ type }) => type === "attested").length, 0);
  }
});

test("C4: keys outlive the process with its key file, end with the version, and differ from server to server", async (t) => {
  const { viewer, options } = await setUp(t);
  const film = async (at) => (await viewer(await mint(["/media/**"]), { at })).want(FILM);
  const { seal } = await film();
  const again = await serverFor(t, options);
  assert.equal((await film(again)).seal, seal);
  const stranger = await serverFor(t, { ...options, keyFile: undefined });
  assert.notEqual((await film(stranger)).seal, seal);
  await writeFile(join(options.root, "paid", "film.bin"), bodyOf(100_000, 9));
  assert.notEqual((await film(await serverFor(t, options))).seal, seal);
});

test("C4: what a token allows ends with its time", async (t) => {
  const { viewer } = await setUp(t, { admittedMs: 1_000 });
  const open = await viewer(undefined);
  const a = await viewer(await mint(["/media/**"]));
  assert.ok((await a.want(FILM)).seal);
  assert.equal(await a.closed, 4003);
  const back = await viewer(undefined, { id: a.id, token: a.token });
  assertBarred(await back.want(FILM), "the same viewer without a token");
  assert.equal(open.ws.readyState, open.ws.OPEN, "who has nothing to lose stays");
});

test("C4: a site's tokens open what that site sealed; what one sealed, no other shares openly", async (t) => {
  const secret = "another secret, also long enough......";
  const { viewer, server } = await setUp(t, {
    sealed: [],
    siteSettings: {
      [SITE]: { sealed: [`${BASE}paid/**`] },
      [OTHER_SITE]: { joinSecret: secret, sealed: ["/its-own/**"] },
    },
  });
  const stranger = await viewer(await mint(["/**"], { site: OTHER_SITE, secret }), {
    origin: OTHER_SITE,
  });
  assert.deepEqual(stranger.joined.config.sealed, [`${BASE}paid/**`, "/its-own/**"]);
  assertBarred(await stranger.want(FILM), "another site's token");
  const own = await viewer(await mint(["/**"]));
  assert.ok((await own.want(FILM)).seal);
  server.configure({ joinSecret: SECRET });
  assert.deepEqual((await own.heard(({ type }) => type === "config")).config.sealed, []);
  assert.ok((await stranger.want(FILM)).attestation, "open for everybody now");
});

test("what can be sealed, and claimed, is checked", async () => {
  const start = (options) =>
    startServer({ port: 0, sites: [SITE], joinSecret: SECRET, ...options });
  const invalid = { code: "config/invalid" };
  for (const sealed of [["film"], ["/a?token=x"], ["//a/b"], "/a", [1]]) {
    await assert.rejects(start({ sealed }), invalid, String(sealed));
  }
  const each = (prefix) => ({ sealed: Array.from({ length: 40 }, (_, n) => `/${prefix}${n}`) });
  const two = { siteSettings: { [SITE]: each("a"), [OTHER_SITE]: each("b") } };
  await assert.rejects(start(two), invalid, "pages are told of all");
  await assert.rejects(start({ sealed: ["/a"], joinSecret: undefined }), /join tokens say who may/);
  for (const paths of [["film"], ["/a?x"], Array.from({ length: 17 }, () => "/a"), "/a"]) {
    await assert.rejects(mint(paths), invalid, String(paths));
  }
  await assert.rejects(mint(Array.from({ length: 16 }, () => `/${"a".repeat(500)}`)), /paths/);
  assert.ok((await mint(Array.from({ length: 16 }, () => `/${"a".repeat(60)}/**`))).length < 2_049);
});
