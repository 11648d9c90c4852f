import { expect } from "chai";
import { PieceSet } from "../../../src/core/piece-set.js";
import { Planner } from "../../../src/engine/planning/planner.js";
import { DeliverySession } from "../../../src/mesh/delivery/delivery-session.js";
import { pieceCountOf } from "../../../src/protocol/asset.js";
import { PIECE_BYTES } from "../../../src/protocol/limits.js";
import type { HostMessage } from "../../../src/protocol/worker-messages.js";
import { makeAsset } from "../../support/assets.js";
import { makeLibrary } from "../../support/integrity-world.js";
import { seeded } from "../../support/random.js";

const LENGTH = 4 * PIECE_BYTES;

describe("delivery-session", () => {
  it("DeliverySession gives a sign of life once a second while it waits for others, until the deadline", async () => {
    const asset = await makeAsset(LENGTH);
    const { trust, library } = makeLibrary();
    for (const attestation of asset.attestations) await trust.restore(attestation);
    const planner = new Planner({ random: seeded(1), hopeful: () => false });
    planner.addPeer("holder", 20);
    const held = new PieceSet(pieceCountOf(LENGTH));
    held.addRange(0, held.pieceCount);
    const { assetId = "" } = trust.find(asset.url) ?? {};
    planner.setHoldings("holder", assetId, held, 0);
    let nowMs = 0;
    const { port1: port } = new MessageChannel();
    const heard: string[] = [];
    port.postMessage = ({ type }: HostMessage) => heard.push(type);
    const stop = new AbortController();
    const session = new DeliverySession({
      ...{ id: 1, port, trust, library, planner, signal: stop.signal },
      want: {
        ...{ nearcast: 1, type: "want", url: asset.url, clientId: "c" },
        ...{ range: undefined, active: false, destination: "" },
      },
      ...{ now: () => nowMs, hopeful: () => false, attest: async () => undefined },
      // Six seconds in the buffer, one of which must stay there: the deadline moves on as the player plays.
      playback: () => ({ aheadS: 6 - nowMs / 1_000, rate: 1, paused: false, hidden: false }),
      ...{
        run: () => undefined,
        onPlanned: () => undefined,
        onLearned: () => undefined,
        sayAlone: () => false,
      },
      onLearned: () => undefined,
      onError: (error) => {
        throw error;
      },
    });
    await session.decide();
    heard.length = 0;
    const saidAtMs: number[] = [];
    for (nowMs = 0; nowMs <= 8_000; nowMs += 100) {
      session.tick();
      if (heard.length > 0) saidAtMs.push(nowMs);
      expect(heard.splice(0).every((type) => type === "accept")).to.equal(true);
    }
    expect(saidAtMs).to.deep.equal([1_000, 2_000, 3_000, 4_000]);
    stop.abort();
  });

  it("DeliverySession plans no pieces for what passes already: it may take over", async () => {
    const asset = await makeAsset(LENGTH);
    for (const passes of [true, false]) {
      const { trust, library } = makeLibrary();
      const planner = new Planner({ random: seeded(1), hopeful: () => false });
      planner.addPeer("holder", 20);
      const held = new PieceSet(pieceCountOf(LENGTH));
      held.addRange(0, held.pieceCount);
      planner.setHoldings("holder", asset.assetId, held, 0);
      for (const attestation of asset.attestations) await trust.restore(attestation);
      const { port1: port } = new MessageChannel();
      const heard: string[] = [];
      port.postMessage = ({ type }: HostMessage) => heard.push(type);
      const stop = new AbortController();
      const session = new DeliverySession({
        ...{ id: 1, port, trust, library, planner, signal: stop.signal },
        want: {
          ...{ nearcast: 1, type: "want", url: asset.url, clientId: "c" },
          ...{ range: undefined, active: false, destination: "", ...(passes && { passingMs: 9 }) },
        },
        ...{ now: () => 0, hopeful: () => false, attest: async () => undefined },
        playback: () => undefined,
        ...{
          run: () => undefined,
          onPlanned: () => undefined,
          onLearned: () => undefined,
          sayAlone: () => true,
        },
        onLearned: () => undefined,
        onError: (error) => {
          throw error;
        },
      });
      await session.decide();
      expect(heard.includes("origin"), `passes: ${passes}`).to.equal(passes);
      expect(heard.includes("mesh")).to.equal(!passes);
      stop.abort();
    }
  });

  it("DeliverySession says with the origin's plan whether anybody is there to ask", async () => {
    const asset = await makeAsset(LENGTH);
    for (const alone of [true, false]) {
      const { trust, library } = makeLibrary();
      const { port1: port } = new MessageChannel();
      const heard: HostMessage[] = [];
      port.postMessage = (message: HostMessage) => heard.push(message);
      const stop = new AbortController();
      const session = new DeliverySession({
        ...{ id: 1, port, trust, library, signal: stop.signal },
        planner: new Planner({ random: seeded(1), hopeful: () => false }),
        want: {
          ...{ nearcast: 1, type: "want", url: asset.url, clientId: "c" },
          ...{ range: undefined, active: false, destination: "" },
        },
        ...{ now: () => 0, hopeful: () => false, attest: async () => undefined },
        ...{ playback: () => undefined, sayAlone: () => alone },
        ...{ run: () => undefined, onPlanned: () => undefined, onLearned: () => undefined },
        onLearned: () => undefined,
        onError: (error) => {
          throw error;
        },
      });
      await session.decide();
      expect(heard.find(({ type }) => type === "origin")).to.deep.include({ observe: true, alone });
      stop.abort();
    }
  });
});
