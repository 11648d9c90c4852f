import { expect } from "chai";
import { Planner } from "../../../src/engine/planning/planner.js";
import { DeliverySession } from "../../../src/mesh/delivery/delivery-session.js";
import { pieceCountOf } from "../../../src/protocol/asset.js";
import { PIECE_BYTES, WINDOW_PIECES } from "../../../src/protocol/limits.js";
import { observed } from "../../../src/sw/origin/pass-through.js";
import { makeAsset } from "../../support/assets.js";
import { makeLibrary } from "../../support/integrity-world.js";
import { bodyOf } from "../../support/origins.js";
import { seeded } from "../../support/random.js";
import { readAll, settle } from "../../support/waiting.js";

const PIECES = 5;
const LENGTH = (PIECES - 1) * PIECE_BYTES + 999;

interface OriginAnswer {
  readonly status?: number;
  readonly headers?: Record<string, string>;
  readonly shortAfter?: number;
  readonly failsAfter?: number;
  /** The body, if it is another one than the attested. */
  readonly bytes?: Uint8Array<ArrayBuffer>;
}

/** A response that passes through a worker and is shown to a host: what the host keeps and tells of it. */
async function passThrough(answer: OriginAnswer, attestAfter = false, length = LENGTH) {
  const asset = await makeAsset(length);
  const { trust, library, announced, stored } = makeLibrary();
  const attest = async (_url: string, window: number) => {
    const attestation = asset.attestations[window];
    if (attestation) await trust.restore(attestation);
  };
  if (!attestAfter) await attest(asset.url, 0);
  const { port1, port2 } = new MessageChannel();
  const stop = new AbortController();
  const session = new DeliverySession({
    ...{ id: 1, port: port1, trust, library, attest, signal: stop.signal },
    want: {
      ...{ nearcast: 1, type: "want", url: asset.url, clientId: "c" },
      ...{ range: undefined, active: false, destination: "" },
    },
    planner: new Planner({ random: seeded(1), hopeful: () => false }),
    ...{
      now: () => 0,
      playback: () => undefined,
      hopeful: () => false,
      sayAlone: () => false,
      run: () => undefined,
      onPlanned: () => undefined,
      onLearned: () => undefined,
    },
    onError: (error) => {
      throw error;
    },
  });
  await session.decide();
  const { status = 200, headers = { "content-length": String(length) } } = answer;
  const body = bodyOf(answer.bytes ?? asset.bytes, answer);
  const response = observed(new Response(body, { status, headers }), {
    ...{ port: port2, onBytes: () => undefined, onEnd: () => undefined },
    takeOver: () => {
      throw new Error("nobody could help");
    },
  });
  const page = await readAll(response.body as ReadableStream<Uint8Array<ArrayBuffer>>);
  // As many pieces as came whole are hashed by now, or will never be: hashes are asked for in order.
  for (let turn = 0; turn < pieceCountOf(length); turn++) {
    await crypto.subtle.digest("SHA-256", new Uint8Array(2 * PIECE_BYTES));
    await settle(8);
  }
  library.flush();
  stop.abort();
  const held = [...announced].sort((a, b) => a - b);
  return { asset, page, held, stored: [...stored.keys()], refused: trust.refused(asset.url) };
}

const ALL = [0, 1, 2, 3, 4];

describe("integrity, against the origin", () => {
  for (const attestAfter of [false, true]) {
    const when = attestAfter ? "attested while it passes" : "attested before";

    it(`a body of four windows is kept as a whole, ${when}`, async () => {
      const pieces = 4 * WINDOW_PIECES;
      const { held } = await passThrough({}, attestAfter, pieces * PIECE_BYTES);
      expect(held).to.deep.equal(Array.from({ length: pieces }, (_, piece) => piece));
    }).timeout(20_000);

    it(`A6 (R8): a whole body is kept and announced, ${when}`, async () => {
      const { held, stored } = await passThrough({}, attestAfter);
      expect([held, stored.sort()]).to.deep.equal([ALL, ALL]);
    });

    it(`A6 (R8): of a body that ends or breaks at 37 % only whole, attested pieces are kept, ${when}`, async () => {
      const cut = Math.floor(0.37 * LENGTH);
      for (const answer of [{ shortAfter: cut }, { failsAfter: cut }]) {
        const { held, stored, page } = await passThrough(answer, attestAfter);
        expect(held.length, JSON.stringify(answer)).to.be.lessThan(2);
        expect(held).to.deep.equal(stored);
        expect(page.bytes.byteLength, "the page sees what the origin sent").to.be.within(
          1,
          LENGTH - 1,
        );
      }
      // Without a length what ends is whole, and then another asset; what breaks may be the attested one.
      const ended = await passThrough({ shortAfter: cut, headers: {} }, attestAfter);
      expect([ended.stored, ended.refused]).to.deep.equal([[], true]);
      expect(ended.held).to.not.include(1);
      const broken = await passThrough({ failsAfter: cut, headers: {} }, attestAfter);
      expect([broken.held, broken.refused]).to.deep.equal([broken.stored, false]);
      // A cut body with its own, shorter length is another asset.
      const headers = { "content-length": String(2 * PIECE_BYTES - 5) };
      const shorter = await passThrough({ shortAfter: 2 * PIECE_BYTES - 5, headers }, attestAfter);
      expect([shorter.stored, shorter.refused]).to.deep.equal([[], true]);
      expect(shorter.held).to.not.include(1);
    });

    it(`A6 (R8): error pages and other statuses are neither kept nor announced, ${when}`, async () => {
      for (const status of [403, 404, 416, 500, 502, 503]) {
        const { held, stored } = await passThrough({ status }, attestAfter);
        expect([held, stored], `${status}`).to.deep.equal([[], []]);
      }
      const bytes = new TextEncoder().encode("<h1>Sorry</h1>");
      const headers = { "content-length": String(bytes.byteLength) };
      const { held, stored, refused } = await passThrough({ bytes, headers }, attestAfter);
      expect([held, stored, refused]).to.deep.equal([[], [], true]);
    });

    it(`A4 (R8): what an origin of somebody's own sends is kept to itself, and the URL with it, ${when}`, async () => {
      const { bytes } = await makeAsset(LENGTH, { seed: 99 });
      const { held, stored, refused } = await passThrough({ bytes }, attestAfter);
      expect([held, stored, refused]).to.deep.equal([[], [], true]);
    });
  }
});
