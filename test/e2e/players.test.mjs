/** The players that sites use: each plays with a peer at its side, without an error and without running dry. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import { ensureLadder, ladderMissing } from "../../bench/abr/ladder.mjs";
import { PLAYERS, playerBody } from "../../bench/support/players.mjs";
import { linked, media, openRig, stats, until } from "./support/rig.mjs";

/** Where the film is, by the kind of its manifest; without the real one, that of `bench -- abr` is made for DASH. */
const FILMS = {
  hls: { root: () => media.dir, src: `/media/${media.hls}` },
  dash: media.real
    ? { root: () => media.dir, src: "/media/dash/manifest.mpd" }
    : { root: ensureLadder, src: "/media/film/manifest.mpd", missing: ladderMissing() },
};
/** Of the film; at double speed that is half of it in time. */
const PLAY_S = 12;
const RATE = 2;

for (const [name, { file, manifest }] of Object.entries(PLAYERS)) {
  const { root, src, missing: skip = false } = FILMS[manifest];
  test(`${name} plays with a peer`, { skip }, async (t) => {
    const rig = await openRig({
      root: root(),
      pages: { "/player": playerBody(name, "/player.js") },
      files: { "/player.js": { type: "text/javascript", body: readFileSync(file) } },
    });
    t.after(() => rig.close());
    const watch = async () => {
      const profile = await rig.profile();
      const page = await profile.open(`/player?${new URLSearchParams({ server: rig.index.url })}`);
      await page.evaluate(() => window.ready);
      return page;
    };
    const play = async (page) => {
      await page.evaluate((url, rate) => window.startPlaying(url, { rate }), src, RATE);
      await until(page, (s) => document.querySelector("video").currentTime > s, PLAY_S);
      return page.evaluate(() => window.playing);
    };
    const first = await watch();
    await play(first);
    const second = await watch();
    const fetched = rig.origin.counts().media.bytes;
    const { errors, stalls } = await play(second);
    assert.deepEqual(errors, []);
    assert.deepEqual(stalls, []);
    assert.deepEqual(second.errors, []);
    await linked(second, 1);
    const { bytes, requests } = await stats(second);
    t.diagnostic(
      `${JSON.stringify(bytes)}, origin sent ${rig.origin.counts().media.bytes - fetched}`,
    );
    assert.ok(requests.total >= 3, "the player's requests went through the worker");
    // How much is the benchmarks' business: on a busy machine the link comes up late.
    assert.ok(bytes.mesh + bytes.ahead > 100_000, "the peer took part");
  });
}
