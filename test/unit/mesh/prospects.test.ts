import { expect } from "chai";
import type { Planner } from "../../../src/engine/planning/planner.js";
import type { HaveGossip } from "../../../src/mesh/links/have-gossip.js";
import type { Neighbours } from "../../../src/mesh/links/neighbours.js";
import type { Membership } from "../../../src/mesh/membership.js";
import { Prospects } from "../../../src/mesh/prospects.js";

function setUp() {
  const world = {
    ...{ linked: false, fresh: false, reachable: true, newcomer: false, asking: false },
    ...{ pending: false, companies: 0 },
  };
  const prospects = new Prospects({
    planner: {
      get linked() {
        return world.linked;
      },
    } as Planner,
    gossip: { fresh: () => world.fresh } as unknown as HaveGossip,
    neighbours: () => ({ pending: world.pending }) as unknown as Neighbours,
    membership: () =>
      ({
        ...{ reachable: world.reachable, newcomer: world.newcomer },
        index: { asking: world.asking },
      }) as unknown as Membership,
    now: () => 0,
    onCompany: () => world.companies++,
  });
  return { world, prospects };
}

describe("prospects", () => {
  it("Prospects hopes for links while it has none, and for answers in any case, as long as the server can be reached", () => {
    for (const [change, hopeful] of [
      [{}, false],
      [{ newcomer: true }, true],
      [{ pending: true }, true],
      [{ pending: true, linked: true }, false],
      [{ asking: true, linked: true }, true],
      [{ fresh: true, linked: true }, true],
      [{ fresh: true, asking: true, newcomer: true, reachable: false }, false],
    ] as const) {
      const { world, prospects } = setUp();
      Object.assign(world, change);
      expect(prospects.hopeful, JSON.stringify(change)).to.equal(hopeful);
    }
  });

  it("Prospects tells once that company comes, if the worker heard that nobody is there", () => {
    const { world, prospects } = setUp();
    prospects.linking();
    expect(world.companies, "nothing was said").to.equal(0);
    expect(prospects.sayAlone()).to.equal(true);
    prospects.linking();
    prospects.linking();
    expect(world.companies).to.equal(1);
    world.pending = true;
    expect(prospects.sayAlone()).to.equal(false);
    prospects.linking();
    expect(world.companies, "the worker knows").to.equal(1);
  });
});
