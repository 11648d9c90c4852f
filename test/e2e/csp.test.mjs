/** The content security policy that README.md recommends is enough, and nothing in it is for nothing. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import { fetchIn, holds, linked, media, meshed, openRig, stats, until } from "./support/rig.mjs";

const FILE = `/media/${media.mp4}`;
/** Whole pieces, so that a viewer holds all that it fetched. */
const RANGE = (end) => ({ headers: { range: `bytes=0-${end}` } });

/** The policy of README.md, with this rig's addresses. */
function policyOf(server) {
  const [, block = ""] = /^## Content security policy\n+```\n([\s\S]*?)^```/m.exec(
    readFileSync("README.md", "utf8"),
  );
  assert.match(block, /^script-src /);
  const lines = block.trim().replaceAll("<where nearcast.js is served>", "'self'").split("\n");
  return lines
    .map((line) =>
      line
        .replace("https://index.example.com", server.replace("ws:", "http:"))
        .replace("wss://index.example.com", server),
    )
    .join("; ");
}

/** A page under that policy, and the worker file under one of its own. */
function strictFiles({ more = "" } = {}) {
  const policy = (req) => {
    const server = new URL(req.url, "http://site").searchParams.get("server");
    return `default-src 'none'; ${policyOf(server)}; base-uri 'none'; form-action 'none'${more}`;
  };
  return {
    "/strict": (req) => {
      const parameters = new URL(req.url, "http://site").searchParams;
      const data = [...parameters].map(([name, value]) => ` data-${name}="${value}"`).join("");
      return {
        type: "text/html; charset=utf-8",
        headers: { "Content-Security-Policy": policy(req), "Cache-Control": "no-store" },
        body: `<!doctype html><title>strict</title><script src="/watch.js"></script>
          <script src="/nearcast.js" data-include="/media/**"${data}></script>`,
      };
    },
    "/watch.js": {
      type: "text/javascript",
      body: `window.violations = [];
        document.addEventListener("securitypolicyviolation", ({ violatedDirective, blockedURI }) => violations.push(violatedDirective + " " + blockedURI));
        window.ready = new Promise((done) => addEventListener("nearcast:ready", done, { once: true }));`,
    },
    "/nearcast-sw.js": () => ({
      type: "text/javascript",
      headers: { "Content-Security-Policy": "default-src 'none'; connect-src 'self'" },
      body: readFileSync("dist/nearcast-sw.js", "utf8"),
    }),
  };
}

test("everything works under a strict policy: script, worker, socket, prompt and peers, without a violation", async (t) => {
  const rig = await openRig({ files: strictFiles() });
  t.after(() => rig.close());
  const path = `/strict?server=${encodeURIComponent(rig.index.url)}&consent=required`;
  const pages = [];
  for (let viewer = 0; viewer < 2; viewer++) {
    const page = await (await rig.profile()).open(path);
    await page.evaluate(() => window.ready);
    await page.evaluate(() => {
      const { shadowRoot } = document.querySelector("nearcast-consent");
      const [, yes] = shadowRoot.querySelectorAll("button");
      window.styled = getComputedStyle(yes).minBlockSize;
      yes.click();
    });
    assert.equal(await page.evaluate(() => window.styled), "44px", "the prompt has its style");
    await until(page, () => window.nearcast.stats().role === "host");
    pages.push(page);
    if (viewer === 0) await holds(page, FILE, { init: RANGE(2 ** 20 - 1) });
  }
  const [first, second] = pages;
  await fetchIn(second, `${FILE}?joins`, RANGE(9));
  await linked(second, 1);
  rig.origin.throttle({ rateBytesPerS: 500_000, delayMs: 200 });
  const ours = await fetchIn(second, FILE, RANGE(2 ** 20 - 1));
  assert.equal(ours.hash, (await fetchIn(first, FILE, RANGE(2 ** 20 - 1))).hash);
  await meshed(second);
  for (const page of pages) {
    assert.deepEqual(await page.evaluate(() => window.violations), []);
    assert.deepEqual(page.errors, []);
  }
});

test("where trusted types are enforced for scripts, the page works and Nearcast is on", async (t) => {
  const more = "; require-trusted-types-for 'script'; trusted-types nearcast";
  const rig = await openRig({ files: strictFiles({ more }) });
  t.after(() => rig.close());
  const page = await (await rig.profile()).open(
    `/strict?server=${encodeURIComponent(rig.index.url)}`,
  );
  await page.evaluate(() => window.ready);
  assert.equal((await stats(page)).role, "host");
  assert.equal((await fetchIn(page, FILE, RANGE(9))).status, 206);
  assert.deepEqual(await page.evaluate(() => window.violations), []);
});
