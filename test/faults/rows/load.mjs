/** Rows 42, 44 and 46: a bad line between viewers, a thousand joins at once, a file of a gigabyte. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { appendFileSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { WebSocket } from "ws";
import { labMissing } from "../../../bench/net/lab.mjs";
import { stats } from "../../e2e/support/rig.mjs";
import { timedFetch } from "../frame.mjs";
import { openLossyStage } from "../lossy-stage.mjs";

const CHROMIUM = ["chromium"];

/** The first request is the one that finds out; what the median hides, the check sees. */
const lossy = (percent) => ({
  browsers: CHROMIUM,
  allowedMs: 250,
  missing: labMissing,
  open: () => openLossyStage(percent * 10_000),
  check: async ({ victim }, { ours, twin }) => {
    const { bytes, requests } = await stats(victim);
    const added = Math.round(ours.ms - twin.ms);
    console.log(
      `   row 42, ${percent} %: later by ${added} ms, so far ${bytes.mesh} bytes of the peer, ${bytes.origin} of the origin`,
    );
    if (percent < 10) assert.ok(requests.mixed > 0, "the peer was asked");
  },
});

const JOINS = 1_000;

/** Viewers of another film join, all within a second. @returns When each was answered, by how. */
async function joinStorm({ rig, ids }) {
  const sockets = [];
  const one = async (id) => {
    const startMs = performance.now();
    const address = `${rig.index.url}/peerjs?key=peerjs&id=${id}&token=storm${id}`;
    const socket = new WebSocket(address, { origin: rig.url });
    sockets.push(socket);
    socket.on("error", () => undefined);
    const refused = once(socket, "unexpected-response").then(([, { statusCode }]) => statusCode);
    const closed = once(socket, "close").then(([code]) => code);
    const joined = new Promise((resolve) => {
      socket.on("message", (data) => {
        const { type } = JSON.parse(String(data));
        const groups = [`${rig.url}/other/`];
        if (type === "OPEN") socket.send(JSON.stringify({ type: "join", q: 1, v: 1, groups }));
        if (type === "joined") resolve("joined");
      });
    });
    const outcome = await Promise.race([joined, refused, closed]);
    return { outcome, ms: performance.now() - startMs };
  };
  const beganMs = performance.now();
  const answers = [];
  for (const [n, id] of ids.entries()) {
    const waitMs = beganMs + n - performance.now();
    if (waitMs > 1) await new Promise((resolve) => setTimeout(resolve, waitMs));
    answers.push(one(id));
  }
  const outcomes = await Promise.all(answers);
  for (const socket of sockets) socket.terminate();
  return outcomes;
}

/** The page is loaded anew amid the storm, as all others are, and asks for a file. */
async function amidStorm(page, path, stage) {
  const storm = joinStorm(stage);
  await page.reload();
  if (page === stage.victim) await page.evaluate(() => window.ready);
  const answer = await timedFetch(page, path);
  stage.storms.push(await storm);
  return answer;
}

const GIGABYTE = 2 ** 30;
const PART_BYTES = 4 * 2 ** 20;
const CACHE_BYTES = 256 * 2 ** 20;
/** What garbage collection may leave lying about between two looks. */
const RSS_GROWTH_BYTES = 160 * 2 ** 20;

/** Memory of all processes in which pages and workers run, in bytes; Linux tells. */
async function rendererBytes(browser) {
  const session = await browser.target().createCDPSession();
  const { processInfo } = await session.send("SystemInfo.getProcessInfo");
  await session.detach();
  const kilobytes = processInfo
    .filter(({ type }) => type === "renderer")
    .map(({ id }) => Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${id}/status`))?.[1] ?? 0));
  return 1_024 * kilobytes.reduce((sum, value) => sum + value, 0);
}

/** The whole file as a player takes it, range by range; the hash is of all their hashes. */
const inParts = (page, path, length) =>
  page.evaluate(
    async (target, totalBytes, partBytes) => {
      const startMs = performance.now();
      const hashes = [];
      const statuses = new Set();
      let bytes = 0;
      while (bytes < totalBytes) {
        const headers = { range: `bytes=${bytes}-${Math.min(totalBytes, bytes + partBytes) - 1}` };
        const response = await fetch(target, { headers });
        const body = await response.arrayBuffer();
        if (body.byteLength === 0) break;
        statuses.add(response.status);
        bytes += body.byteLength;
        window.progress = bytes;
        hashes.push(new Uint8Array(await crypto.subtle.digest("SHA-256", body)).join(" "));
      }
      const ms = performance.now() - startMs;
      return { status: [...statuses].join(), bytes, hash: hashes.join("\n"), ms };
    },
    path,
    length,
    PART_BYTES,
  );

export const loadRows = [
  { row: 42, name: "the peer's line loses 3 % of all packets each way", ...lossy(3) },
  { row: 42, name: "the peer's line loses 20 % of all packets each way", ...lossy(20) },
  {
    row: 44,
    name: "the page is loaded anew while 1,000 viewers join within a second",
    allowedMs: 250,
    samples: 1,
    rig: {
      indexArgs: ["--joins-per-minute-per-address", "10000", "--sockets-per-address-max", "2000"],
    },
    seeders: [{}, {}],
    inject: async (stage) => {
      stage.storms = [];
      stage.ids = [];
      const address = `${stage.rig.index.url.replace("ws", "http")}/peerjs/id`;
      const headers = { origin: stage.rig.url };
      while (stage.ids.length < JOINS) {
        const some = Array.from({ length: 100 }, async () =>
          (await fetch(address, { headers })).text(),
        );
        stage.ids.push(...(await Promise.all(some)));
      }
    },
    run: amidStorm,
    check: ({ storms }) => {
      for (const storm of storms) {
        const joined = storm.filter(({ outcome }) => outcome === "joined");
        const others = new Set(storm.map(({ outcome }) => outcome));
        others.delete("joined");
        const ms = joined.map((answer) => answer.ms).sort((a, b) => a - b);
        const p99Ms = Math.round(ms[Math.floor(ms.length * 0.99)]);
        console.log(`   row 44: ${joined.length} of ${JOINS} joined, p99 ${p99Ms} ms`);
        for (const outcome of others)
          assert.ok([429, 1013].includes(outcome), `refused as promised, not ${outcome}`);
        assert.ok(joined.length >= JOINS / 2, `${joined.length} joined`);
      }
    },
  },
  {
    row: 46,
    name: "a file of 1 GiB, range by range: memory stays flat",
    // Five hundredths of what it takes.
    allowedMs: 2_000,
    samples: 1,
    browsers: CHROMIUM,
    seeders: [],
    victim: { options: { "cache-max-bytes": CACHE_BYTES } },
    inject: ({ rig, folder, paths }) => {
      const file = join(folder, paths[0].split("/").at(-1));
      writeFileSync(file, "");
      while (statSync(file).size < GIGABYTE) appendFileSync(file, randomBytes(2 ** 26));
      rig.origin.throttle({ rateBytesPerS: 25_000_000 });
    },
    run: async (page, path, stage) => {
      const looks = [];
      const running = inParts(page, path, GIGABYTE);
      let ended = false;
      running.finally(() => {
        ended = true;
      });
      while (!ended) {
        const bytes = await page.evaluate(() => window.progress ?? 0);
        looks.push({ bytes, rss: await rendererBytes(stage.browser) });
        await new Promise((resolve) => setTimeout(resolve, 250));
      }
      return { ...(await running), looks };
    },
    check: async ({ victim }, { ours, twin }) => {
      assert.equal(ours.bytes, GIGABYTE);
      const part = (from, to) =>
        ours.looks.filter(({ bytes }) => bytes >= from * GIGABYTE && bytes < to * GIGABYTE);
      const least = (looks) => Math.min(...looks.map(({ rss }) => rss));
      const [early, late] = [part(0.1, 0.4), part(0.7, 1)].map(least);
      const [most, ofTwin] = [ours, twin].map(({ looks }) =>
        Math.max(...looks.map(({ rss }) => rss)),
      );
      const { bytes } = await stats(victim);
      const mib = (value) => Math.round(value / 2 ** 20);
      console.log(
        `   row 46: ${mib(ours.bytes)} MiB in ${Math.round(ours.ms / 1_000)} s, all renderers ${mib(early)} MiB early, ${mib(late)} MiB late, ${mib(most)} MiB at most; while the twin ran ${mib(ofTwin)} MiB at most`,
      );
      assert.ok(late - early < RSS_GROWTH_BYTES, `memory grew by ${mib(late - early)} MiB`);
      assert.ok(bytes.origin >= GIGABYTE, "it went through the worker");
    },
  },
];
