import { expect } from "chai";
import { Neighbours } from "../../../src/mesh/links/neighbours.js";
import type { PeerLink } from "../../../src/mesh/links/peer-link.js";
import { CONNECTIONS_MAX, PROTOCOL_VERSION } from "../../../src/protocol/limits.js";
import { decodeControl, encodeControl } from "../../../src/protocol/peer-codec.js";
import type {
  NeighbourHint,
  Neighbourhood,
  PeerHint,
} from "../../../src/protocol/signal-messages.js";
import { type FakeEnd, fakeEnd } from "../../support/connections.js";
import { type FakeTimers, withFakeTimers } from "../../support/fake-timers.js";
import { integerFrom, oneOf, seeded, shuffled } from "../../support/random.js";

const SELF = "viewer-m";
const hint = (peerId: string): PeerHint => [peerId, 1, 0];
const hints = (count: number) =>
  Array.from({ length: count }, (_, at) => hint(`viewer-${at + 10}`));

function setUp(timers: FakeTimers, { linksMax = 20 } = {}) {
  const ends = new Map<string, FakeEnd>();
  const dialled: string[] = [];
  const closed: string[] = [];
  const linking: number[] = [];
  const make = (peerId: string, initiator: boolean) => {
    const end = fakeEnd(peerId, initiator);
    ends.set(peerId, end);
    return end;
  };
  const ignore = () => undefined;
  const neighbours = new Neighbours({
    ...{
      now: () => timers.nowMs,
      random: seeded(4),
      linksMax,
      onLinking: () => void linking.push(timers.nowMs),
    },
    dial: (peerId) => {
      dialled.push(peerId);
      return make(peerId, true).connection;
    },
    handlers: {
      ...{ onOpen: ignore, onHave: ignore, onDrop: ignore, onClaim: ignore, onRequest: ignore },
      ...{ onCancel: ignore, onPiece: ignore, onReject: ignore, onRtt: ignore },
      onClosed: (link: PeerLink) => void closed.push(link.peerId),
    },
  });
  neighbours.ownId = SELF;
  const greet = (end: FakeEnd | undefined) => {
    for (const channel of [end?.control, end?.bulk]) channel?.open();
    const hello = encodeControl({ type: "hello", version: PROTOCOL_VERSION });
    end?.control.dispatchEvent(new MessageEvent("message", { data: hello.buffer }));
    if (end) answerPings(end);
  };
  /** Whoever is being dialled answers, until nobody is. */
  const greetAll = () => {
    for (let before = -1; before !== dialled.length; ) {
      before = dialled.length;
      for (const end of ends.values()) if (end.control.readyState === "connecting") greet(end);
    }
  };
  const accept = (peerId: string) => {
    const end = make(peerId, false);
    neighbours.accept(end.connection);
    return end;
  };
  return { neighbours, ends, dialled, closed, linking, greet, greetAll, accept };
}

/** As a peer that lives does. */
function answerPings({ control }: FakeEnd) {
  const send = control.send.bind(control);
  control.send = (data) => {
    send(data);
    const frame = decodeControl(new Uint8Array(data as Uint8Array<ArrayBuffer>));
    if (frame.type !== "ping") return;
    const pong = encodeControl({ type: "pong", token: frame.token });
    queueMicrotask(() => {
      if (control.readyState !== "open") return;
      control.dispatchEvent(new MessageEvent("message", { data: pong.buffer }));
    });
  };
}

const names = (prefix: string, count: number) =>
  Array.from({ length: count }, (_, at) => `${prefix}-${at + 10}`);

function neighbourhood(
  members: readonly NeighbourHint[],
  more: Partial<Neighbourhood> = {},
): Neighbourhood {
  return { ...{ clique: 1, epoch: 1, bridges: [], around: [] }, members, ...more };
}

/** Members whom this viewer is to dial. */
const dialled = (ids: readonly string[], dials = true) =>
  ids.map((id): NeighbourHint => [id, 2, dials]);

describe("neighbours", () => {
  it("Neighbours says of each link that it is on its way, whoever began it, before it is open", async () => {
    await withFakeTimers(async (timers) => {
      const { neighbours, linking, accept } = setUp(timers);
      neighbours.dialAll(hints(2));
      expect(linking).to.have.length(2);
      accept("viewer-a");
      expect(linking).to.have.length(3);
      expect(neighbours.open).to.deep.equal([]);
      neighbours.close();
    });
  });

  it("Neighbours.dialAll() dials in order, not itself, nobody twice, few at a time", async () => {
    await withFakeTimers(async (timers) => {
      const { neighbours, dialled, ends, greet } = setUp(timers);
      neighbours.dialAll([hint(SELF), ...hints(10), ...hints(10)]);
      expect(dialled).to.deep.equal(hints(8).map(([id]) => id));
      expect([neighbours.pending, neighbours.open.length]).to.deep.equal([true, 0]);
      for (const end of ends.values()) greet(end);
      expect(neighbours.open).to.have.length(8);
      neighbours.dialAll(hints(20));
      for (const end of ends.values()) if (end.control.readyState !== "open") greet(end);
      neighbours.dialAll(hints(30));
      expect(dialled, "up to linksMax").to.have.length(20);
      expect(neighbours.lacking).to.equal(false);
      expect(neighbours.distanceOf("viewer-10")).to.equal(1);
      expect(neighbours.distanceOf("nobody")).to.equal(2);
      neighbours.close();
    });
  });

  it("Neighbours leaves an unreachable peer alone for a while, and tells of its end", async () => {
    await withFakeTimers(async (timers) => {
      const { neighbours, dialled, closed } = setUp(timers);
      neighbours.dialAll(hints(1));
      await timers.advance(5_000);
      expect(closed).to.deep.equal(["viewer-10"]);
      neighbours.dialAll(hints(1));
      await timers.advance(14_999);
      neighbours.dialAll(hints(1));
      expect(dialled).to.have.length(1);
      await timers.advance(1);
      neighbours.dialAll(hints(1));
      expect(dialled).to.have.length(2);
      neighbours.close();
    });
  });

  it("Neighbours.drop() keeps a liar away, whoever calls, and lets a slow one call", async () => {
    await withFakeTimers(async (timers) => {
      const { neighbours, dialled, accept, greet, ends } = setUp(timers);
      neighbours.dialAll(hints(2));
      for (const end of ends.values()) greet(end);
      neighbours.drop("viewer-10", "corrupt");
      neighbours.drop("viewer-11", "stalled");
      expect(neighbours.open).to.deep.equal([]);
      neighbours.dialAll(hints(2));
      expect(dialled).to.have.length(2);
      expect(accept("viewer-10").closed(), "a liar").to.equal(true);
      expect(accept("viewer-11").closed(), "a slow one").to.equal(false);
      await timers.advance(599_000);
      neighbours.dialAll([hint("viewer-10")]);
      expect(dialled, "still banned").to.have.length(2);
      await timers.advance(1_000);
      neighbours.dialAll([hint("viewer-10")]);
      expect(dialled).to.have.length(3);
      neighbours.close();
    });
  });

  it("Neighbours.accept() keeps one of two calls that crossed: that of the smaller id", async () => {
    await withFakeTimers(async (timers) => {
      const { neighbours, ends, accept } = setUp(timers);
      neighbours.dialAll([hint("viewer-z"), hint("viewer-a")]);
      const [toLarger, toSmaller] = [ends.get("viewer-z"), ends.get("viewer-a")];
      expect(accept("viewer-z").closed(), "our own call stays").to.equal(true);
      expect(toLarger?.closed()).to.equal(false);
      const theirs = accept("viewer-a");
      expect([theirs.closed(), toSmaller?.closed()]).to.deep.equal([false, true]);
      expect(neighbours.get("viewer-a")?.initiator).to.equal(false);
      neighbours.close();
    });
  });

  it("Neighbours.accept() renews a link that was open", async () => {
    await withFakeTimers(async (timers) => {
      const { neighbours, accept, greet, closed } = setUp(timers);
      const first = accept("viewer-z");
      greet(first);
      const second = accept("viewer-z");
      expect([first.closed(), second.closed()]).to.deep.equal([true, false]);
      expect(closed).to.deep.equal(["viewer-z"]);
      greet(second);
      expect(neighbours.open).to.have.length(1);
      neighbours.close();
    });
  });

  it("Neighbours.accept() takes calls up to the budget, and eight at a time", async () => {
    await withFakeTimers(async (timers) => {
      const { neighbours, accept, greet } = setUp(timers, { linksMax: 10 });
      const calls = Array.from({ length: 12 }, (_, at) => accept(`viewer-${at + 10}`));
      expect(calls.filter((end) => !end.closed())).to.have.length(8);
      for (const end of calls.slice(0, 8)) greet(end);
      const more = Array.from({ length: 4 }, (_, at) => accept(`more-${at}`));
      expect(more.filter((end) => !end.closed())).to.have.length(2);
      neighbours.close();
      expect([...calls, ...more].every((end) => end.closed())).to.equal(true);
      expect(timers.pending).to.equal(0);
    });
  });

  it("Neighbours.settle() dials bridge and members, near ones first, five at a time", async () => {
    await withFakeTimers(async (timers) => {
      const { neighbours, dialled: calls, greetAll, greet, ends } = setUp(timers);
      const near: NeighbourHint[] = [["near-1", 0, true]];
      const members = [...dialled(names("far", 13)), ...near];
      neighbours.settle(neighbourhood(members, { bridges: [["bridge-1", 2, true, 9]] }));
      expect(calls.slice(0, 2)).to.deep.equal(["bridge-1", "near-1"]);
      expect(calls).to.have.length(5);
      greet(ends.get("near-1"));
      expect(calls, "the next as soon as one is there").to.have.length(6);
      greetAll();
      expect(neighbours.open).to.have.length(15);
      expect(new Set(calls).size).to.equal(15);
      expect(calls.slice(2), "another order for each viewer").to.not.deep.equal(names("far", 13));
      expect(["near-1", "bridge-1", "x"].map((id) => neighbours.roleOf(id))).to.deep.equal([
        ...["member", "bridge", "other"],
      ]);
      neighbours.close();
    });
  });

  it("Neighbours.settle() leaves the call to the other one for three seconds", async () => {
    await withFakeTimers(async (timers) => {
      const { neighbours, dialled: calls, accept, greet } = setUp(timers);
      neighbours.settle(neighbourhood(dialled(["early", "late"], false)));
      greet(accept("early"));
      await timers.advance(2_900);
      neighbours.settle(neighbourhood(dialled(["early", "late"], false), { epoch: 2 }));
      neighbours.tick();
      expect(calls, "the wait does not begin anew").to.deep.equal([]);
      await timers.advance(100);
      neighbours.tick();
      expect(calls).to.deep.equal(["late"]);
      neighbours.close();
    });
  });

  it("Neighbours.settle() keeps working links to former members", async () => {
    await withFakeTimers(async (timers) => {
      const { neighbours, greetAll, closed } = setUp(timers);
      const [old, staying, fresh] = [names("old", 5), names("staying", 5), names("fresh", 5)];
      neighbours.settle(neighbourhood(dialled([...old, ...staying])));
      greetAll();
      neighbours.settle(neighbourhood(dialled([...staying, ...fresh]), { clique: 2 }));
      greetAll();
      expect(closed).to.deep.equal([]);
      expect(neighbours.open).to.have.length(15);
      expect(old.map((id) => neighbours.roleOf(id))).to.deep.equal(old.map(() => "other"));
      neighbours.settle(neighbourhood(dialled([...old, ...staying]), { clique: 3 }));
      expect(neighbours.open, "warm: nobody is dialled").to.have.length(15);
      expect(neighbours.pending).to.equal(false);
      neighbours.close();
    });
  });

  it("Neighbours gives the place of the least used other to a member, and no more than needed", async () => {
    await withFakeTimers(async (timers) => {
      const { neighbours, greetAll, closed, ends } = setUp(timers, { linksMax: 10 });
      neighbours.settle(neighbourhood(dialled(names("old", 9))));
      greetAll();
      const { signal } = new AbortController();
      for (const [at, id] of names("old", 9).entries()) {
        if (at === 2 || at === 5) continue;
        await neighbours.get(id)?.sendPiece(1, new Uint8Array(1_000), signal);
      }
      neighbours.settle(neighbourhood(dialled(names("fresh", 3)), { clique: 2 }));
      greetAll();
      expect(new Set(closed)).to.deep.equal(new Set(["old-12", "old-15"]));
      expect(neighbours.open).to.have.length(10);
      neighbours.settle(neighbourhood(dialled(names("more", 12)), { clique: 3 }));
      greetAll();
      expect(neighbours.open.map(({ peerId }) => neighbours.roleOf(peerId))).to.deep.equal(
        Array(10).fill("member"),
      );
      const before = closed.length;
      neighbours.dialAll(hints(5));
      expect(neighbours.get("viewer-10"), "no place for a stranger").to.equal(undefined);
      expect([closed.length, ends.get("viewer-10")]).to.deep.equal([before, undefined]);
      neighbours.close();
    });
  });

  it("Neighbours dials a lost member again, and one out of reach ever more rarely", async () => {
    await withFakeTimers(async (timers) => {
      const { neighbours, dialled: calls, greetAll, ends } = setUp(timers);
      const members = [...dialled(["mine"]), ...dialled(["theirs"], false)];
      neighbours.settle(neighbourhood(members));
      await timers.advance(3_000);
      neighbours.tick();
      greetAll();
      calls.length = 0;
      for (const end of ends.values()) end.peerConnection.become("failed");
      const startMs = timers.nowMs;
      const times = new Map<string, number[]>();
      while (timers.nowMs < startMs + 120_000) {
        neighbours.tick();
        for (const id of calls.splice(0)) {
          times.set(id, [...(times.get(id) ?? []), timers.nowMs - startMs]);
        }
        await timers.advance(500);
      }
      expect(times.get("mine")?.slice(0, 4)).to.deep.equal([1_500, 8_500, 17_500, 30_500]);
      expect(times.get("theirs")?.[0]).to.equal(3_000);
      expect(times.get("mine")?.length).to.be.below(8);
      neighbours.settle(neighbourhood([]));
      await timers.advance(70_000);
      neighbours.tick();
      expect(calls, "gone for good").to.deep.equal([]);
      neighbours.close();
    });
  });

  it("Neighbours.close() dials nobody until the next settle()", async () => {
    await withFakeTimers(async (timers) => {
      const { neighbours, dialled: calls, greetAll } = setUp(timers);
      neighbours.settle(neighbourhood(dialled(names("member", 4))));
      greetAll();
      neighbours.close();
      calls.length = 0;
      await timers.advance(10_000);
      neighbours.tick();
      neighbours.suggest(hints(3));
      expect([calls, neighbours.open, neighbours.roleOf("member-10")]).to.deep.equal([
        ...[[], [], "other"],
      ]);
      neighbours.settle(neighbourhood(dialled(names("member", 4))));
      greetAll();
      expect(neighbours.open.map(({ peerId }) => neighbours.roleOf(peerId))).to.include("member");
      neighbours.close();
    });
  });

  it("Neighbours.accept() takes a member's call when full, in the place of another", async () => {
    await withFakeTimers(async (timers) => {
      const { neighbours, greet, greetAll, accept, closed } = setUp(timers, { linksMax: 4 });
      neighbours.settle(neighbourhood(dialled(["caller"], false)));
      neighbours.dialAll(hints(6));
      greetAll();
      expect(neighbours.open).to.have.length(4);
      expect(accept("stranger").closed()).to.equal(true);
      const call = accept("caller");
      expect([call.closed(), closed.length]).to.deep.equal([false, 1]);
      greet(call);
      expect(neighbours.open).to.have.length(4);
      neighbours.close();
    });
  });

  it("Neighbours asks again while it has nobody beyond its clique, ever more rarely", async () => {
    await withFakeTimers(async (timers) => {
      const { neighbours, greetAll } = setUp(timers);
      // The only clique of its node, where the lookup at the others was late.
      neighbours.settle(neighbourhood(dialled(names("member", 2))));
      greetAll();
      neighbours.suggest([]);
      const asksMs: number[] = [];
      for (let ms = 0; ms < 900_000; ms += 1_000) {
        await timers.advance(1_000);
        if (!neighbours.lacking) continue;
        asksMs.push(ms + 1_000);
        neighbours.suggest([]);
      }
      expect(asksMs).to.deep.equal([10_000, 30_000, 70_000, 150_000, 310_000, 610_000]);
      neighbours.suggest(names("far", 2).map(hint));
      greetAll();
      await timers.advance(20_000);
      expect(neighbours.open).to.have.length(4);
      expect(neighbours.lacking, "it has two").to.equal(false);
      neighbours.get("far-10")?.close();
      expect(neighbours.lacking, "from the beginning").to.equal(true);
      neighbours.close();
    });
  });

  it("Neighbours links with two others than its clique, and renews the least used of them", async () => {
    await withFakeTimers(async (timers) => {
      const { neighbours, greetAll, closed } = setUp(timers);
      neighbours.settle(neighbourhood(dialled(names("member", 8)), { around: [4] }));
      expect(neighbours.lacking, "there are others to ask for").to.equal(true);
      neighbours.suggest(names("other", 2).map(hint));
      neighbours.suggest(names("member", 8).map(hint));
      greetAll();
      expect(neighbours.open).to.have.length(10);
      const { signal } = new AbortController();
      await neighbours.get("other-10")?.sendPiece(1, new Uint8Array(1_000), signal);
      expect(neighbours.lacking).to.equal(false);
      await timers.advance(30_000);
      neighbours.tick();
      expect(closed, "nobody to take its place").to.deep.equal([]);
      expect(neighbours.lacking, "time to ask for somebody").to.equal(true);
      neighbours.suggest([hint("third")]);
      neighbours.tick();
      greetAll();
      expect(closed).to.deep.equal(["other-11"]);
      expect(neighbours.get("third")?.open).to.equal(true);
      neighbours.suggest([hint("fourth")]);
      await timers.advance(29_000);
      neighbours.tick();
      expect(closed).to.have.length(1);
      await timers.advance(1_000);
      neighbours.tick();
      expect(closed, "used then, not lately").to.deep.equal(["other-11", "other-10"]);
      neighbours.close();
    });
  });

  it("Neighbours keeps its budgets, whatever happens in whatever order", async () => {
    for (let seed = 1; seed <= 15; seed++) {
      await withFakeTimers(async (timers) => {
        const random = seeded(seed);
        const linksMax = integerFrom(random, 1, 24);
        const world = setUp(timers, { linksMax });
        for (let step = 0; step < 150; step++) {
          await disturb(world, timers, random);
          const all = [...world.ends.values()].filter((end) => !end.closed());
          const pending = all.filter((end) => end.control.readyState !== "open").length;
          expect(all.length, `seed ${seed}`).to.be.at.most(Math.min(linksMax, CONNECTIONS_MAX));
          expect(pending).to.be.at.most(8);
        }
        world.neighbours.close();
        expect(timers.pending).to.equal(0);
      });
    }
  });
});

/** One thing that can happen to a viewer's links. */
async function disturb(
  { neighbours, ends, accept, greet }: ReturnType<typeof setUp>,
  timers: FakeTimers,
  random: () => number,
) {
  const ids = names("viewer", 60);
  const some = (max: number) => shuffled(random, ids).slice(0, integerFrom(random, 0, max));
  const end = oneOf(random, [...ends.values()]);
  const events = [
    () => neighbours.settle(neighbourhood(dialled(some(15), random() < 0.5))),
    () => neighbours.suggest(some(8).map(hint)),
    () => neighbours.dialAll(some(8).map(hint)),
    () => void accept(oneOf(random, ids)),
    () => end && !end.closed() && end.control.readyState === "connecting" && greet(end),
    () => end?.peerConnection.become("failed"),
    () => timers.advance(integerFrom(random, 1, 10_000)),
    () => neighbours.tick(),
    () => neighbours.drop(oneOf(random, ids), random() < 0.5 ? "corrupt" : "stalled"),
  ];
  await oneOf(random, [...events, ...events.slice(3, 5)])();
}
