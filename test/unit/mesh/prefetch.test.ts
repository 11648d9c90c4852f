import { expect } from "chai";
import { PieceSet } from "../../../src/core/piece-set.js";
import type { Command } from "../../../src/engine/planning/command.js";
import { Planner } from "../../../src/engine/planning/planner.js";
import type { PlaybackState } from "../../../src/engine/playback/deadline.js";
import type { PieceLibrary } from "../../../src/mesh/delivery/piece-library.js";
import { Prefetch } from "../../../src/mesh/playback/prefetch.js";
import type { Trust } from "../../../src/mesh/trust/trust.js";
import { PIECE_BYTES } from "../../../src/protocol/limits.js";
import type { DeliveryMessage } from "../../../src/protocol/worker-messages.js";
import { withFakeTimers } from "../../support/fake-timers.js";

const PIECES = 3;
const PLAYING: PlaybackState = { aheadS: 20, rate: 1, paused: false, hidden: false };

/** A film of ten segments; a peer holds all of them, and the first five are attested. */
async function watching(
  action: (world: {
    planner: Planner;
    have: (segment: number) => PieceSet;
    prefetch: Prefetch;
    commands: Command[];
    asked: () => string[];
    questions: string[];
    advance: (ms: number) => Promise<void>;
    state: {
      playback: PlaybackState | undefined;
      allowed: boolean;
      idle: boolean;
      passing: boolean;
      playlistRead: boolean;
    };
    /** The worker's ends, one for each URL that is read ahead. */
    ahead: { url: string; orders: unknown[]; answer: (message: DeliveryMessage) => void }[];
    stop: () => void;
  }) => Promise<void>,
  { answers = false } = {},
): Promise<void> {
  await withFakeTimers(async (timers) => {
    const planner = new Planner({ random: () => 0.5, hopeful: () => false });
    planner.addPeer("peer", 10);
    const held = new PieceSet(PIECES);
    held.addRange(0, PIECES);
    const assets = new Map(
      Array.from({ length: 10 }, (_, i) => [
        `film/${i}`,
        { assetId: `asset ${i}`, windows: new Map(i < 5 ? [[0, {}]] : []) },
      ]),
    );
    for (const { assetId } of assets.values()) planner.setHoldings("peer", assetId, held, 0);
    const have = new Map<string, PieceSet>();
    const haveOf = (assetId: string) => {
      const set = have.get(assetId) ?? new PieceSet(PIECES);
      have.set(assetId, set);
      return set;
    };
    const commands: Command[] = [];
    const questions: string[] = [];
    const state = {
      ...{ playback: PLAYING as PlaybackState | undefined, allowed: true },
      ...{ idle: true, passing: false, playlistRead: true },
    };
    const ahead: { url: string; orders: unknown[]; answer: (message: DeliveryMessage) => void }[] =
      [];
    const lifetime = new AbortController();
    const run = (list: readonly Command[]) => {
      commands.push(...list);
      for (const command of list) if (command.type === "fetch") prefetch.fetch(command);
      for (const command of list) if (command.type === "ask" && answers) answer(command);
    };
    const answer = ({ peerId, askId, assetId, piece }: Extract<Command, { type: "ask" }>) =>
      setTimeout(() => {
        have.get(assetId)?.add(piece);
        run(planner.pieceArrived(peerId, askId, PIECE_BYTES, timers.nowMs));
      }, 20);
    let lastId = 0;
    const exchange = {
      ...{ run, learned: () => undefined },
      get idle() {
        return state.idle;
      },
      get passing() {
        return state.passing;
      },
    };
    const prefetch: Prefetch = new Prefetch(
      {
        planner,
        trust: {
          refused: () => false,
          find: (url: string) => assets.get(url),
        } as unknown as Trust,
        library: {
          have: ({ assetId }: { assetId: string }) => haveOf(assetId),
        } as unknown as PieceLibrary,
        now: () => timers.nowMs,
        nextId: () => ++lastId,
        exchange,
        stripParams: [],
        openAhead: ({ url }) => {
          const orders: unknown[] = [];
          const port = {
            postMessage: (order: unknown) => orders.push(order),
            close: () => undefined,
          };
          const answer = (data: DeliveryMessage) =>
            (port as unknown as MessagePort).onmessage?.({ data } as MessageEvent);
          ahead.push({ url, orders, answer });
          return port as unknown as MessagePort;
        },
        attest: async (url) => void questions.push(url),
        upcoming: (url, count) => {
          if (!state.playlistRead) return [];
          const at = Number(url.split("/")[1]) + 1;
          return [...assets.keys()].slice(at, at + count);
        },
        playbackOf: () => state.playback,
        allowed: () => state.allowed,
        onError: (error) => expect.fail(String(error)),
      },
      lifetime.signal,
    );
    // As the exchange does while the planner has requests.
    const ticker = setInterval(() => run(planner.tick(timers.nowMs)), 50);
    lifetime.signal.addEventListener("abort", () => clearInterval(ticker));
    const asked = () => [
      ...new Set(commands.flatMap((c) => (c.type === "ask" ? [c.assetId] : []))),
    ];
    const stop = () => lifetime.abort();
    const { advance } = timers;
    const world = { planner, prefetch, commands, asked, questions, advance, state, ahead };
    await action({ ...world, have: (segment) => haveOf(`asset ${segment}`), stop });
    stop();
    expect(timers.pending, "timers after the end").to.equal(0);
  });
}

describe("prefetch", () => {
  it("Prefetch brings the next two segments from peers, and never orders anything of the origin", () =>
    watching(
      async ({ prefetch, commands, asked, advance }) => {
        prefetch.asked("page", "film/1");
        await advance(1_000);
        expect(asked()).to.deep.equal(["asset 2", "asset 3"]);
        expect(new Set(commands.map(({ type }) => type))).to.deep.equal(new Set(["ask"]));
      },
      { answers: true },
    ));

  it("Prefetch knows what follows a segment that was asked for before its playlist was read", () =>
    watching(
      async ({ prefetch, asked, advance, state }) => {
        state.playlistRead = false;
        prefetch.asked("page", "film/3");
        prefetch.asked("page", "film/1");
        await advance(1_000);
        expect(asked()).to.deep.equal([]);
        state.playlistRead = true;
        prefetch.learned();
        await advance(1_000);
        expect(asked()).to.deep.equal(["asset 2", "asset 3"]);
        prefetch.asked("page", "film/2");
        prefetch.learned(); // a live playlist is read again and again: the page has moved on
        await advance(1_000);
        expect(asked()).to.deep.equal(["asset 2", "asset 3", "asset 4"]);
      },
      { answers: true },
    ));

  it("Prefetch has what comes next attested, once", () =>
    watching(async ({ prefetch, asked, questions, advance }) => {
      prefetch.asked("page", "film/5");
      await advance(2_000);
      expect(questions).to.deep.equal(["film/6", "film/7"]);
      expect(asked()).to.deep.equal([]);
    }));

  it("Prefetch waits while the player has little, pauses, hides, or is out of sight", () =>
    watching(async ({ prefetch, asked, questions, advance, state }) => {
      prefetch.asked("page", "film/1");
      for (const playback of [
        { ...PLAYING, aheadS: 7 },
        { ...PLAYING, aheadS: 14, rate: 2 },
        { ...PLAYING, paused: true },
        { ...PLAYING, hidden: true },
        undefined,
      ]) {
        state.playback = playback;
        await advance(500);
        expect([...asked(), ...questions], JSON.stringify(playback)).to.deep.equal([]);
      }
    }));

  /** Behind an origin that everybody waits for, short of what the peer does not hold. */
  const short = (world: { planner: Planner; state: { playback: PlaybackState | undefined } }) => {
    world.planner.origin.sampleRate(PIECE_BYTES, 2_000);
    world.planner.election.members = []; // nobody else's turn comes before this viewer's
    for (let i = 0; i < 10; i++) world.planner.setHoldings("peer", `asset ${i}`, undefined, 0);
    world.state.playback = { ...PLAYING, aheadS: 2 };
  };

  it("Prefetch has the next segment read over the idle line of a slow origin, for a player that is short", () =>
    watching(async (world) => {
      short(world);
      const { prefetch, asked, advance, ahead } = world;
      prefetch.asked("page", "film/1");
      await advance(3_000);
      expect(ahead.map(({ url }) => url)).to.deep.equal(["film/2"]);
      const all = { type: "fetch", from: 0, to: PIECES };
      expect(ahead[0]?.orders).to.deep.equal([all]);
      expect(asked()).to.deep.equal([]);
      prefetch.asked("page", "film/7");
      expect(ahead[0]?.orders, "what is on its way comes").to.deep.equal([all]);
      ahead[0]?.answer({ type: "origin-end", outcome: "complete" });
      expect(ahead[0]?.orders).to.deep.equal([all, { type: "end" }]);
    }));

  it("Prefetch reads ahead what is this viewer's own to fetch, and leaves the rest to its neighbours", () =>
    watching(async (world) => {
      short(world);
      const { planner, prefetch, advance, ahead } = world;
      planner.election.selfId = "me";
      planner.election.members = ["peer", "another"];
      for (let segment = 0; segment < 4; segment++) {
        prefetch.asked("page", `film/${segment}`);
        await advance(3_000);
      }
      const isOwn = (segment: string, piece: number) =>
        planner.election.rankOf(`asset ${segment.split("/")[1]}`, piece) === 0;
      const own = ahead.flatMap(({ url }) =>
        [...Array(PIECES).keys()].filter((piece) => isOwn(url, piece)).map((piece) => [url, piece]),
      );
      const ordered = ahead.flatMap(({ url, orders }) =>
        (orders as { type: string; from: number; to: number }[])
          .filter(({ type }) => type === "fetch")
          .flatMap(({ from, to }) => [...Array(to - from).keys()].map((at) => [url, from + at])),
      );
      expect(own.length).to.be.within(1, 4 * PIECES - 1);
      expect(ordered).to.deep.equal(own);
    }));

  it("Prefetch asks a slow origin for nothing that a page's own requests, or its speed, forbid", () =>
    watching(async (world) => {
      short(world);
      const { planner, prefetch, have, advance, ahead, state } = world;
      prefetch.asked("page", "film/1");
      state.passing = true; // a body passes through, of unknown need
      await advance(1_000);
      expect(ahead).to.deep.equal([]);
      state.passing = false;
      state.idle = false;
      const asked = { id: 99, assetId: "asset 1", pieceCount: PIECES, pieces: { from: 0, to: 3 } };
      const times = { deadlineMs: 9_000, attestedTo: 3, patientUntilMs: 0 };
      planner.open({ ...asked, ...times }, have(1), 0);
      await advance(3_000);
      expect(ahead[0]?.orders, "the page's own pieces come first").to.deep.equal([]);
      have(1).addRange(0, 2);
      for (const piece of [0, 1]) planner.originArrived(99, piece, PIECE_BYTES, 4_000);
      await advance(1_000);
      expect(ahead[0]?.orders, "one piece is left: the line is idle soon").to.have.length(1);
      ahead[0]?.answer({ type: "origin-end", outcome: "complete" });
      planner.close(99);
    }));

  it("Prefetch leaves a fast origin alone, and one that refuses what pages get", () =>
    watching(async (world) => {
      short(world);
      const { planner, prefetch, advance, ahead } = world;
      for (let i = 0; i < 50; i++) planner.origin.sampleRate(PIECE_BYTES, 10);
      prefetch.asked("page", "film/1");
      await advance(2_000);
      expect(ahead).to.deep.equal([]);
      for (let i = 0; i < 50; i++) planner.origin.sampleRate(PIECE_BYTES, 2_000);
      await advance(1_000);
      ahead[0]?.answer({ type: "origin-end", outcome: "failed" });
      expect(ahead[0]?.orders.at(-1)).to.deep.equal({ type: "end" });
      await advance(5_000);
      prefetch.asked("page", "film/2");
      await advance(2_000);
      expect(ahead).to.have.length(1);
    }));

  it("What is read ahead is not ordered again by the page's own request", () =>
    watching(async (world) => {
      short(world);
      const { planner, prefetch, have, advance, ahead } = world;
      prefetch.asked("page", "film/1");
      await advance(3_000);
      prefetch.asked("page", "film/2");
      const asked = { id: 99, assetId: "asset 2", pieceCount: PIECES, pieces: { from: 0, to: 3 } };
      const times = { deadlineMs: 3_000, attestedTo: 3, patientUntilMs: 0 };
      expect(planner.open({ ...asked, ...times }, have(2), 3_000)).to.deep.equal([]);
      expect(planner.owed(99)).to.deep.equal([{ from: 0, to: PIECES }]);
      await advance(100);
      world.commands.length = 0;
      ahead[0]?.answer({ type: "origin-end", outcome: "complete" });
      await advance(500);
      const fetches = world.commands.filter(({ type }) => type === "fetch");
      expect(fetches, "what it did not bring is the page's to order").to.deep.equal([
        { type: "fetch", requestId: 99, from: 0, to: PIECES },
      ]);
      planner.close(99);
    }));

  it("Prefetch gives the line back at once when a page asks for something else", () =>
    watching(async ({ prefetch, commands, advance }) => {
      prefetch.asked("page", "film/1");
      await advance(200);
      const asks = commands.filter(({ type }) => type === "ask").length;
      expect(asks).to.be.above(0);
      prefetch.asked("page", "film/9");
      expect(commands.filter(({ type }) => type === "cancel")).to.have.length(asks);
    }));

  it("Prefetch lets go when something else is under way or is not wanted any more", () =>
    watching(async ({ prefetch, commands, asked, advance, state }) => {
      prefetch.asked("page", "film/1");
      await advance(200);
      state.allowed = false;
      await advance(200);
      const asks = commands.filter(({ type }) => type === "ask").length;
      expect(commands.filter(({ type }) => type === "cancel")).to.have.length(asks);
      await advance(40_000); // nobody asked for long: it has forgotten
      state.allowed = true;
      commands.length = 0;
      await advance(1_000);
      expect(asked()).to.deep.equal([]);
    }));
});
