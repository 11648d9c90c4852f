import { expect } from "chai";
import { type LinkHandlers, PeerLink } from "../../../src/mesh/links/peer-link.js";
import type { Connection } from "../../../src/mesh/signaling/peerjs-peer.js";
import {
  BLOCK_BYTES,
  BULK_BUFFERED_MAX_BYTES,
  CONTROL_MESSAGE_MAX_BYTES,
  PIECE_BYTES,
  PROTOCOL_VERSION,
} from "../../../src/protocol/limits.js";
import {
  type ControlFrame,
  decodeControl,
  encodeBlock,
  encodeControl,
} from "../../../src/protocol/peer-codec.js";
import { type ConnectionPair, fakeEnd, fakePair, realPair } from "../../support/connections.js";
import { withFakeTimers } from "../../support/fake-timers.js";
import { bytesFrom } from "../../support/random.js";
import { rejection, sameBytes, settle, until } from "../../support/waiting.js";

const ASSET = "A".repeat(22);
const HELLO = encodeControl({ type: "hello", version: PROTOCOL_VERSION });

type Heard = readonly [what: string, ...details: unknown[]];

/** A link on one end of a connection that notes what it hears. */
function listen(connection: Connection, now: () => number = () => performance.now()) {
  const heard: Heard[] = [];
  const pieces: Uint8Array[] = [];
  const note =
    (what: string) =>
    (_link: PeerLink, ...details: unknown[]) =>
      void heard.push([what, ...details]);
  const handlers: LinkHandlers = {
    onOpen: note("open"),
    onHave: note("have"),
    onDrop: note("drop"),
    onClaim: note("claim"),
    onRequest: note("request"),
    onCancel: note("cancel"),
    onReject: note("reject"),
    onRtt: note("rtt"),
    onPiece: (_link, askId, bytes) => {
      heard.push(["piece", askId]);
      pieces.push(bytes);
    },
  };
  const link = new PeerLink({ connection, handlers, now, openTimeoutMs: 5_000 });
  const has = (what: string) => heard.some(([name]) => name === what);
  return { link, heard, pieces, has };
}

/** Two links that greeted each other. */
async function setUpLinks(make: () => Promise<ConnectionPair>) {
  const pair = await make();
  const a = listen(pair.a);
  const b = listen(pair.b);
  await pair.open();
  await until("both links are open", () => a.link.open && b.link.open);
  return { pair, a, b };
}

/** One link, and the bare channels of a peer that obeys nothing. */
async function setUpRaw(
  make: () => Promise<ConnectionPair>,
  hello: Uint8Array<ArrayBuffer> = HELLO,
) {
  const pair = await make();
  const a = listen(pair.a);
  const frames: ControlFrame[] = [];
  pair.b.control.addEventListener("message", ({ data }) => {
    frames.push(decodeControl(new Uint8Array(data)));
  });
  await pair.open();
  pair.b.control.send(hello);
  return { pair, a, raw: pair.b, frames };
}

const closedOf = async (link: PeerLink) => {
  await until("the link is closed", () => link.closed.aborted);
  return link.closed.reason as { code?: string; message: string };
};

/** What every connection must do for a link; run on the fake and on WebRTC. */
function peerLinkContract(name: string, make: () => Promise<ConnectionPair>): void {
  const it2 = (title: string, action: () => Promise<void>) =>
    it(`PeerLink over ${name} ${title}`, action);

  it2("opens once the hellos crossed, and measures the round trip", async () => {
    const { pair, a, b } = await setUpLinks(make);
    expect(a.heard.filter(([what]) => what === "open")).to.have.length(1);
    await until("the pong is back", () => a.has("rtt") && b.has("rtt"));
    expect(a.link.rttMs).to.be.within(0, 5_000);
    expect([a.link.everOpen, a.link.initiator, b.link.initiator]).to.deep.equal([
      true,
      true,
      false,
    ]);
    pair.close();
  });

  it2("carries requests one way and pieces the other", async () => {
    const { pair, a, b } = await setUpLinks(make);
    const piece = bytesFrom(1, PIECE_BYTES);
    const last = bytesFrom(2, 777);
    a.link.request(7, { assetId: ASSET, piece: 3 }, piece.byteLength);
    a.link.request(8, { assetId: ASSET, piece: 4 }, last.byteLength);
    await until(
      "the requests are there",
      () => b.heard.filter(([w]) => w === "request").length > 1,
    );
    expect(b.heard.filter(([what]) => what === "request")).to.deep.equal([
      ["request", { type: "request", id: 7, assetId: ASSET, piece: 3 }],
      ["request", { type: "request", id: 8, assetId: ASSET, piece: 4 }],
    ]);
    const { signal } = new AbortController();
    await b.link.sendPiece(7, piece, signal);
    await b.link.sendPiece(8, last, signal);
    await until("the pieces are there", () => a.pieces.length === 2);
    expect(a.heard.filter(([what]) => what === "piece")).to.deep.equal([
      ["piece", 7],
      ["piece", 8],
    ]);
    expect(sameBytes(a.pieces[0] ?? new Uint8Array(), piece)).to.equal(true);
    expect(sameBytes(a.pieces[1] ?? new Uint8Array(), last)).to.equal(true);
    expect([b.link.bytesSent, a.link.bytesReceived]).to.deep.equal([
      PIECE_BYTES + 777,
      PIECE_BYTES + 777,
    ]);
    pair.close();
  });

  it2("carries many pieces with backpressure", async () => {
    const { pair, a, b } = await setUpLinks(make);
    const count = 24;
    let most = 0;
    for (let id = 0; id < count; id++)
      a.link.request(id, { assetId: ASSET, piece: id }, PIECE_BYTES);
    for (let id = 0; id < count; id++) {
      await b.link.sendPiece(id, new Uint8Array(PIECE_BYTES).fill(id), AbortSignal.any([]));
      most = Math.max(most, b.link.bufferedBytes);
    }
    await until("all pieces are there", () => a.pieces.length === count);
    expect(a.pieces.every((bytes, id) => bytes[PIECE_BYTES - 1] === id)).to.equal(true);
    expect(most).to.be.at.most(BULK_BUFFERED_MAX_BYTES + BLOCK_BYTES + 100);
    pair.close();
  });

  it2("carries rejects, holdings, claims and drops", async () => {
    const { pair, a, b } = await setUpLinks(make);
    const bits = Uint8Array.of(0b1000_0001, 0b1000_0000);
    a.link.request(1, { assetId: ASSET, piece: 0 }, 10);
    b.link.send({ type: "reject", id: 1, reason: "busy", retryMs: 150 });
    b.link.send({ type: "have", assetId: ASSET, pieceCount: 9, from: 0, bits });
    b.link.send({ type: "claim", assetId: ASSET, from: 4, to: 8, hops: 1 });
    b.link.send({ type: "drop", assetId: ASSET });
    await until("the drop is there", () => a.has("drop"));
    const heard = a.heard.filter(([what]) => ["reject", "have", "claim", "drop"].includes(what));
    expect(heard).to.deep.equal([
      ["reject", 1, "busy", 150],
      ["have", { type: "have", assetId: ASSET, pieceCount: 9, from: 0, bits }],
      ["claim", { type: "claim", assetId: ASSET, from: 4, to: 8, hops: 1 }],
      ["drop", ASSET],
    ]);
    pair.close();
  });

  it2("forgives blocks and rejects that cross a cancel", async () => {
    const { pair, a, raw, frames } = await setUpRaw(make);
    await until("the link is open", () => a.link.open);
    a.link.request(1, { assetId: ASSET, piece: 0 }, 100);
    a.link.request(2, { assetId: ASSET, piece: 1 }, 100);
    a.link.cancel(1);
    a.link.cancel(1);
    await until("the cancel is there", () => frames.some(({ type }) => type === "cancel"));
    raw.bulk.send(encodeBlock({ id: 1, offset: 0, data: new Uint8Array(100) }));
    raw.control.send(encodeControl({ type: "reject", id: 1, reason: "absent", retryMs: 0 }));
    raw.bulk.send(encodeBlock({ id: 2, offset: 0, data: new Uint8Array(100).fill(5) }));
    await until("the other piece is there", () => a.pieces.length > 0);
    raw.control.send(encodeControl({ type: "drop", assetId: ASSET }));
    await until("the reject was read", () => a.has("drop"));
    expect(a.heard.some(([what]) => what === "reject")).to.equal(false);
    expect(a.heard.filter(([what]) => what === "piece")).to.deep.equal([["piece", 2]]);
    expect(frames.filter(({ type }) => type === "cancel")).to.deep.equal([
      { type: "cancel", id: 1 },
    ]);
    expect(a.link.open).to.equal(true);
    pair.close();
  });

  it2("closes at every breach of the protocol", async () => {
    const block = (id: number, offset: number, size: number) =>
      encodeBlock({ id, offset, data: new Uint8Array(size) });
    const breaches: [what: string, code: string, breach: (raw: Connection) => void][] = [
      ["bytes nobody asked for", "protocol/violation", (raw) => raw.bulk.send(block(99, 0, 10))],
      ["a block that skips", "protocol/violation", (raw) => raw.bulk.send(block(1, 1, 10))],
      ["a block past the end", "protocol/violation", (raw) => raw.bulk.send(block(1, 0, 101))],
      ["text on control", "protocol/violation", (raw) => raw.control.send("hello")],
      ["text on bulk", "protocol/violation", (raw) => raw.bulk.send("hello")],
      ["a second hello", "protocol/violation", (raw) => raw.control.send(HELLO)],
      [
        "an unasked pong",
        "protocol/violation",
        (raw) => raw.control.send(encodeControl({ type: "pong", token: 4_000 })),
      ],
      ["an unknown type", "protocol/malformed", (raw) => raw.control.send(Uint8Array.of(200))],
      ["an empty message", "protocol/malformed", (raw) => raw.control.send(new Uint8Array(0))],
      [
        "an oversize control message",
        "protocol/malformed",
        (raw) => raw.control.send(new Uint8Array(CONTROL_MESSAGE_MAX_BYTES + 1).fill(2)),
      ],
      [
        "an oversize block",
        "protocol/malformed",
        (raw) => raw.bulk.send(new Uint8Array(BLOCK_BYTES + 10).fill(9)),
      ],
      ["control on bulk", "protocol/malformed", (raw) => raw.bulk.send(HELLO)],
    ];
    for (const [what, code, breach] of breaches) {
      const { pair, a, raw } = await setUpRaw(make);
      await until("the link is open", () => a.link.open);
      a.link.request(1, { assetId: ASSET, piece: 0 }, 100);
      breach(raw);
      expect((await closedOf(a.link)).code, what).to.equal(code);
      expect(a.pieces, what).to.deep.equal([]);
      pair.close();
    }
  });

  it2("closes at a greeting of another version, or at none", async () => {
    const other = encodeControl({ type: "hello", version: PROTOCOL_VERSION + 1 });
    const ping = encodeControl({ type: "ping", token: 1 });
    for (const [hello, code] of [
      [other, "protocol/version"],
      [ping, "protocol/violation"],
    ] as const) {
      const { pair, a } = await setUpRaw(make, hello);
      expect((await closedOf(a.link)).code).to.equal(code);
      expect([a.link.everOpen, a.has("open")]).to.deep.equal([false, false]);
      pair.close();
    }
  });

  it2("ends when the other side closes, once", async () => {
    const { pair, a, b } = await setUpLinks(make);
    const ends: unknown[] = [];
    a.link.closed.addEventListener("abort", () => ends.push(1));
    b.link.close();
    b.link.close(new Error("again"));
    expect((await closedOf(a.link)).code).to.equal("peer/closed");
    expect((await closedOf(b.link)).code).to.equal("peer/closed");
    a.link.close();
    expect(ends).to.have.length(1);
    expect(a.link.open).to.equal(false);
    a.link.send({ type: "ping", token: 1 });
    a.link.request(1, { assetId: ASSET, piece: 0 }, 1);
    const sending = a.link.sendPiece(1, new Uint8Array(1), AbortSignal.any([]));
    expect(await rejection(sending)).to.equal(a.link.closed.reason);
    pair.close();
  });

  it2("stops sending a piece that was taken back", async () => {
    const { pair, b } = await setUpLinks(make);
    const stop = new AbortController();
    stop.abort(new Error("taken back"));
    const sending = b.link.sendPiece(1, new Uint8Array(PIECE_BYTES), stop.signal);
    expect(await rejection(sending)).to.have.property("message", "taken back");
    expect(b.link.bytesSent).to.equal(0);
    pair.close();
  });
}

describe("peer-link", () => {
  peerLinkContract("a fake connection", fakePair);
  peerLinkContract("WebRTC", realPair);

  it("PeerLink gives up a peer that never answers", async () => {
    await withFakeTimers(async (timers) => {
      const { connection, closed } = fakeEnd("peer-aaaa");
      const { link } = listen(connection, () => timers.nowMs);
      await timers.advance(4_999);
      expect(link.closed.aborted).to.equal(false);
      await timers.advance(1);
      expect(link.closed.reason).to.have.property("code", "peer/unreachable");
      expect(closed()).to.equal(true);
      expect(timers.pending, "no timer outlives the link").to.equal(0);
    });
  });

  it("PeerLink closes when three pings in a row are lost", async () => {
    await withFakeTimers(async (timers) => {
      const end = fakeEnd("peer-aaaa");
      const { link } = listen(end.connection, () => timers.nowMs);
      for (const channel of [end.control, end.bulk]) channel.open();
      end.control.dispatchEvent(new MessageEvent("message", { data: HELLO.buffer }));
      expect(link.open).to.equal(true);
      await timers.advance(7_499);
      expect(link.open).to.equal(true);
      await timers.advance(1);
      expect(link.closed.reason).to.have.property("code", "peer/closed");
      expect(timers.pending).to.equal(0);
    });
  });

  it("PeerLink remembers the shortest round trip", async () => {
    await withFakeTimers(async (timers) => {
      const end = fakeEnd("peer-aaaa");
      const { link, heard } = listen(end.connection, () => timers.nowMs);
      for (const channel of [end.control, end.bulk]) channel.open();
      const say = (frame: ControlFrame) =>
        end.control.dispatchEvent(
          new MessageEvent("message", { data: encodeControl(frame).buffer }),
        );
      say({ type: "hello", version: PROTOCOL_VERSION });
      const tripsMs = [80, 30, 200];
      for (const [index, tripMs] of tripsMs.entries()) {
        await timers.advance(tripMs);
        say({ type: "pong", token: index + 1 });
        await timers.advance(2_500 - tripMs);
      }
      expect(link.rttMs).to.equal(30);
      expect(heard.filter(([what]) => what === "rtt")).to.deep.equal([
        ["rtt", 80],
        ["rtt", 30],
        ["rtt", 30],
      ]);
      link.close();
    });
  });

  it("PeerLink closes when ICE gives the connection up", async () => {
    for (const state of ["failed", "closed"] as const) {
      const end = fakeEnd("peer-aaaa");
      const { link } = listen(end.connection);
      end.peerConnection.become("connected");
      end.peerConnection.become("disconnected");
      expect(link.closed.aborted).to.equal(false);
      end.peerConnection.become(state);
      expect(link.closed.reason).to.have.property("code", "peer/closed");
    }
  });

  it("PeerLink.sendPiece() waits while BULK_BUFFERED_MAX_BYTES are unsent", async () => {
    const end = fakeEnd("peer-aaaa");
    const { link } = listen(end.connection);
    for (const channel of [end.control, end.bulk]) channel.open();
    end.bulk.bufferedAmount = BULK_BUFFERED_MAX_BYTES + 1;
    const stop = new AbortController();
    const sending = link.sendPiece(1, new Uint8Array(PIECE_BYTES), stop.signal);
    await settle();
    expect(end.bulk.sent).to.have.length(0);
    end.bulk.drain();
    await sending;
    expect(end.bulk.sent).to.have.length(PIECE_BYTES / BLOCK_BYTES);
    end.bulk.bufferedAmount = BULK_BUFFERED_MAX_BYTES + 1;
    const stopped = rejection(link.sendPiece(2, new Uint8Array(PIECE_BYTES), stop.signal));
    stop.abort(new Error("taken back"));
    expect(await stopped).to.have.property("message", "taken back");
    const closed = rejection(link.sendPiece(3, new Uint8Array(1), AbortSignal.any([])));
    link.close(new Error("gone"));
    expect(await closed).to.have.property("message", "gone");
  });
});
