/** What sharing the index costs a node of the server: the same work with Redis and alone, in turn. */
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { WebSocket } from "ws";
import { freePort, noRedis, PROGRAMS, RedisProcess } from "../../test/support/redis.mjs";
import { figure } from "../support/report.mjs";

const SITE = "http://site.test";
const GROUP = "http://origin.test/film/";
const VIEWERS = 40;
/** Of each viewer, in one round. */
const ANNOUNCEMENTS = 500;
const OWN_ANNOUNCEMENTS = 20;
const ASSETS_EACH = 8;
const WANTS = 150;
/** Seconds of CPU of one tick of /proc. */
const TICK_S = 0.01;

const assetIds = (count) =>
  Array.from({ length: count }, () => randomBytes(16).toString("base64url"));

/** A node as a process of its own, whose CPU time can be read. */
async function nodeFor(closers, args) {
  const quotas = [
    "messages-per-second",
    "messages-burst",
    "joins-per-minute-per-address",
    "sockets-per-address-max",
    "wants-per-minute-per-address",
  ];
  const limits = quotas.flatMap((flag) => [`--${flag}`, "1000000"]);
  const child = spawn(
    process.execPath,
    ["dist/cli.js", "serve", "--port", "0", "--site", SITE, ...limits, ...args],
    { stdio: ["ignore", "pipe", "ignore"] },
  );
  closers.push(async () => {
    child.kill("SIGKILL");
    await once(child, "exit");
  });
  let text = "";
  for await (const chunk of child.stdout) {
    text += chunk;
    const [, port] = /:(\d+)\s/.exec(text) ?? [];
    if (port) return { port: Number(port), pid: child.pid };
  }
  throw new Error(`Cannot start a node: ${text}`);
}

function cpuS(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1].split(" ");
  return (Number(fields[11]) + Number(fields[12])) * TICK_S;
}

/** A raw viewer: `ask` resolves with the answer. */
async function viewerAt({ port }, place) {
  const id = await (await fetch(`http://127.0.0.1:${port}/peerjs/id`)).text();
  const ws = new WebSocket(`ws://127.0.0.1:${port}/peerjs?key=peerjs&id=${id}&token=t&version=1`, {
    origin: SITE,
    localAddress: `127.0.1.${1 + place}`, // what one address may have written is limited
  });
  const waiting = new Map();
  let opened;
  const isOpen = new Promise((resolve) => {
    opened = resolve;
  });
  ws.on("message", (data) => {
    const message = JSON.parse(String(data));
    if (message.type === "OPEN") opened();
    waiting.get(message.q)?.(message);
    waiting.delete(message.q);
  });
  await isOpen;
  let q = 0;
  const say = (message) => ws.send(JSON.stringify(message));
  const ask = (message) => {
    const question = ++q;
    say({ ...message, q: question });
    return new Promise((resolve) => waiting.set(question, resolve));
  };
  await ask({ type: "join", v: 1, groups: [GROUP] });
  return { id, ws, say, ask };
}

/** Runs `work` and says what it cost: per second of the clock, and per second of the node's CPU. */
async function measured(node, count, work) {
  const [startMs, startCpuS] = [performance.now(), cpuS(node.pid)];
  await work();
  const wallS = (performance.now() - startMs) / 1_000;
  return { perS: count / wallS, perCpuS: count / Math.max(TICK_S, cpuS(node.pid) - startCpuS) };
}

/** A live stream: all viewers announce one new segment after the other. */
const announceSame = (viewers, node) => {
  const segments = assetIds(ANNOUNCEMENTS);
  return measured(node, viewers.length * ANNOUNCEMENTS, () =>
    Promise.all(
      viewers.map((viewer) =>
        announce(
          viewer,
          segments.map((id) => [id]),
        ),
      ),
    ),
  );
};

/** A library: each viewer has things of its own. What is to be written has been when the clock stops. */
const announceOwn = (viewers, node, isShared) =>
  measured(node, viewers.length * OWN_ANNOUNCEMENTS, async () => {
    const own = () => Array.from({ length: OWN_ANNOUNCEMENTS }, () => assetIds(ASSETS_EACH));
    await Promise.all(viewers.map((viewer) => announce(viewer, own())));
    const keys = viewers.length * OWN_ANNOUNCEMENTS * ASSETS_EACH;
    while (isShared && (await sharedKeys(node)) < keys) await pause(50);
  });

async function announce({ say, ask }, lists) {
  for (const list of lists) {
    const add = list.map((assetId) => [assetId, "all"]);
    say({ type: "announce", add, remove: [], loadPercent: 0 });
  }
  await ask({ type: "join", v: 1, groups: [] });
}

async function sharedKeys({ port }) {
  const metrics = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  return Number(/^nearcast_shared_keys (\d+)/m.exec(metrics)?.[1]);
}

/** One question after another of each viewer; `assets` are asked for in turn. */
const wantAll = (viewers, node, assets) =>
  measured(node, viewers.length * WANTS, () =>
    Promise.all(
      viewers.map(async ({ ask }, place) => {
        for (let n = 0; n < WANTS; n++) {
          const assetId = assets[(place + n) % assets.length];
          await ask({ type: "want", url: "http://elsewhere.test/file", window: 0, assetId });
        }
      }),
    ),
  );

/** One round with one kind of server. */
async function roundWith(args, elsewhere) {
  const closers = [];
  try {
    const node = await nodeFor(closers, args);
    const other = elsewhere && (await nodeFor(closers, args));
    const viewers = await Promise.all(
      Array.from({ length: VIEWERS }, (_, place) => viewerAt(node, place)),
    );
    const far =
      other && (await Promise.all(Array.from({ length: 8 }, (_, place) => viewerAt(other, place))));
    const [here, there] = [assetIds(20), assetIds(100)];
    for (const { say } of viewers) {
      say({ type: "announce", add: here.map((id) => [id, "all"]), remove: [], loadPercent: 0 });
    }
    for (const { say } of far || viewers.slice(0, 8)) {
      say({ type: "announce", add: there.map((id) => [id, "all"]), remove: [], loadPercent: 0 });
    }
    await pause(1_000); // what is announced is flushed
    const result = {
      local: await wantAll(viewers, node, here),
      rare: await wantAll(viewers, node, there),
      same: await announceSame(viewers, node),
      own: await announceOwn(viewers, node, elsewhere),
    };
    for (const { ws } of [...viewers, ...(far || [])]) ws.terminate();
    return result;
  } finally {
    for (const close of closers) await close();
  }
}

async function run({ runs }) {
  const folder = mkdtempSync(join(tmpdir(), "nearcast-bench-"));
  const redis = new RedisProcess(PROGRAMS[0], await freePort());
  await redis.start();
  const rounds = { ours: [], twin: [] };
  try {
    for (let n = 0; n < runs; n++) {
      rounds.twin.push(await roundWith(["--key-file", join(folder, "key.pem")], false));
      rounds.ours.push(
        await roundWith(["--key-file", join(folder, "key.pem"), "--redis", redis.url], true),
      );
    }
  } finally {
    await redis.end();
    rmSync(folder, { recursive: true, force: true });
  }
  const row = (name, kind, measure, unit) =>
    figure(name, unit, {
      ours: rounds.ours.map((round) => round[kind][measure]),
      twin: rounds.twin.map((round) => round[kind][measure]),
    });
  const names = {
    same: "announcements of one segment, the same for all",
    own: `announcements of ${ASSETS_EACH} assets that nobody else has`,
    local: "wants of what viewers here hold",
    rare: "wants of what only others hold",
  };
  const figures = [
    ...Object.entries(names).map(([kind, name]) => row(name, kind, "perCpuS", "per CPU-s")),
    row(names.same, "same", "perS", "per s"),
    row(names.rare, "rare", "perS", "per s"),
  ];
  return { figures, details: rounds };
}

export const redis = {
  help: "a node with Redis beside one that is alone: announcements and wants per second",
  missing: () => noRedis || undefined,
  run,
};
