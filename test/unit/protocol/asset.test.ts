import { expect } from "chai";
import {
  assetIdOf,
  bytesOfPiece,
  canonicalUrl,
  groupOf,
  pieceCountOf,
  piecesOfBytes,
  piecesOfWindow,
  windowCountOf,
  windowOf,
} from "../../../src/protocol/asset.js";
import {
  ASSET_MAX_BYTES,
  PIECE_BYTES,
  WINDOW_BYTES,
  WINDOW_PIECES,
} from "../../../src/protocol/limits.js";
import { fc } from "../../support/properties.js";

/** Lengths of assets; those where an off-by-one would show come often. */
const anyLength = () =>
  fc.oneof(
    fc.constantFrom(0, 1, 65_535, 65_536, 65_537, WINDOW_BYTES - 1, WINDOW_BYTES, WINDOW_BYTES + 1),
    fc.nat(3 * WINDOW_BYTES),
    fc.integer({ min: 0, max: ASSET_MAX_BYTES }),
  );

const anyRange = () =>
  fc
    .tuple(fc.nat(3 * WINDOW_BYTES), fc.integer({ min: 1, max: WINDOW_BYTES }))
    .map(([start, length]) => ({ start, end: start + length }));

describe("asset", () => {
  it("pieceCountOf() and windowCountOf() count the edges", () => {
    const table: [lengthBytes: number, pieces: number, windows: number][] = [
      [0, 0, 1],
      [1, 1, 1],
      [65_535, 1, 1],
      [65_536, 1, 1],
      [65_537, 2, 1],
      [4 * 2 ** 20 - 1, 64, 1],
      [4 * 2 ** 20, 64, 1],
      [4 * 2 ** 20 + 1, 65, 2],
      [ASSET_MAX_BYTES, 2 ** 24, 2 ** 18],
    ];
    for (const [length, pieces, windows] of table) {
      expect([pieceCountOf(length), windowCountOf(length)], `${length}`).to.deep.equal([
        pieces,
        windows,
      ]);
    }
  });

  it("bytesOfPiece() cuts an asset into pieces that lie end to end", () => {
    fc.assert(
      fc.property(fc.nat(3 * WINDOW_BYTES), (length) => {
        let end = 0;
        for (let piece = 0; piece < pieceCountOf(length); piece++) {
          const range = bytesOfPiece(piece, length);
          expect(range.start).to.equal(end);
          expect(range.end - range.start).to.be.within(1, PIECE_BYTES);
          end = range.end;
        }
        expect(end).to.equal(length);
      }),
      { numRuns: 50 },
    );
  });

  it("bytesOfPiece() makes only the last piece shorter", () => {
    expect(bytesOfPiece(0, 65_537)).to.deep.equal({ start: 0, end: 65_536 });
    expect(bytesOfPiece(1, 65_537)).to.deep.equal({ start: 65_536, end: 65_537 });
    expect(bytesOfPiece(0, 1)).to.deep.equal({ start: 0, end: 1 });
    expect(bytesOfPiece(2 ** 24 - 1, ASSET_MAX_BYTES).end).to.equal(ASSET_MAX_BYTES);
  });

  it("piecesOfBytes() is the smallest range of pieces that covers the bytes", () => {
    fc.assert(
      fc.property(anyRange(), ({ start, end }) => {
        const { from, to } = piecesOfBytes({ start, end });
        expect(from * PIECE_BYTES).to.be.within(start - PIECE_BYTES + 1, start);
        expect(to * PIECE_BYTES).to.be.within(end, end + PIECE_BYTES - 1);
      }),
    );
  });

  it("piecesOfBytes() is the inverse of bytesOfPiece()", () => {
    fc.assert(
      fc.property(anyLength(), fc.nat(), (length, index) => {
        fc.pre(length > 0);
        const piece = index % pieceCountOf(length);
        expect(piecesOfBytes(bytesOfPiece(piece, length))).to.deep.equal({
          from: piece,
          to: piece + 1,
        });
      }),
    );
  });

  it("piecesOfWindow() cuts the pieces into windows that lie end to end", () => {
    fc.assert(
      fc.property(anyLength(), fc.nat(), (length, index) => {
        const window = index % windowCountOf(length);
        const { from, to } = piecesOfWindow(window, length);
        expect(from).to.equal(window * WINDOW_PIECES);
        const isLast = window === windowCountOf(length) - 1;
        expect(to).to.equal(isLast ? pieceCountOf(length) : from + WINDOW_PIECES);
        if (to > from) expect([windowOf(from), windowOf(to - 1)]).to.deep.equal([window, window]);
      }),
    );
  });

  it("piecesOfWindow() of an empty asset is empty", () => {
    expect(piecesOfWindow(0, 0)).to.deep.equal({ from: 0, to: 0 });
  });

  it("windowOf() changes with every 64th piece", () => {
    expect([0, 63, 64, 127, 128].map(windowOf)).to.deep.equal([0, 0, 1, 1, 2]);
  });

  it("assetIdOf() is stable: peers of different builds must agree", async () => {
    expect(await assetIdOf("https://cdn.example/a.ts", '"v1"', 65_537)).to.equal(
      "DeXTzpof686lTpFbg13JqA",
    );
  });

  it("assetIdOf() changes with URL, version and length", async () => {
    const ids = await Promise.all([
      assetIdOf("https://cdn.example/a", "1", 2),
      assetIdOf("https://cdn.example/b", "1", 2),
      assetIdOf("https://cdn.example/a", "2", 2),
      assetIdOf("https://cdn.example/a", "1", 3),
      assetIdOf("https://cdn.example/a", "1\n2", 2),
    ]);
    expect(new Set(ids).size).to.equal(ids.length);
    for (const id of ids) expect(id).to.match(/^[A-Za-z0-9_-]{22}$/);
  });

  it("canonicalUrl() drops the fragment, keeps the query and normalises the rest", () => {
    expect(canonicalUrl("HTTPS://CDN.Example:443/a/../b?x=1&y#t=3")).to.equal(
      "https://cdn.example/b?x=1&y",
    );
    expect(canonicalUrl("https://cdn.example")).to.equal("https://cdn.example/");
    expect(() => canonicalUrl("/b")).to.throw(TypeError);
  });

  it("canonicalUrl() leaves out the parameters it is told to, and not a byte more", () => {
    const table: [query: string, key: string][] = [
      ["?token=a&expires=1", ""],
      ["?v=1&token=a&w=%20+x&expires=1#t", "?v=1&w=%20+x"],
      ["?token", ""],
      ["?%74oken=a&v=2", "?v=2"],
      ["?token=a&token=b", ""],
      ["?tokens=a&Token=b&xtoken=c&v=token=d", "?tokens=a&Token=b&xtoken=c&v=token=d"],
      ["?v=1&?token=a", "?v=1&?token=a"],
      ["?&&v=1", "?&&v=1"],
      ["?", "?"],
      ["", ""],
    ];
    for (const [query, key] of table) {
      const url = `https://cdn.example/a/token=x/b${query}`;
      const stripped = canonicalUrl(url, ["token", "expires"]);
      expect(stripped, query).to.equal(`https://cdn.example/a/token=x/b${key}`);
      expect(canonicalUrl(stripped), query).to.equal(stripped);
      expect(canonicalUrl(url, []), query).to.equal(canonicalUrl(url));
    }
  });

  it("canonicalUrl() is idempotent", () => {
    fc.assert(
      fc.property(fc.webUrl({ withFragments: true, withQueryParameters: true }), (url) => {
        expect(canonicalUrl(canonicalUrl(url))).to.equal(canonicalUrl(url));
      }),
    );
  });

  it("groupOf() is the directory of the URL, without query and fragment", () => {
    expect(groupOf("https://cdn.example/live/720p/seg1.ts?t=/x/y#/z")).to.equal(
      "https://cdn.example/live/720p/",
    );
    expect(groupOf("https://cdn.example/film.mp4")).to.equal("https://cdn.example/");
    expect(groupOf("https://cdn.example/live/")).to.equal("https://cdn.example/live/");
  });
});
