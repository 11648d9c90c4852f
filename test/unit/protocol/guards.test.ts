import { expect } from "chai";
import {
  decodeByType,
  type Guard,
  isArray,
  isBoolean,
  isCount,
  isEither,
  isLiteral,
  isOptional,
  isShape,
  isString,
  isTuple,
} from "../../../src/protocol/guards.js";
import { fc } from "../../support/properties.js";

interface Sample {
  readonly type: "sample";
  readonly size: number;
  readonly note?: string | undefined;
}

const isSample: Guard<Sample> = isShape<Sample>({
  type: isLiteral("sample"),
  size: isCount(10),
  note: isOptional(isString(5)),
});

const decode = (value: unknown) => decodeByType<Sample>({ sample: isSample }, value);

describe("guards", () => {
  it("isString() bounds length and pattern", () => {
    const guard = isString(3, /^[a-z]*$/);
    for (const good of ["", "a", "abc"]) expect(guard(good)).to.equal(true);
    for (const bad of ["abcd", "A", "a\n", 1, null, undefined, new String("a"), ["a"]]) {
      expect(guard(bad)).to.equal(false);
    }
  });

  it("isCount() accepts the safe integers from 0 to its maximum", () => {
    const guard = isCount(10);
    for (const good of [0, 1, 10]) expect(guard(good)).to.equal(true);
    for (const bad of [-1, 11, 1.5, Number.NaN, Number.POSITIVE_INFINITY, "1", 1n, null]) {
      expect(guard(bad)).to.equal(false);
    }
    expect(isCount(Number.MAX_SAFE_INTEGER)(2 ** 53)).to.equal(false);
  });

  it("isBoolean and isLiteral() do not coerce", () => {
    const isA1 = isLiteral<string | number | null>("a", 1, null);
    expect([true, false].map((value) => isBoolean(value))).to.deep.equal([true, true]);
    expect([0, 1, "true", null, undefined].some((value) => isBoolean(value))).to.equal(false);
    expect(["a", 1, null].every((value) => isA1(value))).to.equal(true);
    expect(["1", undefined, ["a"], true].some((value) => isA1(value))).to.equal(false);
  });

  it("isArray() checks every item and bounds their number", () => {
    const guard = isArray(isCount(9), 3);
    for (const good of [[], [1], [1, 2, 3]]) expect(guard(good)).to.equal(true);
    for (const bad of [[1, 2, 3, 4], ["1"], [1, -1], { length: 0 }, "1", new Uint8Array(1)]) {
      expect(guard(bad)).to.equal(false);
    }
  });

  it("isArray() rejects holes: structured clone keeps them", () => {
    const holes: unknown[] = [1, 2, 3];
    delete holes[1];
    expect(isArray(isCount(9), 3)(holes)).to.equal(false);
    expect(isArray(isCount(9), 3)(new Array(2))).to.equal(false);
  });

  it("isArray() hands its guard the item alone", () => {
    const seen: unknown[][] = [];
    const guard = ((...given: unknown[]) => seen.push(given) > 0) as unknown as Guard<string>;
    isArray(guard, 5)(["a", "b"]);
    expect(seen).to.deep.equal([["a"], ["b"]]);
  });

  it("isTuple() wants exactly its items", () => {
    const guard = isTuple<readonly [string, number]>(isString(5), isCount(9));
    expect(guard(["a", 1])).to.equal(true);
    for (const bad of [["a"], ["a", 1, 2], [1, "a"], [], { 0: "a", 1: 1, length: 2 }, null]) {
      expect(guard(bad)).to.equal(false);
    }
  });

  it("isEither() and isOptional() accept what they name and no more", () => {
    const either = isEither(isBoolean, isCount(1));
    expect([true, 0].every((value) => either(value))).to.equal(true);
    expect([2, null, undefined].some((value) => either(value))).to.equal(false);
    expect(isOptional(isCount(1))(undefined)).to.equal(true);
    expect(isOptional(isCount(1))(null)).to.equal(false);
  });

  it("isShape() accepts its own keys, optional ones missing or undefined", () => {
    expect(isSample({ type: "sample", size: 1 })).to.equal(true);
    expect(isSample({ type: "sample", size: 1, note: "hello" })).to.equal(true);
    expect(isSample({ type: "sample", size: 1, note: undefined })).to.equal(true);
    expect(isSample(Object.assign(Object.create(null), { type: "sample", size: 1 }))).to.equal(
      true,
    );
  });

  it("isShape() rejects unknown keys, missing keys and what is no object", () => {
    const bad: unknown[] = [
      { type: "sample", size: 1, extra: 1 },
      { type: "sample", size: 1, constructor: 1 },
      { type: "sample" },
      { size: 1 },
      {},
      [],
      null,
      undefined,
      "sample",
      1,
    ];
    for (const value of bad) expect(isSample(value), JSON.stringify(value)).to.equal(false);
  });

  it("isShape() does not read inherited properties", () => {
    expect(isSample(Object.create({ type: "sample", size: 1 }))).to.equal(false);
    expect(isSample(Object.assign(Object.create({ size: 1 }), { type: "sample" }))).to.equal(false);
    expect(isSample(JSON.parse('{"__proto__":{"size":1},"type":"sample"}'))).to.equal(false);
  });

  it("isShape() rejects an own __proto__, as JSON.parse() makes it", () => {
    expect(isSample(JSON.parse('{"type":"sample","size":1,"__proto__":{}}'))).to.equal(false);
  });

  it("isShape() never throws and never changes its input", () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const before = JSON.stringify(value);
        isSample(value);
        expect(JSON.stringify(value)).to.equal(before);
      }),
    );
  });

  it("decodeByType() returns the message that its guard accepts", () => {
    const message = { type: "sample", size: 1 };
    expect(decode(message)).to.equal(message);
  });

  it("decodeByType() throws protocol/malformed for an unknown type or wrong fields", () => {
    const wrong: [unknown, RegExp][] = [
      [{ type: "sample", size: 11 }, /"sample": wrong fields/],
      [{ type: "other" }, /type "other"/],
      [{ type: "x".repeat(99) }, /type "x{32}"/],
      [{ type: 7 }, /type number/],
      [{ type: "constructor" }, /type "constructor"/],
      [{ type: "__proto__" }, /type "__proto__"/],
      [Object.create({ type: "sample", size: 1 }), /type undefined/],
      [{}, /type undefined/],
      [[], /type undefined/],
      [null, /type undefined/],
      ["sample", /type undefined/],
    ];
    for (const [value, message] of wrong) {
      expect(() => decode(value))
        .to.throw(message)
        .with.property("code", "protocol/malformed");
    }
  });

  it("decodeByType() yields a message or throws protocol/malformed, whatever comes", () => {
    fc.assert(
      fc.property(fc.anything({ withNullPrototype: true, withSparseArray: true }), (value) => {
        expect(() => decode(value))
          .to.throw()
          .with.property("code", "protocol/malformed");
      }),
    );
  });
});
