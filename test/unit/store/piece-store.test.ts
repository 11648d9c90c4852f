import { expect } from "chai";
import { clear, createStore, del, keys, set, values } from "idb-keyval";
import { PieceSet } from "../../../src/core/piece-set.js";
import { piecesOfWindow, windowOf } from "../../../src/protocol/asset.js";
import { PIECE_BYTES, WINDOW_PIECES } from "../../../src/protocol/limits.js";
import { PieceReader, type StoredAsset } from "../../../src/store/piece-reader.js";
import { PieceStore } from "../../../src/store/piece-store.js";
import { makeAsset, type TestAsset } from "../../support/assets.js";
import { sameBytes } from "../../support/waiting.js";

const EXPIRES_MS = 1_700_000_060_000;
const NOW_MS = EXPIRES_MS - 50_000;

async function emptyDatabases(): Promise<void> {
  for (const name of ["assets", "windows", "pieces"]) {
    await clear(createStore(`nearcast-${name}`, name));
  }
}

/** A store on empty databases, with a clock of its own, and verbs to fill it. */
async function setUp({ maxBytes = 2 ** 30 } = {}) {
  await emptyDatabases();
  const clock = { nowMs: NOW_MS };
  const page = { waits: false };
  const rests: number[] = [];
  /** Happens while the store rests. */
  const meanwhile: (() => void)[] = [];
  const errors: unknown[] = [];
  const evicted: string[] = [];
  const make = () =>
    new PieceStore({
      maxBytes,
      now: () => clock.nowMs,
      busy: () => page.waits,
      rest: async (ms) => {
        rests.push(ms);
        meanwhile.shift()?.();
      },
      onError: (error) => errors.push(error),
      onEvict: (assetId, window) => evicted.push(`${assetId} ${window}`),
    });
  const store = make();
  /** Stores pieces of one window; the window's record counts them all. */
  const save = async (asset: TestAsset, pieces: readonly number[], into = store) => {
    clock.nowMs++;
    const window = windowOf(pieces[0] ?? 0);
    const { from, to } = piecesOfWindow(window, asset.length);
    const have = new PieceSet(to);
    for (const piece of pieces) have.add(piece);
    const attestation = asset.attestations[window];
    if (!attestation) throw new Error(`No window ${window}`);
    const accepted = into.savePieces(
      {
        assetId: asset.assetId,
        attestation,
        expiresMs: attestation.expiresMs,
        bits: have.toBits(from, to),
        bytes: pieces.length * PIECE_BYTES,
      },
      pieces.map((piece) => ({ piece, bytes: asset.pieceOf(piece) })),
    );
    await into.settled();
    return accepted;
  };
  return { store, make, save, clock, page, rests, meanwhile, errors, evicted };
}

const assetOf = (asset: TestAsset, expiresMs = EXPIRES_MS): StoredAsset => ({
  assetId: asset.assetId,
  url: asset.url,
  length: asset.length,
  headers: asset.headers,
  expiresMs,
});

/** Replaces a method of the object store while `action` runs. */
async function withFailing<K extends "put" | "get" | "getAll" | "delete">(
  method: K,
  failure: () => unknown,
  action: () => Promise<void>,
): Promise<void> {
  const original = IDBObjectStore.prototype[method];
  IDBObjectStore.prototype[method] = (() => {
    throw failure();
  }) as (typeof IDBObjectStore.prototype)[K];
  try {
    await action();
  } finally {
    IDBObjectStore.prototype[method] = original;
  }
}

describe("piece-store", () => {
  it("PieceStore reads back what it wrote, byte by byte", async () => {
    const { store, save, errors } = await setUp();
    const asset = await makeAsset(5 * PIECE_BYTES + 17);
    expect(await save(asset, [0, 1, 3, 5])).to.equal(true);
    const read = await store.readPieces(asset.assetId, asset.length, 0, 6);
    expect(read.map(({ piece }) => piece)).to.deep.equal([0, 1, 3, 5]);
    for (const { piece, bytes } of read) {
      expect(sameBytes(bytes, asset.pieceOf(piece)), `piece ${piece}`).to.equal(true);
    }
    expect(await store.readPieces(asset.assetId, asset.length, 1, 2)).to.have.length(1);
    expect(await store.readPieces("another asset", asset.length, 0, 6)).to.deep.equal([]);
    expect(errors).to.deep.equal([]);
  });

  it("PieceStore makes no record so large that the browser gives it a file of its own", async () => {
    const { store, save } = await setUp();
    const asset = await makeAsset(2 * PIECE_BYTES + 65_280);
    await save(asset, [0, 2]);
    await save(asset, [1]);
    const pieces = createStore("nearcast-pieces", "pieces");
    const records = await values<Uint8Array>(pieces);
    const tails = WINDOW_PIECES * 256;
    expect(records.map(({ buffer }) => buffer.byteLength)).to.have.members([
      ...[65_280, 65_280, 65_280, tails],
    ]);
    const read = await store.readPieces(asset.assetId, asset.length, 0, 3);
    expect(read.map(({ piece, bytes }) => sameBytes(bytes, asset.pieceOf(piece)))).to.deep.equal([
      ...[true, true, true],
    ]);
    store.remove(asset.assetId, 0);
    await store.settled();
    expect(await keys(pieces), "tails go with their pieces").to.deep.equal([]);
  });

  it("PieceStore has one record for a picture of some kilobytes", async () => {
    const { store, save } = await setUp();
    const asset = await makeAsset(10_000);
    await save(asset, [0]);
    const records = await values<Uint8Array>(createStore("nearcast-pieces", "pieces"));
    expect(records.map(({ byteLength }) => byteLength)).to.deep.equal([10_000]);
    const [read] = await store.readPieces(asset.assetId, asset.length, 0, 1);
    expect(read && sameBytes(read.bytes, asset.pieceOf(0))).to.equal(true);
  });

  it("PieceStore.remove() leaves other windows and assets alone", async () => {
    const { store, save } = await setUp();
    const asset = await makeAsset(11 * WINDOW_PIECES * PIECE_BYTES);
    const other = await makeAsset(PIECE_BYTES, { seed: 2 });
    const firsts = [0, 1, 9, 10].map((window) => window * WINDOW_PIECES);
    for (const piece of firsts) await save(asset, [piece]);
    await save(other, [0]);
    store.remove(asset.assetId, 1);
    await store.settled();
    const left = await Promise.all(
      firsts.map((piece) => store.readPieces(asset.assetId, asset.length, piece, piece + 1)),
    );
    expect(left.map(({ length }) => length)).to.deep.equal([1, 0, 1, 1]);
    expect(await store.readPieces(other.assetId, other.length, 0, 1)).to.have.length(1);
  });

  it("PieceStore writes a window in steps between which the page can do something else", async () => {
    const { store, save } = await setUp();
    const asset = await makeAsset(20 * PIECE_BYTES);
    const puts = new Map<IDBTransaction, number>();
    const { put } = IDBObjectStore.prototype;
    IDBObjectStore.prototype.put = function (...args) {
      if (this.name === "pieces") puts.set(this.transaction, (puts.get(this.transaction) ?? 0) + 1);
      return put.apply(this, args);
    };
    try {
      await save(
        asset,
        Array.from({ length: 20 }, (_, piece) => piece),
      );
    } finally {
      IDBObjectStore.prototype.put = put;
    }
    expect([...puts.values()], "and the tails of all").to.deep.equal([16, 4, 1]);
    expect(await store.readPieces(asset.assetId, asset.length, 0, 20)).to.have.length(20);
  });

  it("PieceStore leaves most of the time to a page that waits, however slow the disk", async () => {
    const { save, clock, page, rests } = await setUp();
    const asset = await makeAsset(20 * PIECE_BYTES);
    const all = Array.from({ length: 20 }, (_, piece) => piece);
    const { put } = IDBObjectStore.prototype;
    IDBObjectStore.prototype.put = function (...args) {
      if (this.name === "pieces") clock.nowMs += 5;
      return put.apply(this, args);
    };
    try {
      await save(asset, all);
      expect(rests, "no page waits").to.deep.equal([]);
      page.waits = true;
      await save(asset, all);
      expect(rests, "16 pieces took 80 ms, 4 took 20").to.deep.equal([320, 80]);
      IDBObjectStore.prototype.put = function (...args) {
        if (this.name === "pieces") clock.nowMs += 9_000;
        return put.apply(this, args);
      };
      await save(asset, [0]);
      expect(rests.at(-1), "one slow write does not end all storing").to.equal(1_000);
    } finally {
      IDBObjectStore.prototype.put = put;
    }
  });

  it("PieceStore.findAsset() finds a fresh asset by its URL", async () => {
    const { store } = await setUp();
    const asset = await makeAsset(10);
    store.saveAsset(assetOf(asset));
    await store.settled();
    expect(await store.findAsset(asset.url, EXPIRES_MS - 1)).to.deep.equal(assetOf(asset));
    expect(await store.findAsset(asset.url, EXPIRES_MS), "expired").to.equal(undefined);
    expect(await store.findAsset(`${asset.url}?`, 0), "another URL").to.equal(undefined);
  });

  it("PieceStore.holds() gives the windows of a range that is whole, across windows", async () => {
    const { store, save, clock } = await setUp();
    const asset = await makeAsset((WINDOW_PIECES + 2) * PIECE_BYTES);
    const first = Array.from({ length: WINDOW_PIECES - 1 }, (_, piece) => piece + 1);
    await save(asset, first);
    await save(asset, [WINDOW_PIECES]);
    const holds = (from: number, to: number) =>
      store.holds(assetOf(asset), { from, to }, clock.nowMs);
    const windows = await holds(1, WINDOW_PIECES + 1);
    expect(windows?.map(({ attestation }) => attestation.window)).to.deep.equal([0, 1]);
    expect(await holds(1, WINDOW_PIECES), "one window is enough").to.have.length(1);
    expect(await holds(0, 2), "piece 0 is missing").to.equal(undefined);
    expect(await holds(1, WINDOW_PIECES + 2), "the last is missing").to.equal(undefined);
    expect(await holds(5, 5), "nothing").to.deep.equal([]);
  });

  it("PieceStore.holds() takes an expired window for absent, however fresh its asset (R10)", async () => {
    const { store, save } = await setUp();
    const asset = await makeAsset((WINDOW_PIECES + 2) * PIECE_BYTES);
    const [first, second] = asset.attestations;
    if (!first || !second) throw new Error("two windows");
    const later = { ...second, expiresMs: EXPIRES_MS + 60_000 };
    await save({ ...asset, attestations: [first, later] }, [0]);
    await save({ ...asset, attestations: [first, later] }, [WINDOW_PIECES]);
    const holds = (piece: number, nowMs: number) =>
      store.holds(assetOf(asset, later.expiresMs), { from: piece, to: piece + 1 }, nowMs);
    expect(await holds(0, EXPIRES_MS - 1)).to.have.length(1);
    expect(await holds(0, EXPIRES_MS)).to.equal(undefined);
    expect(await holds(WINDOW_PIECES, EXPIRES_MS)).to.have.length(1);
  });

  it("PieceStore.readPieces() skips pieces of a wrong length or kind", async () => {
    const { store, save, errors } = await setUp();
    const asset = await makeAsset(3 * PIECE_BYTES);
    const short = { ...asset, pieceOf: (piece: number) => asset.pieceOf(piece).slice(300 * piece) };
    await save(short, [0, 1, 2]);
    const readable = async () => {
      const read = await store.readPieces(asset.assetId, asset.length, 0, 3);
      return read.map(({ piece }) => piece);
    };
    expect(await readable()).to.deep.equal([0]);
    const pieces = createStore("nearcast-pieces", "pieces");
    await save(asset, [0, 1, 2]);
    await set(`${asset.assetId} 0 0`, "text", pieces);
    expect(await readable()).to.deep.equal([1, 2]);
    await del(`${asset.assetId} 0 tails`, pieces);
    expect(await readable()).to.deep.equal([]);
    expect(errors).to.deep.equal([]);
  });

  it("PieceStore evicts the window that was used longest ago", async () => {
    const { store, save, clock, evicted } = await setUp({ maxBytes: 6 * PIECE_BYTES });
    const [a, b, c] = await Promise.all([1, 2, 3].map((seed) => makeAsset(200_000, { seed })));
    if (!a || !b || !c) throw new Error("three assets");
    await save(a, [0, 1, 2]);
    await save(b, [0, 1, 2]);
    expect(store.bytes).to.equal(6 * PIECE_BYTES);
    clock.nowMs++;
    store.touch(a.assetId, 0, 3);
    await save(c, [0]);
    expect(evicted).to.deep.equal([`${b.assetId} 0`]);
    expect(store.bytes).to.equal(4 * PIECE_BYTES);
    expect(await store.readPieces(b.assetId, b.length, 0, 3)).to.deep.equal([]);
    expect(await store.holds(assetOf(b), { from: 0, to: 1 }, NOW_MS)).to.equal(undefined);
    expect(await store.readPieces(a.assetId, a.length, 0, 3)).to.have.length(3);
    expect(await store.readPieces(c.assetId, c.length, 0, 1)).to.have.length(1);
  });

  it("PieceStore never evicts the window it is writing, even if it alone is too large", async () => {
    const { store, save, evicted } = await setUp({ maxBytes: 2 * PIECE_BYTES });
    const asset = await makeAsset(3 * PIECE_BYTES);
    await save(asset, [0]);
    await save(asset, [0, 1, 2]);
    expect(evicted).to.deep.equal([]);
    expect(store.bytes).to.equal(3 * PIECE_BYTES);
    expect(await store.readPieces(asset.assetId, asset.length, 0, 3)).to.have.length(3);
  });

  it("PieceStore.load() takes over what another instance wrote, and counts it", async () => {
    const { store, make, save, evicted } = await setUp({ maxBytes: 4 * PIECE_BYTES });
    const [a, b] = await Promise.all([1, 2].map((seed) => makeAsset(200_000, { seed })));
    if (!a || !b) throw new Error("two assets");
    await save(a, [0, 1]);
    await save(b, [0, 2]);
    const next = make();
    const windows = await next.load(NOW_MS);
    expect(windows.map(({ assetId }) => assetId)).to.have.members([a.assetId, b.assetId]);
    const loaded = windows.find(({ assetId }) => assetId === b.assetId);
    expect([...(loaded?.bits ?? [])]).to.deep.equal([0b1010_0000]);
    expect(loaded?.attestation).to.deep.equal(b.attestations[0]);
    expect(next.bytes).to.equal(store.bytes);
    await save(await makeAsset(10, { seed: 3 }), [0], next);
    expect(evicted, "the oldest of the earlier instance").to.deep.equal([`${a.assetId} 0`]);
  });

  it("PieceStore.load() removes what has expired", async () => {
    const { make, save, evicted } = await setUp();
    const old = await makeAsset(10, { seed: 1 });
    const young = await makeAsset(10, { seed: 2, fields: { expiresMs: EXPIRES_MS + 10 } });
    for (const asset of [old, young]) await save(asset, [0]);
    const next = make();
    next.saveAsset(assetOf(old));
    next.saveAsset(assetOf(young, EXPIRES_MS + 10));
    await next.settled();
    const windows = await next.load(EXPIRES_MS);
    await next.settled();
    expect(windows.map(({ assetId }) => assetId)).to.deep.equal([young.assetId]);
    expect(evicted).to.deep.equal([`${old.assetId} 0`]);
    expect(next.bytes).to.equal(PIECE_BYTES);
    expect(await next.readPieces(old.assetId, 10, 0, 1)).to.deep.equal([]);
    expect(await next.readPieces(young.assetId, 10, 0, 1)).to.have.length(1);
    expect(await next.findAsset(old.url, 0)).to.equal(undefined);
    expect(await next.findAsset(young.url, 0)).to.not.equal(undefined);
  });

  it("PieceStore.load() sweeps away the pieces of windows that never got their record", async () => {
    const { make, save } = await setUp();
    const pieces = createStore("nearcast-pieces", "pieces");
    const assets = await Promise.all([1, 2, 3].map((seed) => makeAsset(200_000, { seed })));
    for (const asset of assets) await save(asset, [0, 2]);
    const [first, kept, last] = assets.map(({ assetId }) => assetId).sort();
    for (const id of [first, last])
      await del(`${id} 0`, createStore("nearcast-windows", "windows"));
    await set(`${kept} 1 64`, new Uint8Array(9), pieces);
    await set("a record of an earlier format", new Uint8Array(9), pieces);
    const next = make();
    await next.load(NOW_MS);
    await next.settled();
    expect(await keys(pieces)).to.deep.equal([`${kept} 0 0`, `${kept} 0 2`, `${kept} 0 tails`]);
    await del(`${kept} 0`, createStore("nearcast-windows", "windows"));
    const empty = make();
    await empty.load(NOW_MS);
    await empty.settled();
    expect(await keys(pieces)).to.deep.equal([]);
  });

  it("PieceStore.load() keeps what is stored while it still reads", async () => {
    const { make, save } = await setUp();
    const asset = await makeAsset(200_000);
    const next = make();
    const loading = next.load(NOW_MS);
    await save(asset, [0, 2], next);
    await loading;
    await next.settled();
    expect(await next.readPieces(asset.assetId, asset.length, 0, 3)).to.have.length(2);
  });

  it("PieceStore.forget() removes what a URL stood for, with all its windows, and nothing else", async () => {
    const { store, save, evicted } = await setUp();
    const asset = await makeAsset((WINDOW_PIECES + 1) * PIECE_BYTES);
    const other = await makeAsset(10, { seed: 2, fields: { url: "https://site.example/other" } });
    for (const { assetId, url, length, headers } of [asset, other]) {
      store.saveAsset({ assetId, url, length, headers, expiresMs: EXPIRES_MS });
    }
    await save(asset, [0]);
    await save(asset, [WINDOW_PIECES]);
    await save(other, [0]);
    store.forget(asset.url, asset.assetId);
    await store.settled();
    expect(evicted).to.deep.equal([`${asset.assetId} 0`, `${asset.assetId} 1`]);
    expect(await store.findAsset(asset.url, NOW_MS)).to.equal(undefined);
    expect(await store.findAsset(other.url, NOW_MS)).to.deep.equal(assetOf(other));
    expect(await store.readPieces(other.assetId, other.length, 0, 1)).to.have.length(1);
    expect(await keys(createStore("nearcast-pieces", "pieces"))).to.deep.equal([
      `${other.assetId} 0 0`,
    ]);
  });

  it("PieceStore.forget() keeps what still waits for the disk from it", async () => {
    const { store, save } = await setUp();
    const asset = await makeAsset(10);
    const written: unknown[] = [];
    const { put } = IDBObjectStore.prototype;
    IDBObjectStore.prototype.put = function (...args) {
      if (this.name === "pieces") written.push(args[1]);
      return put.apply(this, args);
    };
    try {
      const saving = save(asset, [0]);
      store.forget(asset.url, asset.assetId);
      await saving;
      await store.settled();
      expect(written).to.deep.equal([]);
      await save(asset, [0]);
      expect(written, "what comes later is stored").to.deep.equal([`${asset.assetId} 0 0`]);
    } finally {
      IDBObjectStore.prototype.put = put;
    }
  });

  it("PieceStore.forget() ends the window that is being written, and leaves no piece of it", async () => {
    const { store, save, page, meanwhile } = await setUp();
    const asset = await makeAsset(20 * PIECE_BYTES);
    const recorded: unknown[] = [];
    const { put } = IDBObjectStore.prototype;
    IDBObjectStore.prototype.put = function (...args) {
      if (this.name !== "pieces") recorded.push(args[1]);
      return put.apply(this, args);
    };
    page.waits = true;
    meanwhile.push(() => store.forget(asset.url, asset.assetId));
    try {
      const saving = save(asset, [0, 1, 2, 3]);
      store.saveAsset(assetOf(asset));
      await saving;
      await store.settled();
    } finally {
      IDBObjectStore.prototype.put = put;
    }
    expect(recorded, "neither window nor asset").to.deep.equal([]);
    expect(await keys(createStore("nearcast-pieces", "pieces"))).to.deep.equal([]);
  });

  it("PieceReader.takeBack() takes a URL back where no host is, for the pages to come as well", async () => {
    const { store, save, make, errors } = await setUp();
    const asset = await makeAsset((WINDOW_PIECES + 1) * PIECE_BYTES);
    const other = await makeAsset(10, { seed: 2, fields: { url: "https://site.example/other" } });
    for (const stored of [asset, other]) store.saveAsset(assetOf(stored));
    await save(asset, [0]);
    await save(asset, [WINDOW_PIECES]);
    await save(other, [0]);
    const worker = new PieceReader({ onError: (error) => errors.push(error) });
    await worker.takeBack(asset.url);
    await worker.takeBack("https://site.example/unknown");
    expect(await store.findAsset(asset.url, NOW_MS)).to.equal(undefined);
    const next = make();
    const windows = await next.load(NOW_MS);
    await next.settled();
    expect(windows.map(({ assetId }) => assetId)).to.deep.equal([other.assetId]);
    expect(await keys(createStore("nearcast-pieces", "pieces"))).to.deep.equal([
      `${other.assetId} 0 0`,
    ]);
    expect(errors).to.deep.equal([]);
  });

  it("PieceStore.remove() removes one window and leaves the others", async () => {
    const { store, save, evicted } = await setUp();
    const asset = await makeAsset((WINDOW_PIECES + 1) * PIECE_BYTES);
    await save(asset, [3]);
    await save(asset, [WINDOW_PIECES]);
    store.remove(asset.assetId, 0);
    store.remove(asset.assetId, 7);
    await store.settled();
    expect(evicted).to.deep.equal([`${asset.assetId} 0`]);
    const left = await store.readPieces(asset.assetId, asset.length, 0, WINDOW_PIECES + 1);
    expect(left.map(({ piece }) => piece)).to.deep.equal([WINDOW_PIECES]);
    expect(store.bytes).to.equal(PIECE_BYTES);
  });

  it("PieceStore.savePieces() gives way when 32 MiB wait for the disk", async () => {
    const { store, save } = await setUp();
    const asset = await makeAsset(WINDOW_PIECES * PIECE_BYTES);
    const [attestation] = asset.attestations;
    if (!attestation) throw new Error("one window");
    const window = {
      ...{ assetId: asset.assetId, attestation, bits: new Uint8Array(8), bytes: 0 },
      expiresMs: EXPIRES_MS,
    };
    const pieces = Array.from({ length: WINDOW_PIECES }, (_, piece) => ({
      ...{ piece, bytes: asset.bytes.slice(0, PIECE_BYTES) },
    }));
    const accepted = Array.from({ length: 9 }, () => store.savePieces(window, pieces));
    expect(accepted).to.deep.equal([...Array(8).fill(true), false]);
    await store.settled();
    expect(await save(asset, [0]), "what was written waits no more").to.equal(true);
  });

  it("PieceStore takes a failing read for a miss and tells of it", async () => {
    const { store, save, errors } = await setUp();
    const asset = await makeAsset(10);
    await save(asset, [0]);
    const failure = new DOMException("broken", "UnknownError");
    await withFailing(
      "get",
      () => failure,
      async () => {
        expect(await store.readPieces(asset.assetId, 10, 0, 1)).to.deep.equal([]);
        expect(await store.findAsset(asset.url, 0)).to.equal(undefined);
        expect(await store.holds(assetOf(asset), { from: 0, to: 1 }, NOW_MS)).to.equal(undefined);
      },
    );
    expect(errors).to.deep.equal([failure, failure, failure]);
    expect(await store.readPieces(asset.assetId, 10, 0, 1)).to.have.length(1);
  });

  it("PieceStore.load() finds nothing where nothing can be read", async () => {
    const { make, errors } = await setUp();
    const failure = new DOMException("broken", "UnknownError");
    await withFailing(
      "getAll",
      () => failure,
      async () => {
        const next = make();
        expect(await next.load(0)).to.deep.equal([]);
        await next.settled();
      },
    );
    expect(errors).to.not.deep.equal([]);
  });

  it("PieceStore tells of a failing write and goes on with the next", async () => {
    const { store, save, errors, evicted } = await setUp();
    const asset = await makeAsset(200_000);
    const failure = new DOMException("broken", "UnknownError");
    await withFailing(
      "put",
      () => failure,
      async () => {
        await save(asset, [0]);
      },
    );
    expect(errors).to.deep.equal([failure]);
    expect(evicted).to.deep.equal([]);
    expect(store.bytes).to.equal(0);
    await save(asset, [1]);
    expect(await store.readPieces(asset.assetId, asset.length, 0, 3)).to.have.length(1);
  });

  it("PieceStore gives back the older half when the disk is full, and goes on", async () => {
    const { store, save, errors, evicted } = await setUp();
    const assets = await Promise.all([1, 2, 3, 4].map((seed) => makeAsset(10, { seed })));
    for (const asset of assets) await save(asset, [0]);
    const last = await makeAsset(10, { seed: 5 });
    const full = new DOMException("full", "QuotaExceededError");
    await withFailing(
      "put",
      () => full,
      async () => {
        await save(last, [0]);
      },
    );
    expect(errors).to.deep.equal([full]);
    expect(evicted).to.deep.equal(assets.slice(0, 2).map(({ assetId }) => `${assetId} 0`));
    expect(store.bytes).to.equal(2 * PIECE_BYTES);
    await save(last, [0]);
    expect(await store.readPieces(last.assetId, 10, 0, 1)).to.have.length(1);
    expect(errors).to.have.length(1);
  });
});
