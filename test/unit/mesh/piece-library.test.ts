import { expect } from "chai";
import { PieceLibrary } from "../../../src/mesh/delivery/piece-library.js";
import { Trust } from "../../../src/mesh/trust/trust.js";
import type { Attestation } from "../../../src/protocol/attestation.js";
import { PIECE_BYTES, WINDOW_PIECES } from "../../../src/protocol/limits.js";
import type { StoredAsset, StoredWindow } from "../../../src/store/piece-reader.js";
import type { StoredPiece } from "../../../src/store/piece-records.js";
import type { PieceStore } from "../../../src/store/piece-store.js";
import { makeAsset, type TestAsset } from "../../support/assets.js";
import { withFakeTimers } from "../../support/fake-timers.js";
import { sameBytes } from "../../support/waiting.js";

const NOW_MS = 1_700_000_010_000;

/** A library on a store that is a map, and a trust that knows `asset`. */
async function setUp(
  asset: TestAsset,
  stored: readonly StoredWindow[] = [],
  options: { busy?: () => boolean; deviceGib?: number } = {},
) {
  const onDisk = new Map<number, Uint8Array<ArrayBuffer>>();
  const saved: { window: Omit<StoredWindow, "usedMs">; pieces: readonly StoredPiece[] }[] = [];
  const savedAssets: StoredAsset[] = [];
  const forgotten: string[] = [];
  const reads: number[] = [];
  const store = {
    load: async () => stored,
    forget: (url: string, assetId: string) => void forgotten.push(`${url} ${assetId}`),
    saveAsset: (record: StoredAsset) => void savedAssets.push(record),
    savePieces: (window: Omit<StoredWindow, "usedMs">, pieces: readonly StoredPiece[]) => {
      saved.push({ window, pieces });
      return true;
    },
    readPieces: async (_assetId: string, _length: number, from: number) => {
      reads.push(from);
      const bytes = onDisk.get(from);
      return bytes ? [{ piece: from, bytes }] : [];
    },
  };
  const clock = { nowMs: NOW_MS };
  const trust = new Trust({ pinnedKey: undefined, nowMs: () => clock.nowMs });
  const added: number[] = [];
  const gone: string[] = [];
  const library = new PieceLibrary({
    store: store as unknown as PieceStore,
    trust,
    handlers: {
      onAdded: (_asset, piece) => void added.push(piece),
      onGone: (assetId) => void gone.push(assetId),
    },
    ...{ busy: () => false, ...options },
  });
  const trusted = await trust.restore(asset.attestations[0] as Attestation);
  for (const attestation of asset.attestations) await trust.restore(attestation);
  if (!trusted) throw new Error("the test's asset is trusted");
  return {
    library,
    trust,
    trusted,
    clock,
    onDisk,
    saved,
    savedAssets,
    forgotten,
    reads,
    added,
    gone,
  };
}

describe("piece-library", () => {
  it("PieceLibrary.add() holds a piece once and tells of it", async () => {
    const asset = await makeAsset(3 * PIECE_BYTES);
    const { library, trusted, added, reads } = await setUp(asset);
    library.add(trusted, await asset.verified(1));
    library.add(trusted, await asset.verified(1));
    expect(added).to.deep.equal([1]);
    expect([...library.holdings()].map(({ have }) => have.size)).to.deep.equal([1]);
    const read = await library.read(trusted, 1);
    expect(sameBytes(read?.bytes ?? new Uint8Array(), asset.pieceOf(1))).to.equal(true);
    expect(reads, "it is in memory").to.deep.equal([]);
    library.flush();
  });

  it("PieceLibrary.read() verifies what comes from disk, and forgets a rotten piece", async () => {
    const asset = await makeAsset(4 * PIECE_BYTES);
    const { library, trusted, onDisk, gone, reads } = await setUp(asset);
    library.have(trusted).addRange(0, 4);
    onDisk.set(0, asset.pieceOf(0));
    const rotten = asset.pieceOf(1);
    rotten[PIECE_BYTES - 1] = (rotten[PIECE_BYTES - 1] ?? 0) ^ 1;
    onDisk.set(1, rotten);
    onDisk.set(2, asset.pieceOf(3));
    expect(await library.read(trusted, 0)).to.have.property("piece", 0);
    expect(await library.read(trusted, 0)).to.have.property("piece", 0);
    expect(reads, "the second time from memory").to.deep.equal([0]);
    for (const piece of [1, 2, 3]) {
      expect(await library.read(trusted, piece), `piece ${piece}`).to.equal(undefined);
      expect(library.have(trusted).has(piece)).to.equal(false);
    }
    expect(gone).to.deep.equal(Array(3).fill(asset.assetId));
    reads.length = 0;
    expect(await library.read(trusted, 1)).to.equal(undefined);
    expect(reads, "what is not held is not looked for").to.deep.equal([]);
  });

  it("PieceLibrary.disown() holds, shows and shares nothing of the URL any more", async () => {
    const asset = await makeAsset(3 * PIECE_BYTES);
    const { library, trust, trusted, gone, forgotten, saved } = await setUp(asset);
    library.add(trusted, await asset.verified(1));
    library.disown(asset.url);
    library.disown("https://site.example/unknown");
    expect(gone).to.deep.equal([asset.assetId]);
    expect(forgotten).to.deep.equal([`${asset.url} ${asset.assetId}`]);
    expect([...library.holdings()]).to.deep.equal([]);
    expect(library.have(trusted).size).to.equal(0);
    expect(await library.read(trusted, 1), "neither from memory").to.equal(undefined);
    expect(await library.readForPeer(asset.assetId, 1)).to.equal(undefined);
    expect(trust.refused(asset.url)).to.equal(true);
    library.flush();
    expect(saved, "what waited to be written is dropped").to.deep.equal([]);
  });

  it("PieceLibrary.load() takes of two versions of a URL the one that was attested last", async () => {
    const issued = (seed: number, issuedMs: number) =>
      makeAsset(PIECE_BYTES, { seed, fields: { issuedMs } });
    const versions = [await issued(1, NOW_MS - 1), await issued(2, NOW_MS - 2)];
    const other = await makeAsset(10, { seed: 3, fields: { url: "https://site.example/other" } });
    for (const order of [versions, versions.toReversed()]) {
      const stored = order.map(({ assetId, attestations: [attestation] }): StoredWindow => {
        if (!attestation) throw new Error("one window");
        const { expiresMs } = attestation;
        const bits = new Uint8Array([0b1000_0000]);
        return { assetId, attestation, expiresMs, bits, bytes: PIECE_BYTES, usedMs: 0 };
      });
      const { library, trust } = await setUp(other, stored);
      await library.load();
      expect(trust.find(versions[0]?.url ?? "")?.assetId).to.equal(versions[0]?.assetId);
    }
  });

  it("PieceLibrary writes the pieces of a window together, with its bit map", async () => {
    await withFakeTimers(async (timers) => {
      const asset = await makeAsset((WINDOW_PIECES + 1) * PIECE_BYTES);
      const { library, trusted, saved, savedAssets } = await setUp(asset);
      for (const piece of [0, 2, WINDOW_PIECES]) library.add(trusted, await asset.verified(piece));
      await timers.advance(199);
      expect(saved).to.deep.equal([]);
      await timers.advance(1);
      expect(saved.map(({ pieces }) => pieces.map(({ piece }) => piece))).to.deep.equal([
        [0, 2],
        [WINDOW_PIECES],
      ]);
      expect(saved.map(({ window }) => [window.attestation.window, window.bytes])).to.deep.equal([
        [0, 2 * PIECE_BYTES],
        [1, PIECE_BYTES],
      ]);
      expect([...(saved[0]?.window.bits ?? [])]).to.deep.equal([0b1010_0000, 0, 0, 0, 0, 0, 0, 0]);
      expect([...(saved[1]?.window.bits ?? [])]).to.deep.equal([0b1000_0000]);
      expect(savedAssets[0]).to.deep.include({ assetId: asset.assetId, url: asset.url });
      library.add(trusted, await asset.verified(1));
      library.flush();
      expect(saved).to.have.length(3);
      expect([...(saved[2]?.window.bits ?? [])][0]).to.equal(0b1110_0000);
      expect(timers.pending).to.equal(0);
    });
  });

  it("PieceLibrary writes nothing while a page waits, until 5 s or 16 MiB are over", async () => {
    await withFakeTimers(async (timers) => {
      const asset = await makeAsset(300 * PIECE_BYTES);
      let busy = true;
      const { library, trusted, saved } = await setUp(asset, [], { busy: () => busy });
      const written = () => saved.splice(0).flatMap(({ pieces }) => pieces).length;
      library.add(trusted, await asset.verified(0));
      await timers.advance(4_999);
      expect(written(), "somebody waits").to.equal(0);
      await timers.advance(1);
      expect(written(), "for too long").to.equal(1);
      library.add(trusted, await asset.verified(1));
      await timers.advance(4_800);
      expect(written(), "the patience is whole again").to.equal(0);
      busy = false;
      await timers.advance(200);
      expect(written(), "nobody waits").to.equal(1);
      busy = true;
      for (let piece = 2; piece < 257; piece++) library.add(trusted, await asset.verified(piece));
      expect(written(), "less than 16 MiB").to.equal(0);
      library.add(trusted, await asset.verified(257));
      expect(written(), "16 MiB: the oldest window").to.equal(62);
      for (let piece = 258; piece < 300; piece++) library.add(trusted, await asset.verified(piece));
      await timers.advance(4_999);
      expect(written(), "there is room again").to.equal(0);
      await timers.advance(1);
      expect(written(), "a window at a time").to.equal(64);
      await timers.advance(200);
      expect(written()).to.equal(64);
      busy = false;
      await timers.advance(200);
      expect(written(), "all the rest at once").to.equal(64 + 44);
      expect(timers.pending).to.equal(0);
    });
  });

  it("PieceLibrary writes small windows together, 2 MiB at a time while a page waits", async () => {
    await withFakeTimers(async (timers) => {
      const { library, trust, trusted, saved } = await setUp(await makeAsset(PIECE_BYTES), [], {
        busy: () => true,
      });
      for (let file = 0; file < 40; file++) {
        const fields = { url: `https://cdn.example/${file}.ts` };
        const asset = await makeAsset(PIECE_BYTES, { fields });
        const other = await trust.restore(asset.attestations[0] as Attestation);
        library.add(other ?? trusted, await asset.verified(0));
      }
      await timers.advance(5_000);
      expect(saved.splice(0)).to.have.length(32);
      await timers.advance(200);
      expect(saved).to.have.length(8);
      expect(timers.pending).to.equal(0);
    });
  });

  it("PieceLibrary keeps as much in memory as the device can spare, 16 to 64 MiB", async () => {
    const asset = await makeAsset(1_100 * PIECE_BYTES);
    for (const [deviceGib, pieces] of [
      [0.25, 256],
      [3, 384],
      [8, 1_024],
      [64, 1_024],
    ] as const) {
      const { library, trusted, reads } = await setUp(asset, [], { deviceGib });
      const count = Math.min(1_100, pieces + 1);
      for (let piece = 0; piece < count; piece++) {
        library.add(trusted, await asset.verified(piece));
      }
      await library.read(trusted, 1);
      expect(reads, `${deviceGib} GiB`).to.deep.equal([]);
      await library.read(trusted, 0);
      expect(reads, `${deviceGib} GiB`).to.deep.equal([0]);
      library.flush();
    }
  });

  it("PieceLibrary.read() gives nothing of an expired window, not even from memory (R10)", async () => {
    const asset = await makeAsset((WINDOW_PIECES + 1) * PIECE_BYTES);
    const [first, second] = asset.attestations as [Attestation, Attestation];
    const { library, trust, trusted, clock } = await setUp(asset);
    await trust.restore({ ...second, expiresMs: first.expiresMs + 60_000 });
    for (const piece of [0, WINDOW_PIECES]) library.add(trusted, await asset.verified(piece));
    expect(await library.read(trusted, 0)).to.have.property("piece", 0);
    clock.nowMs = first.expiresMs;
    expect(await library.read(trusted, 0)).to.equal(undefined);
    expect(await library.read(trusted, WINDOW_PIECES)).to.have.property("piece", WINDOW_PIECES);
    library.flush();
  });

  it("PieceLibrary.load() takes over what earlier pages stored, unless it is not trusted", async () => {
    const asset = await makeAsset(10 * PIECE_BYTES);
    const [attestation] = asset.attestations as [Attestation];
    const record = (fields: Partial<Attestation>, bits: number): StoredWindow => ({
      ...{
        assetId: asset.assetId,
        bits: Uint8Array.of(bits, 0),
        bytes: 0,
        usedMs: 0,
        expiresMs: 0,
      },
      attestation: { ...attestation, ...fields },
    });
    const { library, trusted } = await setUp(asset, [
      record({}, 0b1100_0000),
      record({ url: "https://cdn.example/old.ts", expiresMs: NOW_MS }, 0xff),
    ]);
    await library.load();
    expect(library.have(trusted).size).to.equal(2);
    expect([...library.holdings()]).to.have.length(1);
    expect(library.holdsWindow(trusted, 0)).to.equal(false);
    library.have(trusted).addRange(0, 10);
    expect(library.holdsWindow(trusted, 0)).to.equal(true);
  });

  it("PieceLibrary.evicted() forgets one window, in memory too", async () => {
    const asset = await makeAsset((WINDOW_PIECES + 2) * PIECE_BYTES);
    const { library, trusted, gone, reads } = await setUp(asset);
    for (const piece of [0, 63, 64]) library.add(trusted, await asset.verified(piece));
    library.evicted(asset.assetId, 0);
    library.evicted("unknown", 0);
    expect([0, 63, 64].map((piece) => library.have(trusted).has(piece))).to.deep.equal([
      ...[false, false, true],
    ]);
    expect(await library.read(trusted, 0)).to.equal(undefined);
    expect(reads).to.deep.equal([]);
    expect(gone).to.deep.equal([asset.assetId]);
    library.flush();
  });

  it("PieceLibrary keeps the newest 32 MiB in memory, however often a piece is read", async () => {
    const asset = await makeAsset(520 * PIECE_BYTES);
    const { library, trusted, onDisk, reads } = await setUp(asset);
    library.add(trusted, await asset.verified(0));
    library.have(trusted).add(1);
    onDisk.set(1, asset.pieceOf(1));
    await Promise.all(Array.from({ length: 600 }, () => library.read(trusted, 1)));
    reads.length = 0;
    await library.read(trusted, 0);
    expect(reads, "two pieces are not 32 MiB").to.deep.equal([]);
    for (let piece = 2; piece < 520; piece++) library.add(trusted, await asset.verified(piece));
    await library.read(trusted, 519);
    await library.read(trusted, 30);
    expect(reads, "the newest are in memory").to.deep.equal([]);
    await library.read(trusted, 0);
    expect(reads, "the oldest is not").to.deep.equal([0]);
    library.flush();
  });
});
