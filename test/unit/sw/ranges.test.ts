import { expect } from "chai";
import { coveredRange } from "../../../src/protocol/asset.js";
import type { Header } from "../../../src/protocol/attestation.js";
import { corsAllows, responseHead } from "../../../src/sw/answer/response-head.js";
import { cappedRange } from "../../../src/sw/origin/pass-through.js";
import {
  formatContentRange,
  parseContentRange,
  parseRange,
} from "../../../src/sw/request/byte-range.js";
import { requestFor } from "../../../src/sw/request/range-request.js";
import { fc } from "../../support/properties.js";

describe("byte-range", () => {
  it("parseRange() reads one range with a start and leaves the rest to the origin", () => {
    const table: [header: string, range: ReturnType<typeof parseRange>][] = [
      ["bytes=0-", { start: 0 }],
      ["bytes=0-0", { start: 0, end: 1 }],
      ["bytes=5-9", { start: 5, end: 10 }],
      [" bytes=5-9 ", { start: 5, end: 10 }],
      ["bytes=007-9", { start: 7, end: 10 }],
      ["bytes=999999999999999-", { start: 999_999_999_999_999 }],
      ["bytes=9-5", undefined],
      ["bytes=-5", undefined],
      ["bytes=-", undefined],
      ["bytes=", undefined],
      ["", undefined],
      ["bytes=0-1,5-6", undefined],
      ["bytes=0-1, 5-6", undefined],
      ["bytes = 0-1", undefined],
      ["bytes=0 - 1", undefined],
      ["bytes=1.5-2", undefined],
      ["bytes=+1-2", undefined],
      ["bytes=0x1-2", undefined],
      ["items=0-1", undefined],
      ["bytes=9999999999999999-", undefined],
      ["bytes=0-\n1", undefined],
    ];
    for (const [header, range] of table) expect(parseRange(header), header).to.deep.equal(range);
  });

  it("coveredRange() answers closed ranges whole and open ones up to the maximum", () => {
    const table: [
      asked: ReturnType<typeof parseRange>,
      covered: ReturnType<typeof coveredRange>,
    ][] = [
      [undefined, { start: 0, end: 1_000 }],
      [{ start: 0 }, { start: 0, end: 100 }],
      [{ start: 950 }, { start: 950, end: 1_000 }],
      [
        { start: 0, end: 500 },
        { start: 0, end: 500 },
      ],
      [
        { start: 0, end: 5_000 },
        { start: 0, end: 1_000 },
      ],
      [{ start: 999 }, { start: 999, end: 1_000 }],
      [{ start: 1_000 }, undefined],
      [{ start: 1_000, end: 1_001 }, undefined],
    ];
    for (const [asked, covered] of table) {
      expect(coveredRange(asked, 1_000, 100), JSON.stringify(asked)).to.deep.equal(covered);
    }
    expect(coveredRange(undefined, 0, 100)).to.deep.equal({ start: 0, end: 0 });
    expect(coveredRange({ start: 0 }, 0, 100)).to.equal(undefined);
  });

  it("coveredRange() is never empty, never outside and starts where it was asked to", () => {
    const anyAsked = fc
      .tuple(fc.nat(3_000), fc.option(fc.integer({ min: 1, max: 3_000 }), { nil: undefined }))
      .map(([start, size]) => (size === undefined ? { start } : { start, end: start + size }));
    fc.assert(
      fc.property(
        anyAsked,
        fc.nat(2_000),
        fc.integer({ min: 1, max: 500 }),
        (asked, length, max) => {
          const covered = coveredRange(asked, length, max);
          expect(covered === undefined).to.equal(asked.start >= length);
          if (!covered) return;
          expect(covered.start).to.equal(asked.start);
          expect(covered.end).to.be.within(asked.start + 1, length);
          expect(covered.end).to.be.at.most("end" in asked ? asked.end : asked.start + max);
        },
      ),
    );
  });

  it("parseContentRange() reads what formatContentRange() writes", () => {
    fc.assert(
      fc.property(fc.nat(), fc.integer({ min: 1 }), fc.nat(), (start, size, more) => {
        const range = { start, end: start + size };
        const length = range.end + more;
        expect(parseContentRange(formatContentRange(range, length))).to.deep.equal({
          ...range,
          length,
        });
      }),
    );
    expect(formatContentRange({ start: 0, end: 1 }, 10)).to.equal("bytes 0-0/10");
  });

  it("parseContentRange() knows an unknown length and refuses everything else", () => {
    expect(parseContentRange("bytes 1-2/*")).to.deep.equal({ start: 1, end: 3, length: undefined });
    for (const header of ["bytes */10", "bytes 1-2", "1-2/3", "bytes=1-2/3", "", "bytes -1-2/3"]) {
      expect(parseContentRange(header), header).to.equal(undefined);
    }
    expect(parseContentRange(null)).to.equal(undefined);
  });

  it("cappedRange() caps an open range only", () => {
    expect(cappedRange({ start: 5 }, 100)).to.deep.equal({ start: 5, end: 105 });
    expect(cappedRange({ start: 5, end: 5_000 }, 100)).to.deep.equal({ start: 5, end: 5_000 });
    expect(cappedRange(undefined, 100)).to.equal(undefined);
  });
});

describe("range-request", () => {
  const page = (init: RequestInit = {}) =>
    new Request("https://cdn.example/a.ts", {
      headers: { range: "bytes=0-", accept: "video/*" },
      ...{ credentials: "include", cache: "no-cache", referrerPolicy: "origin", mode: "cors" },
      ...init,
    });

  it("requestFor() asks for other bytes and nothing else", () => {
    const { signal } = new AbortController();
    const request = requestFor(page(), { start: 5, end: 10 }, signal);
    expect([...request.headers]).to.deep.equal([
      ["accept", "video/*"],
      ["range", "bytes=5-9"],
    ]);
    const { url, method, mode, credentials, cache, referrerPolicy, redirect } = request;
    expect({ url, method, mode, credentials, cache, referrerPolicy, redirect }).to.deep.equal({
      ...{ url: "https://cdn.example/a.ts", method: "GET", mode: "cors", redirect: "follow" },
      ...{ credentials: "include", cache: "no-cache", referrerPolicy: "origin" },
    });
  });

  it("requestFor() keeps the request as it is without a closed range", () => {
    const { signal } = new AbortController();
    for (const range of [undefined, { start: 5 }]) {
      expect(requestFor(page(), range, signal).headers.get("range")).to.equal("bytes=0-");
    }
  });

  it("requestFor() asks with CORS where a no-cors copy would lose its Range", () => {
    const request = requestFor(
      page({ mode: "no-cors" }),
      { start: 0, end: 1 },
      AbortSignal.any([]),
    );
    expect(request.mode).to.equal("cors");
    expect(request.headers.get("range")).to.equal("bytes=0-0");
  });

  it("requestFor() is aborted by its signal", () => {
    const stop = new AbortController();
    const requests = [undefined, { start: 0, end: 1 }].map((r) =>
      requestFor(page(), r, stop.signal),
    );
    stop.abort();
    for (const request of requests) expect(request.signal.aborted).to.equal(true);
  });
});

describe("response-head", () => {
  const HEADERS: readonly Header[] = [
    ["content-type", "video/mp4"],
    ["cache-control", "max-age=60"],
    ["etag", '"v1"'],
    ["x-one", "1"],
    ["x-two", "2"],
    ["access-control-allow-origin", "*"],
  ];
  const namesOf = (headers: readonly Header[], crossOrigin: boolean, ranged = false) =>
    responseHead(
      { length: 100, headers },
      { covered: { start: 0, end: 10 }, ranged, crossOrigin },
    ).headers.map(([name]) => name);

  it("responseHead() is 200 without and 206 with a Range header", () => {
    const asset = { length: 100, headers: HEADERS };
    const whole = { covered: { start: 0, end: 100 }, ranged: false, crossOrigin: false };
    expect(responseHead(asset, whole)).to.deep.equal({
      ...{ status: 200, statusText: "OK" },
      headers: [...HEADERS, ["content-length", "100"]],
    });
    expect(
      responseHead(asset, { ...whole, covered: { start: 10, end: 30 }, ranged: true }),
    ).to.deep.equal({
      ...{ status: 206, statusText: "Partial Content" },
      headers: [...HEADERS, ["content-length", "20"], ["content-range", "bytes 10-29/100"]],
    });
  });

  it("responseHead() shows another origin's headers as CORS would", () => {
    const safe = ["content-type", "cache-control", "content-length"];
    const expose = (value: string): Header => ["access-control-expose-headers", value];
    const table: [what: string, extra: readonly Header[], names: readonly string[]][] = [
      ["nothing exposed", [], safe],
      [
        "one exposed",
        [expose("X-One")],
        ["content-type", "cache-control", "x-one", "content-length"],
      ],
      [
        "two lines, spaces",
        [expose(" x-one ,etag"), expose("x-two")],
        ["content-type", "cache-control", "etag", "x-one", "x-two", "content-length"],
      ],
    ];
    for (const [what, extra, names] of table) {
      expect(namesOf([...HEADERS, ...extra], true), what).to.deep.equal(names);
    }
    expect(namesOf([...HEADERS, expose("*")], true)).to.include.members(["etag", "x-one"]);
    expect(namesOf(HEADERS, true, true), "Content-Range is not safelisted").to.not.include(
      "content-range",
    );
    expect(namesOf([...HEADERS, expose("content-range")], true, true)).to.include("content-range");
    expect(namesOf(HEADERS, false), "the own origin sees all").to.include("etag");
  });

  it("corsAllows() lets a site read what allows everybody or itself", () => {
    const site = "https://site.example";
    const table: [value: string | undefined, allowed: boolean][] = [
      ["*", true],
      [site, true],
      [undefined, false],
      ["", false],
      ["null", false],
      ["https://other.example", false],
      [`${site}/`, false],
      [`${site}, *`, false],
    ];
    for (const [value, allowed] of table) {
      const headers: Header[] = value === undefined ? [] : [["access-control-allow-origin", value]];
      expect(corsAllows(headers, site), String(value)).to.equal(allowed);
    }
  });
});
