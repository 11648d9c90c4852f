/** PeerJS as an untrusted pipe, against the real server and real RTCPeerConnections. */
import { expect } from "chai";
import { type Connection, Signaling } from "../../src/mesh/signaling/peerjs-peer.js";
import { testEnvironment } from "../support/env.js";

interface Side {
  readonly signaling: Signaling;
  readonly id: string;
  readonly connections: Connection[];
  readonly messages: unknown[];
  readonly errors: unknown[];
}

const lifetime = new AbortController();
after(() => lifetime.abort());

/** One viewer's signaling, open. */
async function open(): Promise<Side> {
  const { serverPort } = await testEnvironment();
  const opened = Promise.withResolvers<string>();
  const side = {
    connections: [] as Connection[],
    messages: [] as unknown[],
    errors: [] as unknown[],
  };
  const signaling = new Signaling({
    url: new URL(`ws://127.0.0.1:${serverPort}`),
    iceServers: [],
    lan: true,
    relayOnly: false,
    now: () => performance.now(),
    random: Math.random,
    signal: lifetime.signal,
    handlers: {
      onOpen: opened.resolve,
      onClosed: () => undefined,
      onMessage: (message) => side.messages.push(message),
      onConnection: (connection) => side.connections.push(connection),
      onError: (error) => side.errors.push(error),
    },
  });
  return { ...side, signaling, id: await opened.promise };
}

async function until(condition: () => boolean): Promise<void> {
  const endMs = performance.now() + 10_000;
  while (!condition()) {
    if (performance.now() > endMs) throw new Error(`never: ${condition}`);
    await new Promise((resolve) => requestAnimationFrame(resolve));
  }
}

const isOpen = ({ control, bulk }: Connection) =>
  control.readyState === "open" && bulk.readyState === "open";

/** Sends a frame that PeerJS itself would never send. */
function forge({ signaling }: Side, frame: object): void {
  expect(signaling.send(frame)).to.equal(true);
}

describe("Signaling", () => {
  it("Signaling.dial() opens a control and a bulk channel that carry bytes both ways", async () => {
    const [a, b] = [await open(), await open()];
    const out = a.signaling.dial(b.id);
    if (!out) throw new Error("no connection");
    await until(() => b.connections.length === 1);
    const [into] = b.connections;
    if (!into) throw new Error("no connection");
    await until(() => isOpen(out) && isOpen(into));
    expect(into).to.include({ peerId: a.id, initiator: false });
    const heard = new Promise<MessageEvent>((resolve) => {
      into.bulk.onmessage = resolve;
    });
    out.bulk.send(new Uint8Array([1, 2, 3]));
    expect([...new Uint8Array((await heard).data)]).to.deep.equal([1, 2, 3]);
    out.close();
    await until(() => into.control.readyState === "closed");
  });

  it("F1, R45: Signaling ignores offers for any serializer but raw, and of media", async () => {
    const [evil, victim] = [await open(), await open()];
    const sdp = { type: "offer", sdp: "v=0\r\n" };
    for (const serialization of ["binary", "json", "nosuch", "constructor", "__proto__"]) {
      const payload = { sdp, type: "data", connectionId: "dc_1", serialization, label: "x" };
      forge(evil, { type: "OFFER", dst: victim.id, payload });
    }
    forge(evil, {
      type: "OFFER",
      dst: victim.id,
      payload: { sdp, type: "media", connectionId: "mc_1" },
    });
    // A real connection afterwards shows that all of it has arrived and done nothing.
    expect(evil.signaling.dial(victim.id)).not.to.equal(undefined);
    await until(() => victim.connections.length > 0);
    expect(victim.connections).to.have.length(1);
    expect(victim.errors).to.deep.equal([]);
  });

  it("F3: Signaling keeps no candidate for a connection that does not exist", async () => {
    const [evil, victim] = [await open(), await open()];
    for (let stray = 0; stray < 20; stray++) {
      const payload = { candidate: { candidate: "" }, type: "data", connectionId: `dc_${stray}` };
      forge(evil, { type: "CANDIDATE", dst: victim.id, payload });
    }
    evil.signaling.dial(victim.id);
    await until(() => victim.connections.length > 0);
    expect(victim.errors).to.deep.equal([]);
  });

  it("B5, R45: Signaling closes further channels that a peer opens in its connection", async () => {
    const [a, b] = [await open(), await open()];
    const out = a.signaling.dial(b.id);
    if (!out) throw new Error("no connection");
    await until(() => isOpen(out) && b.connections.length === 1);
    const extra = out.peerConnection.createDataChannel("extra");
    await until(() => extra.readyState === "closed");
    expect(isOpen(out)).to.equal(true);
  });

  it("Signaling hands index messages on and PeerJS none of them", async () => {
    const a = await open();
    forge(a, { type: "join", q: 7, v: 1, groups: ["http://site.example/media/"] });
    await until(() => a.messages.length > 0);
    expect(a.messages[0]).to.include({ type: "joined", q: 7, id: a.id });
  });
});
