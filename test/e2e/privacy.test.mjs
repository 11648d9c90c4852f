/** Which addresses are contacted and shown: none of third parties, and with `privacy: relay` none of the viewer. */
import assert from "node:assert/strict";
import test from "node:test";
import { coturnFor, noCoturn, TURN_SECRET } from "../support/coturn.mjs";
import {
  fetchIn,
  holds,
  linked,
  media,
  meshed,
  openBlank,
  openRig,
  stats,
  until,
} from "./support/rig.mjs";

const URL_A = `/media/${media.mp4}`;
/** Whole pieces, so that a viewer holds all that it fetched. */
const range = (start) => ({ headers: { range: `bytes=${start}-${start + 2 ** 18 - 1}` } });

/** Runs in the page: keeps what RTCPeerConnections are made with and what leaves by WebSocket. */
function record() {
  window.named = [];
  window.connections = [];
  window.sent = [];
  const Real = window.RTCPeerConnection;
  window.RTCPeerConnection = class extends Real {
    constructor(configuration, ...rest) {
      super(configuration, ...rest);
      window.connections.push(this);
      this.named = configuration?.iceServers ?? [];
    }

    /** Servers are contacted from here on. PeerJS probes the browser with a connection that never gets here. */
    setLocalDescription(...args) {
      window.named.push(...this.named);
      return super.setLocalDescription(...args);
    }
  };
  const { send } = WebSocket.prototype;
  WebSocket.prototype.send = function (data) {
    window.sent.push(String(data));
    return send.call(this, data);
  };
}

/** Candidate lines in what a page sent to the server, inside descriptions and on their own. */
const candidatesOf = async (page) =>
  (await page.evaluate(() => window.sent.join("\n"))).match(/candidate:\d[^"\\]*/g) ?? [];

test("R54, G3: nothing but the site, its origin and its server is ever contacted", async (t) => {
  const rig = await openRig();
  t.after(() => rig.close());
  const open = async () => {
    const profile = await rig.profile();
    const hosts = new Set();
    // Every target's network, the worker's included.
    profile.browser.on("targetcreated", async (target) => {
      const session = await target.createCDPSession().catch(() => undefined);
      await session?.send("Network.enable").catch(() => undefined);
      session?.on("Network.requestWillBeSent", ({ request }) =>
        hosts.add(new URL(request.url).host),
      );
      session?.on("Network.webSocketCreated", ({ url }) => hosts.add(new URL(url).host));
    });
    return { page: await openBlank(profile, rig, { prepare: record }), hosts };
  };
  const viewers = [await open(), await open()];
  for (const { page } of viewers) await fetchIn(page, URL_A, range(0));
  await Promise.all(viewers.map(({ page }) => linked(page, 1)));
  const allowed = new Set([rig.url, rig.cdn, rig.index.url].map((url) => new URL(url).host));
  for (const { page, hosts } of viewers) {
    assert.ok(hosts.has(new URL(rig.index.url).host), "the network was watched");
    assert.deepEqual(
      [...hosts].filter((host) => host !== "" && !allowed.has(host)),
      [],
    );
    assert.deepEqual(await page.evaluate(() => window.named), []);
    assert.ok((await candidatesOf(page)).length > 0, "links were made all the same");
    assert.deepEqual(page.errors, []);
  }
});

test("D1: with privacy: relay viewers share over TURN and show no address of their own", {
  skip: noCoturn,
}, async (t) => {
  const turn = await coturnFor(t);
  const rig = await openRig({ indexArgs: ["--turn-url", turn.url, "--turn-secret", TURN_SECRET] });
  t.after(() => rig.close());
  const options = { privacy: "relay", lan: "true" }; // the relay of the test has a private address
  const open = async () => openBlank(await rig.profile(), rig, { options, prepare: record });
  const pages = [await open(), await open()];
  const expected = await fetchIn(pages[0], URL_A, range(0));
  await holds(pages[0], URL_A, { init: range(0) });
  await fetchIn(pages[1], URL_A, range(2 ** 20));
  await Promise.all(pages.map((page) => linked(page, 1)));
  rig.origin.throttle({ rateBytesPerS: 500_000, delayMs: 200 });
  assert.equal((await fetchIn(pages[1], URL_A, range(0))).hash, expected.hash);
  await meshed(pages[1]);
  for (const page of pages) {
    const candidates = await candidatesOf(page);
    assert.ok(candidates.length > 0);
    assert.deepEqual(
      candidates.filter((line) => !/ typ relay /.test(line)),
      [],
    );
    assert.ok(
      candidates.every((line) => / raddr (0\.0\.0\.0|::) /.test(line)),
      candidates.join(),
    );
    const pairs = await page.evaluate(async () => {
      const reports = await Promise.all(window.connections.map((pc) => pc.getStats()));
      return reports.flatMap((report) => {
        const all = [...report.values()];
        const typeOf = (id) => all.find((entry) => entry.id === id)?.candidateType;
        return all
          .filter(({ type, state }) => type === "candidate-pair" && state === "succeeded")
          .map((pair) => typeOf(pair.localCandidateId));
      });
    });
    assert.ok(pairs.length > 0);
    assert.deepEqual(new Set(pairs), new Set(["relay"]));
    assert.deepEqual(page.errors, []);
  }
});

test("D1: with privacy: relay and no relay there is no link, no candidate, and every request works", async (t) => {
  const rig = await openRig();
  t.after(() => rig.close());
  const open = async (options) => openBlank(await rig.profile(), rig, { options, prepare: record });
  const [hidden, other] = [await open({ privacy: "relay" }), await open({})];
  const expected = await fetchIn(other, URL_A, range(0));
  assert.equal((await fetchIn(hidden, URL_A, range(0))).hash, expected.hash);
  await until(hidden, () => window.nearcast.stats().index === "open");
  await fetchIn(other, URL_A, range(2 ** 20));
  assert.equal((await fetchIn(hidden, URL_A, range(2 ** 20))).status, 206);
  assert.deepEqual(await candidatesOf(hidden), []);
  assert.equal((await stats(hidden)).links, 0);
  assert.deepEqual([...hidden.errors, ...other.errors], []);
});
