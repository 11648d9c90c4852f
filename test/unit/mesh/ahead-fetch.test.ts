import { expect } from "chai";
import { AheadFetch } from "../../../src/mesh/playback/ahead-fetch.js";
import type { TrustedAsset } from "../../../src/mesh/trust/trust.js";
import { PIECE_BYTES } from "../../../src/protocol/limits.js";
import type { AheadOrder, DeliveryMessage } from "../../../src/protocol/worker-messages.js";
import { makeAsset } from "../../support/assets.js";
import { withFakeTimers } from "../../support/fake-timers.js";
import { makeLibrary } from "../../support/integrity-world.js";
import { settle, until } from "../../support/waiting.js";

/** What is read ahead of an asset of two pieces, and the worker's end of it. */
async function setUp() {
  const { trust, library } = makeLibrary();
  const { attestations, assetId, url, pieceOf } = await makeAsset(2 * PIECE_BYTES);
  for (const attestation of attestations) await trust.restore(attestation);
  const asset = trust.byId(assetId) as TrustedAsset;
  const { port1, port2 } = new MessageChannel();
  const [orders, pieces, ends] = [[] as AheadOrder[], [] as number[], [] as boolean[]];
  port2.onmessage = ({ data }: MessageEvent<AheadOrder>) => orders.push(data);
  const ahead = new AheadFetch({
    ...{
      port: port1,
      url,
      trust,
      library,
      asset: () => trust.byId(assetId),
      attest: async () => undefined,
    },
    onPiece: ({ piece }) => pieces.push(piece),
    onEnd: (complete) => ends.push(complete),
    onError: (error) => {
      throw error;
    },
  });
  const send = (piece: number, bytes: Uint8Array<ArrayBuffer>) =>
    port2.postMessage({ type: "origin-piece", piece, bytes } satisfies DeliveryMessage);
  const have = () => library.have(asset);
  return { ahead, orders, pieces, ends, send, have, pieceOf, port: port2 };
}

describe("ahead-fetch", () => {
  it("AheadFetch keeps what is attested", async () => {
    const { ahead, orders, pieces, ends, send, have, pieceOf, port } = await setUp();
    ahead.fetch({ from: 0, to: 2 });
    await until("the order is here", () => orders.length === 1);
    expect(orders).to.deep.equal([{ type: "fetch", from: 0, to: 2 }]);
    send(0, pieceOf(0));
    send(1, pieceOf(1));
    await until("both pieces are learned", () => pieces.length === 2);
    expect(have().hasRange(0, 2)).to.equal(true);
    port.postMessage({ type: "origin-end", outcome: "complete" } satisfies DeliveryMessage);
    await until("the order is over", () => ends.length === 1);
    expect(ends).to.deep.equal([true]);
    expect(orders).to.have.length(1);
    ahead.fetch({ from: 0, to: 1 });
    ahead.close();
    await until("the second order is here", () => orders.length === 2);
    await settle();
    expect(orders, "it comes to its end").to.have.length(2);
    port.postMessage({ type: "origin-end", outcome: "complete" } satisfies DeliveryMessage);
    await until("the worker is told", () => orders.length === 3);
    expect(orders.at(-1)).to.deep.equal({ type: "end" });
  });

  it("AheadFetch keeps nothing that is not attested", async () => {
    const { ahead, pieces, send, have, pieceOf } = await setUp();
    ahead.fetch({ from: 0, to: 2 });
    send(0, pieceOf(0));
    await until("the right piece is learned", () => pieces.length === 1);
    const wrong = pieceOf(1);
    wrong[7] = (wrong[7] ?? 0) ^ 1;
    send(1, wrong);
    await until("the origin's new version is noticed", () => !have().has(0));
    expect(have().size).to.equal(0);
  });

  it("AheadFetch gives up a worker that is silent", () =>
    withFakeTimers(async ({ advance }) => {
      const { ahead, ends } = await setUp();
      ahead.fetch({ from: 0, to: 1 });
      ahead.fetch({ from: 1, to: 2 });
      await advance(4_999);
      expect(ends).to.deep.equal([]);
      await advance(1);
      expect(ends).to.deep.equal([false, false]);
    }));
});
