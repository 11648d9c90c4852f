import { expect } from "chai";
import { equalBytes, sha256, utf8 } from "../../../src/core/digest.js";
import { assetIdOf } from "../../../src/protocol/asset.js";
import {
  type Attestation,
  attestationBytes,
  isAttestation,
  openAttestation,
  pieceHash,
  pieceLeaf,
} from "../../../src/protocol/attestation.js";
import { PIECE_BYTES, WINDOW_BYTES } from "../../../src/protocol/limits.js";
import { sampleAttestation } from "../../support/attestations.js";
import { mutationsOf } from "../../support/mutations.js";
import { anyU32, fc } from "../../support/properties.js";

async function rejection(attestation: Attestation): Promise<unknown> {
  try {
    await openAttestation(attestation);
  } catch (error) {
    return error;
  }
  return undefined;
}

describe("attestation", () => {
  it("isAttestation() accepts a well-formed attestation", () => {
    expect(isAttestation(sampleAttestation())).to.equal(true);
    expect(isAttestation(sampleAttestation({ length: 0 }))).to.equal(true);
    expect(isAttestation(sampleAttestation({ length: WINDOW_BYTES }))).to.equal(true);
  });

  it("isAttestation() rejects an attestation with any one field wrong", () => {
    const mutations = [...mutationsOf(sampleAttestation())];
    expect(mutations.length).to.be.greaterThan(100);
    for (const { label, value } of mutations) {
      expect(isAttestation(value), label).to.equal(false);
    }
  });

  it("isAttestation() rejects header names that are not lower-case tokens", () => {
    for (const name of ["Content-Type", "", "a b", "a:", "a\n", "é"]) {
      const headers = [[name, "x"]] as const;
      expect(isAttestation(sampleAttestation({ headers })), name).to.equal(false);
    }
  });

  it("attestationBytes() is stable: a signature must outlive a build", () => {
    expect(new TextDecoder().decode(attestationBytes(sampleAttestation()))).to.equal(
      'nearcast attestation 1\n["https://cdn.example/live/1.ts","\\"v1\\"",65537,' +
        '[["content-type","video/mp2t"],["cache-control","max-age=60"]],0,' +
        `["${"A".repeat(43)}","${"B".repeat(43)}"],1700000000000,1700000060000,"k1"]`,
    );
  });

  it("attestationBytes() depends on no order of keys and not on the signature", () => {
    const attestation = sampleAttestation();
    const reversed = Object.fromEntries(Object.entries(attestation).reverse()) as never;
    expect(attestationBytes(reversed)).to.deep.equal(attestationBytes(attestation));
    const other = sampleAttestation({ signature: "B".repeat(86) });
    expect(attestationBytes(other)).to.deep.equal(attestationBytes(attestation));
  });

  it("attestationBytes() changes with every signed field", () => {
    const changes: Partial<Attestation>[] = [
      { url: "https://cdn.example/live/2.ts" },
      { version: '"v2"' },
      { length: 65_538 },
      { headers: [] },
      { window: 1 },
      { hashes: [] },
      { issuedMs: 1 },
      { expiresMs: 1 },
      { keyId: "k2" },
    ];
    const original = attestationBytes(sampleAttestation());
    for (const change of changes) {
      const changed = attestationBytes({ ...sampleAttestation(), ...change });
      expect(equalBytes(original, changed), Object.keys(change)[0]).to.equal(false);
    }
  });

  it("pieceLeaf() is 0x00, index, length and the piece", () => {
    expect([...pieceLeaf(0x01020304, Uint8Array.of(7, 8))]).to.deep.equal([
      0, 1, 2, 3, 4, 0, 0, 0, 2, 7, 8,
    ]);
    expect([...pieceLeaf(0, new Uint8Array())]).to.deep.equal([0, 0, 0, 0, 0, 0, 0, 0, 0]);
  });

  it("pieceLeaf() binds index and length: no other piece has the same leaf", () => {
    const anyPiece = fc.tuple(anyU32(), fc.uint8Array({ maxLength: 12 }));
    fc.assert(
      fc.property(anyPiece, anyPiece, ([pieceA, a], [pieceB, b]) => {
        const same = pieceA === pieceB && equalBytes(a, b);
        expect(equalBytes(pieceLeaf(pieceA, a), pieceLeaf(pieceB, b))).to.equal(same);
      }),
    );
  });

  it("pieceLeaf() hashes differ for the same bytes at another index", async () => {
    const bytes = utf8("same");
    const [first, second] = await Promise.all(
      [0, 1].map((piece) => sha256(pieceLeaf(piece, bytes))),
    );
    expect(first).not.to.deep.equal(second);
  });

  it("pieceHash() hashes what pieceLeaf() gives, whatever else is hashed at once", async () => {
    const pieces = [PIECE_BYTES, 5, 0, PIECE_BYTES, PIECE_BYTES + 1, 1].map((length, piece) =>
      new Uint8Array(length).fill(piece),
    );
    const hashes = await Promise.all(pieces.map((bytes, piece) => pieceHash(piece, bytes)));
    for (const [piece, bytes] of pieces.entries()) {
      expect(hashes[piece], `piece ${piece}`).to.deep.equal(await sha256(pieceLeaf(piece, bytes)));
    }
  });

  it("openAttestation() names the asset and decodes the hashes", async () => {
    const attestation = sampleAttestation();
    const opened = await openAttestation(attestation);
    expect(opened.assetId).to.equal(await assetIdOf(attestation.url, attestation.version, 65_537));
    expect(opened.attestation).to.equal(attestation);
    expect(opened.firstPiece).to.equal(0);
    expect(opened.hashes.map((hash) => hash.byteLength)).to.deep.equal([32, 32]);
  });

  it("openAttestation() counts a later window's pieces from the asset's start", async () => {
    const opened = await openAttestation(
      sampleAttestation({ length: WINDOW_BYTES + 1, window: 1 }),
    );
    expect(opened.firstPiece).to.equal(64);
    expect(opened.hashes).to.have.length(1);
  });

  it("openAttestation() gives every window of one asset the same id", async () => {
    const windows = await Promise.all(
      [0, 1].map((window) =>
        openAttestation(sampleAttestation({ length: WINDOW_BYTES + 1, window })),
      ),
    );
    expect(windows[0]?.assetId).to.equal(windows[1]?.assetId);
  });

  it("openAttestation() accepts an empty asset: one window, no hash", async () => {
    const opened = await openAttestation(sampleAttestation({ length: 0 }));
    expect(opened.hashes).to.deep.equal([]);
  });

  it("openAttestation() accepts the sizes at the edges of pieces and windows", async () => {
    for (const length of [1, 65_535, 65_536, 65_537, WINDOW_BYTES - 1, WINDOW_BYTES]) {
      expect(await rejection(sampleAttestation({ length })), `${length}`).to.equal(undefined);
    }
  });

  const hash = "A".repeat(43);
  const disagreeing: [string, Partial<Attestation>][] = [
    ["one hash too few", { hashes: [hash] }],
    ["one hash too many", { hashes: [hash, hash, hash] }],
    ["a hash for an empty asset", { length: 0, hashes: [hash] }],
    ["a window past the end", { window: 1, hashes: [] }],
    ["a window just past a full one", { length: WINDOW_BYTES, window: 1, hashes: [] }],
    ["a window far past the end", { window: 2 ** 18, hashes: [] }],
    ["a fragment in the URL", { url: "https://cdn.example/live/1.ts#t=1" }],
    ["an upper-case host", { url: "https://CDN.example/live/1.ts" }],
    ["a default port", { url: "https://cdn.example:443/live/1.ts" }],
    ["dot segments", { url: "https://cdn.example/live/../1.ts" }],
    ["a relative URL", { url: "/live/1.ts" }],
  ];
  for (const [what, fields] of disagreeing) {
    it(`openAttestation() rejects ${what}`, async () => {
      const error = await rejection(sampleAttestation(fields));
      expect(error).to.have.property("code", "protocol/malformed");
    });
  }
});
