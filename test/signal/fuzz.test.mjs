// Whatever viewers send, the server lives on, answers, and stays within its bounds (threats E1, E9, F6; rule
// R55). Seeded: a failure repeats. The server is a process of its own, so that its memory can be measured.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createConnection } from "node:net";
import test from "node:test";
import { FRAMES, GROWTH_MAX_BYTES, makeFuzzer } from "./fuzzer.mjs";
import { SITE, seeded, serverFor, viewerFor } from "./support.mjs";

const GROUP = "http://127.0.0.1:1/g/";
const BUDGETS = ["messages-per-second", "messages-burst"].flatMap((name) => [
  `--${name}`,
  "1000000",
]);
const QUOTAS = ["address", "site"].flatMap((who) => [`--wants-per-minute-per-${who}`, "10000000"]);

/** One valid message of every kind, to be mutated. */
const templates = (dst) => ({
  OFFER: {
    type: "OFFER",
    dst,
    payload: { sdp: {}, type: "data", connectionId: "c", serialization: "raw" },
  },
  ANSWER: { type: "ANSWER", dst, payload: { sdp: {}, type: "data", connectionId: "c" } },
  CANDIDATE: {
    type: "CANDIDATE",
    dst,
    payload: { candidate: {}, type: "data", connectionId: "c" },
  },
  LEAVE: { type: "LEAVE", dst },
  HEARTBEAT: { type: "HEARTBEAT" },
  join: { type: "join", q: 1, v: 1, groups: [GROUP], token: "nc1.x.y" },
  leave: { type: "leave", groups: [GROUP] },
  announce: { type: "announce", add: [["a".repeat(22), [0, 1]]], remove: [], loadPercent: 1 },
  want: { type: "want", q: 1, url: `${GROUP}a.bin`, window: 0 },
  stats: {
    type: "stats",
    cache: 0,
    mesh: 0,
    origin: 0,
    uploaded: 0,
    rejected: 0,
    goodput: [["a".repeat(48), 5]],
  },
  report: { type: "report", peerId: dst, reason: "stalled" },
});

/** A message of one kind, bent and perhaps scrambled. A valid LEAVE without `dst` would end the run. */
function bent({ random, mutated, scrambled }, template) {
  const { type, dst } = template;
  const message = { ...mutated(template), type, ...(type === "LEAVE" && { dst }) };
  const text = JSON.stringify(message);
  return (random() < 0.3 && type !== "LEAVE" ? scrambled(text) : text).slice(0, 8_000);
}

/** A server process; `memory()` is what it holds of the machine's. */
async function processFor(t) {
  const args = ["dist/cli.js", "serve", "--port", "0", "--site", SITE, "--origin", GROUP];
  const child = spawn(process.execPath, [
    "--max-semi-space-size=4",
    ...args,
    ...BUDGETS,
    ...QUOTAS,
  ]);
  t.after(async () => {
    child.kill("SIGKILL");
    await once(child, "close");
  });
  let text = "";
  let url;
  for await (const chunk of child.stdout) {
    text += chunk;
    url = /listens on (\S+)/.exec(text)?.[1];
    if (url) break;
  }
  const memory = () =>
    1_024 *
    Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${child.pid}/status`, "utf8"))[1]);
  const alive = () => child.exitCode === null && child.signalCode === null;
  return { url, memory, alive };
}

test(`E1, E9, F6, R55: ${FRAMES} bent frames of each kind leave the process alive, answering and small`, async (t) => {
  const server = await processFor(t);
  const kinds = Object.keys(templates(""));
  const run = async (kind, seed, frames) => {
    const [a, b] = [await viewerFor(t, server), await viewerFor(t, server)];
    const fuzzer = makeFuzzer(seed);
    const template = templates(b.id)[kind];
    for (let sent = 0; sent < frames; sent++) {
      a.say(bent(fuzzer, template));
      if (sent % 500 === 499) {
        await fetch(`${server.url}/healthz`); // lets answers through
        a.messages.length = 0;
        b.messages.length = 0;
      }
    }
    const q = 2 ** 31;
    a.say({ type: "join", q, v: 1, groups: [] });
    assert.equal((await a.heard((answer) => answer.q === q)).type, "joined");
    assert.equal((await b.settled()).type, "joined");
    for (const viewer of [a, b]) {
      viewer.say({ type: "LEAVE" });
      await viewer.closed;
    }
    assert.ok(server.alive());
  };
  // A process grows to its working size first: code, pools, the young generation.
  for (const [seed, kind] of kinds.entries()) await run(kind, 100 + seed, 1_000);
  const before = server.memory();
  for (const [seed, kind] of kinds.entries()) {
    await run(kind, seed + 1, FRAMES);
    const growth = server.memory() - before;
    t.diagnostic(`${kind}: ${(growth / 2 ** 20).toFixed(1)} MiB more than before`);
    assert.ok(growth < GROWTH_MAX_BYTES, `${kind}: ${growth} bytes`);
  }
  const metrics = await (await fetch(`${server.url}/metrics`)).text();
  assert.doesNotMatch(metrics, /reason="internal"/);
});

test("E7: random bytes instead of HTTP, of an upgrade and of WebSocket frames are survived", async (t) => {
  const server = await serverFor(t);
  const random = seeded(99);
  const noise = () => Buffer.from(Array.from({ length: random() * 200 }, () => random() * 256));
  const upgrade = (path) =>
    `GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n`;
  const starts = [
    "",
    "GET ",
    upgrade("/peerjs"),
    `${upgrade("/peerjs?id=%ff&key=peerjs")}Origin: http://site.test\r\nSec-WebSocket-Key: x\r\n\r\n`,
    `${upgrade("//")}\r\n`,
    `${upgrade("/peerjs?key=peerjs&id=x&token=y")}Origin: http://site.test\r\n` +
      "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
  ];
  for (let round = 0; round < 300; round++) {
    const socket = createConnection(server.port, "127.0.0.1");
    socket.on("error", () => {});
    await once(socket, "connect");
    socket.write(starts[round % starts.length]);
    socket.write(noise());
    if (round % 2 === 0) socket.end();
    else socket.destroy();
  }
  const viewer = await viewerFor(t, server);
  assert.equal((await viewer.settled()).type, "joined");
});
