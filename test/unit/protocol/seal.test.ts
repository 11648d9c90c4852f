import { expect } from "chai";
import { toBase64Url } from "../../../src/core/digest.js";
import type { AttestedWindow } from "../../../src/protocol/attestation.js";
import { ASSET_ID_BYTES, PIECE_BYTES, WINDOW_PIECES } from "../../../src/protocol/limits.js";
import {
  fromPeer,
  isSealedId,
  isSealPatterns,
  sealedIdOf,
  sealedWindow,
  sealMatcher,
  toPeer,
} from "../../../src/protocol/seal.js";
import { verifyPiece } from "../../../src/protocol/verify.js";
import { makeAsset } from "../../support/assets.js";
import { anyAssetId, fc } from "../../support/properties.js";
import { bytesFrom, integerFrom, seeded } from "../../support/random.js";
import { rejection, sameBytes } from "../../support/waiting.js";

type Bytes = Uint8Array<ArrayBuffer>;

const keyFrom = (seed: number) => toBase64Url(bytesFrom(seed, 32));
const windowOf = (windows: readonly AttestedWindow[], piece: number) =>
  windows[Math.floor(piece / WINDOW_PIECES)] as AttestedWindow;
const xor = (a: Bytes, b: Bytes) => a.map((byte, at) => byte ^ (b[at] ?? 0));

describe("seal", () => {
  it("toPeer() and fromPeer() give every piece back to whoever has its key, and to nobody else (100 seeds)", async () => {
    for (let seed = 0; seed < 100; seed++) {
      const random = seeded(seed);
      const length = integerFrom(random, 1, 3 * PIECE_BYTES);
      const asset = await makeAsset(length, { seed, seal: keyFrom(seed) });
      const piece = integerFrom(random, 0, Math.ceil(length / PIECE_BYTES) - 1);
      const window = windowOf(asset.windows, piece);
      const sent = (await toPeer(window, await asset.verified(piece))).bytes;
      const label = `seed ${seed}, ${length} bytes, piece ${piece}`;
      const plain = asset.pieceOf(piece);
      expect(sent.byteLength, label).to.equal(plain.byteLength);
      if (length > 16) expect(sameBytes(sent, plain), label).to.equal(false);
      expect(await verifyPiece(window, piece, sent.slice()), label).to.equal(undefined);

      const opened = await verifyPiece(window, piece, await fromPeer(window, piece, sent));
      expect(sameBytes(opened?.bytes ?? new Uint8Array(), plain), label).to.equal(true);

      const other = await makeAsset(length, { seed, seal: keyFrom(seed + 1_000) });
      const wrong = windowOf(other.windows, piece);
      const garbage = await fromPeer(wrong, piece, sent.slice());
      expect(await verifyPiece(wrong, piece, garbage), `${label}, another key`).to.equal(undefined);

      const bit = integerFrom(random, 0, 8 * sent.byteLength - 1);
      const spoilt = sent.map((byte, at) => (at === bit >> 3 ? byte ^ (1 << (bit & 7)) : byte));
      const bad = await fromPeer(window, piece, spoilt);
      expect(await verifyPiece(window, piece, bad), `${label}, bit ${bit}`).to.equal(undefined);
    }
  }).timeout(30_000);

  it("toPeer() hides which pieces are equal, of one asset and of a later one with the same key", async () => {
    const seal = keyFrom(1);
    const zeros = await makeAsset(2 * PIECE_BYTES, { seed: 1, seal });
    // The origin has other bytes under the version that it had before: the key is the same, the stream must not be.
    const other = await makeAsset(2 * PIECE_BYTES, {
      ...{ seed: 2, seal },
      fields: { url: zeros.url },
    });
    expect(other.assetId).to.equal(zeros.assetId);
    const sealedOf = async (asset: typeof zeros, piece: number) =>
      (await toPeer(windowOf(asset.windows, piece), await asset.verified(piece))).bytes;
    const streams = [
      xor(await sealedOf(zeros, 0), zeros.pieceOf(0)),
      xor(await sealedOf(zeros, 1), zeros.pieceOf(1)),
      xor(await sealedOf(other, 0), other.pieceOf(0)),
    ];
    // No part of a stream comes twice: neither from its start nor from another block on.
    const blocks = streams.flatMap((stream) =>
      Array.from({ length: stream.byteLength / 16 }, (_, at) =>
        String(stream.subarray(16 * at, 16 * at + 16)),
      ),
    );
    expect(new Set(blocks).size).to.equal(blocks.length);
  });

  it("toPeer() costs what is not sealed nothing: the same bytes leave, not a copy", async () => {
    const asset = await makeAsset(100);
    const piece = await asset.verified(0);
    const window = windowOf(asset.windows, 0);
    expect((await toPeer(window, piece)).bytes).to.equal(piece.bytes);
    expect(fromPeer(window, 0, piece.bytes)).to.equal(piece.bytes);
  });

  it("toPeer() seals no piece of another window", async () => {
    const asset = await makeAsset((WINDOW_PIECES + 1) * PIECE_BYTES, { seal: keyFrom(1) });
    const piece = await asset.verified(WINDOW_PIECES);
    expect(await rejection(toPeer(windowOf(asset.windows, 0), piece))).to.be.instanceOf(RangeError);
  });

  it("sealedIdOf() names an asset that nobody can name without its key", async () => {
    const text = fc.integer({ min: 0, max: 2 ** 31 }).map(keyFrom);
    await fc.assert(
      fc.asyncProperty(anyAssetId(), anyAssetId(), text, text, async (a, b, key, other) => {
        fc.pre(a !== b && key !== other);
        const id = await sealedIdOf(a, key);
        expect(id).to.match(/^[A-Za-z0-9_-]{22}$/);
        expect(atob(id.replaceAll("-", "+").replaceAll("_", "/"))).to.have.length(ASSET_ID_BYTES);
        expect(isSealedId(id)).to.equal(true);
        expect(await sealedIdOf(a, key)).to.equal(id);
        expect(await sealedIdOf(b, key)).to.not.equal(id);
        expect(await sealedIdOf(a, other)).to.not.equal(id);
      }),
      { numRuns: 100 },
    );
    const open = await makeAsset(100);
    expect(isSealedId(open.assetId)).to.equal(false);
  });

  it("sealedWindow() takes 32 bytes of base64url, and keeps all else as it was attested", async () => {
    const [window] = (await makeAsset(100)).windows;
    if (!window) throw new Error("one window");
    const sealed = await sealedWindow(window, keyFrom(1));
    expect(sealed).to.deep.include({ attestation: window.attestation, firstPiece: 0 });
    expect(sealed.assetId).to.equal(await sealedIdOf(window.assetId, keyFrom(1)));
    expect(sealed.seal?.text).to.equal(keyFrom(1));
    expect(sealed.seal?.key.extractable).to.equal(false);
    for (const text of ["", "A".repeat(42), "A".repeat(44), "*".repeat(43)]) {
      expect(await rejection(sealedWindow(window, text))).to.have.property(
        "code",
        "protocol/malformed",
      );
    }
  });

  it("isSealPatterns() wants paths or http(s) URLs without a query, and not too many", () => {
    for (const good of [[], ["/film/**"], ["https://cdn.example/film/*.mp4", "/"], ["/größe/*"]]) {
      expect(isSealPatterns(good), String(good)).to.equal(true);
    }
    const many = Array.from({ length: 65 }, () => "/a");
    for (const bad of [["film"], ["//host/a"], ["/a?x"], ["/a#x"], ["ftp://a/b"], [""], many, "/a"])
      expect(isSealPatterns(bad), String(bad)).to.equal(false);
    expect(isSealPatterns([`/${"a".repeat(512)}`])).to.equal(false);
  });

  it("sealMatcher() knows a path on every origin, a URL on its own, however it is spelled", () => {
    const matches = sealMatcher([
      "/film/**",
      "https://cdn.example/paid/*.mp4",
      "/gr%C3%B6%C3%9Fe/*",
    ]);
    for (const url of [
      "https://a.example/film/1.mp4",
      "https://b.example/film/a/1.mp4?token=x",
      "https://b.example/%66ilm/1.mp4",
      "https://b.example/other/../film/1.mp4",
      "https://b.example/film/what%3F.mp4",
      "https://cdn.example/paid/a%20b.mp4",
      "https://cdn.example/paid/what%3F.mp4",
      "https://cdn.example/größe/1.mp4",
    ])
      expect(matches(url), url).to.equal(true);
    for (const url of [
      "https://a.example/films/1.mp4",
      "https://a.example/x/film/1.mp4",
      "https://other.example/paid/1.mp4",
      "https://cdn.example/paid/a/1.mp4",
      "https://a.example/x?y=/film/1.mp4",
      "https://a.example/%ff%ff/1.mp4",
      "nonsense",
    ])
      expect(matches(url), url).to.equal(false);
    expect(sealMatcher([])("https://a.example/film/1.mp4")).to.equal(false);
  });
});
