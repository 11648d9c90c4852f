import { expect } from "chai";
import { Planner } from "../../../src/engine/planning/planner.js";
import { Exchange } from "../../../src/mesh/delivery/exchange.js";
import type { HaveGossip } from "../../../src/mesh/links/have-gossip.js";
import type { Neighbours } from "../../../src/mesh/links/neighbours.js";
import type { PeerLink } from "../../../src/mesh/links/peer-link.js";
import type { TrustedAsset } from "../../../src/mesh/trust/trust.js";
import type { Uploader } from "../../../src/mesh/uploads/uploader.js";
import { PIECE_BYTES } from "../../../src/protocol/limits.js";
import { makeAsset } from "../../support/assets.js";
import { makeLibrary } from "../../support/integrity-world.js";

/** An exchange of a viewer that holds pieces 0 to 3 of ten, and who is told what it hears from its peer "a". */
async function setUp() {
  const { trust, library, clock } = makeLibrary();
  const planner = new Planner({ random: () => 0.5, hopeful: () => false });
  planner.election.members = ["a", "b"];
  const exchange = new Exchange({
    ...{ planner, trust, library, now: () => clock.nowMs },
    gossip: { greet: () => undefined } as unknown as HaveGossip,
    uploader: {} as Uploader,
    onLink: () => undefined,
    onAhead: () => undefined,
    onFetchAhead: () => undefined,
    onRejected: () => undefined,
    onError: (error) => {
      throw error;
    },
  });
  const told: string[] = [];
  const links = ["a", "b"].map((peerId) => {
    const send = () => void told.push(peerId);
    return { peerId, rttMs: 20, send } as unknown as PeerLink;
  });
  exchange.neighbours = { open: links } as unknown as Neighbours;
  const handlers = exchange.linkHandlers();
  for (const link of links) handlers.onOpen(link);
  const { attestations, assetId, verified } = await makeAsset(10 * PIECE_BYTES);
  for (const attestation of attestations) await trust.restore(attestation);
  const asset = trust.byId(assetId) as TrustedAsset;
  for (const piece of [0, 1, 2, 3]) library.add(asset, await verified(piece));
  const hear = (from: number, to: number) => {
    handlers.onClaim(links[0] as PeerLink, { type: "claim", assetId, from, to, hops: 3 });
    return told.splice(0);
  };
  return { hear };
}

describe("exchange, claims", () => {
  it("Exchange passes on a claim of pieces that it lacks, and of none that it holds", async () => {
    const { hear } = await setUp();
    expect(hear(0, 4), "its neighbours know that it holds them").to.be.empty;
    expect(hear(2, 6), "it lacks two of them").to.deep.equal(["a", "b"]);
    expect(hear(4, 8), "it lacks all").to.deep.equal(["a", "b"]);
  });
});
