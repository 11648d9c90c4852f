import { expect } from "chai";
import { LOOK_AHEAD_PIECES } from "../../../../src/engine/planning/request-state.js";
import { PIECE_BYTES } from "../../../../src/protocol/limits.js";
import {
  type OriginSpec,
  type PeerSpec,
  runWorld,
  type WorldSpec,
} from "../../../support/planner-world.js";
import { integerFrom, oneOf, seeded } from "../../../support/random.js";

const SEEDS = Array.from({ length: 300 }, (_, seed) => seed + 1);
/** The longest that a silent supplier may keep a piece, and the tick that notices. */
const ASK_TIMEOUT_MS = 4_000 + 50;
const FAR_MS = 100_000;

/** What the planner takes the origin for until it has seen it. */
const ASSUMED: OriginSpec = { rateBytesPerMs: 2_500, firstByteMs: 60 };

const originMs = ({ rateBytesPerMs, firstByteMs }: OriginSpec, pieces: number) =>
  firstByteMs + (pieces * PIECE_BYTES) / rateBytesPerMs;

function anyPeers(
  random: () => number,
  count: number,
  pieceCount: number,
  change: (random: () => number) => Partial<PeerSpec>,
): PeerSpec[] {
  return Array.from({ length: count }, (_, index) => {
    const share = oneOf(random, [0.2, 0.7, 1]);
    return {
      id: `peer${index}`,
      rttMs: integerFrom(random, 2, 250),
      rateBytesPerMs: oneOf(random, [50, 300, 1_250, 5_000, 25_000]),
      holds: Array.from({ length: pieceCount }, (_, piece) => piece).filter(() => random() < share),
      ...change(random),
    };
  });
}

const anyOrigin = (random: () => number): OriginSpec => ({
  rateBytesPerMs: oneOf(random, [125, 1_250, 6_000]),
  firstByteMs: integerFrom(random, 10, 400),
});

/** A world in which everything that can happen does. */
function anyWorld(seed: number): WorldSpec {
  const random = seeded(seed);
  const pieceCount = integerFrom(random, 1, 150);
  const requests = Array.from({ length: integerFrom(random, 1, 3) }, (_, index) => {
    const from = integerFrom(random, 0, pieceCount - 1);
    const openMs = integerFrom(random, 0, 1_500);
    return {
      id: index + 1,
      assetId: oneOf(random, ["asset", "other"]),
      from,
      to: integerFrom(random, from + 1, pieceCount),
      openMs,
      deadlineMs: openMs + integerFrom(random, 0, 20_000),
      patientUntilMs: openMs + integerFrom(random, 0, 1_000),
      takeMsPerPiece: oneOf(random, [0, 0, 5, 40]),
      ...(random() < 0.15 && { cancelMs: openMs + integerFrom(random, 0, 2_000) }),
    };
  });
  return {
    ...{ seed, pieceCount, requests },
    peers: anyPeers(random, integerFrom(random, 0, 6), pieceCount, () => ({
      manner: oneOf(random, ["honest", "honest", "honest", "silent", "corrupt", "absent", "busy"]),
      busyShare: oneOf(random, [0, 0, 0.3]),
      joinMs: oneOf(random, [0, 0, integerFrom(random, 0, 3_000)]),
      ...(random() < 0.3 && { leaveMs: integerFrom(random, 100, 5_000) }),
    })),
    origin: { ...anyOrigin(random), failures: oneOf(random, [0, 0, 0, 1, 2, 99]) },
    hopefulUntilMs: integerFrom(random, 0, 2_000),
  };
}

describe("planner in its world", () => {
  it("Planner keeps every promise in every world", () => {
    const ends = new Map<string, number>();
    for (const seed of SEEDS) {
      const { violations, requests } = runWorld(anyWorld(seed));
      expect(violations, `seed ${seed}`).to.deep.equal([]);
      for (const { how } of requests.values()) ends.set(how, (ends.get(how) ?? 0) + 1);
    }
    expect(ends.get("complete"), "most requests complete").to.be.above(SEEDS.length);
    expect(ends.get("failed"), "the worlds are bad enough").to.be.above(5);
    expect(ends.get("cancelled"), "pages go away").to.be.above(5);
  });

  it("Planner completes every request while the origin works", () => {
    for (const seed of SEEDS) {
      const world = anyWorld(seed);
      const { requests } = runWorld({ ...world, origin: { ...world.origin, failures: 0 } });
      for (const [id, { how }] of requests) {
        expect(how, `seed ${seed}, request ${id}`).to.be.oneOf(["complete", "cancelled"]);
      }
    }
  });

  it("Planner gives the same commands for the same seed", () => {
    for (const seed of SEEDS.slice(0, 50)) {
      expect(runWorld(anyWorld(seed)).log, `seed ${seed}`).to.deep.equal(
        runWorld(anyWorld(seed)).log,
      );
    }
  });

  it("Planner loses no more than one time-out to peers that are silent, lie or are busy", () => {
    for (const seed of SEEDS) {
      const random = seeded(seed);
      const pieceCount = integerFrom(random, 1, LOOK_AHEAD_PIECES);
      const origin = anyOrigin(random);
      const aloneMs = originMs(origin, pieceCount);
      const manners = ["silent", "corrupt", "absent", "busy"] as const;
      const peers = anyPeers(random, integerFrom(random, 1, 8), pieceCount, () => ({
        manner: oneOf(random, manners),
      }));
      const { requests, meshPieces } = runWorld({
        ...{ seed, pieceCount, peers, origin },
        requests: [{ id: 1, from: 0, to: pieceCount, deadlineMs: originMs(ASSUMED, pieceCount) }],
      });
      expect(meshPieces).to.equal(0);
      expect(requests.get(1)?.how, `seed ${seed}`).to.equal("complete");
      expect(requests.get(1)?.atMs, `seed ${seed}`).to.be.at.most(aloneMs + ASK_TIMEOUT_MS);
    }
  });

  it("Planner has ordered everything within 250 ms where all that hold it stall (fault row 3)", () => {
    const pieceCount = 16;
    for (const manners of [["silent"], ["silent", "silent"], ["absent", "silent"]] as const) {
      for (const rttMs of [2, 20, 60]) {
        const { log, requests } = runWorld({
          ...{ seed: 1, pieceCount, origin: ASSUMED },
          peers: manners.map((manner, index) => ({
            ...{ id: `${index}`, manner, rttMs, rateBytesPerMs: 5_000 },
          })),
          requests: [
            { id: 1, from: 0, to: pieceCount, deadlineMs: originMs(ASSUMED, pieceCount) + 200 },
          ],
        });
        const orders = log.filter(({ command }) => command.type === "fetch");
        const what = `${manners.join()} at ${rttMs} ms`;
        expect(orders.at(-1)?.atMs, what).to.be.at.most(250);
        expect(requests.get(1)?.atMs, what).to.be.at.most(originMs(ASSUMED, pieceCount) + 250);
      }
    }
  });

  it("Planner is in time where many that were fast are busy with others: it believes what comes", () => {
    const openMs = 10_000;
    for (const pieceCount of [48, LOOK_AHEAD_PIECES]) {
      for (const busyShare of [0.8, 0.9, 0.97]) {
        for (const count of [6, 12, 20]) {
          const deadlineMs = 1.3 * originMs(ASSUMED, pieceCount);
          const { requests } = runWorld({
            ...{ seed: 1, pieceCount, origin: ASSUMED },
            peers: Array.from({ length: count }, (_, index) => ({
              ...{ id: `${index}`, rttMs: 20, rateBytesPerMs: 10_000 },
              crowdedMs: { fromMs: openMs, busyShare },
            })),
            requests: [
              { id: 1, assetId: "before", from: 0, to: pieceCount, deadlineMs },
              { ...{ id: 2, from: 0, to: pieceCount, openMs }, deadlineMs: openMs + deadlineMs },
            ],
          });
          const what = `${pieceCount} pieces, ${count} peers, ${busyShare}`;
          expect(requests.get(1)?.atMs, what).to.be.below(deadlineMs / 3);
          expect(requests.get(2)?.atMs, what).to.be.at.most(openMs + deadlineMs + 100);
        }
      }
    }
  });

  it("Planner takes a page that reads slowly for no reason to order from the origin", () => {
    for (const takeMsPerPiece of [20, 200, 700]) {
      const pieceCount = 2 * LOOK_AHEAD_PIECES;
      const { log } = runWorld({
        ...{ seed: 1, pieceCount, origin: ASSUMED },
        peers: ["a", "b"].map((id) => ({ id, rttMs: 20, rateBytesPerMs: 5_000 })),
        requests: [
          {
            id: 1,
            from: 0,
            to: pieceCount,
            takeMsPerPiece,
            deadlineMs: originMs(ASSUMED, pieceCount),
          },
        ],
      });
      const orders = log.filter(({ command }) => command.type === "fetch");
      expect(orders, `${takeMsPerPiece} ms`).to.deep.equal([]);
    }
  });

  it("Planner does not count on a stalled peer again before something comes of it", () => {
    const pieceCount = 16;
    const aloneMs = originMs(ASSUMED, pieceCount);
    const opens = [0, 1_000, 2_000, 3_000, 4_000];
    const { requests } = runWorld({
      ...{ seed: 1, pieceCount, origin: ASSUMED },
      peers: [{ id: "a", rttMs: 4, rateBytesPerMs: 10_000, stallMs: [1_040, 2_800] }],
      requests: opens.map((openMs, id) => ({
        ...{ id, assetId: `${id}`, from: 0, to: pieceCount, openMs },
        deadlineMs: openMs + aloneMs,
      })),
    });
    const tookMs = opens.map((openMs, id) => (requests.get(id)?.atMs ?? 0) - openMs);
    const [fast, stalled, distrusted, , recovered] = tookMs;
    expect(fast).to.be.below(aloneMs / 2);
    // The silence has to be noticed once.
    expect(stalled).to.be.at.most(aloneMs + 200);
    expect(distrusted, "as if nobody were there").to.be.at.most(aloneMs + 1);
    expect(recovered).to.be.below(aloneMs / 2);
  });

  it("Planner leaves the origin alone when fast peers hold everything and time is ample", () => {
    for (const seed of SEEDS) {
      const random = seeded(seed);
      const pieceCount = integerFrom(random, 1, 150);
      const peers = anyPeers(random, integerFrom(random, 2, 8), pieceCount, () => ({
        holds: Array.from({ length: pieceCount }, (_, piece) => piece),
        rateBytesPerMs: oneOf(random, [5_000, 25_000]),
        rttMs: integerFrom(random, 1, 80),
      }));
      const { log, meshPieces } = runWorld({
        ...{ seed, pieceCount, peers, origin: anyOrigin(random) },
        requests: [{ id: 1, from: 0, to: pieceCount, deadlineMs: FAR_MS }],
      });
      expect(meshPieces, `seed ${seed}`).to.equal(pieceCount);
      expect(log.filter(({ command }) => command.type === "fetch")).to.deep.equal([]);
    }
  });

  it("Planner drops a peer at its first corrupt piece, whatever else it holds", () => {
    for (const seed of SEEDS.slice(0, 100)) {
      const random = seeded(seed);
      const peers: PeerSpec[] = [
        { id: "liar", rttMs: 10, rateBytesPerMs: 20_000, manner: "corrupt" },
        { id: "honest", rttMs: integerFrom(random, 10, 200), rateBytesPerMs: 5_000 },
      ];
      const { log, violations } = runWorld({
        ...{ seed, pieceCount: 40, peers, origin: anyOrigin(random) },
        requests: [{ id: 1, from: 0, to: 40, deadlineMs: FAR_MS }],
      });
      expect(violations).to.deep.equal([]);
      const drops = log.flatMap(({ command }) => (command.type === "drop" ? [command] : []));
      expect(drops).to.deep.equal([{ type: "drop", peerId: "liar", reason: "corrupt" }]);
    }
  });

  it("Planner gives a link up after four stalls in a row", () => {
    const { log } = runWorld({
      ...{ seed: 1, pieceCount: 4 },
      origin: { rateBytesPerMs: 1, firstByteMs: 10_000 },
      peers: [{ id: "mute", rttMs: 10, rateBytesPerMs: 1_000, manner: "silent" }],
      requests: [{ id: 1, from: 0, to: 4, deadlineMs: FAR_MS }],
    });
    const types = log.map(({ command }) => command.type);
    expect(log.filter(({ command }) => command.type === "drop").map((l) => l.command)).to.eql([
      { type: "drop", peerId: "mute", reason: "stalled" },
    ]);
    expect(
      types.slice(0, types.indexOf("drop")).filter((t) => t === "cancel").length,
    ).to.be.at.least(4);
  });
});
