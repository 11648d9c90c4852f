import { expect } from "chai";
import { PieceSet } from "../../../src/core/piece-set.js";
import type { Command } from "../../../src/engine/planning/command.js";
import { Planner } from "../../../src/engine/planning/planner.js";
import type { PlaybackState } from "../../../src/engine/playback/deadline.js";
import type { PieceLibrary } from "../../../src/mesh/delivery/piece-library.js";
import { Prefetch } from "../../../src/mesh/playback/prefetch.js";
import type { Trust } from "../../../src/mesh/trust/trust.js";
import { PIECE_BYTES } from "../../../src/protocol/limits.js";
import { withFakeTimers } from "../../support/fake-timers.js";

const PIECES = 3;
const PLAYING: PlaybackState = { aheadS: 20, rate: 1, paused: false, hidden: false };

/** A film of ten segments; a peer holds all of them, and the first five are attested. */
async function watching(
  action: (world: {
    prefetch: Prefetch;
    commands: Command[];
    asked: () => string[];
    questions: string[];
    advance: (ms: number) => Promise<void>;
    state: { playback: PlaybackState | undefined; allowed: boolean };
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
    const commands: Command[] = [];
    const questions: string[] = [];
    const state = { playback: PLAYING as PlaybackState | undefined, allowed: true };
    const lifetime = new AbortController();
    const run = (list: readonly Command[]) => {
      commands.push(...list);
      for (const command of list) if (command.type === "ask" && answers) answer(command);
    };
    const answer = ({ peerId, askId, assetId, piece }: Extract<Command, { type: "ask" }>) =>
      setTimeout(() => {
        have.get(assetId)?.add(piece);
        run(planner.pieceArrived(peerId, askId, PIECE_BYTES, timers.nowMs));
      }, 20);
    let lastId = 0;
    const prefetch = new Prefetch(
      {
        planner,
        trust: {
          refused: () => false,
          find: (url: string) => assets.get(url),
        } as unknown as Trust,
        library: {
          have: ({ assetId }: { assetId: string }) => {
            const set = have.get(assetId) ?? new PieceSet(PIECES);
            have.set(assetId, set);
            return set;
          },
        } as unknown as PieceLibrary,
        now: () => timers.nowMs,
        nextId: () => ++lastId,
        run,
        attest: async (url) => void questions.push(url),
        upcoming: (url, count) => {
          const at = Number(url.split("/")[1]) + 1;
          return [...assets.keys()].slice(at, at + count);
        },
        playbackOf: () => state.playback,
        allowed: () => state.allowed,
        onError: (error) => expect.fail(String(error)),
      },
      lifetime.signal,
    );
    const asked = () => [
      ...new Set(commands.flatMap((c) => (c.type === "ask" ? [c.assetId] : []))),
    ];
    const stop = () => lifetime.abort();
    await action({ prefetch, commands, asked, questions, advance: timers.advance, state, stop });
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
