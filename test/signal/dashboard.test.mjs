// The operator's page: nothing that a viewer named can become markup or script (threat E10).
import assert from "node:assert/strict";
import test from "node:test";
import { serverFor, viewerFor } from "./support.mjs";

const EVIL = "http://<img src=x onerror=alert(1)></script><script>alert(2)</script>";

test("E10: the dashboard is a constant page under a strict policy; what viewers named comes as JSON", async (t) => {
  const server = await serverFor(t, { sites: ["*"], rampPercent: 30 });
  const viewer = await viewerFor(t, server, { origin: EVIL });
  viewer.say({
    type: "stats",
    cache: 1,
    mesh: 20,
    origin: 300,
    uploaded: 0,
    rejected: 0,
    goodput: [],
  });
  await viewer.settled();
  const page = await fetch(`${server.url}/dashboard`);
  assert.equal(page.headers.get("content-type"), "text/html; charset=utf-8");
  const policy = page.headers.get("content-security-policy");
  const html = await page.text();
  assert.match(policy, /^default-src 'none';/);
  assert.doesNotMatch(policy, /unsafe|\*|http/);
  const [, nonce] = /script-src 'nonce-([\w-]{22})'/.exec(policy);
  const opening = html.match(/<(script|style)[^>]*>/g);
  assert.deepEqual(opening, [`<style nonce="${nonce}">`, `<script nonce="${nonce}">`]);
  assert.doesNotMatch(html, /alert|onerror|innerHTML|insertAdjacentHTML|document\.write/);
  const again = await (await fetch(`${server.url}/dashboard`)).text();
  assert.ok(!again.includes(nonce), "a nonce is used once");
  assert.equal(again.replace(/nonce="[\w-]+"/g, ""), html.replace(/nonce="[\w-]+"/g, ""));

  const data = await fetch(`${server.url}/dashboard/data`);
  assert.equal(data.headers.get("content-type"), "application/json");
  assert.equal(data.headers.get("x-content-type-options"), "nosniff");
  const { viewers, sites, counters } = await data.json();
  assert.equal(viewers, 1);
  const about = { viewers: 1, enabled: true, rampPercent: 30, requireToken: false };
  assert.deepEqual(sites, [{ site: EVIL, ...about }]);
  assert.equal(counters.nearcast_viewer_bytes_total.mesh, 20);
});
