/** Rows 42, 44 and 46: a bad line between viewers, a thousand joins at once, a file of gigabytes. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { closeSync, ftruncateSync, openSync, readdirSync, readFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { WebSocket } from "ws";
import { labMissing } from "../../../bench/net/lab.mjs";
import { stats } from "../../e2e/support/rig.mjs";
import { timedFetch } from "../frame.mjs";
import { openLossyStage } from "../lossy-stage.mjs";

const CHROMIUM = ["chromium"];

/** The first request is the one that finds out; what the median hides, the check sees. */
const badLine = (line, mixed) => ({
  // Firefox is steered over a socket, which does not reach into a namespace.
  browsers: CHROMIUM,
  allowedMs: 250,
  missing: labMissing,
  open: () => openLossyStage(line),
  check: async ({ victim }, { ours, twin }) => {
    const { bytes, requests } = await stats(victim);
    const added = Math.round(ours.ms - twin.ms);
    console.log(
      `   row 42, ${JSON.stringify(line)}: later by ${added} ms, so far ${bytes.mesh} bytes of the peer, ${bytes.origin} of the origin`,
    );
    if (mixed) assert.ok(requests.mixed + requests.mesh > 0, "the peer was asked");
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

const MEBIBYTE = 2 ** 20;
const GIGABYTE = 2 ** 30;
const PART_BYTES = 4 * MEBIBYTE;
const CACHE_BYTES = 256 * MEBIBYTE;
/** What garbage collection may leave lying about between two looks. */
const RSS_GROWTH_BYTES = 160 * MEBIBYTE;
const RATE_BYTES_PER_S = 25_000_000;

/** Processes in which pages and workers run, below process `root`; Linux tells. */
function contentProcesses(root) {
  const parents = new Map();
  for (const name of readdirSync("/proc")) {
    const parent = /^\d+$/.test(name) && parentOf(name);
    if (parent) parents.set(name, parent);
  }
  const below = (id) => id === String(root) || (parents.has(id) && below(parents.get(id)));
  return [...parents.keys()].filter(below).filter((id) => {
    const commandLine = readOf(id, "cmdline");
    return /--type=renderer|-contentproc/.test(commandLine);
  });
}

const parentOf = (id) => /^PPid:\s+(\d+)/m.exec(readOf(id, "status"))?.[1];

/** Processes end when they like. */
function readOf(id, file) {
  try {
    return readFileSync(`/proc/${id}/${file}`, "utf8");
  } catch {
    return "";
  }
}

/** Memory of all processes in which pages and workers run, in bytes. */
function contentBytes(browser) {
  const kilobytes = contentProcesses(browser.process().pid).map((id) =>
    Number(/^VmRSS:\s+(\d+)/m.exec(readOf(id, "status"))?.[1] ?? 0),
  );
  return 1_024 * kilobytes.reduce((sum, value) => sum + value, 0);
}

/** Stretches of a file as a player takes them, range by range; the hash is of all their hashes. */
const inParts = (page, path, stretches) =>
  page.evaluate(
    async (target, all, partBytes) => {
      const startMs = performance.now();
      const hashes = [];
      const statuses = new Set();
      let bytes = 0;
      for (const [start, end] of all) {
        for (let at = start; at < end; ) {
          const headers = { range: `bytes=${at}-${Math.min(end, at + partBytes) - 1}` };
          const response = await fetch(target, { headers });
          const body = await response.arrayBuffer();
          if (body.byteLength === 0) break;
          statuses.add(response.status);
          at += body.byteLength;
          bytes += body.byteLength;
          window.progress = bytes;
          hashes.push(new Uint8Array(await crypto.subtle.digest("SHA-256", body)).join(" "));
        }
      }
      const ms = performance.now() - startMs;
      return { status: [...statuses].join(), bytes, hash: hashes.join("\n"), ms };
    },
    path,
    stretches,
    PART_BYTES,
  );

/** Of the file's bytes a gigabyte is random: the stretches. The rest are holes in it, where the file system has such. */
const huge = (length, stretches) => ({
  // Five hundredths of what it takes.
  allowedMs: 2_000,
  samples: 1,
  seeders: [],
  victim: { options: { "cache-max-bytes": CACHE_BYTES } },
  missing: () => (process.platform === "linux" ? undefined : "memory is read from /proc"),
  inject: ({ rig, folder, paths }) => {
    const file = openSync(join(folder, paths[0].split("/").at(-1)), "w");
    ftruncateSync(file, length);
    for (const [start, end] of stretches) {
      for (let at = start; at < end; at += 64 * MEBIBYTE)
        writeSync(file, randomBytes(64 * MEBIBYTE), 0, 64 * MEBIBYTE, at);
    }
    closeSync(file);
    rig.origin.throttle({ rateBytesPerS: RATE_BYTES_PER_S });
  },
  run: async (page, path, { browser }) => {
    const looks = [];
    const running = inParts(page, path, stretches);
    let ended = false;
    running.finally(() => {
      ended = true;
    });
    while (!ended) {
      const bytes = await page.evaluate(() => window.progress ?? 0);
      looks.push({ bytes, rss: contentBytes(browser) });
      await new Promise((resolve) => setTimeout(resolve, 250));
    }
    return { ...(await running), looks };
  },
  check: async ({ victim }, { ours, twin }) => {
    const total = stretches.reduce((sum, [start, end]) => sum + end - start, 0);
    assert.equal(ours.bytes, total);
    const part = (from, to) =>
      ours.looks.filter(({ bytes }) => bytes >= from * total && bytes < to * total);
    const least = (looks) => Math.min(...looks.map(({ rss }) => rss));
    const [early, late] = [part(0.1, 0.4), part(0.7, 1)].map(least);
    const [most, ofTwin] = [ours, twin].map(({ looks }) =>
      Math.max(...looks.map(({ rss }) => rss)),
    );
    const { bytes } = await stats(victim);
    const mib = (value) => Math.round(value / MEBIBYTE);
    console.log(
      `   row 46: ${mib(ours.bytes)} MiB in ${Math.round(ours.ms / 1_000)} s, all content processes ${mib(early)} MiB early, ${mib(late)} MiB late, ${mib(most)} MiB at most; while the twin ran ${mib(ofTwin)} MiB at most`,
    );
    assert.ok(late - early < RSS_GROWTH_BYTES, `memory grew by ${mib(late - early)} MiB`);
    assert.ok(bytes.origin >= total, "it went through the worker");
  },
});

export const loadRows = [
  {
    ...{ row: 42, name: "the peer's line loses 3 % of all packets each way" },
    ...badLine({ lossPpm: 30_000 }, true),
  },
  {
    ...{ row: 42, name: "the peer's line loses 20 % of all packets each way" },
    ...badLine({ lossPpm: 200_000 }, false),
  },
  {
    ...{ row: 42, name: "a tenth of the peer's packets come 20 ms late, after others, each way" },
    ...badLine({ reorderPpm: 100_000 }, true),
  },
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
    ...{ row: 46, name: "a file of 1 GiB, range by range: memory stays flat" },
    ...huge(GIGABYTE, [[0, GIGABYTE]]),
  },
  {
    ...{
      row: 46,
      name: "of a file above 4 GiB the first and the last half GiB: memory stays flat",
    },
    ...huge(4.25 * GIGABYTE, [
      [0, 0.5 * GIGABYTE],
      [3.75 * GIGABYTE, 4.25 * GIGABYTE],
    ]),
  },
];
