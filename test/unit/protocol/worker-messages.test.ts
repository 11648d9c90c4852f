import { expect } from "chai";
import { PROTOCOL_VERSION } from "../../../src/protocol/limits.js";
import { isEnvelope } from "../../../src/protocol/worker-messages.js";
import { fc } from "../../support/properties.js";

describe("worker-messages", () => {
  it("isEnvelope() accepts our messages of our version", () => {
    expect(isEnvelope({ nearcast: PROTOCOL_VERSION, type: "hello", build: "1" })).to.equal(true);
  });

  it("isEnvelope() rejects other versions and the messages of the site's own code", () => {
    const others: unknown[] = [
      { nearcast: PROTOCOL_VERSION + 1, type: "hello" },
      { nearcast: String(PROTOCOL_VERSION), type: "hello" },
      { nearcast: true, type: "hello" },
      { type: "hello" },
      { nearcast: PROTOCOL_VERSION },
      { nearcast: PROTOCOL_VERSION, type: 1 },
      null,
      undefined,
      "hello",
      [],
    ];
    for (const data of others) expect(isEnvelope(data), JSON.stringify(data)).to.equal(false);
  });

  it("isEnvelope() never throws, whatever a page posts", () => {
    fc.assert(
      fc.property(
        fc.anything({ withNullPrototype: true, withMap: true, withDate: true }),
        (data) => {
          expect(isEnvelope(data)).to.equal(false);
        },
      ),
    );
  });
});
