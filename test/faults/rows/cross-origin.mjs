/** Row 50: what a page sees of another origin, by mode, by credentials, and where it is isolated. */
import assert from "node:assert/strict";
import { stats } from "../../e2e/support/rig.mjs";

/** The CDN's files are Nearcast's business too. */
const includeCdn = ({ rig }) => ({ options: { include: `/media/** ${rig.cdn}/media/**` } });

/** Fetches in the page, in order; what it sees of each answer is the `hash`. */
const seen = (page, requests) =>
  page.evaluate(async (all) => {
    const startMs = performance.now();
    const answers = [];
    for (const [target, init] of all) {
      const answer = await fetch(target, init).then(
        async (response) => {
          const { type, status, headers } = response;
          const bytes = new Uint8Array(
            await crypto.subtle.digest("SHA-256", await response.arrayBuffer()),
          );
          const shown = [...headers].filter(
            ([name]) => !/^(date|connection|keep-alive)$/.test(name),
          );
          // What a worker made of a readable answer is of another type (docs/decisions); opaque stays opaque.
          return [type === "opaque" ? type : "", status, shown, bytes.join(" ")];
        },
        ({ name }) => name,
      );
      answers.push(answer);
    }
    const ms = performance.now() - startMs;
    return { status: 0, hash: JSON.stringify(answers), isolated: crossOriginIsolated, ms };
  }, requests);

const modes = (page, path, { rig }) =>
  page.evaluate(async (target) => {
    const startMs = performance.now();
    const answers = [];
    for (const init of [
      { mode: "no-cors" },
      { mode: "no-cors", credentials: "include" },
      { mode: "cors", credentials: "include" },
      { mode: "cors", redirect: "manual" },
      { mode: "same-origin" },
    ]) {
      answers.push(
        await fetch(target, init).then(
          async ({ type, status, headers, body }) => [
            ...[init.mode === "cors" ? "" : type, status, body === null],
            [...headers].filter(([name]) => !/^(date|connection|keep-alive)$/.test(name)),
          ],
          ({ name }) => name,
        ),
      );
    }
    return { status: 0, hash: JSON.stringify(answers), ms: performance.now() - startMs };
  }, `${rig.cdn}${path}`);

/** Pages that embed only what lets itself be embedded, and a CDN some of whose answers say nothing of it. */
const isolated = (policy) => ({
  allowedMs: 250,
  victim: includeCdn,
  rig: {
    pageHeaders: {
      "Cross-Origin-Opener-Policy": "same-origin",
      "Cross-Origin-Embedder-Policy": policy,
    },
    intercept: (req, res) => {
      if (!req.url.includes("silent")) return false;
      const { setHeader } = res;
      res.setHeader = function (name, value) {
        return /^cross-origin-resource-policy$/i.test(name)
          ? this
          : setHeader.call(this, name, value);
      };
      return false;
    },
  },
  // Six requests one after another: a slow line would be measured six times.
  inject: ({ rig }) => rig.origin.throttle({}),
  run: (page, path, { rig }) =>
    seen(page, [
      [path],
      [`${rig.cdn}${path}`],
      [`${rig.cdn}${path}?silent`],
      [`${rig.cdn}${path}`, { mode: "no-cors" }],
      [`${rig.cdn}${path}?silent`, { mode: "no-cors" }],
      [`${rig.cdn}${path}?silent`, { mode: "no-cors", credentials: "include" }],
    ]),
  check: async ({ victim }, { ours, twin }) => {
    assert.ok(ours.isolated && twin.isolated, "the browser isolates both pages");
    const blocked = JSON.parse(twin.hash).filter((answer) => answer === "TypeError").length;
    assert.equal(blocked, policy === "require-corp" ? 2 : 0, "what says nothing is blocked");
    assert.ok((await stats(victim)).bytes.mesh > 0, "the page's own file comes from the peer");
  },
});

export const crossOriginRows = [
  {
    ...{ row: 50, name: "modes and credentials across origins", allowedMs: 50, run: modes },
    victim: includeCdn,
    samples: 1,
  },
  { row: 50, name: "a page with COEP: require-corp", ...isolated("require-corp") },
  { row: 50, name: "a page with COEP: credentialless", ...isolated("credentialless") },
];
