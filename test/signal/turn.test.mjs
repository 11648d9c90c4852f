// TURN: off by default, credentials that live minutes, and a relay that reaches no private network (threats
// G1, G2; rule R68).
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createHmac } from "node:crypto";
import { once } from "node:events";
import test from "node:test";
import { coturnFor, noCoturn, ownAddress, TURN_SECRET } from "../support/coturn.mjs";
import { serverFor, viewerFor } from "./support.mjs";

test("R68, G3, R54: without configuration viewers are told of no ICE server at all", async (t) => {
  const viewer = await viewerFor(t, await serverFor(t));
  assert.deepEqual((await viewer.settled()).iceServers, []);
});

test("G2: each viewer gets credentials of its own that expire, by coturn's REST scheme", async (t) => {
  const server = await serverFor(t, {
    iceServers: ["stun:stun.test:3478"],
    turnUrls: ["turn:turn.test:3478", "turns:turn.test:443"],
    turnSecret: TURN_SECRET,
    turnTtlSeconds: 300,
  });
  const names = new Set();
  for (let n = 0; n < 2; n++) {
    const viewer = await viewerFor(t, server);
    const { iceServers, nowMs } = await viewer.settled();
    const [stun, turn, turns] = iceServers;
    assert.deepEqual(stun, { urls: "stun:stun.test:3478" });
    assert.deepEqual([turn.urls, turns.urls], ["turn:turn.test:3478", "turns:turn.test:443"]);
    const [expires, user] = turn.username.split(":");
    assert.ok(Math.abs(Number(expires) - nowMs / 1_000 - 300) <= 1);
    assert.ok(!viewer.id.includes(user), "the name is not the peer id");
    const expected = createHmac("sha1", TURN_SECRET).update(turn.username).digest("base64");
    assert.equal(turn.credential, expected);
    names.add(user);
  }
  assert.equal(names.size, 2);
});

/** With this the client has said what there is to say; it would go on for long. */
const OUTCOME = /error 4\d\d \((?!Unauthorized|Wrong)|Cannot complete|Total connect time/;

/** Runs coturn's own client; `printed` is all it says. */
async function client(args) {
  const child = spawn("turnutils_uclient", [...args, "-v", "-n", "1", "-c", ownAddress]);
  let printed = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (data) => {
      printed += data;
      if (OUTCOME.test(printed)) child.kill("SIGKILL");
    });
  }
  const timer = setTimeout(() => child.kill("SIGKILL"), 10_000);
  await once(child, "close");
  clearTimeout(timer);
  return printed;
}

test("G1, R68: the recommended relay refuses every private peer and reaches a public one's port", {
  skip: noCoturn,
}, async (t) => {
  const { port } = await coturnFor(t);
  const to = (peer) =>
    client(["-p", String(port), "-u", `viewer${peer}`, "-W", TURN_SECRET, "-e", peer]);
  for (const peer of [
    "127.0.0.1",
    "0.0.0.0",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "224.0.0.1",
  ]) {
    if (peer === ownAddress) continue;
    assert.match(await to(peer), /error 403/, peer);
  }
  assert.match(await to(ownAddress), /Total connect time/);
});

test("G2: coturn takes the server's credentials, and neither stale nor forged ones", {
  skip: noCoturn,
}, async (t) => {
  const { port, url } = await coturnFor(t);
  const server = await serverFor(t, { turnUrls: [url], turnSecret: TURN_SECRET });
  const [{ username, credential }] = (await (await viewerFor(t, server)).settled()).iceServers;
  const log = (name, word) =>
    client(["-p", String(port), "-u", name, "-w", word, "-e", ownAddress]);
  assert.match(await log(username, credential), /Total connect time/);
  const stale = `1000000000:${username.split(":")[1]}`;
  const mac = createHmac("sha1", TURN_SECRET).update(stale).digest("base64");
  for (const [name, word] of [
    [stale, mac],
    [username, mac],
    [`9${username}`, credential],
  ]) {
    assert.match(await log(name, word), /error 401|Cannot complete Allocation/);
  }
});
