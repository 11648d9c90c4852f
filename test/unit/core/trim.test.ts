import { expect } from "chai";
import { trim } from "../../../src/core/trim.js";

describe("trim", () => {
  it("trim() deletes the oldest entries, and none that fit", () => {
    const map = new Map([..."abcd"].map((key, index) => [key, index]));
    trim(map, 4);
    expect(map.size).to.equal(4);
    map.delete("a");
    map.set("a", 9);
    trim(map, 2);
    expect([...map]).to.deep.equal([
      ["d", 3],
      ["a", 9],
    ]);
    const set = new Set([1, 2]);
    trim(set, 0);
    expect(set.size).to.equal(0);
  });
});
