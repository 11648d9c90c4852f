import { expect } from "chai";
import { Neighbours } from "../../../src/mesh/neighbours.js";
import type { PeerLink } from "../../../src/mesh/peer-link.js";
import { PROTOCOL_VERSION } from "../../../src/protocol/limits.js";
import { encodeControl } from "../../../src/protocol/peer-codec.js";
import type { PeerHint } from "../../../src/protocol/signal-messages.js";
import { type FakeEnd, fakeEnd } from "../../support/connections.js";
import { type FakeTimers, withFakeTimers } from "../../support/fake-timers.js";

const SELF = "viewer-m";
const hint = (peerId: string): PeerHint => [peerId, 1, 0];
const hints = (count: number) =>
  Array.from({ length: count }, (_, at) => hint(`viewer-${at + 10}`));

function setUp(timers: FakeTimers, { linksMax = 12 } = {}) {
  const ends = new Map<string, FakeEnd>();
  const dialled: string[] = [];
  const closed: string[] = [];
  const make = (peerId: string, initiator: boolean) => {
    const end = fakeEnd(peerId, initiator);
    ends.set(peerId, end);
    return end;
  };
  const ignore = () => undefined;
  const neighbours = new Neighbours({
    ...{ now: () => timers.nowMs, linksMax },
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
  };
  const accept = (peerId: string) => {
    const end = make(peerId, false);
    neighbours.accept(end.connection);
    return end;
  };
  return { neighbours, ends, dialled, closed, greet, accept };
}

describe("neighbours", () => {
  it("Neighbours.dialAll() dials in order, not itself, nobody twice, few at a time", async () => {
    await withFakeTimers(async (timers) => {
      const { neighbours, dialled, ends, greet } = setUp(timers);
      neighbours.dialAll([hint(SELF), ...hints(10), ...hints(10)]);
      expect(dialled).to.deep.equal(hints(8).map(([id]) => id));
      expect([neighbours.pending, neighbours.open.length]).to.deep.equal([true, 0]);
      for (const end of ends.values()) greet(end);
      expect(neighbours.open).to.have.length(8);
      neighbours.dialAll(hints(20));
      expect(dialled, "up to linksMax").to.have.length(12);
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

  it("Neighbours.accept() takes a few calls beyond the budget and no more", async () => {
    await withFakeTimers(async (timers) => {
      const { neighbours, accept } = setUp(timers, { linksMax: 2 });
      const calls = Array.from({ length: 12 }, (_, at) => accept(`viewer-${at + 10}`));
      expect(calls.filter((end) => !end.closed())).to.have.length(10);
      neighbours.close();
      expect(calls.every((end) => end.closed())).to.equal(true);
      expect(timers.pending).to.equal(0);
    });
  });
});
