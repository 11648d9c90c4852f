// Whatever viewers send, the server lives on, answers, and stays within its bounds. Seeded: a failure
// repeats.
import assert from "node:assert/strict";
import { once } from "node:events";
import { createConnection } from "node:net";
import test from "node:test";
import { seeded, serverFor, viewerFor } from "./support.mjs";

const FRAMES = 10_000;
const BUDGET = { messagesPerSecond: 1_000_000, messagesBurst: 1_000_000 };
const GROUP = "http://127.0.0.1:1/g/";

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
  join: { type: "join", q: 1, v: 1, groups: [GROUP] },
  leave: { type: "leave", groups: [GROUP] },
  announce: { type: "announce", add: [["a".repeat(22), [0, 1]]], remove: [], loadPercent: 1 },
  want: { type: "want", q: 1, url: `${GROUP}a.bin`, window: 0 },
  stats: { type: "stats", cache: 0, mesh: 0, origin: 0, uploaded: 0, rejected: 0 },
  report: { type: "report", peerId: dst, reason: "stalled" },
});

const ODD_VALUES = [
  null,
  undefined,
  true,
  0,
  -1,
  1.5,
  2 ** 53,
  1e308,
  "",
  "__proto__",
  "constructor",
  "http://",
  "http://[",
  "http://127.0.0.1:1/g/%",
  "\0",
  "\ud800",
  "x".repeat(3_000),
  [],
  {},
  [[]],
  { __proto__: null, toString: 1 },
  Array.from({ length: 300 }, () => "x"),
];

function makeFuzzer(seed) {
  const random = seeded(seed);
  const pick = (items) => items[Math.floor(random() * items.length)];
  const mutated = (value) => {
    if (random() < 0.15) return pick(ODD_VALUES);
    if (Array.isArray(value)) return value.map(mutated);
    if (typeof value !== "object" || value === null) return value;
    const entries = Object.entries(value).filter(() => random() > 0.05);
    if (random() < 0.1) entries.push([pick(["src", "extra", "__proto__"]), pick(ODD_VALUES)]);
    return Object.fromEntries(entries.map(([key, item]) => [key, mutated(item)]));
  };
  const scrambled = (text) => {
    const chars = [...text];
    for (let edits = random() * 4; edits > 0; edits--) {
      chars.splice(random() * chars.length, random() * 3, pick([...'{}[]",:0e-\\u\n\0']));
    }
    return chars.join("");
  };
  // A valid LEAVE without `dst` would end the run: the type stays, the destination too.
  return (template) => {
    const { type, dst } = template;
    const message = { ...mutated(template), type, ...(type === "LEAVE" && { dst }) };
    const text = JSON.stringify(message);
    return (random() < 0.3 && type !== "LEAVE" ? scrambled(text) : text).slice(0, 8_000);
  };
}

for (const [seed, kind] of Object.keys(templates("")).entries()) {
  test(`${FRAMES} mutated ${kind} frames leave the server alive and answering`, async (t) => {
    const server = await serverFor(t, { origins: [GROUP], ...BUDGET });
    const [a, b] = [await viewerFor(t, server), await viewerFor(t, server)];
    const fuzz = makeFuzzer(seed + 1);
    const template = templates(b.id)[kind];
    for (let sent = 0; sent < FRAMES; sent++) {
      a.say(fuzz(template));
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
    const metrics = await (await fetch(`${server.url}/metrics`)).text();
    assert.doesNotMatch(metrics, /reason="internal"/);
  });
}

test("random bytes instead of HTTP, of an upgrade and of WebSocket frames are survived", async (t) => {
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
