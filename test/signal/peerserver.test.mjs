// The PeerServer protocol as PeerJS 1.5.5 speaks it, against a real server.
import assert from "node:assert/strict";
import { once } from "node:events";
import test from "node:test";
import { WebSocket } from "ws";
import { connect, idFrom, refusedUpgrade, SITE, serverFor, viewerFor } from "./support.mjs";

const offer = (dst, payload = {}) => ({
  type: "OFFER",
  dst,
  payload: {
    sdp: { type: "offer", sdp: "v=0\r\n" },
    type: "data",
    connectionId: "dc_1",
    label: "dc_1",
    reliable: true,
    serialization: "raw",
    ...payload,
  },
});
const isType = (type) => (message) => message.type === type;

test("GET /peerjs/id issues ids that PeerJS accepts, to allowed sites", async (t) => {
  const server = await serverFor(t);
  const response = await fetch(`${server.url}/peerjs/id?ts=1&version=1.5.5`, {
    headers: { origin: SITE },
  });
  assert.equal(response.status, 200);
  assert.equal(response.headers.get("access-control-allow-origin"), SITE);
  assert.equal(response.headers.get("cache-control"), "no-store");
  const id = await response.text();
  assert.match(id, /^[A-Za-z0-9]+(?:[ _-][A-Za-z0-9]+)*$/); // PeerJS, util.validateId
  assert.notEqual(id, await idFrom(server));
  const foreign = await fetch(`${server.url}/peerjs/id`, {
    headers: { origin: "http://evil.test" },
  });
  assert.equal(foreign.status, 403);
  assert.equal(foreign.headers.get("access-control-allow-origin"), null);
});

test("two stock clients exchange OFFER, ANSWER, CANDIDATE and LEAVE", async (t) => {
  const server = await serverFor(t);
  const [a, b] = [await viewerFor(t, server), await viewerFor(t, server)];
  a.say(offer(b.id));
  assert.deepEqual(await b.heard(isType("OFFER")), { ...offer(b.id), src: a.id });
  const answer = { sdp: { type: "answer", sdp: "v=0" }, type: "data", connectionId: "dc_1" };
  b.say({ type: "ANSWER", dst: a.id, payload: answer });
  assert.deepEqual((await a.heard(isType("ANSWER"))).payload, answer);
  const candidate = { candidate: "candidate:1 1 udp 1 10.0.0.1 9 typ host", sdpMid: "0" };
  const payload = { candidate, type: "data", connectionId: "dc_1" };
  a.say({ type: "CANDIDATE", dst: b.id, payload });
  const heard = await b.heard(isType("CANDIDATE"));
  assert.deepEqual(heard, { type: "CANDIDATE", src: a.id, dst: b.id, payload });
  a.say({ type: "HEARTBEAT" });
  a.say({ type: "LEAVE", dst: b.id });
  assert.deepEqual(await b.heard(isType("LEAVE")), { type: "LEAVE", src: a.id, dst: b.id });
});

test("B3, R57: a source that the client claims is overwritten", async (t) => {
  const server = await serverFor(t);
  const [a, b] = [await viewerFor(t, server), await viewerFor(t, server)];
  a.say({ ...offer(b.id), src: "somebody-else" });
  assert.equal((await b.heard(isType("OFFER"))).src, a.id);
  a.say(JSON.stringify(offer(b.id)).replace("{", `{"src":"x",`).replace(/}$/, `,"src":"y"}`));
  assert.equal((await b.heard(isType("OFFER"))).src, a.id);
});

test("F1, R45: messages of the server, media calls and unknown serializers are not relayed", async (t) => {
  const server = await serverFor(t);
  const [a, b] = [await viewerFor(t, server), await viewerFor(t, server)];
  for (const type of ["OPEN", "ERROR", "ID-TAKEN", "INVALID-KEY", "EXPIRE", "NONSENSE"]) {
    a.say({ ...offer(b.id), type });
  }
  a.say(offer(b.id, { type: "media" }));
  a.say(offer(b.id, { serialization: "constructor" }));
  a.say(offer(b.id, { serialization: undefined }));
  a.say({ type: "OFFER", dst: b.id });
  a.say({ type: "OFFER", payload: {} });
  a.say({ ...offer(b.id), extra: 1 });
  a.say(offer(b.id, { label: "last", unknownField: 1 }));
  const { payload } = await b.heard(() => true);
  assert.equal(payload.label, "last");
  assert.equal(payload.unknownField, undefined);
  for (const serialization of ["binary", "binary-utf8", "json"]) {
    a.say(offer(b.id, { serialization }));
    assert.equal((await b.heard(isType("OFFER"))).payload.serialization, serialization);
  }
});

test("E4, R62: a message to an absent peer expires at once and is never delivered later", async (t) => {
  const server = await serverFor(t);
  const a = await viewerFor(t, server);
  const id = await idFrom(server);
  a.say(offer(id));
  assert.deepEqual(await a.heard(isType("EXPIRE")), { type: "EXPIRE", src: id, dst: a.id });
  a.say(offer("nobody"));
  assert.equal((await a.heard(isType("EXPIRE"))).src, "nobody");
  const b = await viewerFor(t, server, { id });
  await b.settled();
  assert.deepEqual(b.messages, []);
});

test("E2, R56: LEAVE without a destination ends the socket", async (t) => {
  const server = await serverFor(t);
  const [a, b] = [await viewerFor(t, server), await viewerFor(t, server)];
  a.say({ type: "LEAVE" });
  await a.closed;
  b.say(offer(a.id));
  await b.heard(isType("EXPIRE"));
});

test("E2, E3: an id that the server did not issue is refused", async (t) => {
  const server = await serverFor(t);
  const issued = await idFrom(server);
  const forged = issued.replace(/^./, (digit) => (digit === "0" ? "1" : "0"));
  for (const id of [forged, "alice", "", "__proto__", issued.toUpperCase().replace(/\d/g, "A")]) {
    const viewer = await connect(t, server, { id });
    const { payload } = await viewer.heard(isType("ERROR"));
    assert.equal(typeof payload.msg, "string");
    await viewer.closed;
  }
});

test("a wrong key or a missing token is refused", async (t) => {
  const server = await serverFor(t);
  const wrongKey = await connect(t, server, { key: "other" });
  await wrongKey.heard(isType("INVALID-KEY"));
  const noToken = await connect(t, server, { token: "" });
  await noToken.heard(isType("ERROR"));
  await Promise.all([wrongKey.closed, noToken.closed]);
});

test("E3, R56: a new socket with the same id and token takes over, with its announcements kept", async (t) => {
  const server = await serverFor(t);
  const group = "http://o.test/g/";
  const [a, other] = [await viewerFor(t, server), await viewerFor(t, server)];
  await a.join(group);
  const again = await viewerFor(t, server, { id: a.id, token: a.token });
  assert.equal(await a.closed, 4001);
  const { peers } = await other.join(group);
  assert.deepEqual(
    peers.map(([id]) => id),
    [a.id],
  );
  other.say(offer(a.id));
  await again.heard(isType("OFFER"));
});

test("E3, R56: an id is taken for any other token, also for a while after its socket is gone", async (t) => {
  const server = await serverFor(t);
  const a = await viewerFor(t, server);
  const thief = await connect(t, server, { id: a.id });
  await thief.heard(isType("ID-TAKEN"));
  await thief.closed;
  a.say({ type: "LEAVE" });
  await a.closed;
  const late = await connect(t, server, { id: a.id });
  await late.heard(isType("ID-TAKEN"));
  await viewerFor(t, server, { id: a.id, token: a.token });
});

test("E1, E9: malformed frames are ignored and the socket lives on", async (t) => {
  const server = await serverFor(t);
  const a = await viewerFor(t, server);
  const frames = ["", "{", "null", "[]", "1", `"x"`, "{}", `{"type":null}`, `{"type":["OFFER"]}`];
  for (const frame of frames) a.say(frame);
  a.ws.send(Buffer.from([1, 2, 3]));
  assert.equal((await a.settled()).type, "joined");
});

test("E1, R60: an oversize frame closes only the socket that sent it", async (t) => {
  const server = await serverFor(t);
  const [a, b] = [await viewerFor(t, server), await viewerFor(t, server)];
  a.say("x".repeat(16_385));
  assert.equal(await a.closed, 1009);
  assert.equal((await b.settled()).type, "joined");
});

test("E5, R60: many tiny fragments close only the socket that sent them", async (t) => {
  const server = await serverFor(t);
  const [a, b] = [await viewerFor(t, server), await viewerFor(t, server)];
  for (let part = 0; part < 20; part++) a.ws.send("x", { fin: false });
  assert.equal(await a.closed, 1008);
  assert.equal((await b.settled()).type, "joined");
});

test("R58: messages above the budget are dropped, and a socket that goes on is closed", async (t) => {
  const server = await serverFor(t, { messagesPerSecond: 1, messagesBurst: 5 });
  const [a, b] = [await viewerFor(t, server), await viewerFor(t, server)];
  for (let sent = 0; sent < 100; sent++) a.say(offer("nobody"));
  await b.settled();
  assert.ok(a.messages.filter(isType("EXPIRE")).length <= 10);
  for (let sent = 0; sent < 1_000; sent++) a.say("null");
  assert.equal(await a.closed, 1008);
});

test("F2: offers that flood one viewer expire instead of reaching it", async (t) => {
  const server = await serverFor(t, { messagesBurst: 1_000 });
  const [a, b] = [await viewerFor(t, server), await viewerFor(t, server)];
  for (let sent = 0; sent < 200; sent++) a.say(offer(b.id));
  await a.settled();
  await b.settled();
  const arrived = b.messages.filter(isType("OFFER")).length;
  assert.ok(arrived >= 64 && arrived < 100, `${arrived} arrived`);
  assert.equal(a.messages.filter(isType("EXPIRE")).length, 200 - arrived);
});

test("D5, R51: private candidates are dropped where the operator wants no LAN links", async (t) => {
  const server = await serverFor(t, { lan: false });
  const [a, b] = [await viewerFor(t, server), await viewerFor(t, server)];
  const line = (address) => `candidate:1 1 udp 1 ${address} 9 typ host`;
  const kept = ["93.184.216.34", "d3b0.local", "2606:2800:220:1::1"];
  for (const address of ["10.1.2.3", "192.168.0.1", "127.0.0.1", "fe80::1", "::1", ...kept]) {
    const payload = { candidate: { candidate: line(address) }, type: "data", connectionId: "c" };
    a.say({ type: "CANDIDATE", dst: b.id, payload });
  }
  const sdp = `v=0\r\na=${line("10.0.0.1")}\r\na=${line("93.184.216.34")}\r\n`;
  a.say(offer(b.id, { sdp: { type: "offer", sdp } }));
  const { payload } = await b.heard(isType("OFFER"));
  assert.equal(payload.sdp.sdp, `v=0\r\na=${line("93.184.216.34")}\r\n`);
  assert.deepEqual(
    b.messages.map((message) => message.payload.candidate.candidate),
    kept.map(line),
  );
});

test("E13, C1, R59: upgrades are refused for other sites, other paths and clients without Origin", async (t) => {
  const server = await serverFor(t);
  assert.equal(await refusedUpgrade(server, { origin: "http://evil.test" }), 403);
  assert.equal(await refusedUpgrade(server, {}), 403);
  assert.equal(await refusedUpgrade(server, { path: "/socket.io", origin: SITE }), 404);
});

test("upgrades on other paths go to the embedder if it wants them", async (t) => {
  const paths = [];
  const server = await serverFor(t, {
    onUpgrade: (request, socket) => {
      paths.push(request.url);
      socket.end("HTTP/1.1 418 Teapot\r\nContent-Length: 0\r\n\r\n");
    },
  });
  assert.equal(await refusedUpgrade(server, { path: "/socket.io", origin: SITE }), 418);
  assert.deepEqual(paths, ["/socket.io"]);
});

test("B8, C2, R58: one address gets so many sockets and no more", async (t) => {
  const server = await serverFor(t, { socketsPerAddressMax: 2 });
  const a = await viewerFor(t, server);
  await viewerFor(t, server);
  assert.equal(await refusedUpgrade(server, { origin: SITE }), 429);
  await viewerFor(t, server, { localAddress: "127.0.0.2" });
  a.ws.close();
  await a.closed;
  await viewerFor(t, server);
});

test("the address of a proxy's client counts only if the proxy is trusted", async (t) => {
  const connectFrom = async (server, address) => {
    const id = await idFrom(server);
    const ws = new WebSocket(
      `${server.url.replace("http", "ws")}/peerjs?key=peerjs&id=${id}&token=t`,
      { origin: SITE, headers: { "x-forwarded-for": `6.6.6.6, ${address}` } },
    );
    t.after(() => ws.terminate());
    ws.on("error", () => {});
    return Promise.race([
      once(ws, "open").then(() => 101),
      once(ws, "unexpected-response").then(([, response]) => response.statusCode),
    ]);
  };
  for (const [trustProxy, second] of [
    [true, 101],
    [false, 429],
  ]) {
    const server = await serverFor(t, { trustProxy, socketsPerAddressMax: 1 });
    assert.equal(await connectFrom(server, "93.184.216.1"), 101);
    assert.equal(await connectFrom(server, "93.184.216.2"), second);
  }
});

test("a socket that answers no ping is cut and leaves the index", async (t) => {
  const server = await serverFor(t, { pingIntervalMs: 50 });
  const id = await idFrom(server);
  const ws = new WebSocket(
    `${server.url.replace("http", "ws")}/peerjs?key=peerjs&id=${id}&token=t`,
    { origin: SITE, autoPong: false },
  );
  ws.on("error", () => {});
  const [code] = await once(ws, "close");
  assert.equal(code, 1006);
});

test("E4, R61: a viewer that does not read is cut instead of being buffered", async (t) => {
  const server = await serverFor(t, { messagesPerSecond: 1e6, messagesBurst: 1e6 });
  const [a, slow] = [await viewerFor(t, server), await viewerFor(t, server)];
  for (const viewer of [slow, a]) await viewer.join("http://site.test/g/");
  slow.ws._socket.pause();
  const frame = { type: "CANDIDATE", dst: slow.id };
  const payload = { candidate: "x".repeat(16_000), type: "data", connectionId: "c" };
  let gone = false;
  for (let round = 0; round < 200 && !gone; round++) {
    for (let sent = 0; sent < 50; sent++) a.say({ ...frame, payload });
    await a.settled();
    gone = a.messages.some(isType("EXPIRE"));
  }
  assert.ok(gone);
  const metrics = await (await fetch(`${server.url}/metrics`)).text();
  assert.match(metrics, /nearcast_slow_consumers_total 1\n/);
});
