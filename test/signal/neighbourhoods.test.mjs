// Neighbourhoods as the server keeps them, with time and chance as arguments.
import assert from "node:assert/strict";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";
import { pathToFileURL } from "node:url";
import { build } from "esbuild";
import { seeded } from "./support.mjs";

const outfile = join(tmpdir(), `nearcast-neighbourhoods-${process.pid}.mjs`);
await build({
  ...{ entryPoints: ["src/signal/swarm/neighbourhoods.ts"], outfile, bundle: true },
  ...{ platform: "node", target: "node20", format: "esm", logLevel: "warning" },
});
const { Neighbourhoods, swarmOf } = await import(pathToFileURL(outfile).href);

const FILM = "http://origin.test/film/";
const placeOf = (at) => ({ address: `10.0.${at}.1`, prefix: `10.0.${at}` });

function crowd(count, seed = 7) {
  const subject = new Neighbourhoods({ random: seeded(seed) });
  const ids = Array.from({ length: count }, (_, at) => `viewer-${at}`);
  for (const [at, id] of ids.entries()) subject.join(id, placeOf(at), [FILM]);
  return { subject, ids, view: (id) => subject.take(id, 0) };
}

test("swarmOf() is the folder of renditions, but never the root of an origin", () => {
  for (const [group, swarm] of [
    ["http://a.test/", "http://a.test/"],
    ["http://a.test/film/", "http://a.test/film/"],
    ["http://a.test/film/v0/", "http://a.test/film/"],
    ["http://a.test/film/audio/en/", "http://a.test/film/audio/"],
    ["http://%zz//", "http://%zz/"],
    ["http:", "http:///"],
  ]) {
    assert.equal(swarmOf(group), swarm);
  }
});

test("Neighbourhoods tells each at most once a second, and all who are concerned in the end", () => {
  const { subject, ids } = crowd(0);
  const toldMs = new Map();
  const random = seeded(3);
  for (let nowMs = 0; nowMs < 20_000; nowMs += 50) {
    if (nowMs < 15_000) {
      const id = `viewer-${nowMs / 50}`;
      ids.push(id);
      subject.join(id, placeOf(nowMs / 50), [FILM]);
      if (random() < 0.4) subject.remove(ids[Math.floor(random() * ids.length)]);
    }
    for (const id of subject.due(nowMs)) {
      assert.ok(nowMs - (toldMs.get(id) ?? -1_000) >= 1_000);
      toldMs.set(id, nowMs);
      assert.ok(subject.take(id, nowMs));
    }
  }
  assert.equal(subject.waiting, false);
});

test("Neighbourhoods puts newcomers where uploads are good, as several neighbours measured them", () => {
  const shareOfGood = (measure) => {
    const { subject, ids, view } = crowd(300);
    const isGood = (clique) => clique % 2 === 0;
    for (const id of ids) {
      const { clique, members } = view(id);
      const goodput = members.map(([peer]) => [peer, isGood(clique) ? 5_000_000 : 10_000]);
      measure(subject, id, goodput);
    }
    let good = 0;
    for (let at = 300; at < 340; at++) {
      subject.join(`viewer-${at}`, placeOf(at), [FILM]);
      const rated = view(`viewer-${at}`).members.filter(([id]) => ids.includes(id));
      if (rated.some(([id]) => wasGood.has(id))) good++;
      subject.remove(`viewer-${at}`);
    }
    return good / 40;
  };
  const wasGood = new Set();
  const { ids, view } = crowd(300);
  for (const id of ids) if (view(id).clique % 2 === 0) wasGood.add(id);
  const unmeasured = shareOfGood(() => {});
  const measured = shareOfGood((subject, id, goodput) => subject.measured(id, goodput));
  assert.ok(measured > 0.8 && measured > unmeasured + 0.1, `${measured} after ${unmeasured}`);
  const praised = shareOfGood((subject, id) => {
    // Of itself, of a stranger, of nobody: nobody listens.
    subject.measured(id, [[id, 9_000_000]]);
    subject.measured(id, [["viewer-5000", 9_000_000]]);
    if (!view(id).members.some(([peer]) => peer === "viewer-7")) {
      subject.measured(id, [["viewer-7", 9_000_000]]);
    }
  });
  assert.equal(praised, unmeasured);
  const alone = shareOfGood((subject, id, goodput) => {
    if (id === "viewer-1") subject.measured(id, goodput);
  });
  assert.equal(alone, unmeasured, "one word is none");
});

test("Neighbourhoods keeps a viewer where it is when it goes to another rendition", () => {
  const { subject, view } = crowd(0);
  for (let at = 0; at < 60; at++) subject.join(`v${at}`, placeOf(at), [`${FILM}v${at % 3}/`]);
  const before = view("v7");
  subject.join("v7", placeOf(7), [`${FILM}v0/`, `${FILM}v1/`]);
  assert.deepEqual(view("v7"), before);
});

test("Neighbourhoods puts those of one rendition together when there are many", () => {
  const { subject, view } = crowd(0);
  for (let at = 0; at < 300; at++) subject.join(`v${at}`, placeOf(at), [`${FILM}v${at % 3}/`]);
  let strangers = 0;
  let members = 0;
  for (let at = 0; at < 300; at++) {
    for (const [id] of view(`v${at}`).members) {
      members++;
      if (Number(id.slice(1)) % 3 !== at % 3) strangers++;
    }
  }
  assert.ok(strangers / members < 0.15, `${strangers} of ${members}`);
});

test("Neighbourhoods puts a household together, whoever else is there", () => {
  const { subject, view } = crowd(200);
  const home = { address: "10.9.9.9", prefix: "10.9.9" };
  let together = 0;
  for (let round = 0; round < 40; round++) {
    const ids = [`a${round}`, `b${round}`];
    const place = { address: `${home.address}${round}`, prefix: `${home.prefix}${round}` };
    for (const id of ids) subject.join(id, place, [FILM]);
    if (view(ids[0]).members.some(([id]) => id === ids[1])) together++;
  }
  assert.ok(together >= 24, `${together} of 40; a quarter is placed at random`);
});
