import { expect } from "chai";
import { isNetworkError } from "../../../src/sw/origin/network-error.js";

async function reasonOf(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error("it did not fail");
}

describe("isNetworkError", () => {
  it("knows what this browser's fetch() fails with", async () => {
    expect(isNetworkError(await reasonOf(fetch("http://127.0.0.1:1/")))).to.equal(true);
    const gone = AbortSignal.abort();
    expect(isNetworkError(await reasonOf(fetch("/", { signal: gone })))).to.equal(true);
  });

  it("takes nothing for the network's that a bug or the disk brings", () => {
    const bug = new TypeError("Cannot read properties of undefined (reading 'fetch')");
    const disk = new DOMException("full", "QuotaExceededError");
    for (const error of [bug, disk, new RangeError("Failed to fetch"), "Failed to fetch", null]) {
      expect(isNetworkError(error)).to.equal(false);
    }
  });
});
