import { expect } from "chai";
import { PieceSet } from "../../../src/core/piece-set.js";
import type { PieceLibrary } from "../../../src/mesh/delivery/piece-library.js";
import { HaveGossip } from "../../../src/mesh/links/have-gossip.js";
import type { PeerLink } from "../../../src/mesh/links/peer-link.js";
import type { Trust, TrustedAsset } from "../../../src/mesh/trust/trust.js";
import { HAVE_MAX_PIECES } from "../../../src/protocol/limits.js";
import {
  type ControlFrame,
  decodeControl,
  encodeControl,
} from "../../../src/protocol/peer-codec.js";
import { withFakeTimers } from "../../support/fake-timers.js";
import { integerFrom, seeded } from "../../support/random.js";

const ASSET_ID = "A".repeat(22);
const asset = { assetId: ASSET_ID } as TrustedAsset;

/** Gossip about one asset with two links; `known` is what the first one has heard, by the codec. */
function setUp(pieceCount: number) {
  const have = new PieceSet(pieceCount);
  const known = new PieceSet(pieceCount);
  const frames: ControlFrame[] = [];
  const trusted = { yes: true };
  const hear = (frame: ControlFrame) => {
    const heard = decodeControl(encodeControl(frame));
    frames.push(heard);
    if (heard.type === "have") known.addBits(heard.bits, heard.from);
    if (heard.type === "drop") {
      for (let piece = 0; piece < pieceCount; piece++) known.delete(piece);
    }
  };
  const links = [
    { send: hear } as unknown as PeerLink,
    { send: () => undefined } as unknown as PeerLink,
  ];
  const gossip = new HaveGossip({
    library: {
      have: () => have,
      *holdings() {
        if (have.size > 0) yield { asset, have };
      },
    } as unknown as PieceLibrary,
    trust: { byId: () => (trusted.yes ? asset : undefined) } as unknown as Trust,
    links: () => links,
  });
  const add = (...pieces: readonly number[]) => {
    for (const piece of pieces) {
      have.add(piece);
      gossip.added(asset, piece);
    }
  };
  return { gossip, have, known, frames, links, trusted, add };
}

const bitsOf = (pieces: PieceSet) => [...pieces.toBits()];

describe("have-gossip", () => {
  it("HaveGossip tells of new pieces together, after a moment", async () => {
    await withFakeTimers(async (timers) => {
      const { add, frames, have, known } = setUp(100);
      add(10, 12, 30);
      await timers.advance(49);
      expect(frames).to.deep.equal([]);
      await timers.advance(1);
      expect(frames).to.deep.equal([
        {
          ...{ type: "have", assetId: ASSET_ID, pieceCount: 100, from: 8 },
          bits: Uint8Array.of(0b0010_1000, 0, 0b0000_0010),
        },
      ]);
      expect(bitsOf(known)).to.deep.equal(bitsOf(have));
      await timers.advance(1_000);
      expect(frames, "news are told once").to.have.length(1);
    });
  });

  it("HaveGossip brings every neighbour to the same picture, in frames the codec takes", async () => {
    await withFakeTimers(async (timers) => {
      for (let seed = 1; seed <= 50; seed++) {
        const random = seeded(seed);
        const pieceCount = integerFrom(random, 1, 300);
        const { add, have, known, gossip } = setUp(pieceCount);
        for (let round = 0; round < 6; round++) {
          add(...Array.from({ length: 5 }, () => integerFrom(random, 0, pieceCount - 1)));
          if (random() < 0.3) {
            have.delete(integerFrom(random, 0, pieceCount - 1));
            gossip.gone(ASSET_ID);
          }
          await timers.advance(60);
        }
        expect(bitsOf(known), `seed ${seed}`).to.deep.equal(bitsOf(have));
      }
    });
  });

  it("HaveGossip.greet() tells a new neighbour everything, big assets in several frames", async () => {
    const { gossip, have, known, frames, links } = setUp(HAVE_MAX_PIECES + 100);
    for (const piece of [0, HAVE_MAX_PIECES - 1, HAVE_MAX_PIECES, HAVE_MAX_PIECES + 99]) {
      have.add(piece);
    }
    expect(gossip.fresh(0)).to.equal(false);
    gossip.greet(links[0] as PeerLink, 1_000);
    expect(frames).to.have.length(2);
    expect(known.size).to.equal(4);
    expect([gossip.fresh(1_299), gossip.fresh(1_300)]).to.deep.equal([true, false]);
    gossip.greet(links[1] as PeerLink, 1_100);
    gossip.heard(links[0] as PeerLink);
    expect(gossip.fresh(1_101), "the other one may still tell").to.equal(true);
    gossip.heard(links[1] as PeerLink);
    expect(gossip.fresh(1_102), "a pong follows what was told").to.equal(false);
  });

  it("HaveGossip.gone() takes back what was told and tells the rest", async () => {
    await withFakeTimers(async (timers) => {
      const { gossip, add, have, known, frames } = setUp(16);
      add(1, 2);
      await timers.advance(50);
      have.delete(1);
      gossip.gone(ASSET_ID);
      expect(frames.slice(1).map(({ type }) => type)).to.deep.equal(["drop", "have"]);
      expect(bitsOf(known)).to.deep.equal(bitsOf(have));
      have.delete(2);
      gossip.gone(ASSET_ID);
      expect(frames.slice(3).map(({ type }) => type)).to.deep.equal(["drop"]);
    });
  });

  it("HaveGossip says nothing of an asset that is not attested any more", async () => {
    await withFakeTimers(async (timers) => {
      const { add, frames, trusted } = setUp(16);
      add(1);
      trusted.yes = false;
      await timers.advance(50);
      expect(frames).to.deep.equal([]);
    });
  });
});
