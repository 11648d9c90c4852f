/**
 * Rule R32: what we share is a subset of what a shared cache may store and use, judged by a library that
 * knows nothing of us. Where the oracle is laxer (it stores `Vary: *`), ours are the stricter rules, which
 * needs no exception. Where it does less than RFC 9111, it is told so: 206 as 200, as it knows no parts; and
 * use is asked without `must-revalidate` and `proxy-revalidate`, which forbid staleness (section 5.2.2.2 and
 * 5.2.2.8) and which it takes for `no-cache`; and directives in lower case, as it knows them in no other.
 */
import { expect } from "chai";
import CachePolicy from "http-cache-semantics";
import { decideSharing, mayAccelerate } from "../../../../src/engine/rules/sharing-policy.js";
import type { Header } from "../../../../src/protocol/attestation.js";
import { fc } from "../../../support/properties.js";

const URL_ = "https://site.example/film.mp4";
const REVALIDATION = /(must|proxy)-revalidate/gi;
const seconds = fc.constantFrom("0", "1", "60", "3600", "-1", "1.5", "soon", '"60"', "");
const directive = fc.oneof(
  { weight: 6, arbitrary: seconds.map((value) => `max-age=${value}`) },
  { weight: 3, arbitrary: seconds.map((value) => `s-maxage=${value}`) },
  {
    weight: 6,
    arbitrary: fc.constantFrom(
      ...["public", "private", "no-store", "no-cache", "must-revalidate", "proxy-revalidate"],
      ...["must-understand", "immutable", "no-transform", "stale-if-error=60", "MAX-AGE=60"],
      ...["stale-while-revalidate=60", 'private="set-cookie"', 'no-cache="x"', 'x="a, no-store"'],
      ...["Private", "NO-STORE", "unknown", "x=1", "max-age = 60", 'x="', ""],
    ),
  },
);
const cacheControl = fc
  .array(directive, { minLength: 1, maxLength: 4 })
  .map((parts): Header => ["cache-control", parts.join(", ")]);

/** Dates around now: the oracle reads the clock, so they are made of it too, a minute away from any edge. */
const dated = (name: string) =>
  fc.constantFrom(-86_400, -60, 60, 3_600, 86_400).map((delta): Header => {
    const now = Math.floor(Date.now() / 1_000) * 1_000;
    return [name, new Date(now + delta * 1_000).toUTCString()];
  });
const now = fc.constant(0).map((): Header => ["date", new Date().toUTCString()]);

const anyHeader: fc.Arbitrary<Header> = fc.oneof(
  { weight: 8, arbitrary: cacheControl },
  { weight: 2, arbitrary: dated("expires") },
  { weight: 1, arbitrary: fc.constantFrom<Header>(["expires", "0"], ["expires", "never"]) },
  { weight: 2, arbitrary: now },
  { weight: 1, arbitrary: dated("date") },
  {
    weight: 2,
    arbitrary: fc.constantFrom("0", "59", "60", "86400", "-1", "x").map((v): Header => ["age", v]),
  },
  { weight: 1, arbitrary: dated("last-modified") },
  {
    weight: 1,
    arbitrary: fc
      .constantFrom("*", "Origin", "Accept-Encoding", "Cookie", "User-Agent, Origin", "")
      .map((value): Header => ["vary", value]),
  },
  { weight: 1, arbitrary: fc.constant<Header>(["pragma", "no-cache"]) },
  { weight: 1, arbitrary: fc.constant<Header>(["set-cookie", "a=b"]) },
  { weight: 1, arbitrary: fc.constant<Header>(["etag", '"v1"']) },
);

/** One line per name, as the oracle wants them. */
function joined(headers: readonly Header[]): Record<string, string> {
  const map = new Map<string, string>();
  for (const [name, value] of headers) {
    const before = map.get(name);
    map.set(name, before === undefined ? value : `${before}, ${value}`);
  }
  return Object.fromEntries(map);
}

const anyResponse = fc.record({
  status: fc.constantFrom(200, 200, 200, 206, 204, 301, 404, 500),
  headers: fc.array(anyHeader, { maxLength: 6 }),
});

/** A request of another viewer, which the mesh would answer. */
const request = { url: URL_, method: "GET", headers: { host: "site.example" } };

describe("sharing-policy against http-cache-semantics", () => {
  it("R32: decideSharing() shares nothing that a shared cache must not store, nor for longer", () => {
    let shared = 0;
    let refused = 0;
    fc.assert(
      fc.property(anyResponse, ({ status, headers }) => {
        const ours = decideSharing({ status, headers });
        if (!ours.shared) {
          refused++;
          return;
        }
        shared++;
        const told = { status: status === 206 ? 200 : status, headers: joined(headers) };
        const options = { shared: true, cacheHeuristic: 0 };
        expect(new CachePolicy(request, told, options).storable(), "storable").to.equal(true);
        const { "cache-control": directives = "", ...others } = told.headers;
        const usable = {
          ...others,
          "cache-control": directives.toLowerCase().replace(REVALIDATION, "x"),
        };
        const theirs = new CachePolicy(request, { ...told, headers: usable }, options);
        expect(theirs.timeToLive(), "freshness").to.be.at.least(ours.freshMs - 2_000);
        expect(theirs.satisfiesWithoutRevalidation(request), "usable by others").to.equal(true);
      }),
      { numRuns: 20_000 },
    );
    // A policy that refused everything would be a subset too.
    expect(shared, "shared").to.be.above(200);
    expect(refused, "refused").to.be.above(500);
  });

  it("R32: mayAccelerate() leaves alone what the oracle needs the origin for", () => {
    const response = { status: 200, headers: { "cache-control": "max-age=60" } };
    fc.assert(
      fc.property(
        fc.constantFrom("GET", "HEAD", "POST", "PUT", "DELETE"),
        fc.boolean(),
        fc.constantFrom("default", "no-store", "reload", "only-if-cached"),
        (method, authorization, cache) => {
          const ours = mayAccelerate({
            ...{ method, authorization, cache, url: URL_, destination: "video", mode: "cors" },
            ...{ credentials: "omit", sameOrigin: true, conditional: false, unusualRange: false },
          });
          if (!ours) return;
          const headers: Record<string, string> = {
            ...(authorization && { authorization: "Bearer x" }),
            // What a browser sends for these cache modes.
            ...(cache === "no-store" && { "cache-control": "no-store" }),
            ...(cache === "reload" && { "cache-control": "no-cache" }),
          };
          const theirs = new CachePolicy({ url: URL_, method, headers }, response);
          expect(theirs.storable()).to.equal(true);
          expect(theirs.satisfiesWithoutRevalidation({ url: URL_, method, headers })).to.equal(
            true,
          );
        },
      ),
    );
  });
});
