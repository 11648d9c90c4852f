import { expect } from "chai";
import type { ByteRange } from "../../../src/protocol/asset.js";
import { PIECE_BYTES } from "../../../src/protocol/limits.js";
import type { DeliveryMessage, HostMessage } from "../../../src/protocol/worker-messages.js";
import { Delivery } from "../../../src/sw/answer/delivery.js";
import { makeAsset, type TestAsset } from "../../support/assets.js";
import { fakeOrigin, type OriginOptions } from "../../support/origins.js";
import { integerFrom, oneOf, seeded, shuffled } from "../../support/random.js";
import { readAll, rejection, sameBytes, settle, until } from "../../support/waiting.js";

const PIECES = 6;
const LENGTH = (PIECES - 1) * PIECE_BYTES + 4_321;

/** A delivery with a host at the other end of its port, and verbs for the host. */
async function setUp({
  covered,
  length = LENGTH,
  origin: originOptions = {},
  originBytes,
  hostGone = new AbortController(),
  wholeFrom,
}: {
  covered?: ByteRange;
  length?: number;
  origin?: OriginOptions;
  originBytes?: Uint8Array;
  hostGone?: AbortController;
  /** The page asked without a range, and so the origin answers well, or as these options say. */
  wholeFrom?: OriginOptions;
} = {}) {
  const asset = await makeAsset(length);
  const origin = fakeOrigin(originBytes ?? asset.bytes, originOptions);
  const { port1, port2 } = new MessageChannel();
  const told: DeliveryMessage[] = [];
  const counts = { cache: 0, mesh: 0, origin: 0 };
  const ends: number[] = [];
  port2.onmessage = ({ data }: MessageEvent<DeliveryMessage>) => told.push(data);
  const range = covered ?? { start: 0, end: length };
  const whole = fakeOrigin(asset.bytes, { ignoresRange: true, ...wholeFrom });
  const delivery = new Delivery({
    ...{ length, headers: [], covered: range, port: port1, hostGone: hostGone.signal },
    fetchRange: origin.fetchRange,
    fetchWhole: wholeFrom && ((signal) => whole.fetchRange({ start: 0, end: length }, signal)),
    onBytes: (source, bytes) => {
      counts[source] += bytes;
    },
    onSurplus: (bytes) => {
      counts.origin += bytes;
    },
    onEnd: () => {
      ends.push(1);
    },
  });
  port1.onmessage = ({ data }: MessageEvent<HostMessage>) => delivery.receive(data);
  const post = (message: HostMessage) => port2.postMessage(message);
  return {
    ...{ asset, origin, whole, delivery, told, counts, ends, hostGone, post, range },
    expected: asset.bytes.slice(range.start, range.end),
    hashes: () => post(hashesOf(asset)),
    piece: (piece: number, source: "mesh" | "cache" = "mesh") =>
      post({ type: "piece", piece, bytes: asset.pieceOf(piece), source }),
    fetch: (from: number, to: number) => post({ type: "fetch", from, to }),
    toldOf: <T extends DeliveryMessage["type"]>(type: T) =>
      told.filter((message): message is Extract<DeliveryMessage, { type: T }> => {
        return message.type === type;
      }),
    /** How it went, for the page and for the host. */
    async outcome() {
      await settle();
      const ending = told.filter(({ type }) => type === "end");
      return { ends: ends.length, told: ending, ...counts };
    },
  };
}

const COMPLETE = { type: "end", complete: true };
const BROKEN = { type: "end", complete: false };

const hashesOf = (asset: TestAsset): HostMessage => ({
  type: "hashes",
  firstPiece: 0,
  hashes: Array.from({ length: Math.ceil(asset.length / PIECE_BYTES) }, (_, piece) =>
    asset.hashOf(piece),
  ),
});

const withFlippedByte = async (at: number) => {
  const { bytes } = await makeAsset(LENGTH);
  bytes[at] = (bytes[at] ?? 0) ^ 1;
  return bytes;
};

describe("delivery", () => {
  it("Delivery asks an origin that fails at ranges as the page asked (fault row 22)", async () => {
    for (const faulty of [{ status: 416 }, { status: 500 }] satisfies OriginOptions[]) {
      const stage = await setUp({ origin: faulty, wholeFrom: {} });
      stage.hashes();
      stage.piece(0);
      stage.post({ type: "fail" });
      const { bytes, error } = await readAll(stage.delivery.body());
      expect(error).to.equal(undefined);
      expect(sameBytes(bytes, stage.expected)).to.equal(true);
    }
    const down = await setUp({ origin: { status: 503 }, wholeFrom: { status: 503 } });
    down.post({ type: "fail" });
    expect((await readAll(down.delivery.body())).error).to.have.property("code", "origin/failed");
  });

  it("Delivery gives the exact bytes in order, in whatever order pieces arrive and whoever sends them", async () => {
    for (let seed = 1; seed <= 25; seed++) {
      const random = seeded(seed);
      const start = integerFrom(random, 0, LENGTH - 1);
      const end = integerFrom(random, start + 1, LENGTH);
      const world = await setUp({
        covered: { start, end },
        origin: { chunkBytes: integerFrom(random, 1_000, 100_000) },
      });
      world.hashes();
      const first = Math.floor(start / PIECE_BYTES);
      const pieces = Array.from(
        { length: Math.ceil(end / PIECE_BYTES) - first },
        (_, index) => first + index,
      );
      for (const piece of shuffled(random, pieces)) {
        const source = oneOf(random, ["mesh", "cache", "origin"] as const);
        if (source === "origin") world.fetch(piece, piece + 1);
        else world.piece(piece, source);
        if (random() < 0.3) world.piece(piece, "mesh"); // twice is once
      }
      const { bytes, error } = await readAll(world.delivery.body());
      expect(error, `seed ${seed}`).to.equal(undefined);
      expect(sameBytes(bytes, world.expected), `seed ${seed}: ${start}-${end}`).to.equal(true);
      const { ends, told, cache, mesh, origin } = await world.outcome();
      expect({ ends, told }).to.deep.equal({ ends: 1, told: [COMPLETE] });
      expect(cache + mesh + origin).to.equal(end - start);
    }
  });

  it("Delivery counts bytes by their source and reports the end once", async () => {
    const { piece, hashes, fetch, delivery, outcome } = await setUp();
    hashes();
    piece(0, "cache");
    piece(1);
    piece(2);
    fetch(3, PIECES);
    await readAll(delivery.body());
    delivery.abandon();
    expect(await outcome()).to.deep.equal({
      ...{ ends: 1, told: [COMPLETE], cache: PIECE_BYTES, mesh: 2 * PIECE_BYTES },
      origin: LENGTH - 3 * PIECE_BYTES,
    });
  });

  it("Delivery cuts the first and the last piece to the covered range", async () => {
    const covered = { start: PIECE_BYTES - 3, end: 2 * PIECE_BYTES + 5 };
    const { piece, delivery, expected, counts } = await setUp({ covered });
    for (const index of [2, 0, 1]) piece(index);
    const { bytes } = await readAll(delivery.body());
    expect(sameBytes(bytes, expected)).to.equal(true);
    expect(counts.mesh).to.equal(PIECE_BYTES + 8);
  });

  it("Delivery ignores pieces that it does not need", async () => {
    const covered = { start: PIECE_BYTES, end: 2 * PIECE_BYTES };
    const { piece, delivery, expected, asset, post } = await setUp({ covered });
    for (const index of [0, 2, 5]) piece(index);
    post({ type: "piece", piece: 1, bytes: asset.pieceOf(1), source: "mesh" });
    const { bytes } = await readAll(delivery.body());
    expect(sameBytes(bytes, expected)).to.equal(true);
  });

  it("Delivery.firstPiece resolves with the first piece, not with a later one", async () => {
    const { piece, delivery, post } = await setUp();
    let first = false;
    void delivery.firstPiece.then(() => {
      first = true;
    });
    post({ type: "accept" });
    piece(1);
    await settle();
    expect(first).to.equal(false);
    piece(0);
    await until("the first piece is here", () => first);
    delivery.abandon();
  });

  it("Delivery shows every piece of the origin to the host, the last one too", async () => {
    const { hashes, fetch, delivery, asset, toldOf } = await setUp();
    hashes();
    fetch(0, PIECES);
    await readAll(delivery.body());
    await settle();
    const shown = toldOf("origin-piece");
    expect(shown.map(({ piece }) => piece)).to.deep.equal([0, 1, 2, 3, 4, 5]);
    for (const { piece, bytes } of shown) {
      expect(sameBytes(bytes, asset.pieceOf(piece)), `piece ${piece}`).to.equal(true);
    }
  });

  it("Delivery finishes from the origin alone when the host is gone", async () => {
    const { piece, hashes, delivery, hostGone, expected, origin, counts } = await setUp();
    hashes();
    for (const index of [0, 2, 5]) piece(index);
    await delivery.firstPiece;
    await settle();
    const reading = readAll(delivery.body());
    hostGone.abort();
    const { bytes, error } = await reading;
    expect(error).to.equal(undefined);
    expect(sameBytes(bytes, expected)).to.equal(true);
    expect(origin.asked, "what was missing, and no more").to.deep.equal([
      { start: PIECE_BYTES, end: 5 * PIECE_BYTES },
    ]);
    expect(counts.mesh, "pieces that were here are used").to.be.above(PIECE_BYTES);
  });

  it("Delivery finishes from the origin alone when the host gives up", async () => {
    const { piece, hashes, delivery, expected, post, origin } = await setUp({
      origin: { ignoresRange: true },
    });
    hashes();
    piece(0);
    post({ type: "fail" });
    post({ type: "fail" });
    const { bytes } = await readAll(delivery.body());
    expect(sameBytes(bytes, expected)).to.equal(true);
    expect(origin.asked).to.have.length(1);
  });

  it("Delivery finishes from the origin alone after 2.5 seconds of silence", async () => {
    const { piece, hashes, delivery, expected, origin } = await setUp();
    hashes();
    piece(0);
    const startMs = performance.now();
    const { bytes } = await readAll(delivery.body());
    expect(performance.now() - startMs).to.be.within(2_400, 10_000);
    expect(sameBytes(bytes, expected)).to.equal(true);
    expect(origin.asked).to.deep.equal([{ start: PIECE_BYTES, end: LENGTH }]);
  });

  it("Delivery waits for no host that was gone before it started", async () => {
    const hostGone = new AbortController();
    hostGone.abort();
    const { delivery, outcome } = await setUp({ hostGone });
    // Without hashes nothing of the origin can be verified: the caller passes the request through.
    expect(await rejection(delivery.firstPiece)).to.have.property("code", "integrity/mismatch");
    expect(await outcome()).to.deep.include({ ends: 1, told: [BROKEN] });
  });

  it("Delivery errors the stream, and never ends it short, when the origin is another version and peers cannot go on", async () => {
    for (const at of [PIECE_BYTES, 2 * PIECE_BYTES - 1, LENGTH - 1]) {
      const originBytes = await withFlippedByte(at);
      const { piece, hashes, fetch, post, delivery, origin, outcome, toldOf, expected } =
        await setUp({ originBytes });
      hashes();
      piece(0);
      fetch(1, PIECES);
      const reading = readAll(delivery.body());
      await until("the host is told", () => toldOf("origin-end").length > 0);
      post({ type: "fail" });
      const { bytes, error } = await reading;
      expect(error).to.have.property("code", "integrity/mismatch");
      expect(bytes.byteLength).to.be.below(LENGTH);
      expect(sameBytes(bytes, expected.subarray(0, bytes.byteLength)), "no wrong byte").to.equal(
        true,
      );
      await settle();
      expect(toldOf("origin-end")).to.deep.equal([{ type: "origin-end", outcome: "changed" }]);
      expect(await outcome()).to.deep.include({ ends: 1, told: [BROKEN] });
      expect(origin.asked, "it is not asked for what it does not have").to.have.length(1);
    }
  });

  it("Delivery goes on from peers when the origin has another version (fault row 8)", async () => {
    const other = await withFlippedByte(PIECE_BYTES);
    for (const options of [{ originBytes: other }, { origin: { totalLength: LENGTH + 1 } }]) {
      const stage = await setUp(options);
      stage.hashes();
      stage.piece(0);
      stage.fetch(1, 2);
      const reading = readAll(stage.delivery.body());
      await until("the host is told", () => stage.toldOf("origin-end").length > 0);
      expect(stage.toldOf("origin-end")).to.deep.equal([
        { type: "origin-end", outcome: "changed" },
      ]);
      for (let piece = 1; piece < PIECES; piece++) stage.piece(piece);
      const { bytes, error } = await reading;
      expect(error).to.equal(undefined);
      expect(sameBytes(bytes, stage.expected)).to.equal(true);
      expect(await stage.outcome()).to.deep.include({ ends: 1, told: [COMPLETE], origin: 0 });
    }
  });

  it("Delivery that goes on what passed before does not give up when the origin has another version by then", async () => {
    const covered = { start: PIECE_BYTES + 100, end: LENGTH };
    const stage = await setUp({ covered, originBytes: await withFlippedByte(PIECE_BYTES) });
    const reading = readAll(stage.delivery.body());
    stage.hashes();
    stage.fetch(1, 2);
    await until("the host is told", () => stage.toldOf("origin-end").length > 0);
    for (let piece = 1; piece < PIECES; piece++) stage.piece(piece);
    const { bytes, error } = await reading;
    expect(error).to.equal(undefined);
    expect(sameBytes(bytes, stage.expected)).to.equal(true);
  });

  it("Delivery gives up at once when the origin has another version and nothing is promised yet", async () => {
    const stage = await setUp({ originBytes: await withFlippedByte(0) });
    stage.hashes();
    stage.fetch(0, 2);
    expect(await rejection(stage.delivery.firstPiece)).to.have.property(
      "code",
      "integrity/mismatch",
    );
    expect(await stage.outcome()).to.deep.include({ ends: 1, told: [BROKEN] });
    expect(stage.toldOf("origin-end")).to.deep.equal([{ type: "origin-end", outcome: "changed" }]);
  });

  it("Delivery tells the host of an origin that failed, and goes on with others", async () => {
    const failures: OriginOptions[] = [{ status: 500 }, { shortAfter: 100 }, { failsAfter: 100 }];
    for (const origin of failures) {
      const { piece, hashes, fetch, delivery, toldOf, expected } = await setUp({ origin });
      hashes();
      piece(0);
      fetch(1, 3);
      const reading = readAll(delivery.body());
      await until("the host is told", () => toldOf("origin-end").length > 0);
      expect(toldOf("origin-end")[0]).to.deep.equal({ type: "origin-end", outcome: "failed" });
      for (const index of [1, 2, 3, 4, 5]) piece(index);
      expect(sameBytes((await reading).bytes, expected)).to.equal(true);
    }
  });

  it("Delivery errors the stream when it is alone and the origin fails", async () => {
    const { piece, hashes, delivery, hostGone, outcome } = await setUp({
      // Not one piece of what is asked for: to ask again brings no more.
      origin: { shortAfter: 10_000 },
    });
    hashes();
    piece(0);
    await delivery.firstPiece;
    hostGone.abort();
    const { bytes, error } = await readAll(delivery.body());
    expect(error).to.have.property("code", "origin/short");
    expect(bytes.byteLength).to.be.below(LENGTH);
    expect(await outcome()).to.deep.include({ ends: 1, told: [BROKEN] });
  });

  it("Delivery stops the origin when peers bring what it was asked for", async () => {
    const { piece, hashes, fetch, delivery, origin, expected, outcome } = await setUp({
      origin: { stallsAfter: 2 * PIECE_BYTES, chunkBytes: PIECE_BYTES },
    });
    hashes();
    fetch(0, 5);
    await delivery.firstPiece;
    const reading = readAll(delivery.body());
    for (const index of [2, 3, 4, 5]) piece(index);
    expect(sameBytes((await reading).bytes, expected)).to.equal(true);
    await until("the origin's body is cancelled", () => origin.cancelled.length > 0);
    expect(await outcome()).to.deep.include({ ends: 1, told: [COMPLETE] });
  });

  it("Delivery takes all that is missing out of one body of an origin without ranges (fault row 21)", async () => {
    const stage = await setUp({ origin: { ignoresRange: true } });
    stage.hashes();
    // From behind, as the planner orders beside a slow peer.
    stage.fetch(4, PIECES);
    stage.fetch(2, 4);
    stage.fetch(0, 2);
    const { bytes, error } = await readAll(stage.delivery.body());
    expect(error).to.equal(undefined);
    expect(sameBytes(bytes, stage.expected)).to.equal(true);
    expect((await stage.outcome()).origin, "each byte once").to.equal(LENGTH);
    const shown = stage.toldOf("origin-piece").map(({ piece }) => piece);
    expect(shown).to.deep.equal([0, 1, 2, 3, 4, 5]);
  });

  it("Delivery asks an origin that fails at ranges for one body, whatever is ordered of it (fault row 22)", async () => {
    const stage = await setUp({ origin: { status: 416 }, wholeFrom: { chunkBytes: 1_000 } });
    stage.hashes();
    stage.fetch(4, PIECES);
    stage.fetch(2, 4);
    const reading = readAll(stage.delivery.body());
    await until("one is known to fail", () => stage.whole.asked.length > 0);
    // Nobody asks for ranges any more.
    stage.fetch(0, 2);
    const { bytes, error } = await reading;
    expect(error).to.equal(undefined);
    expect(sameBytes(bytes, stage.expected)).to.equal(true);
    expect(stage.whole.asked, "one body").to.have.length(1);
    expect(stage.origin.asked.filter(({ start }) => start === 0)).to.deep.equal([]);
    expect((await stage.outcome()).origin, "each byte once").to.equal(LENGTH);
  });

  it("Delivery asks the origin for one answer at a time, and for all that is ordered meanwhile at once (fault row 18)", async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const stage = await setUp({
      origin: { answersAfter: (asked) => (asked === 0 ? promise : undefined) },
    });
    stage.hashes();
    stage.fetch(5, PIECES);
    await until("the origin is asked", () => stage.origin.asked.length > 0);
    stage.fetch(3, 5);
    stage.fetch(2, 3);
    stage.fetch(0, 1);
    stage.piece(4);
    await settle();
    expect(stage.origin.asked, "the answer is awaited").to.have.length(1);
    resolve();
    const reading = readAll(stage.delivery.body());
    await until("all orders are over", () => stage.toldOf("origin-end").length === 4);
    stage.piece(1);
    expect(sameBytes((await reading).bytes, stage.expected)).to.equal(true);
    const asked = stage.origin.asked.map(({ start, end }) =>
      [start, end].map((at) => at / PIECE_BYTES),
    );
    expect(asked.slice(1)).to.deep.equal([
      [2, 4],
      [0, 1],
    ]);
    expect((await stage.outcome()).told).to.deep.equal([COMPLETE]);
  });

  it("Delivery does not wait for an answer of the origin that takes long", async () => {
    const stage = await setUp({
      origin: { answersAfter: (asked) => (asked === 0 ? new Promise(() => undefined) : undefined) },
    });
    stage.hashes();
    stage.fetch(5, PIECES);
    await until("the origin is asked", () => stage.origin.asked.length > 0);
    stage.fetch(0, 5);
    await stage.delivery.firstPiece;
    stage.piece(5);
    expect(sameBytes((await readAll(stage.delivery.body())).bytes, stage.expected)).to.equal(true);
  });

  it("Delivery asks the origin anew when a body of it stalls and the host is silent", async () => {
    const stage = await setUp({ origin: { stallsAfter: 4.5 * PIECE_BYTES } });
    stage.hashes();
    stage.fetch(0, PIECES);
    const { bytes, error } = await readAll(stage.delivery.body());
    expect(error).to.equal(undefined);
    expect(sameBytes(bytes, stage.expected)).to.equal(true);
    expect(stage.origin.asked.map(({ start }) => start / PIECE_BYTES)).to.deep.equal([0, 4]);
  });

  it("Delivery goes on where a body of the origin broke off, without a word of the host (fault row 18)", async () => {
    const breaks = 2.5 * PIECE_BYTES;
    for (const origin of [{ shortAfter: breaks }, { failsAfter: breaks }] as OriginOptions[]) {
      const stage = await setUp({ origin });
      stage.hashes();
      stage.fetch(0, PIECES);
      const { bytes, error } = await readAll(stage.delivery.body());
      expect(error).to.equal(undefined);
      expect(sameBytes(bytes, stage.expected)).to.equal(true);
      expect(stage.origin.asked.map(({ start }) => start / PIECE_BYTES)).to.deep.equal([0, 2, 4]);
      const outcome = await stage.outcome();
      expect(outcome).to.deep.include({ told: [COMPLETE], origin: LENGTH });
      expect(
        stage.toldOf("origin-end").filter(({ outcome }) => outcome !== "complete"),
      ).to.deep.equal([]);
    }
  });

  it("Delivery stops everything when the page cancels the body", async () => {
    const { piece, hashes, fetch, delivery, origin, outcome, hostGone } = await setUp({
      origin: { stallsAfter: 20_000 },
    });
    hashes();
    piece(0);
    fetch(1, 3);
    await delivery.firstPiece;
    await until("the origin is asked", () => origin.asked.length > 0);
    const body = delivery.body().getReader();
    await body.read();
    await body.cancel();
    await until("the origin's body is cancelled", () => origin.cancelled.length > 0);
    hostGone.abort();
    piece(1);
    expect(await outcome()).to.deep.equal({
      ...{ ends: 1, told: [BROKEN], cache: 0, mesh: PIECE_BYTES, origin: 0 },
    });
    expect(origin.asked).to.have.length(1);
  });

  it("Delivery.abandon() rejects the first piece and ends once", async () => {
    const { delivery, outcome } = await setUp();
    delivery.abandon();
    delivery.abandon();
    expect(await rejection(delivery.firstPiece)).to.have.property("code", "worker/unavailable");
    expect(await outcome()).to.deep.include({ ends: 1, told: [BROKEN] });
  });

  it("Delivery tells the position as the page takes bytes, and buffers no more than the stream may", async () => {
    const length = 20 * PIECE_BYTES;
    const { piece, delivery, toldOf, expected } = await setUp({ length });
    for (let index = 0; index < 20; index++) piece(index);
    const body = delivery.body().getReader();
    await settle();
    const before = toldOf("position").at(-1)?.piece ?? 0;
    expect(before, "256 KiB and not the whole asset").to.be.within(3, 5);
    const chunks: Uint8Array[] = [];
    for (let taken = 0; taken < 4; taken++) {
      const { value } = await body.read();
      if (value) chunks.push(value);
    }
    await settle();
    expect(toldOf("position").at(-1)?.piece).to.be.within(before + 2, before + 5);
    for (let next = await body.read(); next.value; next = await body.read())
      chunks.push(next.value);
    const positions = toldOf("position").map((message) => message.piece);
    expect(positions).to.deep.equal([...positions].sort((a, b) => a - b));
    const bytes = new Uint8Array(await new Blob(chunks as BlobPart[]).arrayBuffer());
    expect(sameBytes(bytes, expected)).to.equal(true);
  });

  it("Delivery of an empty asset is an empty body", async () => {
    const { delivery, outcome } = await setUp({ length: 0, covered: { start: 0, end: 0 } });
    await delivery.firstPiece;
    const { bytes, error } = await readAll(delivery.body());
    expect([bytes.byteLength, error]).to.deep.equal([0, undefined]);
    expect(await outcome()).to.deep.equal({
      ...{ ends: 1, told: [COMPLETE], cache: 0, mesh: 0, origin: 0 },
    });
  });
});
