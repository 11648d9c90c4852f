import { expect } from "chai";
import { clear, createStore, get, set } from "idb-keyval";
import { PieceLibrary } from "../../../src/mesh/delivery/piece-library.js";
import type { PeerLink } from "../../../src/mesh/links/peer-link.js";
import { Trust } from "../../../src/mesh/trust/trust.js";
import { Uploader } from "../../../src/mesh/uploads/uploader.js";
import { PIECE_BYTES } from "../../../src/protocol/limits.js";
import { fromPeer } from "../../../src/protocol/seal.js";
import { PieceStore } from "../../../src/store/piece-store.js";
import { makeAsset, type TestAsset } from "../../support/assets.js";
import { WORLD_MS } from "../../support/integrity-world.js";
import { rejection, sameBytes, until } from "../../support/waiting.js";

/** A viewer's library on the real IndexedDB, as a page that starts finds it. */
async function openLibrary(asset: TestAsset, { attest = true } = {}) {
  const trust = new Trust({ pinnedKey: undefined, nowMs: () => WORLD_MS });
  const gone: string[] = [];
  const store = new PieceStore({
    maxBytes: 2 ** 30,
    now: () => WORLD_MS,
    busy: () => false,
    rest: async () => undefined,
    onError: (error) => expect.fail(String(error)),
    onEvict: () => undefined,
  });
  const library = new PieceLibrary({
    ...{ store, trust },
    handlers: { onAdded: () => undefined, onGone: (assetId) => void gone.push(assetId) },
    busy: () => false,
  });
  if (attest)
    for (const attestation of asset.attestations) await trust.restore(attestation, asset.seal);
  await library.load();
  const trusted = trust.byId(asset.assetId);
  if (!trusted) throw new Error("the test's asset is trusted");
  return { library, store, trust, trusted, gone };
}

async function clearDisk() {
  for (const name of ["assets", "windows", "pieces"]) {
    await clear(createStore(`nearcast-${name}`, name));
  }
}

describe("integrity, against the disk", () => {
  it("C4: what is sealed lies open on the viewer's own disk, and leaves it sealed, by the next page too", async () => {
    await clearDisk();
    const asset = await makeAsset(2 * PIECE_BYTES, { seal: "k".repeat(43) });
    const before = await openLibrary(asset);
    for (const piece of [0, 1]) before.library.add(before.trusted, await asset.verified(piece));
    before.library.flush();
    await before.store.settled();
    const stored = await get(`${asset.assetId} 0 0`, createStore("nearcast-pieces", "pieces"));
    expect(stored.byteLength, "a piece, all but its tail").to.be.above(PIECE_BYTES / 2);
    expect(sameBytes(stored, asset.pieceOf(0).subarray(0, stored.byteLength))).to.equal(true);

    const { library, trusted } = await openLibrary(asset, { attest: false });
    expect(library.have(trusted).size).to.equal(2);
    for (const piece of [0, 1]) {
      const sent = (await library.readForPeer(asset.assetId, piece))?.bytes;
      if (!sent) throw new Error("it is held");
      expect(sameBytes(sent, asset.pieceOf(piece)), `piece ${piece}`).to.equal(false);
      const [window] = asset.windows;
      const opened = window && (await fromPeer(window, piece, sent));
      expect(sameBytes(opened ?? new Uint8Array(), asset.pieceOf(piece))).to.equal(true);
    }
    // Without its key it is not held any more, for there is no name to ask for it by.
    const windows = createStore("nearcast-windows", "windows");
    const key = `${asset.assetId} 0`;
    const { seal: _, ...keyless } = (await get(key, windows)) as { seal?: string };
    await set(key, keyless, windows);
    expect(await rejection(openLibrary(asset, { attest: false }))).to.match(/is trusted/);
  });

  it("R11 (fault 37): a byte flipped in IndexedDB never reaches a peer, and the piece is not held any more", async () => {
    await clearDisk();
    const asset = await makeAsset(4 * PIECE_BYTES);
    const before = await openLibrary(asset);
    for (const piece of [0, 1, 2, 3])
      before.library.add(before.trusted, await asset.verified(piece));
    before.library.flush();
    await before.store.settled();
    const pieces = createStore("nearcast-pieces", "pieces");
    const key = `${asset.assetId} 0 2`;
    const stored = await get<Uint8Array<ArrayBuffer>>(key, pieces);
    if (!stored) throw new Error("the piece was stored");
    stored[777] = (stored[777] ?? 0) ^ 1;
    await set(key, stored, pieces);

    const { library, trusted, gone } = await openLibrary(asset);
    expect(library.have(trusted).size, "the bit map promises all four").to.equal(4);
    const sent = new Map<number, Uint8Array>();
    const refused: unknown[] = [];
    const link = {
      ...{ closed: new AbortController().signal, bufferedBytes: 0 },
      send: (frame: unknown) => void refused.push(frame),
      sendPiece: async (id: number, bytes: Uint8Array) => void sent.set(id, bytes.slice()),
    } as unknown as PeerLink;
    const uploader = new Uploader({
      ...{ maxBytesPerS: 0, maxParallel: 8, random: () => 0.5, now: () => WORLD_MS },
      read: (assetId, piece) => library.readForPeer(assetId, piece),
      onUploaded: () => undefined,
    });
    for (const piece of [0, 1, 2, 3]) uploader.accept(link, piece, asset.assetId, piece);
    await until("all four are answered", () => sent.size + refused.length === 4);
    expect([...sent.keys()]).to.deep.equal([0, 1, 3]);
    for (const [piece, bytes] of sent) {
      expect(sameBytes(bytes, asset.pieceOf(piece)), `piece ${piece}`).to.equal(true);
    }
    expect(refused).to.deep.equal([{ type: "reject", id: 2, reason: "absent", retryMs: 0 }]);
    expect([library.have(trusted).has(2), gone]).to.deep.equal([false, [asset.assetId]]);
  });
});
