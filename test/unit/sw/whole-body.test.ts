import { expect } from "chai";
import { matchesIntegrity, wholeIf } from "../../../src/sw/answer/whole-body.js";
import { bytesFrom } from "../../support/random.js";
import { rejection, sameBytes } from "../../support/waiting.js";

const BYTES = bytesFrom(1, 1_000);

async function digest(algorithm: "SHA-256" | "SHA-384" | "SHA-512", bytes = BYTES) {
  const hash = new Uint8Array(await crypto.subtle.digest(algorithm, bytes));
  return `${algorithm.toLowerCase().replace("-", "")}-${btoa(String.fromCharCode(...hash))}`;
}

describe("whole-body", () => {
  it("matchesIntegrity() knows all three digests, takes any of the strongest kind and no weaker one", async () => {
    const other = bytesFrom(2, 1_000);
    for (const algorithm of ["SHA-256", "SHA-384", "SHA-512"] as const) {
      const right = await digest(algorithm);
      const wrong = await digest(algorithm, other);
      expect(await matchesIntegrity(right, BYTES), algorithm).to.equal(true);
      expect(await matchesIntegrity(right, other), algorithm).to.equal(false);
      expect(await matchesIntegrity(`${wrong} ${right}`, BYTES), algorithm).to.equal(true);
      expect(await matchesIntegrity(`${right}?option`, BYTES), algorithm).to.equal(true);
    }
    const weak = await digest("SHA-256");
    const strong = await digest("SHA-512", other);
    expect(await matchesIntegrity(`${weak} ${strong}`, BYTES)).to.equal(false);
    for (const unknown of ["", "md5-AAAA", "sha256-", "sha256", "xsha256-AAAA", "sha256-*"]) {
      expect(await matchesIntegrity(unknown, BYTES), unknown).to.equal(false);
    }
  });

  it("matchesIntegrity() refuses the same body with any one byte changed", async () => {
    const integrity = await digest("SHA-384");
    for (let at = 0; at < 1_000; at += 37) {
      const changed = BYTES.slice();
      changed[at] = (changed[at] ?? 0) ^ 1;
      expect(await matchesIntegrity(integrity, changed), `${at}`).to.equal(false);
    }
  });

  it("wholeIf() lets no byte out before all of them match", async () => {
    const head = { status: 200, headers: { "content-type": "text/plain" } };
    const answered = await wholeIf(await digest("SHA-256"), new Response(BYTES, head));
    expect(answered.headers.get("content-type")).to.equal("text/plain");
    expect(sameBytes(new Uint8Array(await answered.arrayBuffer()), BYTES)).to.equal(true);
    const short = wholeIf(await digest("SHA-256"), new Response(BYTES.slice(1), head));
    expect(await rejection(short)).to.have.property("code", "integrity/mismatch");
    const plain = new Response(BYTES, head);
    expect(await wholeIf("", plain), "as it is").to.equal(plain);
  });
});
