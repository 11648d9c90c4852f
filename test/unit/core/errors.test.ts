import { expect } from "chai";
import { NearcastError } from "../../../src/core/errors.js";

describe("errors", () => {
  it("NearcastError carries code, message and cause", () => {
    const cause = new TypeError("why");
    const error = new NearcastError("peer/closed", "Cannot reach peer", { cause });
    expect(error).to.be.instanceOf(Error);
    expect(error.name).to.equal("NearcastError");
    expect(error.code).to.equal("peer/closed");
    expect(error.message).to.equal("Cannot reach peer");
    expect(error.cause).to.equal(cause);
  });

  it("NearcastError has no cause of its own", () => {
    expect(Object.hasOwn(new NearcastError("peer/closed", "x"), "cause")).to.equal(false);
  });
});
