import { expect } from "chai";
import type { PieceRange } from "../../../src/protocol/asset.js";
import { PIECE_BYTES } from "../../../src/protocol/limits.js";
import type { StoredAsset, StoredWindow } from "../../../src/store/piece-store.js";
import { StoreLookup } from "../../../src/sw/store-lookup.js";
import { settle } from "../../support/waiting.js";

const URL = "https://cdn.example/film.mp4";
const RANGE = { start: PIECE_BYTES, end: 3 * PIECE_BYTES };
const WINDOWS: readonly StoredWindow[] = [];

/** A store that answers when it is told to. */
function setUp(assetId = "one") {
  const asset: StoredAsset = {
    ...{ assetId, url: URL, length: 10 * PIECE_BYTES, headers: [], expiresMs: 0 },
  };
  const state: { asset: StoredAsset | undefined; held: boolean } = { asset, held: true };
  const asked: string[] = [];
  let gate = Promise.resolve();
  const store = {
    findAsset: async () => {
      asked.push("asset");
      await gate;
      return state.asset;
    },
    holds: async ({ assetId: id }: StoredAsset, { from, to }: PieceRange) => {
      asked.push(`${id} ${from}-${to}`);
      return state.held ? [...WINDOWS] : undefined;
    },
  };
  const hold = () => {
    const opened = Promise.withResolvers<void>();
    gate = opened.promise;
    return opened.resolve;
  };
  const lookup = new StoreLookup(store);
  return { asset, state, asked, hold, find: () => lookup.find(URL, RANGE, 0) };
}

describe("store-lookup", () => {
  it("StoreLookup.find() says what covers a request, if all of it is there", async () => {
    const { asset, state, find } = setUp();
    const expected = { asset, covered: RANGE, windows: WINDOWS };
    expect(await find()).to.deep.equal(expected);
    expect(await find(), "a second time").to.deep.equal(expected);
    state.held = false;
    expect(await find()).to.equal(undefined);
    state.asset = undefined;
    expect(await find()).to.equal(undefined);
  });

  it("StoreLookup.find() reads both records at once where it knows what the first one said", async () => {
    const { asked, hold, find } = setUp();
    await find();
    expect(asked.splice(0)).to.deep.equal(["asset", "one 1-3"]);
    const open = hold();
    const found = find();
    await settle();
    expect(asked.toSorted(), "the first is not read yet").to.deep.equal(["asset", "one 1-3"]);
    open();
    expect(await found).not.to.equal(undefined);
    expect(asked).to.have.length(2);
  });

  it("StoreLookup.find() takes nothing of an earlier version for the URL's", async () => {
    const { asset, state, asked, find } = setUp();
    await find();
    state.asset = { ...asset, assetId: "two" };
    asked.length = 0;
    expect((await find())?.asset.assetId).to.equal("two");
    expect(asked).to.include("two 1-3");
    state.asset = undefined;
    expect(await find(), "the disk was cleared").to.equal(undefined);
  });
});
