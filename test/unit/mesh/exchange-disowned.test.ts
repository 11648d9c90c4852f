import { expect } from "chai";
import { PieceSet } from "../../../src/core/piece-set.js";
import { Planner } from "../../../src/engine/planning/planner.js";
import { DeliverySession } from "../../../src/mesh/delivery/delivery-session.js";
import { Exchange } from "../../../src/mesh/delivery/exchange.js";
import type { HaveGossip } from "../../../src/mesh/links/have-gossip.js";
import type { Neighbours } from "../../../src/mesh/links/neighbours.js";
import type { PeerLink } from "../../../src/mesh/links/peer-link.js";
import type { Uploader } from "../../../src/mesh/uploads/uploader.js";
import { PIECE_BYTES } from "../../../src/protocol/limits.js";
import type { HostMessage } from "../../../src/protocol/worker-messages.js";
import { makeAsset } from "../../support/assets.js";
import { makeLibrary } from "../../support/integrity-world.js";
import { sameBytes, settle, until } from "../../support/waiting.js";

const PIECES = 6;

/** A request that is being answered from pieces: the first two are held, peer "a" holds all of them. */
async function setUp() {
  const { trust, library, clock, announced, stored } = makeLibrary();
  const planner = new Planner({ random: () => 0.5, hopeful: () => false });
  const onError = (error: unknown) => {
    throw error;
  };
  const now = () => clock.nowMs;
  const exchange = new Exchange({
    ...{ planner, trust, library, now, onError },
    gossip: { greet: () => undefined } as unknown as HaveGossip,
    uploader: {} as Uploader,
    ...{ onLink: () => undefined, onAhead: () => undefined },
    ...{ onFetchAhead: () => undefined, onRejected: () => undefined },
  });
  const asset = await makeAsset(PIECES * PIECE_BYTES);
  const asked: { askId: number; piece: number }[] = [];
  const link = {
    ...{ peerId: "a", rttMs: 20, send: () => undefined, cancel: () => undefined },
    request: (askId: number, { piece }: { piece: number }) => void asked.push({ askId, piece }),
  } as unknown as PeerLink;
  exchange.neighbours = { get: () => link, open: [link], drop: onError } as unknown as Neighbours;
  const handlers = exchange.linkHandlers();
  handlers.onOpen(link);
  const held = new PieceSet(PIECES);
  held.addRange(0, PIECES);
  planner.setHoldings("a", asset.assetId, held, now());
  for (const attestation of asset.attestations) await trust.restore(attestation);
  const trusted = trust.find(asset.url);
  if (!trusted) throw new Error("the test's asset is trusted");
  for (const piece of [0, 1]) library.add(trusted, await asset.verified(piece));
  const { port1: port, port2: worker } = new MessageChannel();
  const got = new Map<number, Uint8Array>();
  const orders: string[] = [];
  worker.onmessage = ({ data }: MessageEvent<HostMessage>) => {
    if (data.type === "piece") got.set(data.piece, data.bytes);
    else if (data.type === "fetch" || data.type === "fail") orders.push(data.type);
  };
  const session = new DeliverySession({
    ...{ id: 1, port, trust, library, planner, now, onError },
    want: {
      ...{ nearcast: 1, type: "want", url: asset.url, clientId: "c" },
      ...{ range: undefined, active: false, destination: "" },
    },
    ...{ hopeful: () => false, attest: async () => undefined, playback: () => undefined },
    ...{ onPlanned: () => undefined, onLearned: () => undefined, sayAlone: () => false },
    run: (commands) => exchange.run(commands),
    signal: new AbortController().signal,
  });
  exchange.add(session);
  await session.decide();
  /** The peer brings what it was asked for. */
  const bring = () => {
    for (const { askId, piece } of asked.splice(0)) {
      handlers.onPiece(link, askId, asset.pieceOf(piece));
    }
  };
  const end = () => {
    session.fail();
    exchange.stop();
    library.flush();
  };
  return {
    asset,
    trust,
    library,
    exchange,
    session,
    worker,
    got,
    orders,
    bring,
    end,
    ...{ clock, announced, stored },
  };
}

describe("exchange, what was disowned", () => {
  it("Exchange completes an answer that has begun when its URL stands for another version, and keeps nothing of it", async () => {
    const reasons = {
      "the origin says so": ({ worker }: Awaited<ReturnType<typeof setUp>>) =>
        worker.postMessage({ type: "origin-end", outcome: "changed" }),
      "a page has changed it": ({ library, asset }: Awaited<ReturnType<typeof setUp>>) =>
        library.disown(asset.url),
      "the index attests another one": async ({
        trust,
        asset,
      }: Awaited<ReturnType<typeof setUp>>) => {
        const other = await makeAsset(PIECES * PIECE_BYTES - 1, {
          ...{ seed: 2, fields: { url: asset.url } },
        });
        for (const attestation of other.attestations) await trust.restore(attestation);
      },
    };
    for (const [reason, happen] of Object.entries(reasons)) {
      const world = await setUp();
      const { asset, trust, library, exchange, got, orders, bring, end, announced, stored } = world;
      await until("what is held is delivered", () => got.size === 2);
      library.flush();
      announced.length = 0;
      stored.clear();
      await happen(world);
      await until(`${reason}: it is another one`, () => !trust.byId(asset.assetId));
      await until(`${reason}: all is delivered`, () => {
        bring();
        exchange.run([]);
        return got.size === PIECES;
      });
      for (const [piece, bytes] of got) {
        expect(sameBytes(bytes, asset.pieceOf(piece)), `${reason}, piece ${piece}`).to.equal(true);
      }
      await settle();
      end();
      expect(orders, reason).to.not.include("fetch");
      expect([announced, [...stored]], reason).to.deep.equal([[], []]);
      expect([...library.holdings()], reason).to.deep.equal([]);
    }
  });
});
