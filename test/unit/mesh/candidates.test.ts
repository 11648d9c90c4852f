import { expect } from "chai";
import { Candidates } from "../../../src/mesh/links/candidates.js";

function setUp() {
  const clock = { nowMs: 0 };
  return { clock, candidates: new Candidates(() => clock.nowMs) };
}

const any = () => true;

describe("candidates", () => {
  it("Candidates gives the oldest suggestion that fits, and forgets beyond 32", () => {
    const { candidates } = setUp();
    candidates.suggest(Array.from({ length: 40 }, (_, at) => `peer-${at}`));
    expect(candidates.has((id) => id === "peer-7")).to.equal(false);
    expect(candidates.take((id) => id !== "peer-8")).to.equal("peer-9");
    expect(
      candidates.has((id) => id === "peer-8"),
      "what did not fit is gone",
    ).to.equal(false);
    for (let left = 30; left > 0; left--) expect(candidates.take(any)).to.be.a("string");
    expect([candidates.has(any), candidates.take(any)]).to.deep.equal([false, undefined]);
  });

  it("Candidates keeps those to avoid for later", () => {
    const { candidates, clock } = setUp();
    candidates.avoid("a", 1_000);
    candidates.suggest(["a", "b"]);
    expect(candidates.take(any)).to.equal("b");
    expect(candidates.has(any)).to.equal(false);
    clock.nowMs = 1_000;
    expect(candidates.take(any)).to.equal("a");
  });

  it("Candidates tells a ban from a wait, and the longer one counts", () => {
    const { candidates, clock } = setUp();
    candidates.ban("liar", 10_000);
    candidates.avoid("liar", 1_000);
    candidates.avoid("slow", 10_000);
    expect([candidates.bans("liar"), candidates.bans("slow")]).to.deep.equal([true, false]);
    clock.nowMs = 9_999;
    expect([candidates.avoids("liar"), candidates.avoids("slow")]).to.deep.equal([true, true]);
    clock.nowMs = 10_000;
    expect([candidates.bans("liar"), candidates.avoids("slow")]).to.deep.equal([false, false]);
  });

  it("Candidates remembers the distances of a thousand peers", () => {
    const { candidates } = setUp();
    for (let at = 0; at < 1_001; at++) candidates.place(`peer-${at}`, 0);
    expect(["peer-0", "peer-1", "x"].map((id) => candidates.distanceOf(id))).to.deep.equal([
      ...[2, 0, 2],
    ]);
  });
});
