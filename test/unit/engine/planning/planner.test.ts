import { expect } from "chai";
import { PieceSet } from "../../../../src/core/piece-set.js";
import { Election } from "../../../../src/engine/origin/election.js";
import type { Command } from "../../../../src/engine/planning/command.js";
import { Planner } from "../../../../src/engine/planning/planner.js";
import {
  LOOK_AHEAD_PIECES,
  type PlannedRequest,
} from "../../../../src/engine/planning/request-state.js";
import { PIECE_BYTES } from "../../../../src/protocol/limits.js";

const FAR_MS = 60_000;
const COUNT = 200;

/** A planner whose random number is always a half, and verbs for what happens to it. */
function setUp({ hopeful = () => false }: { hopeful?: () => boolean } = {}) {
  const planner = new Planner({ random: () => 0.5, hopeful });
  const have = new PieceSet(COUNT);
  const link = (peerId: string, pieces: readonly number[] | "all" = "all", rttMs = 20) => {
    const held = new PieceSet(COUNT);
    for (const piece of pieces === "all" ? Array(COUNT).keys() : pieces) held.add(piece);
    planner.addPeer(peerId, rttMs);
    return planner.setHoldings(peerId, "asset", held, 0);
  };
  const open = (request: Partial<PlannedRequest> = {}, nowMs = 0) =>
    planner.open(
      {
        ...{ id: 1, assetId: "asset", pieceCount: COUNT, pieces: { from: 0, to: 10 } },
        ...{ deadlineMs: FAR_MS, attestedTo: COUNT, patientUntilMs: 0, ...request },
      },
      have,
      nowMs,
    );
  /** Gives the peer a measured rate by one request that it answers alone. */
  const measure = (peerId: string, rateBytesPerMs: number) => {
    const [ask] = asksOf(open({ id: 99, pieces: { from: COUNT - 1, to: COUNT } }));
    expect(ask?.peerId).to.equal(peerId);
    const arrivedMs = PIECE_BYTES / rateBytesPerMs;
    have.add(COUNT - 1);
    planner.pieceArrived(peerId, ask?.askId ?? 0, PIECE_BYTES, arrivedMs);
    planner.close(99);
    return arrivedMs;
  };
  return { planner, have, link, open, measure };
}

const asksOf = (commands: readonly Command[]) =>
  commands.flatMap((command) => (command.type === "ask" ? [command] : []));
/** Time passes as in a page that is awake. */
function ticks(planner: Planner, fromMs: number, toMs: number): Command[] {
  const commands: Command[] = [];
  for (let nowMs = fromMs; nowMs < toMs; nowMs += 100) commands.push(...planner.tick(nowMs));
  return [...commands, ...planner.tick(toMs)];
}
const fetchesOf = (commands: readonly Command[]) =>
  commands.flatMap((command) => (command.type === "fetch" ? [command] : []));

describe("planner", () => {
  it("Planner asks the peer that would finish first (rule 1)", () => {
    const { link, open } = setUp();
    link("far", "all", 200);
    link("near", "all", 10);
    const asks = asksOf(open({ pieces: { from: 0, to: 1 } }));
    expect(asks.map(({ peerId, piece }) => [peerId, piece])).to.deep.equal([["near", 0]]);
  });

  it("Planner counts what a peer was already asked for (rule 1)", () => {
    const { link, open } = setUp();
    link("a", "all", 20);
    link("b", "all", 21);
    const asks = asksOf(open({ pieces: { from: 0, to: 4 } }));
    expect(asks.map(({ peerId }) => peerId)).to.deep.equal(["a", "b", "a", "b"]);
  });

  it("Planner starts with two pieces a link and goes on as they arrive (rule 1)", () => {
    const { planner, have, link, open } = setUp();
    link("a");
    const first = asksOf(open());
    expect(first.map(({ piece }) => piece)).to.deep.equal([0, 1]);
    have.add(0);
    const next = asksOf(planner.pieceArrived("a", first[0]?.askId ?? 0, PIECE_BYTES, 30));
    expect(next.map(({ piece }) => piece)).to.deep.equal([2, 3]);
  });

  it("Planner orders what nobody holds from the origin, in runs (rule 2)", () => {
    const { link, open } = setUp();
    link("a", [2, 3]);
    const commands = open({ pieces: { from: 0, to: 6 }, deadlineMs: 340 });
    expect(fetchesOf(commands)).to.deep.equal([
      { type: "fetch", requestId: 1, from: 0, to: 2 },
      { type: "fetch", requestId: 1, from: 4, to: 6 },
    ]);
    expect(asksOf(commands).map(({ piece }) => piece)).to.deep.equal([2, 3]);
  });

  it("Planner plans anew as the page goes on only where that brings pieces into reach", () => {
    const { planner, link, open } = setUp({ hopeful: () => true });
    open({ pieces: { from: 0, to: 10 }, patientUntilMs: 500 });
    expect(planner.advance(1, 5, 600), "all were in reach before").to.be.empty;
    expect(fetchesOf(planner.tick(600))).not.to.be.empty;
    planner.close(1);
    open({ id: 2, pieces: { from: 0, to: LOOK_AHEAD_PIECES + 10 }, patientUntilMs: FAR_MS }, 600);
    link("a", [LOOK_AHEAD_PIECES + 7]);
    const [ask] = asksOf(planner.advance(2, 8, 610));
    expect(ask?.piece).to.equal(LOOK_AHEAD_PIECES + 7);
  });

  it("Planner takes a peer for its id until the link ends, and not beyond", () => {
    const { planner, open } = setUp();
    const held = { pieceCount: COUNT, from: 0, bits: Uint8Array.of(0x80) };
    const before = planner.addPeer("a", 20);
    planner.removePeer("a", 0);
    const peer = planner.addPeer("a", 20);
    open({ pieces: { from: 0, to: 1 }, patientUntilMs: FAR_MS });
    expect(planner.addHoldings(before, "asset", held, 0)).to.be.empty;
    expect(planner.holdingsOf("a", "asset")).to.equal(undefined);
    const asks = asksOf(planner.addHoldings(peer, "asset", held, 0));
    expect(asks.map(({ peerId, piece }) => [peerId, piece])).to.deep.equal([["a", 0]]);
    expect(planner.holdingsOf(peer, "asset")?.size).to.equal(1);
  });

  it("Planner forgets what peers hold of an asset that is over, unless it is requested", () => {
    const { planner, link, open } = setUp();
    link("a");
    open();
    planner.forget("asset");
    expect(planner.holdingsOf("a", "asset")?.complete).to.equal(true);
    planner.close(1);
    planner.forget("asset");
    expect(planner.holdingsOf("a", "asset")).to.equal(undefined);
    expect(planner.heldByPeers("asset", { from: 0, to: 1 })).to.equal(false);
    const held = { pieceCount: COUNT, from: 0, bits: Uint8Array.of(0x80) };
    planner.addHoldings("a", "asset", held, 0);
    expect(planner.holdingsOf("a", "asset")?.size, "told again").to.equal(1);
  });

  it("Planner says what it fetches, and leaves to a neighbour what that one fetches (rule 2)", () => {
    const { planner, link, open } = setUp();
    link("b", []);
    const claim = { assetId: "asset", hops: 4 };
    planner.claimed("b", { ...claim, from: 0, to: 4 }, 0);
    planner.claimed("nobody", { ...claim, from: 4, to: 8 }, 0);
    const commands = [open({ pieces: { from: 0, to: 8 } }), ticks(planner, 0, 1_999)].flat();
    expect(fetchesOf(commands)).to.deep.equal([{ type: "fetch", requestId: 1, from: 4, to: 8 }]);
    const claims = commands.filter(({ type }) => type === "claim");
    expect(claims).to.deep.equal([{ type: "claim", assetId: "asset", from: 4, to: 8, hops: 4 }]);
    // The lease ends; in doubt for a while, and one more step if the other ranks first.
    expect(fetchesOf(ticks(planner, 2_000, 2_000 + 1_500 + 300))).to.deep.equal([
      { type: "fetch", requestId: 1, from: 0, to: 4 },
    ]);
  });

  it("Planner trusts what is passed on for less long, and not for the bearer's progress (rule 2)", () => {
    const { planner, link, open } = setUp();
    link("b", []);
    planner.claimed("b", { assetId: "asset", hops: 3, from: 0, to: 4 }, 0);
    expect(fetchesOf(open({ pieces: { from: 0, to: 4 } }))).to.be.empty;
    expect(fetchesOf(ticks(planner, 0, 1_000))).to.be.empty;
    planner.addHoldings("b", "asset", { pieceCount: 8, from: 0, bits: Uint8Array.of(1) }, 1_000);
    expect(fetchesOf(ticks(planner, 1_000, 1_199))).to.be.empty;
    expect(fetchesOf(ticks(planner, 1_200, 1_200 + 1_500 + 300))).to.have.length(1);
  });

  it("Planner that was not run for a while reads what was said before it takes its turn (rule 2)", () => {
    const { planner, link, open } = setUp();
    planner.election.selfId = "self";
    link("b", []);
    planner.election.members = ["b", "c", "d"];
    const ranks = new Election(() => []);
    ranks.selfId = "self";
    ranks.members = ["b", "c", "d"];
    const stripe = [...Array(16).keys()].find((s) => ranks.rankOf("asset", 4 * s) > 1) ?? 0;
    const range = { from: 4 * stripe, to: 4 * stripe + 4 };
    expect(fetchesOf(open({ pieces: range, deadlineMs: 10_000 }))).to.be.empty;
    expect(fetchesOf(planner.tick(1_500)), "b's claim waits to be read").to.be.empty;
    planner.claimed("b", { assetId: "asset", ...range, hops: 4 }, 1_500);
    expect(fetchesOf(ticks(planner, 1_550, 3_000))).to.be.empty;
  });

  it("Planner that was not run for a while does not blame its peers for it (rule 4)", () => {
    const { planner, link, open } = setUp();
    link("a");
    const [first] = asksOf(open());
    const cancels = (commands: readonly Command[]) =>
      commands.filter(({ type }) => type === "cancel");
    expect(planner.tick(5_000)).to.be.empty;
    expect(planner.askOf("a", first?.askId ?? 0), "what came meanwhile counts").to.be.an("object");
    expect(cancels(ticks(planner, 5_050, 5_350))).to.be.empty;
    expect(cancels(ticks(planner, 5_400, 6_000)), "nothing came").to.not.be.empty;
  });

  it("Planner lets others go first while its own uplink is slow (rule 2)", () => {
    const { planner, link, open } = setUp();
    planner.election.selfId = "self";
    link("b", []);
    planner.election.members = ["self", "b"];
    planner.election.uplinkBytesPerMs = 499;
    expect(fetchesOf(open({ pieces: { from: 0, to: 64 } }))).to.be.empty;
    planner.election.uplinkBytesPerMs = 500;
    expect(fetchesOf(ticks(planner, 1, 60))).to.not.be.empty;
  });

  it("Planner passes a claim on once, one hop less, in a clique and while it uploads", () => {
    const { planner, link } = setUp();
    for (const peer of ["b", "c"]) link(peer, []);
    const claim = { assetId: "asset", from: 0, to: 4, hops: 2 };
    expect(planner.claimed("b", claim, 0), "no clique").to.deep.equal([]);
    planner.election.members = ["b", "c", "d"];
    const other = { ...claim, from: 4, to: 8 };
    expect(planner.claimed("b", other, 0)).to.deep.equal([{ type: "claim", ...other, hops: 1 }]);
    expect(planner.claimed("c", { ...other, from: 5 }, 0), "no news").to.deep.equal([]);
    expect(planner.claimed("c", { ...claim, from: 8, to: 9, hops: 0 }, 0)).to.deep.equal([]);
    planner.election.serving = false;
    expect(planner.claimed("c", { ...claim, from: 9, to: 10 }, 0)).to.deep.equal([]);
    expect(planner.relay.claim("asset", claim), "nobody could get it from here").to.deep.equal([]);
  });

  it("Planner passes on no more than a burst of a flooder's claims", () => {
    const { planner, link } = setUp();
    link("flooder", []);
    planner.election.members = ["flooder"];
    const flood = (nowMs: number) =>
      Array.from({ length: 1_000 }, (_, at) =>
        planner.claimed("flooder", { assetId: `${nowMs} ${at}`, from: 0, to: 4, hops: 4 }, nowMs),
      ).flat().length;
    expect(flood(0)).to.equal(32);
    expect(flood(1_000)).to.equal(8);
  });

  it("Planner counts no more on a peer that lacks what it announced (B1)", () => {
    const { planner, link, open } = setUp();
    link("liar");
    const asks = asksOf(open({ pieces: { from: 0, to: 10 }, deadlineMs: 400 }));
    const refuse = (askId = 0) =>
      planner.pieceRefused("liar", askId, { busyMs: undefined, nowMs: 20 });
    refuse(asks[0]?.askId);
    const commands = refuse(asks[1]?.askId);
    expect(asksOf(commands), "nothing more is asked of it").to.deep.equal([]);
    const ordered = fetchesOf([...commands, ...planner.tick(60)]);
    expect(ordered.reduce((sum, { from, to }) => sum + to - from, 0)).to.be.above(5);
    const later = open({ id: 2, pieces: { from: 20, to: 30 } }, 2_100);
    expect(asksOf(later), "it gets another chance").to.have.length.above(0);
  });

  it("Planner ranks itself among the clique's members, linked or not", () => {
    const members = Array.from({ length: 9 }, (_, index) => `viewer-${index}`);
    const fetchers = members.filter((self) => {
      const { planner, link, open } = setUp();
      planner.election.selfId = self;
      planner.election.members = members;
      link("viewer-0", []);
      open({ pieces: { from: 0, to: 4 } });
      return fetchesOf(ticks(planner, 50, 60)).length > 0;
    });
    expect(fetchers, "one of them has rank 0").to.have.length(1);
  });

  it("Planner orders once neighbours could object, and of two in the same moment the lower rank does (rule 2)", () => {
    const members = ["b", "c"];
    const range = { from: 0, to: 4 };
    const outcomes = members.map((self) => {
      const other = members.find((member) => member !== self) ?? "";
      const { planner, link, open } = setUp();
      planner.election.selfId = self;
      planner.election.members = members;
      link(other, []);
      const commands = [open({ pieces: range }), ticks(planner, 0, 1_000)].flat();
      const told = commands.findIndex(({ type }) => type === "claim");
      const ordered = commands.findIndex(({ type }) => type === "fetch");
      expect(told, "it says so first").to.be.within(0, ordered - 1);

      const inDoubt = setUp();
      inDoubt.planner.election.selfId = self;
      inDoubt.planner.election.members = members;
      inDoubt.link(other, []);
      let nowMs = 0;
      let claims = inDoubt.open({ pieces: range });
      for (; claims.length === 0; nowMs += 50) claims = inDoubt.planner.tick(nowMs);
      expect(fetchesOf(claims)).to.be.empty;
      inDoubt.planner.claimed(other, { assetId: "asset", ...range, hops: 4 }, nowMs + 1);
      return fetchesOf(ticks(inDoubt.planner, nowMs + 2, nowMs + 1_500)).length;
    });
    expect(outcomes.sort(), "one of them").to.deep.equal([0, 1]);
  });

  it("Planner takes its turn anew for what a peer held and does not hold any more (rule 2)", () => {
    const { planner, link, open } = setUp();
    planner.election.selfId = "self";
    planner.election.members = ["b"];
    link("b", []);
    const range = { from: 0, to: 64 };
    expect(open({ pieces: range }).map(({ type }) => type)).to.include("claim");
    const everything = new PieceSet(COUNT);
    for (let piece = 0; piece < COUNT; piece++) everything.add(piece);
    planner.setHoldings("b", "asset", everything, 10);
    const told = planner.setHoldings("b", "asset", undefined, 100);
    expect(
      told.map(({ type }) => type),
      "it says so again first",
    ).to.include("claim");
    expect(fetchesOf(told)).to.be.empty;
    expect(fetchesOf(planner.tick(150))).to.not.be.empty;
  });

  it("Planner is not taken for a stream by who shares a slow origin, however much it orders (rule 2)", () => {
    const sampled = () => {
      const world = setUp();
      world.planner.election.selfId = "self";
      world.planner.origin.passed({ firstByteMs: 60, bytes: 2 ** 20, durationMs: 2 ** 20 / 100 });
      return world;
    };
    const fetcher = sampled();
    fetcher.link("b", []);
    fetcher.planner.election.members = ["b"];
    const commands = [
      fetcher.open({ pieces: { from: 0, to: 16 } }),
      ticks(fetcher.planner, 0, 3_000),
    ].flat();
    const claims = commands.flatMap((command) => (command.type === "claim" ? [command] : []));
    const claimed = new Set(
      claims.flatMap(({ from, to }) => [...Array(to - from).keys()].map((at) => from + at)),
    );
    expect(claimed.size, "all of it").to.equal(16);

    const neighbour = sampled();
    neighbour.link("self", []);
    neighbour.planner.election.members = ["self"];
    neighbour.planner.election.serving = false; // it comes after "self" in every election
    neighbour.open({ pieces: { from: 0, to: 16 }, tookOver: true });
    for (const claim of claims) neighbour.planner.claimed("self", claim, 0);
    expect(fetchesOf(ticks(neighbour.planner, 0, 1_500)), "it waits").to.be.empty;
  });

  it("Planner lets the line of a slow origin never idle, whoever ranks first (rule 2)", () => {
    const members = Array.from({ length: 9 }, (_, index) => `viewer-${index}`);
    /** When it has ordered two pieces, and what it has ordered half a second later. */
    const turns = (originBytesPerMs: number) =>
      members.map((self) => {
        const { planner, link, open } = setUp();
        planner.election.selfId = self;
        planner.election.members = members;
        link("viewer-0", []);
        planner.origin.passed({
          firstByteMs: 60,
          bytes: 2 ** 20,
          durationMs: 2 ** 20 / originBytesPerMs,
        });
        const of = (commands: Command[]) =>
          fetchesOf(commands).reduce((sum, { from, to }) => sum + to - from, 0);
        let [nowMs, pieces] = [0, of(open({ pieces: { from: 0, to: 16 } }))];
        for (; pieces < 2 && nowMs < 10_000; nowMs += 50) pieces += of(planner.tick(nowMs));
        const atMs = nowMs;
        for (; nowMs < atMs + 500; nowMs += 50) pieces += of(planner.tick(nowMs));
        return { atMs, pieces };
      });
    const slow = turns(100);
    for (const { atMs } of slow) expect(atMs, "a step is 50 ms").to.be.at.most(9 * 50);
    for (const { pieces } of slow) expect(pieces, "its line is busy").to.be.at.most(8);
    const fast = turns(2_500);
    expect(Math.max(...fast.map(({ atMs }) => atMs)), "another has time to share work").to.be.above(
      500,
    );
  });

  it("Planner's turn comes within two seconds, however many come before it", () => {
    const { planner, link, open } = setUp();
    planner.election.selfId = "me";
    planner.election.members = Array.from({ length: 40 }, (_, index) => `viewer-${index}`);
    link("viewer-0", []);
    const commands = [open({ pieces: { from: 0, to: 64 }, deadlineMs: 1e6 }), planner.tick(1_999)];
    const before = fetchesOf(commands.flat()).reduce((sum, { from, to }) => sum + to - from, 0);
    expect(before).to.be.below(32);
    const ordered = fetchesOf([planner.tick(2_000), planner.tick(2_050)].flat());
    const after = ordered.reduce((sum, { from, to }) => sum + to - from, 0);
    expect(before + after).to.equal(64);
  });

  it("Planner leaves the origin to others while it does not upload, as long as there is time", () => {
    const { planner, link, open } = setUp();
    link("b", []);
    planner.election.members = ["b", "c"];
    planner.election.serving = false;
    expect(open({ pieces: { from: 0, to: 4 } })).to.deep.equal([]);
    const commands = ticks(planner, 100, 1_500);
    expect(commands).to.deep.equal([{ type: "fetch", requestId: 1, from: 0, to: 4 }]);
  });

  it("Planner elects at once after a take-over, though others' streams were to bring it too", () => {
    const { planner, link, open } = setUp();
    planner.election.selfId = "self";
    for (const peer of ["slow", "fast"]) link(peer, []);
    const stream = { assetId: "asset", from: 0, to: 64, hops: 4 };
    planner.claimed("slow", stream, 0);
    planner.election.members = ["slow"];
    const ranked = (nowMs = 100) => {
      open({ pieces: { from: 0, to: 64 }, tookOver: true }, nowMs);
      return fetchesOf(planner.tick(nowMs + 60));
    };
    expect(ranked(), "the stream is waited for").to.be.empty;
    planner.close(1);
    expect(planner.relay.takeOver("asset", 0)).to.deep.equal([
      { type: "claim", assetId: "asset", from: 0, to: 0, hops: 4 },
    ]);
    expect(ranked()).to.not.be.empty;
    planner.claimed("slow", stream, 110);
    expect(fetchesOf(ticks(planner, 150, 3_000)), "claimed again, as slow as before").to.not.be
      .empty;
    planner.close(1);
    planner.relay.takeOver("asset", 0);
    link("fast", [0, 1, 2]);
    planner.claimed("fast", stream, 3_000);
    expect(ranked(), "that one is faster").to.be.empty;
  });

  it("Planner asks for the rarest piece first while there is time, else in order (rule 1)", () => {
    for (const [deadlineMs, first] of [
      [FAR_MS, 2],
      [1_000, 0],
    ] as const) {
      const { link, open } = setUp();
      link("a", [0, 1, 2]);
      link("b", [0, 1]);
      const asks = asksOf(open({ pieces: { from: 0, to: 3 }, deadlineMs }));
      expect(asks[0]?.piece).to.equal(first);
    }
  });

  it("Planner plans with what a peer adds, once, and forgets it with the peer", () => {
    const { planner, link, open } = setUp();
    link("a", []);
    planner.election.members = ["b", "c"];
    planner.election.serving = false;
    expect(open({ pieces: { from: 0, to: 8 } })).to.deep.equal([]);
    const held = (...bits: number[]) => ({
      pieceCount: COUNT,
      from: 0,
      bits: Uint8Array.from(bits),
    });
    expect(planner.addHoldings("nobody", "asset", held(1), 5)).to.deep.equal([]);
    const pieces = (commands: readonly Command[]) => asksOf(commands).map(({ piece }) => piece);
    expect(pieces(planner.addHoldings("a", "asset", held(0b0000_0001), 5))).to.deep.equal([7]);
    expect(pieces(planner.addHoldings("a", "asset", held(0b1000_0001), 6))).to.deep.equal([0]);
    expect(pieces(planner.addHoldings("a", "asset", held(0b1110_0001), 7)), "full").to.be.empty;
    expect(planner.addHoldings("a", "asset", held(0b1110_0001), 8), "no news").to.be.empty;
    link("d", [1]);
    expect(planner.holdingsOf("a", "asset")?.size).to.equal(4);
    planner.setHoldings("a", "asset", undefined, 9);
    expect(planner.heldByPeers("asset", { from: 2, to: 8 })).to.equal(false);
    expect(planner.heldByPeers("asset", { from: 0, to: 8 })).to.equal(true);
  });

  it("Planner waits for no neighbour when time is short (rule 2)", () => {
    const { planner, link, open } = setUp();
    link("b", []);
    planner.claimed("b", { assetId: "asset", from: 0, to: 8, hops: 0 }, 0);
    expect(fetchesOf(open({ pieces: { from: 0, to: 8 }, deadlineMs: 400 }))).to.have.length(1);
  });

  it("Planner waits for links on their way, no longer than its patience (rule 2)", () => {
    let hope = true;
    const { planner, open } = setUp({ hopeful: () => hope });
    expect(open({ patientUntilMs: 100 })).to.deep.equal([]);
    expect(planner.tick(99)).to.deep.equal([]);
    expect(fetchesOf(planner.tick(100))).to.have.length(1);

    const other = setUp({ hopeful: () => hope });
    expect(other.open({ patientUntilMs: 100 })).to.deep.equal([]);
    hope = false;
    expect(fetchesOf(other.planner.tick(10)), "nobody is coming any more").to.have.length(1);
  });

  it("Planner asks the origin at once when known slow peers cannot make the deadline (rule 3)", () => {
    const { link, open, measure } = setUp();
    link("slow", "all", 20);
    const nowMs = measure("slow", 500);
    const commands = open({ deadlineMs: nowMs + 700 }, nowMs);
    // 680 ms of 500 bytes each bring five pieces; the other five are the origin's.
    expect(fetchesOf(commands)).to.deep.equal([{ type: "fetch", requestId: 1, from: 5, to: 10 }]);
    expect(asksOf(commands).length, "peers go on meanwhile").to.be.above(0);
  });

  it("Planner orders all of it when the deadline is near and every holder is busy (rule 3)", () => {
    const { planner, link, open } = setUp();
    link("a");
    const [ask] = asksOf(open({ pieces: { from: 0, to: 1 } }));
    planner.setDeadline(1, 1_160);
    expect(
      planner.pieceRefused("a", ask?.askId ?? 0, { busyMs: 5_000, nowMs: 20 }),
      "there is time",
    ).to.deep.equal([]);
    expect(fetchesOf(planner.tick(40))).to.deep.equal([
      { type: "fetch", requestId: 1, from: 0, to: 1 },
    ]);
  });

  it("Planner cancels the peer's ask when the origin's copy is first (rule 3)", () => {
    const { planner, have, link, open, measure } = setUp();
    link("slow", "all", 20);
    const nowMs = measure("slow", 50);
    const commands = open({ deadlineMs: nowMs, pieces: { from: 0, to: 2 } }, nowMs);
    const asked = asksOf(commands).find(({ piece }) => piece === 1);
    expect(fetchesOf(commands)).to.deep.equal([{ type: "fetch", requestId: 1, from: 0, to: 2 }]);
    have.add(1);
    const cancels = planner.originArrived(1, 1, PIECE_BYTES, nowMs + 50);
    expect(cancels).to.deep.include({ type: "cancel", peerId: "slow", askId: asked?.askId });
    expect(planner.askOf("slow", asked?.askId ?? 0)).to.equal(undefined);
  });

  it("Planner asks a peer for what the origin owes once that has been silent for too long (rule 3)", () => {
    const { planner, link, open, measure } = setUp();
    link("a", [COUNT - 1], 60);
    measure("a", 5_000);
    const ordered = fetchesOf(open({ pieces: { from: 0, to: 2 }, deadlineMs: 300 }, 100));
    expect(ordered).to.have.length(1);
    const all = new PieceSet(COUNT);
    all.addRange(0, COUNT);
    // Half of what the origin needs is less than the peer does.
    expect(asksOf(planner.setHoldings("a", "asset", all, 100))).to.deep.equal([]);
    expect(asksOf(ticks(planner, 100, 350))).to.deep.equal([]);
    const asks = asksOf(ticks(planner, 350, 550));
    expect(asks.map(({ peerId, piece }) => [peerId, piece])).to.deep.equal([
      ["a", 0],
      ["a", 1],
    ]);
  });

  it("Planner takes a piece from a silent peer and asks another (rule 4)", () => {
    const { planner, link, open } = setUp();
    link("mute", "all", 10);
    link("b", "all", 60);
    const [ask] = asksOf(open({ pieces: { from: 0, to: 1 } }));
    expect(ask?.peerId).to.equal("mute");
    expect(ticks(planner, 0, 399)).to.deep.equal([]);
    const commands = planner.tick(400);
    expect(commands[0]).to.deep.equal({ type: "cancel", peerId: "mute", askId: ask?.askId });
    expect(asksOf(commands).map(({ peerId }) => peerId)).to.deep.equal(["b"]);
  });

  it("Planner takes no piece from a peer for waiting on the narrow line of this viewer (rule 4)", () => {
    const { planner, have, link, open } = setUp();
    for (const peerId of ["a", "b", "c"]) link(peerId);
    const asks = asksOf(open({ pieces: { from: 0, to: 6 } }));
    expect(asks).to.have.length(6);
    const commands: Command[] = [];
    let nowMs = 0;
    // All six share a line that brings one in 170 ms: the last comes after a second.
    for (const { peerId, askId, piece } of asks) {
      commands.push(...ticks(planner, nowMs, nowMs + 169));
      nowMs += 170;
      have.add(piece);
      commands.push(...planner.pieceArrived(peerId, askId, PIECE_BYTES, nowMs));
    }
    expect(commands).to.deep.equal([]);
    planner.close(1);
    // One that is asked alone does not profit from that.
    const [ask] = asksOf(open({ id: 2, pieces: { from: 6, to: 7 } }, nowMs));
    const late = ticks(planner, nowMs, nowMs + 2_000);
    expect(late).to.deep.include({ type: "cancel", peerId: ask?.peerId, askId: ask?.askId });
  });

  it("Planner orders an overdue piece from the origin after the first peer that failed it", () => {
    const { planner, link, open } = setUp();
    for (let peer = 0; peer < 8; peer++) link(`mute${peer}`, "all", 10);
    expect(fetchesOf(open({ pieces: { from: 0, to: 1 }, deadlineMs: 100 }))).to.deep.equal([]);
    expect(fetchesOf(ticks(planner, 0, 399)), "one peer is enough to hope for").to.deep.equal([]);
    expect(fetchesOf(planner.tick(400))).to.deep.equal([
      { type: "fetch", requestId: 1, from: 0, to: 1 },
    ]);
  });

  it("Planner forgets a piece that a peer turns out not to hold", () => {
    const { planner, link, open } = setUp();
    link("a");
    const [ask] = asksOf(open({ pieces: { from: 0, to: 1 }, deadlineMs: 200 }));
    const commands = planner.pieceRefused("a", ask?.askId ?? 0, { busyMs: undefined, nowMs: 20 });
    expect(fetchesOf(commands)).to.deep.equal([{ type: "fetch", requestId: 1, from: 0, to: 1 }]);
    expect(planner.holdingsOf("a", "asset")?.has(0)).to.equal(false);
    expect(planner.holdingsOf("a", "asset")?.has(1)).to.equal(true);
  });

  it("Planner drops a peer that sent wrong bytes and asks the others", () => {
    const { planner, link, open } = setUp();
    link("liar", "all", 10);
    link("b", "all", 60);
    open({ pieces: { from: 0, to: 1 } });
    const commands = planner.pieceCorrupt("liar", 30);
    expect(commands[0]).to.deep.equal({ type: "drop", peerId: "liar", reason: "corrupt" });
    expect(asksOf(commands).map(({ peerId }) => peerId)).to.deep.equal(["b"]);
    expect(planner.rateOf("liar")).to.equal(undefined);
  });

  it("Planner looks ahead of the position by LOOK_AHEAD_PIECES", () => {
    const { planner, have, open } = setUp();
    const request = { pieces: { from: 0, to: COUNT } };
    expect(fetchesOf(open(request))).to.deep.equal([
      { type: "fetch", requestId: 1, from: 0, to: LOOK_AHEAD_PIECES },
    ]);
    for (let piece = 0; piece < 10; piece++) have.add(piece);
    expect(fetchesOf(planner.advance(1, 10, 50))).to.deep.equal([
      { type: "fetch", requestId: 1, from: LOOK_AHEAD_PIECES, to: LOOK_AHEAD_PIECES + 10 },
    ]);
    expect(planner.advance(1, 5, 60), "a position never goes back").to.deep.equal([]);
  });

  it("Planner.close() takes back the asks that no other request needs", () => {
    const { planner, link, open } = setUp();
    link("a");
    const asks = asksOf(open({ pieces: { from: 0, to: 2 } }));
    open({ id: 2, pieces: { from: 1, to: 2 } });
    expect(planner.close(1)).to.deep.equal([
      { type: "cancel", peerId: "a", askId: asks[0]?.askId },
    ]);
    expect(planner.close(1), "closing twice is harmless").to.deep.equal([]);
    expect(planner.idle).to.equal(false);
    expect(planner.close(2)).to.deep.equal([
      { type: "cancel", peerId: "a", askId: asks[1]?.askId },
    ]);
    expect(planner.idle).to.equal(true);
    expect(planner.tick(10_000)).to.deep.equal([]);
  });

  it("Planner asks once for a piece that two requests need", () => {
    const { link, open } = setUp();
    link("a");
    link("b");
    expect(asksOf(open({ pieces: { from: 0, to: 1 } }))).to.have.length(1);
    expect(open({ id: 2, pieces: { from: 0, to: 1 } })).to.deep.equal([]);
  });

  it("Planner serves the earliest deadline first", () => {
    const { planner, link, open } = setUp();
    open({ id: 1, pieces: { from: 0, to: 2 }, patientUntilMs: 0, deadlineMs: 50_000 });
    open({ id: 2, pieces: { from: 4, to: 6 }, patientUntilMs: 0, deadlineMs: 40_000 });
    planner.originEnded(1, "failed", 5);
    planner.originEnded(2, "failed", 5);
    planner.originEnded(1, "failed", 5);
    planner.originEnded(2, "failed", 5);
    expect(asksOf(link("a")).map(({ piece }) => piece)).to.deep.equal([4, 5]);
  });

  it("Planner asks again for what the origin left open, and fails after two failures", () => {
    const { planner, open } = setUp();
    open({ pieces: { from: 0, to: 2 } });
    expect(fetchesOf(planner.originEnded(1, "failed", 100))).to.deep.equal([
      { type: "fetch", requestId: 1, from: 0, to: 2 },
    ]);
    expect(planner.originEnded(1, "failed", 200)).to.deep.equal([{ type: "fail", requestId: 1 }]);
  });

  it("Planner asks an origin that has another version for nothing more, and goes on with peers", () => {
    const { planner, link, open } = setUp();
    open({ pieces: { from: 0, to: 3 }, deadlineMs: 50 });
    link("a", [0, 1, 2]);
    planner.originEnded(1, "changed", 100);
    expect(planner.owed(1)).to.deep.equal([]);
    expect(fetchesOf(planner.tick(5_000))).to.deep.equal([]);
    expect(planner.removePeer("a", 6_000)).to.deep.equal([{ type: "fail", requestId: 1 }]);
  });

  it("Planner does not fail while a peer holds what is missing", () => {
    const { planner, link, open } = setUp();
    open({ pieces: { from: 0, to: 1 } });
    link("a");
    planner.originEnded(1, "failed", 100);
    expect(planner.originEnded(1, "failed", 200)).to.deep.equal([]);
    expect(planner.removePeer("a", 300)).to.deep.equal([{ type: "fail", requestId: 1 }]);
  });

  it("Planner plans when a holder appears, and only for assets that are wanted", () => {
    const { planner, link, open } = setUp({ hopeful: () => true });
    open({ patientUntilMs: 5_000 });
    planner.addPeer("b", 20);
    const held = new PieceSet(COUNT);
    held.add(0);
    expect(planner.setHoldings("b", "other", held, 5)).to.deep.equal([]);
    expect(planner.setHoldings("nobody", "asset", held, 5)).to.deep.equal([]);
    expect(asksOf(link("a"))).to.have.length(2);
  });

  it("Planner.heldByPeers() tells whether a linked peer holds any piece of the range", () => {
    const { planner, link } = setUp();
    link("a", [3]);
    expect(planner.heldByPeers("asset", { from: 0, to: 3 })).to.equal(false);
    expect(planner.heldByPeers("asset", { from: 3, to: 4 })).to.equal(true);
    expect(planner.heldByPeers("other", { from: 0, to: 10 })).to.equal(false);
    planner.setHoldings("a", "asset", undefined, 0);
    expect(planner.heldByPeers("asset", { from: 0, to: 10 })).to.equal(false);
  });

  it("Planner.origin.expectedMs() follows what origin responses showed", () => {
    const { planner } = setUp();
    expect(planner.origin.expectedMs(250_000)).to.equal(160);
    planner.origin.passed({ firstByteMs: 10, bytes: 1_000_000, durationMs: 100 });
    expect(planner.origin.expectedMs(100_000)).to.equal(20);
    planner.origin.passed({ firstByteMs: 10, bytes: 100, durationMs: 1_000 });
    expect(planner.origin.expectedMs(100_000), "a few bytes show no rate").to.equal(20);
  });

  it("Planner ignores what is over", () => {
    const { planner } = setUp();
    expect(planner.advance(7, 1, 0)).to.deep.equal([]);
    expect(planner.originArrived(7, 1, PIECE_BYTES, 0)).to.deep.equal([]);
    expect(planner.originEnded(7, "complete", 0)).to.deep.equal([]);
    expect(planner.removePeer("nobody", 0)).to.deep.equal([]);
    expect(planner.pieceRefused("nobody", 1, { busyMs: 1, nowMs: 0 })).to.deep.equal([]);
    expect(planner.pieceArrived("nobody", 1, 1, 0)).to.deep.equal([]);
  });

  it("Planner asks a few pieces of peers and nothing of the origin for what is fetched ahead", () => {
    const { planner, have, link, open } = setUp();
    for (const id of ["a", "b", "c", "d", "e"]) link(id, [...Array(8).keys()]);
    const commands = open({ pieces: { from: 0, to: 20 }, ahead: "peers" });
    expect(asksOf(commands), "as many as five peers have room for would be more").to.have.length(4);
    expect(commands).to.have.length(4);
    const [first] = asksOf(commands);
    have.add(first?.piece ?? 0);
    const next = planner.pieceArrived(first?.peerId ?? "", first?.askId ?? 0, PIECE_BYTES, 30);
    expect(asksOf(next)).to.have.length(1);
    expect(planner.tick(FAR_MS - 1).filter(({ type }) => type === "fetch")).to.deep.equal([]);
    // The page asks for the same: what is under way stays, and nothing holds the rest back.
    const real = open({ id: 2, pieces: { from: 0, to: 20 }, deadlineMs: 100 }, 40);
    expect(fetchesOf(real).length).to.be.above(0);
    expect(planner.close(1)).to.deep.equal([]);
  });
});
