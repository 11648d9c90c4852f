/** Nothing happens before the viewer agrees, and the question is fit to be asked. */
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import test from "node:test";
import { fetchIn, linked, media, openRig, soon, stats, until } from "./support/rig.mjs";

const FILE = `/media/${media.mp4}`;
const RANGE = { headers: { range: "bytes=0-70000" } };

/** A page that moves nothing by itself, and whose style is an enemy of everything on it. */
const HOSTILE = `<style>
    * { display: none !important; color: red !important; position: static !important; opacity: 0 !important }
    html, body, h1 { display: block !important; opacity: 1 !important }
    nearcast-consent { visibility: hidden !important; width: 0 !important; transform: scale(0) !important }
  </style><h1>A film</h1>
  <script>
    window.shifts = [];
    new PerformanceObserver((list) => window.shifts.push(...list.getEntries())).observe({ type: "layout-shift", buffered: true });
    window.ready = new Promise((done) => addEventListener("nearcast:ready", done, { once: true }));
  </script>`;

const ask = (rig, more = "") =>
  `/hostile?server=${encodeURIComponent(rig.index.url)}&consent=required${more}`;

const open = async (t, options = {}) => {
  const rig = await openRig({ pages: { "/hostile": HOSTILE }, ...options });
  t.after(() => rig.close());
  return rig;
};

const prompt = (page) => page.$("nearcast-consent");

/** What Nearcast has done so far that others could notice. */
const traces = async (page, rig) => ({
  workers: await page.evaluate(
    async () => (await navigator.serviceWorker.getRegistrations()).length,
  ),
  databases: await page.evaluate(
    async () =>
      (await indexedDB.databases()).filter(({ name }) => name.startsWith("nearcast")).length,
  ),
  sockets: await rig.index.metric("nearcast_sockets_total"),
  reason: (await stats(page)).reason,
});

/** Clicks or, better, presses what has the focus. */
async function pressTab(page, label) {
  for (let presses = 0; presses < 10; presses++) {
    await page.keyboard.press("Tab");
    const focused = await page.evaluate(
      () => document.activeElement?.shadowRoot?.activeElement?.textContent,
    );
    if (focused === label) return;
  }
  throw new Error(`"${label}" cannot be reached with the keyboard`);
}

test("consent: required asks, starts nothing before a yes, and remembers it", async (t) => {
  const rig = await open(t);
  const profile = await rig.profile();
  const page = await profile.open(ask(rig));
  const other = await profile.open(ask(rig));
  await page.evaluate(() => window.ready);
  assert.ok(await prompt(page));
  assert.equal((await fetchIn(page, FILE, RANGE)).status, 206);
  const nothing = { workers: 0, databases: 0, sockets: 0, reason: "consent" };
  assert.deepEqual(await traces(page, rig), nothing);

  await page.bringToFront();
  await pressTab(page, "Allow");
  await page.keyboard.press("Enter");
  // The answer holds for every page of the profile, at once and after a reload.
  for (const one of [page, other])
    await until(one, () => window.nearcast.stats().reason === undefined);
  assert.equal(await prompt(page), null);
  assert.equal(await prompt(other), null);
  await fetchIn(page, FILE, RANGE);
  // By the host's socket; the other page, which started beside it, may be that.
  await soon(async () => {
    const seen = await Promise.all([stats(page), stats(other)]);
    return seen.some(({ index }) => index === "open");
  }, "the host of the profile has joined");
  await page.reload();
  await page.evaluate(() => window.ready);
  assert.notEqual((await stats(page)).role, "off");
  assert.equal(await prompt(page), null);
  assert.deepEqual([...page.errors, ...other.errors], []);
});

test("consent: a no is remembered; withdrawn, it ends links and socket in all pages, and a yes brings them back", async (t) => {
  const rig = await open(t);
  const profile = await rig.profile();
  const page = await profile.open(ask(rig));
  await pressTab(page, "No, thanks");
  await page.keyboard.press("Space");
  assert.equal(await prompt(page), null);
  await page.reload();
  await page.evaluate(() => window.ready);
  assert.equal(await prompt(page), null, "who said no is not asked again");
  assert.equal((await traces(page, rig)).workers, 0);

  const seeder = await (await rig.profile()).open(`/hostile?server=${rig.index.url}`);
  await seeder.evaluate(() => window.ready);
  await fetchIn(seeder, FILE, RANGE);
  await page.evaluate(() => window.nearcast.consent(true));
  await until(page, () => window.nearcast.stats().role === "host");
  await fetchIn(page, FILE, RANGE);
  await linked(page, 1);

  // Said in another page, and obeyed in this one.
  const other = await profile.open(ask(rig));
  await other.evaluate(() => window.nearcast.consent(false));
  await until(page, () => window.nearcast.stats().reason === "consent");
  await until(seeder, () => window.nearcast.stats().links === 0);
  await soon(
    async () => (await rig.index.metric("nearcast_viewers")) === 1,
    "the socket is closed",
  );
  assert.equal((await fetchIn(page, FILE, RANGE)).status, 206);

  await page.evaluate(() => window.nearcast.consent(true));
  await until(page, () => window.nearcast.stats().role !== "off");
  await fetchIn(page, FILE, RANGE);
  await until(seeder, () => window.nearcast.stats().links === 1);
  assert.deepEqual([...page.errors, ...other.errors, ...seeder.errors], []);
});

test("consent: the prompt stands against the site's style, shifts nothing, takes no focus and is named", async (t) => {
  const rig = await open(t);
  const page = await (await rig.profile()).open(ask(rig));
  const seen = await (await prompt(page)).evaluate((host) => {
    const { width, height, right, bottom } = host.getBoundingClientRect();
    const { visibility, opacity, display, position, transform } = getComputedStyle(host);
    const labels = [...host.shadowRoot.querySelectorAll("button")].map((b) => b.textContent);
    const sizes = [...host.shadowRoot.querySelectorAll("button")].map((b) => b.offsetHeight);
    const focus = document.activeElement === document.body;
    const inside = right <= innerWidth && bottom <= innerHeight;
    return {
      ...{ visible: width > 200 && height > 100 && inside, visibility, opacity, display },
      ...{ position, still: transform === "none" || transform.startsWith("matrix"), labels },
      ...{ large: sizes.every((size) => size >= 44), focus, lang: host.lang },
      styles: host.shadowRoot.querySelectorAll("style, [style]").length,
    };
  });
  assert.deepEqual(seen, {
    ...{ visible: true, visibility: "visible", opacity: seen.opacity, display: "block" },
    ...{ position: "fixed", still: true, labels: ["No, thanks", "Allow"] },
    ...{ large: true, focus: true, lang: "en", styles: 0 },
  });
  await until(page, () => {
    const host = document.querySelector("nearcast-consent");
    return getComputedStyle(host).opacity === "1";
  });
  assert.deepEqual(await page.evaluate(() => window.shifts.length), 0);
  const tree = await page.accessibility.snapshot({ interestingOnly: false });
  const flat = (node) => [node, ...(node.children ?? []).flatMap(flat)];
  const nodes = flat(tree);
  const region = nodes.find(({ role }) => role === "region");
  assert.match(region?.name ?? "", /IP address/);
  for (const label of ["Allow", "No, thanks"])
    assert.ok(nodes.some(({ role, name }) => role === "button" && name === label));

  if (!process.env.NEARCAST_SCREENSHOTS) return;
  mkdirSync(process.env.NEARCAST_SCREENSHOTS, { recursive: true });
  for (const scheme of ["light", "dark"]) {
    for (const [name, width] of [
      ["wide", 900],
      ["narrow", 320],
    ]) {
      await page.setViewport({ width, height: 560 });
      await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
      const path = `${process.env.NEARCAST_SCREENSHOTS}/consent-${scheme}-${name}.png`;
      await page.screenshot({ path });
    }
  }
});

test("consent: Escape puts the question off, reduced motion is respected, texts are the site's", async (t) => {
  const rig = await open(t);
  const texts = new URLSearchParams({
    ...{ "consent-text": "Darf dein Browser helfen?", "consent-yes": "Ja", "consent-no": "Nein" },
    ...{ "consent-link": "/datenschutz", "consent-link-text": "Mehr dazu" },
  });
  const profile = await rig.profile();
  const page = await profile.open(ask(rig, `&${texts}`));
  await page.emulateMediaFeatures([{ name: "prefers-reduced-motion", value: "reduce" }]);
  const shown = await (await prompt(page)).evaluate((host) => ({
    text: host.shadowRoot.querySelector("p").textContent,
    link: host.shadowRoot.querySelector("a").href,
    lang: host.lang,
    animation: getComputedStyle(host).animationName,
  }));
  assert.deepEqual(shown, {
    text: "Darf dein Browser helfen?Mehr dazu",
    link: `${rig.url}/datenschutz`,
    ...{ lang: "", animation: "none" },
  });
  await pressTab(page, "Nein");
  await page.keyboard.press("Escape");
  assert.equal(await prompt(page), null);
  assert.equal((await stats(page)).reason, "consent");
  await page.reload();
  await page.evaluate(() => window.ready);
  assert.ok(await prompt(page), "nothing was answered, so it asks again");
  await page.goto(rig.url + ask(rig, "&consent-prompt=false"));
  await page.evaluate(() => window.ready);
  assert.equal(await prompt(page), null, "the site asks by itself");
});
