import { expect } from "chai";
import { Claims } from "../../../../src/engine/origin/claims.js";
import { fc } from "../../../support/properties.js";

const LEASE_MS = 2_000;
const RELAYED_MS = 1_200;
const RENEW_MS = 200;
/** 100 ms to the first byte, 20 ms a piece. */
const PACE = { firstByteMs: 100, pieceMs: 20 };

/** The same by looking at every claim every time. */
class PlainClaims {
  readonly #claims: {
    peer: string;
    from: number;
    to: number;
    untilMs: number;
    own: boolean;
    withdrawn: boolean;
  }[] = [];
  readonly #renewedMs = new Map<string, number>();

  add(peer: string, claim: { from: number; to: number; own: boolean }, nowMs: number): boolean {
    if (claim.from === claim.to) {
      for (const own of this.#claims) {
        if (own.peer !== peer || !own.own || own.untilMs <= nowMs) continue;
        Object.assign(own, { untilMs: nowMs, withdrawn: true });
      }
      return false;
    }
    const pieces = Array.from({ length: claim.to - claim.from }, (_, at) => claim.from + at);
    const news = pieces.some((piece) => !((this.endMs(piece) ?? 0) > nowMs));
    const untilMs = nowMs + (claim.own ? LEASE_MS : RELAYED_MS);
    // What is passed on is nobody's: it says the same, whoever does so.
    const owner = claim.own ? peer : "";
    const same = this.#claims.find(
      ({ peer: other, from, to }) => other === owner && from === claim.from && to === claim.to,
    );
    if (same) Object.assign(same, { untilMs: Math.max(same.untilMs, untilMs), withdrawn: false });
    else this.#claims.push({ peer: owner, ...claim, untilMs, withdrawn: false });
    return news;
  }

  renew(peer: string, nowMs: number): void {
    if (!this.#claims.some((claim) => claim.peer === peer)) return;
    if (nowMs < (this.#renewedMs.get(peer) ?? Number.NEGATIVE_INFINITY) + RENEW_MS) return;
    this.#renewedMs.set(peer, nowMs);
    for (const claim of this.#claims) {
      if (claim.peer === peer && claim.own && claim.untilMs > nowMs) {
        claim.untilMs = nowMs + LEASE_MS;
      }
    }
  }

  end(peer: string, nowMs: number): void {
    for (const claim of this.#claims) {
      if (claim.peer === peer && claim.own) claim.untilMs = Math.min(claim.untilMs, nowMs);
    }
  }

  endMs(piece: number): number | undefined {
    const ends = this.#claims
      .filter(({ from, to, withdrawn }) => piece >= from && piece < to && !withdrawn)
      .map(({ untilMs }) => untilMs);
    return ends.length > 0 ? Math.max(...ends) : undefined;
  }
}

const step = fc.record({
  waitMs: fc.nat(700),
  what: fc.constantFrom<"add" | "renew" | "end">("add", "add", "add", "renew", "end"),
  peer: fc.constantFrom("a", "b", "c"),
  from: fc.nat(40),
  // Some are longer than what is written down piece by piece.
  length: fc.oneof(fc.nat(6), fc.integer({ min: 15, max: 40 })),
  own: fc.boolean(),
});

describe("claims", () => {
  it("Claims hold for a lease of two seconds after the last progress", () => {
    const claims = new Claims(() => PACE);
    claims.add("a", "asset", { from: 4, to: 8, own: true }, 0);
    const covered = [3, 4, 7, 8].map((piece) => claims.covers("asset", piece, 1_999));
    expect(covered).to.deep.equal([false, true, true, false]);
    expect(claims.covers("asset", 4, 2_000)).to.equal(false);
    claims.renew("a", "asset", 1_500);
    claims.renew("b", "asset", 3_000);
    claims.renew("a", "other", 3_000);
    expect(claims.covers("asset", 4, 3_499)).to.equal(true);
    expect(claims.covers("asset", 4, 3_500)).to.equal(false);
    claims.renew("a", "asset", 3_500);
    expect(claims.covers("asset", 4, 3_501), "what has ended stays ended").to.equal(false);
  });

  it("Claims hold for as long as a slow origin needs for three pieces, eight seconds at most", () => {
    let pieceMs = 1_300;
    const claims = new Claims(() => ({ firstByteMs: 100, pieceMs }));
    claims.add("a", "asset", { from: 0, to: 4, own: true }, 0);
    expect(claims.endMs("asset", 0)).to.equal(3_900);
    pieceMs = 60_000;
    claims.renew("a", "asset", 1_000);
    expect(claims.endMs("asset", 0)).to.equal(9_000);
  });

  it("Claims are overdue after twice the time in which the origin would have sent the piece, renewed or not", () => {
    const claims = new Claims(() => PACE);
    const at = (nowMs: number) => ({ nowMs, holds: () => false });
    claims.add("a", "asset", { from: 4, to: 8, own: true }, 1_000);
    expect(claims.overdue("asset", 4, at(1_140))).to.equal(false);
    expect(claims.overdue("asset", 4, at(1_141))).to.equal(true);
    expect(claims.overdue("asset", 7, at(1_141)), "its turn comes later").to.equal(false);
    expect(claims.overdue("asset", 7, at(1_261))).to.equal(true);
    expect(claims.overdue("asset", 8, at(9_000)), "nobody claimed it").to.equal(false);
    claims.renew("a", "asset", 1_150);
    claims.add("a", "asset", { from: 4, to: 8, own: true }, 1_150);
    claims.add("b", "asset", { from: 4, to: 8, own: true }, 1_150);
    expect(claims.overdue("asset", 4, at(1_160)), "a claim repeated wins no time").to.equal(true);
    expect(claims.overdue("asset", 4, at(13_149))).to.equal(true);
    expect(claims.overdue("asset", 4, at(13_150)), "ended and forgotten").to.equal(false);
  });

  it("Claims that bring something slowly are believed for longer, but not for ever", () => {
    const claims = new Claims(() => PACE);
    const held = new Set<number>();
    const at = (nowMs: number) => ({
      nowMs,
      holds: (peer: string, piece: number) => peer === "a" && held.has(piece),
    });
    claims.add("a", "asset", { from: 4, to: 8, own: true }, 1_000);
    expect(claims.overdue("asset", 5, at(1_181)), "nothing came").to.equal(true);
    claims.renew("a", "asset", 1_170);
    expect(claims.overdue("asset", 5, at(1_181)), "progress with what?").to.equal(true);
    held.add(4);
    expect(claims.overdue("asset", 5, at(1_210))).to.equal(false);
    expect(claims.overdue("asset", 5, at(1_211))).to.equal(true);
    claims.renew("a", "asset", 5_000);
    expect(
      claims.overdue("asset", 5, at(1_221)),
      "one piece is worth no more than twice its time",
    ).to.equal(true);
  });

  it("Claims taken back keep nobody in doubt, and win no time when they are made again", () => {
    const claims = new Claims(() => PACE);
    for (const [from, to] of [
      [0, 4],
      [0, 40],
    ] as const) {
      const claim = { from, to, own: true };
      claims.add("a", "asset", claim, 0);
      claims.add("a", "asset", { from: 0, to: 0, own: true }, 50);
      expect(claims.endMs("asset", 0)).to.equal(undefined);
      claims.add("a", "asset", claim, 100);
      expect(claims.endMs("asset", 0)).to.equal(2_100);
      expect(claims.overdue("asset", 0, { nowMs: 141, holds: () => false })).to.equal(true);
    }
  });

  it("Claims on streams are forgotten when a viewer lets its own go, but for those that are faster", () => {
    const claims = new Claims(() => PACE);
    claims.add("slow", "asset", { from: 0, to: 20, own: true }, 0);
    claims.add("slow", "asset", { from: 0, to: 4, own: true }, 0);
    claims.add("bearer", "asset", { from: 0, to: 30, own: false }, 0);
    claims.add("fast", "asset", { from: 8, to: 16, own: true }, 0);
    claims.forgetStreams("asset", (peerId) => peerId === "fast");
    expect([0, 3, 4, 7, 8, 15, 16, 29].filter((piece) => claims.covers("asset", piece, 1))).to.eql([
      0, 3, 8, 15,
    ]);
  });

  it("Claims end with their owner and are remembered for the next in rank", () => {
    const claims = new Claims(() => PACE);
    claims.add("a", "asset", { from: 0, to: 4, own: true }, 0);
    claims.end("a", 700);
    expect(claims.covers("asset", 0, 701)).to.equal(false);
    expect(claims.endMs("asset", 0)).to.equal(700);
    expect(claims.endMs("asset", 4)).to.equal(undefined);
    expect(claims.any("asset", 701)).to.equal(true);
    expect(claims.any("asset", 60_000), "forgotten in the end").to.equal(false);
  });

  it("Claims of one asset come from 64 peers at most, the newest", () => {
    const claims = new Claims(() => PACE);
    for (let at = 0; at < 65; at++)
      claims.add(`peer-${at}`, "asset", { from: at, to: at + 1, own: true }, 0);
    expect([0, 1, 64].map((piece) => claims.covers("asset", piece, 1))).to.deep.equal([
      false,
      true,
      true,
    ]);
  });

  it("Claims of one asset are bounded", () => {
    const claims = new Claims(() => PACE);
    for (let at = 0; at < 300; at++)
      claims.add("a", "asset", { from: at, to: at + 1, own: true }, 0);
    expect(claims.covers("asset", 299, 1)).to.equal(true);
    expect(claims.covers("asset", 0, 1)).to.equal(false);
  });

  it("Claims that are passed on are remembered once, whoever passes them on, and are bounded", () => {
    const claims = new Claims(() => PACE);
    for (const peer of ["a", "b"]) claims.add(peer, "asset", { from: 0, to: 4, own: false }, 0);
    for (let at = 0; at < 255; at++)
      claims.add("c", "asset", { from: 10 + at, to: 11 + at, own: false }, 0);
    expect(claims.covers("asset", 0, 1), "256 ranges").to.equal(true);
    claims.add("c", "asset", { from: 500, to: 504, own: false }, 0);
    expect(claims.covers("asset", 0, 1), "the older half goes").to.equal(false);
    expect(claims.covers("asset", 264, 1)).to.equal(true);
    expect(claims.covers("asset", 503, 1)).to.equal(true);
  });

  it("Claims say what looking at every claim every time would say", () => {
    let covered = 0;
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 40 }), (steps) => {
        const claims = new Claims(() => PACE);
        const plain = new PlainClaims();
        let nowMs = 0;
        for (const { waitMs, what, peer, from, length, own } of steps) {
          nowMs += waitMs;
          const claim = { from, to: from + length, own };
          const done = {
            add: () => [claims.add(peer, "asset", claim, nowMs), plain.add(peer, claim, nowMs)],
            renew: () => [claims.renew(peer, "asset", nowMs), plain.renew(peer, nowMs)],
            end: () => [claims.end(peer, nowMs), plain.end(peer, nowMs)],
          };
          const [said, expected] = done[what]();
          expect(said).to.equal(expected);
          for (let piece = 0; piece < 90; piece += 3) {
            const endMs = plain.endMs(piece);
            expect(claims.endMs("asset", piece), `piece ${piece} at ${nowMs}`).to.equal(endMs);
            if ((endMs ?? 0) > nowMs) covered++;
          }
        }
      }),
    );
    expect(covered).to.be.above(1_000);
  });

  it("Claims count on what is passed on for a while only, whatever its bearer brings or does", () => {
    const claims = new Claims(() => PACE);
    claims.add("bearer", "asset", { from: 0, to: 4, own: false }, 0);
    claims.renew("bearer", "asset", 900);
    claims.end("bearer", 1_000);
    expect(claims.covers("asset", 0, RELAYED_MS - 1), "the bearer left, not the fetcher").to.equal(
      true,
    );
    expect(claims.covers("asset", 0, RELAYED_MS)).to.equal(false);
    claims.add("bearer", "asset", { from: 0, to: 4, own: true }, 1_300);
    claims.renew("bearer", "asset", 3_000);
    expect(claims.covers("asset", 0, 4_999), "it fetches them itself by now").to.equal(true);
  });

  it("Claims take any range at the cost of a short one, and remember a bounded number", () => {
    const claims = new Claims(() => PACE);
    for (let at = 0; at < 10_000; at++) {
      claims.add("a", `asset ${at % 200}`, { from: at, to: 2 ** 24, own: true }, 0);
    }
    expect(claims.any("asset 199", 1)).to.equal(true);
    expect(claims.any("asset 1", 1), "the oldest assets are forgotten").to.equal(false);
  });
});
