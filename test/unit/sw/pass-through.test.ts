import { expect } from "chai";
import { bytesOfPiece } from "../../../src/protocol/asset.js";
import { PIECE_BYTES } from "../../../src/protocol/limits.js";
import type { DeliveryMessage, HostMessage } from "../../../src/protocol/worker-messages.js";
import { Delivery } from "../../../src/sw/answer/delivery.js";
import { observed } from "../../../src/sw/origin/pass-through.js";
import { bodyOf, fakeOrigin, type OriginOptions } from "../../support/origins.js";
import { bytesFrom, integerFrom, seeded } from "../../support/random.js";
import { readAll, sameBytes, settle, until } from "../../support/waiting.js";

const LENGTH = 3 * PIECE_BYTES + 77;
const BODY = bytesFrom(9, LENGTH);

const counting = (count: { bytes: number; ends: number }) => ({
  onBytes: (_source: string, bytes: number) => {
    count.bytes += bytes;
  },
  onEnd: () => {
    count.ends++;
  },
  takeOver: (): Delivery => {
    throw new Error("nobody was to take over");
  },
});

/** An origin's response on its way through the worker, with the host's end of the port. */
function setUp(init: ResponseInit = {}, body = BODY, options: OriginOptions = {}) {
  const told: DeliveryMessage[] = [];
  const count = { bytes: 0, ends: 0 };
  const cancelled: unknown[] = [];
  const { port1, port2 } = new MessageChannel();
  port2.onmessage = ({ data }: MessageEvent<DeliveryMessage>) => told.push(data);
  const given = new Response(
    bodyOf(body, options, (reason) => cancelled.push(reason)),
    init,
  );
  const response = observed(given, { port: port1, ...counting(count) });
  const pieces = () =>
    told.flatMap((message) => (message.type === "origin-piece" ? [message] : []));
  return { given, response, told, count, cancelled, pieces };
}

const whole: ResponseInit = { headers: { "content-length": String(LENGTH), "x-a": "b" } };
describe("pass-through", () => {
  it("observed() gives the page the origin's own bytes, status and headers", async () => {
    const { response, count } = setUp({ ...whole, status: 203, statusText: "Fine" });
    expect([response.status, response.statusText]).to.deep.equal([203, "Fine"]);
    expect(response.headers.get("x-a")).to.equal("b");
    const { bytes, error } = await readAll(response.body as ReadableStream<Uint8Array>);
    expect(error).to.equal(undefined);
    expect(sameBytes(bytes, BODY)).to.equal(true);
    expect(count).to.deep.equal({ bytes: LENGTH, ends: 1 });
  });

  it("observed() shows head, whole pieces and end to the host, however the body is cut", async () => {
    for (const chunkBytes of [1_000, PIECE_BYTES, 99_999, LENGTH]) {
      const { response, told, pieces } = setUp(whole, BODY, { chunkBytes });
      await response.arrayBuffer();
      await until("the end is told", () => told.at(-1)?.type === "end");
      expect(told[0]).to.deep.equal({ type: "head", start: 0, length: LENGTH });
      expect(pieces().map(({ piece }) => piece)).to.deep.equal([0, 1, 2, 3]);
      for (const { piece, bytes } of pieces()) {
        const start = piece * PIECE_BYTES;
        expect(sameBytes(bytes, BODY.subarray(start, start + PIECE_BYTES))).to.equal(true);
      }
      expect(told.at(-1)).to.deep.equal({ type: "end", complete: true });
    }
  });

  it("observed() shows of a 206 the pieces that it carries whole", async () => {
    const start = PIECE_BYTES - 10;
    const { response, told, pieces } = setUp(
      {
        status: 206,
        headers: { "content-range": `bytes ${start}-${3 * PIECE_BYTES}/${LENGTH}` },
      },
      BODY.slice(start, 3 * PIECE_BYTES + 1),
    );
    await response.arrayBuffer();
    await until("the end is told", () => told.at(-1)?.type === "end");
    expect(told[0]).to.deep.equal({ type: "head", start, length: LENGTH });
    expect(pieces().map(({ piece }) => piece)).to.deep.equal([1, 2]);
  });

  it("observed() shows a body whose length only its end tells, the last piece with the end", async () => {
    const { response, told, pieces } = setUp({}, BODY, { chunkBytes: 50_000 });
    await response.arrayBuffer();
    await until("the end is told", () => told.at(-1)?.type === "end");
    expect(told[0]).to.deep.equal({ type: "head", start: 0, length: undefined });
    expect(pieces().map(({ piece }) => piece)).to.deep.equal([0, 1, 2, 3]);
    const last = pieces().at(-1)?.bytes ?? new Uint8Array();
    expect(sameBytes(last, BODY.subarray(3 * PIECE_BYTES))).to.equal(true);
  });

  it("observed() takes the break of a body of unknown length for no end of it", async () => {
    const { response, told, pieces } = setUp({}, BODY, { failsAfter: 100_000 });
    await readAll(response.body as ReadableStream<Uint8Array>);
    await until("the end is told", () => told.at(-1)?.type === "end");
    expect(pieces().map(({ piece }) => piece)).to.deep.equal([0]);
    expect(told.at(-1)).to.deep.equal({ type: "end", complete: false });
  });

  it("observed() shows no more of a body that will not end, and passes all of it on", async () => {
    const body = new Uint8Array(2 ** 24 + 5 * PIECE_BYTES);
    const { response, told, pieces, count } = setUp({}, body, { chunkBytes: 2 ** 20 });
    const { bytes } = await readAll(response.body as ReadableStream<Uint8Array>);
    expect(bytes.byteLength).to.equal(body.byteLength);
    await until("the end is told", () => told.at(-1)?.type === "end");
    expect(told.at(-1)).to.deep.equal({ type: "end", complete: false });
    expect(told.filter(({ type }) => type === "end")).to.have.length(1);
    expect(pieces().length).to.be.at.most(2 ** 24 / PIECE_BYTES + 2 ** 20 / PIECE_BYTES);
    expect(count).to.deep.equal({ bytes: body.byteLength, ends: 1 });
    const known = setUp({ headers: { "content-length": String(body.byteLength) } }, body);
    await known.response.arrayBuffer();
    await until("the end is told", () => known.told.at(-1)?.type === "end");
    expect(known.told.at(-1)).to.deep.equal({ type: "end", complete: true });
  });

  it("observed() shows nothing of a body whose place in the asset it cannot tell", async () => {
    const unknown: ResponseInit[] = [
      { headers: { "content-length": "100", "content-encoding": "gzip" } },
      { headers: { "content-encoding": "br" } },
      { status: 206 },
      { status: 206, headers: { "content-range": "bytes 0-9/*" } },
      { status: 404, headers: { "content-length": String(LENGTH) } },
    ];
    for (const init of unknown) {
      const { response, told, count } = setUp(init);
      expect((await response.arrayBuffer()).byteLength).to.equal(LENGTH);
      await until("the end is told", () => told.length > 0);
      expect(told).to.deep.equal([{ type: "end", complete: true }]);
      expect(count).to.deep.equal({ bytes: LENGTH, ends: 1 });
    }
  });

  it("observed() hands on a response without a body as it is", () => {
    const response = new Response(null, { status: 204 });
    const count = { bytes: 0, ends: 0 };
    expect(observed(response, { port: undefined, ...counting(count) })).to.equal(response);
    expect(count).to.deep.equal({ bytes: 0, ends: 1 });
  });

  it("observed() hands on as it is what no response can be made of", () => {
    for (const status of [204, 205, 304, 999]) {
      // As Chromium gives it: a 204 from the network has a body, an empty one.
      const response = new Response("");
      Object.defineProperty(response, "status", { value: status });
      const count = { bytes: 0, ends: 0 };
      expect(observed(response, { port: undefined, ...counting(count) })).to.equal(response);
      expect(count.ends).to.equal(1);
    }
  });

  it("observed() leaves its port open for the host to close: closed on its way there, Firefox loses what was said", async () => {
    const { port1 } = new MessageChannel();
    let closed = false;
    port1.close = () => {
      closed = true;
    };
    const count = { bytes: 0, ends: 0 };
    for (const body of [BODY, null]) {
      const response = observed(new Response(body, whole), { port: port1, ...counting(count) });
      await response.arrayBuffer();
    }
    await until("both are over", () => count.ends === 2);
    expect(closed).to.equal(false);
  });

  it("observed() works without a host", async () => {
    const count = { bytes: 0, ends: 0 };
    const given = new Response(bodyOf(BODY), whole);
    const options = { port: undefined, ...counting(count) };
    const bytes = new Uint8Array(await observed(given, options).arrayBuffer());
    expect(sameBytes(bytes, BODY)).to.equal(true);
    expect(count).to.deep.equal({ bytes: LENGTH, ends: 1 });
  });

  it("observed() errors like the origin and tells of it once", async () => {
    const { response, count, told } = setUp(whole, BODY, { failsAfter: 100_000 });
    const { bytes, error } = await readAll(response.body as ReadableStream<Uint8Array>);
    expect(error).to.be.instanceOf(TypeError);
    expect(sameBytes(bytes, BODY.subarray(0, 100_000))).to.equal(true);
    await until("the end is told", () => told.at(-1)?.type === "end");
    expect(told.at(-1)).to.deep.equal({ type: "end", complete: false });
    expect(count).to.deep.equal({ bytes: 100_000, ends: 1 });
  });

  it("observed() cancels the origin with the page and tells of it once, even in mid-read", async () => {
    for (const stallsAfter of [20_000, 40_000]) {
      const { response, count, told, cancelled } = setUp(whole, BODY, { stallsAfter });
      const reader = (response.body as ReadableStream<Uint8Array>).getReader();
      await reader.read();
      await settle();
      await reader.cancel("seen enough");
      await settle();
      expect(cancelled).to.deep.equal(["seen enough"]);
      expect(count.ends).to.equal(1);
      expect(told.filter(({ type }) => type === "end")).to.deep.equal([
        { type: "end", complete: false },
      ]);
    }
  });

  it("observed() reads no faster than the page", async () => {
    const { response, told } = setUp(whole, BODY, { chunkBytes: PIECE_BYTES });
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    await reader.read();
    await settle();
    const pieces = told.filter(({ type }) => type === "origin-piece");
    expect(pieces.length).to.be.within(1, 2);
    await reader.cancel();
  });

  it("observed() hears what a host says that was not waited for, and shows nothing to one that looks away", async () => {
    for (const observe of [true, false]) {
      const stage = takeOverStage({ chunkBytes: 20_000 });
      const plan = { type: "origin", observe, openMaxBytes: 1, alone: true } as const;
      stage.send(plan);
      await until("the plan is heard", () => stage.agreed.length > 0);
      const { bytes } = await readAll(stage.response.body as ReadableStream<Uint8Array>);
      expect(sameBytes(bytes, BODY)).to.equal(true);
      expect(stage.agreed).to.deep.equal([plan]);
      expect(stage.count).to.deep.include({ origin: LENGTH, ends: 1 });
      await settle();
      expect(stage.told.some(({ type }) => type === "origin-piece")).to.equal(observe);
    }
  });

  it("observed() goes on from pieces wherever the host takes over, and lets the origin go", async () => {
    for (let seed = 1; seed <= 40; seed++) {
      const random = seeded(seed);
      const passedBytes = integerFrom(random, 1, LENGTH - 1);
      const how = { stallsAfter: passedBytes, chunkBytes: passedBytes };
      const stage = takeOverStage(how, { statesLength: seed % 2 === 0 });
      const body = readAll(stage.response.body as ReadableStream<Uint8Array>);
      await until("the origin has stalled", () => stage.count.origin === passedBytes);
      stage.send({ type: "mesh", assetId: "a", length: LENGTH, headers: [["etag", '"v1"']] });
      const first = Math.floor(passedBytes / PIECE_BYTES);
      for (let piece = 3; piece >= first; piece--) {
        const { start, end } = bytesOfPiece(piece, LENGTH);
        stage.send({ type: "piece", piece, bytes: BODY.slice(start, end), source: "mesh" });
      }
      const { bytes, error } = await body;
      expect(error).to.equal(undefined);
      expect(sameBytes(bytes, BODY), `seed ${seed}`).to.equal(true);
      expect(stage.count).to.deep.include({ mesh: LENGTH - passedBytes, ends: 1 });
      expect(stage.cancelled.length, "the origin may stop").to.equal(1);
      await until("the end is told", () => stage.told.at(-1)?.type === "end");
      expect(stage.told).to.deep.include({ type: "position", piece: first });
    }
  });

  it("observed() stays with the origin when pieces of another version are offered (rule R9)", async () => {
    const others: [number, string][] = [
      [LENGTH, '"v2"'],
      [LENGTH + 1, '"v1"'],
      [LENGTH, 'W/"v1"'],
    ];
    for (const [length, etag] of others) {
      const stage = takeOverStage({ chunkBytes: 10_000 });
      stage.send({ type: "mesh", assetId: "a", length, headers: [["etag", etag]] });
      await settle();
      const { bytes } = await readAll(stage.response.body as ReadableStream<Uint8Array>);
      expect(sameBytes(bytes, BODY)).to.equal(true);
      expect(stage.count).to.deep.include({ origin: LENGTH, mesh: 0, ends: 1 });
      expect(stage.told).to.deep.include({ type: "end", complete: false });
    }
  });

  it("observed() finishes from the origin after a take-over that the host cannot go on with", async () => {
    const stage = takeOverStage({ stallsAfter: 70_000, chunkBytes: 70_000 });
    const body = readAll(stage.response.body as ReadableStream<Uint8Array>);
    await until("the origin has stalled", () => stage.count.origin === 70_000);
    stage.send({ type: "mesh", assetId: "a", length: LENGTH, headers: [["etag", '"v1"']] });
    stage.send({ type: "fail" });
    expect(sameBytes((await body).bytes, BODY)).to.equal(true);
    expect(stage.count).to.deep.include({ origin: LENGTH, ends: 1 });
  });
});

/** A response of version "v1" that passes through, with a host that may take over. */
function takeOverStage(options: OriginOptions, { statesLength = true } = {}) {
  const told: DeliveryMessage[] = [];
  const count = { cache: 0, mesh: 0, origin: 0, ends: 0 };
  const cancelled: unknown[] = [];
  const agreed: HostMessage[] = [];
  const { port1, port2 } = new MessageChannel();
  port2.onmessage = ({ data }: MessageEvent<DeliveryMessage>) => told.push(data);
  const given = new Response(
    bodyOf(BODY, options, (reason) => cancelled.push(reason)),
    { headers: { etag: '"v1"', ...(statesLength && { "content-length": String(LENGTH) }) } },
  );
  const origin = fakeOrigin(BODY, { etag: '"v1"' });
  const counts = {
    onBytes: (source: "cache" | "mesh" | "origin", bytes: number) => {
      count[source] += bytes;
    },
    onSurplus: (bytes: number) => {
      count.origin += bytes;
    },
    onEnd: () => {
      count.ends++;
    },
  };
  const response = observed(given, {
    port: port1,
    ...counts,
    onAgreed: (plan) => agreed.push(plan),
    takeOver: ({ length, headers }, covered) =>
      new Delivery({
        ...{ length, headers, covered, port: port1, ...counts },
        hostGone: new AbortController().signal,
        fetchRange: origin.fetchRange,
      }),
  });
  const send = (message: HostMessage) => port2.postMessage(message);
  return { response, told, count, cancelled, agreed, send };
}
