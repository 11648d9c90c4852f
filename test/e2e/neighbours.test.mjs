/** A crowd that starts at once becomes a full clique, loses nobody but those who leave, and is one again. */
import assert from "node:assert/strict";
import test from "node:test";
import { fetchIn, media, openBlank, openRig, stats, until } from "./support/rig.mjs";

const VIEWERS = 10;

/** Links are as many as wanted, and nobody holds more connections than its mesh needs. */
const meshed = (pages, count) =>
  Promise.all(
    pages.map((page) => until(page, (links) => window.nearcast.stats().links === links, count)),
  );

test("ten viewers that start at once link all with all, and so do those left of them", async (t) => {
  const rig = await openRig();
  t.after(() => rig.close());
  const browser = await rig.launch();
  const profiles = await Promise.all(Array.from({ length: VIEWERS }, () => rig.context(browser)));
  const pages = await Promise.all(profiles.map((profile) => openBlank(profile, rig)));
  const startMs = performance.now();
  await Promise.all(pages.map((page) => fetchIn(page, `/media/${media.mp4}`)));
  await meshed(pages, VIEWERS - 1);
  t.diagnostic(`${VIEWERS} viewers in ${((performance.now() - startMs) / 1_000).toFixed(1)} s`);
  assert.equal(await rig.index.metric("nearcast_cliques"), 1);
  // Offers are few more than links: one of two dials.
  const offers = await rig.index.metric('nearcast_messages_total{type="OFFER"}');
  const links = (VIEWERS * (VIEWERS - 1)) / 2;
  t.diagnostic(`${offers} offers for ${links} links`);
  assert.ok(offers <= 1.5 * links, `${offers} offers`);

  const [left, gone] = [pages.slice(3), profiles.slice(0, 3)];
  await Promise.all(gone.map(({ browser: context }) => context.close()));
  await meshed(left, left.length - 1);
  const late = await openBlank(await rig.context(browser), rig);
  const { hash } = await fetchIn(late, `/media/${media.mp4}`);
  assert.equal(hash, (await fetchIn(left[0], `/media/${media.mp4}`)).hash);
  await meshed([...left, late], left.length);
  assert.equal((await stats(late)).index, "open");
});
