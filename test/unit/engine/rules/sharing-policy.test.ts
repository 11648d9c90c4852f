import { expect } from "chai";
import {
  decideSharing,
  mayAccelerate,
  parseCacheControl,
  type RequestFacts,
  type ResponseFacts,
} from "../../../../src/engine/rules/sharing-policy.js";
import type { Header } from "../../../../src/protocol/attestation.js";
import { fc } from "../../../support/properties.js";

/** A segment that a player fetches from its own site; each test changes one fact. */
const request = (facts: Partial<RequestFacts> = {}): RequestFacts => ({
  method: "GET",
  url: "https://site.example/live/1.ts",
  destination: "",
  mode: "cors",
  credentials: "same-origin",
  cache: "default",
  sameOrigin: true,
  authorization: false,
  conditional: false,
  unusualRange: false,
  ...facts,
});

const urls = (...paths: string[]) =>
  paths.map((path): Partial<RequestFacts> => ({ url: `https://site.example${path}` }));

const facts = <K extends keyof RequestFacts>(name: K, ...values: RequestFacts[K][]) =>
  values.map((value) => ({ [name]: value }) as Partial<RequestFacts>);

const requestRules: [
  rule: string,
  accelerated: readonly Partial<RequestFacts>[],
  passedThrough: readonly Partial<RequestFacts>[],
][] = [
  [
    "S5: GET only",
    facts("method", "GET"),
    facts("method", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "get", ""),
  ],
  [
    "S5: http and https only",
    facts("url", "https://a.example/x.ts", "http://a.example/x.ts"),
    facts("url", "blob:https://a/1", "data:,x", "ftp://a/x", "file:///x", "chrome-extension://a/x"),
  ],
  [
    "S5: only destinations whose bytes cannot act",
    facts("destination", "", "audio", "font", "image", "track", "video"),
    facts(
      "destination",
      ...["document", "script", "style", "worker", "serviceworker", "sharedworker", "iframe"],
      ...["frame", "embed", "object", "manifest", "report", "xslt", "audioworklet", "json"],
    ),
  ],
  [
    "S5: no cache mode that asks for the origin",
    facts("cache", "default", "force-cache", "no-cache"),
    facts("cache", "no-store", "reload", "only-if-cached"),
  ],
  ["S5: no Authorization", facts("authorization", false), facts("authorization", true)],
  ["no validation by the page", facts("conditional", false), facts("conditional", true)],
  ["no suffix and no list of ranges", facts("unusualRange", false), facts("unusualRange", true)],
  [
    "S5, S14: modes of the own origin",
    facts("mode", "cors", "same-origin", "no-cors"),
    facts("mode", "navigate", "websocket", "webtransport", ""),
  ],
  [
    "S5, S14: from another origin only CORS",
    [{ sameOrigin: false, mode: "cors" }],
    ["no-cors", "same-origin", "navigate"].map((mode) => ({ sameOrigin: false, mode })),
  ],
  [
    "S6: from another origin no credentials",
    [
      { sameOrigin: false, credentials: "omit" },
      { sameOrigin: false, credentials: "same-origin" },
      { sameOrigin: true, credentials: "include" },
    ],
    [{ sameOrigin: false, credentials: "include" }],
  ],
  [
    "playlists and active content come from the origin",
    urls(
      "/a.ts",
      "/a.mp4",
      "/a",
      "/",
      "/a.jpg?x=a.m3u8",
      "/a.mp4#.js",
      "/m3u8/a.ts",
      "/ajs",
      "/a.json.gz",
    ),
    urls(
      ...["/a.m3u8", "/a.M3U8", "/a.m3u", "/a.mpd?x=1", "/a.html", "/a.htm#x", "/a.xhtml", "/a.js"],
      ...["/a.mjs", "/a.css", "/a.wasm", "/a.json", "/a.svg", "/a.xml", "/a.webmanifest"],
    ),
  ],
];

/** What a CDN answers for a segment; each test changes headers or facts. */
const response = (
  headers: readonly Header[],
  more: Partial<ResponseFacts> = {},
): ResponseFacts => ({
  status: 200,
  headers: [["content-type", "video/mp2t"], ...headers],
  ...more,
});

const FRESH: Header = ["cache-control", "max-age=60"];
const fresh = (...headers: readonly Header[]) => response([FRESH, ...headers]);
const cacheControl = (...values: readonly string[]) =>
  values.map((value) => response([["cache-control", value]]));
const typed = (...types: readonly string[]) =>
  types.map((type): ResponseFacts => ({ status: 200, headers: [FRESH, ["content-type", type]] }));
const DATE = "Fri, 20 Nov 2026 12:00:00 GMT";
const LATER = "Fri, 20 Nov 2026 12:01:00 GMT";
const cors = (allowed?: string): ResponseFacts => ({
  ...fresh(...(allowed === undefined ? [] : [["access-control-allow-origin", allowed] as const])),
  crossOrigin: true,
  siteOrigin: "https://site.example",
});

const responseRules: [
  rule: string,
  shared: readonly ResponseFacts[],
  refused: readonly ResponseFacts[],
][] = [
  [
    "S7: nothing that a shared cache must not store",
    cacheControl("max-age=60", "public, max-age=60", "s-maxage=60", "max-age=60, immutable"),
    cacheControl(
      ...[
        "no-store, max-age=60",
        "private, max-age=60",
        "no-cache, max-age=60",
        "NO-STORE, max-age=60",
      ],
      ...[
        "max-age=60, must-understand",
        'private="set-cookie", max-age=60',
        'max-age=60, no-cache="x"',
      ],
      'x="a, b", private, max-age=60',
    ),
  ],
  [
    "S7: only explicit freshness, the smaller of s-maxage and max-age before Expires",
    [
      ...cacheControl("max-age=60, s-maxage=60", 'max-age="60"', "max-age=60, max-age=60"),
      response([
        ["expires", LATER],
        ["date", DATE],
      ]),
      response([FRESH, ["expires", DATE], ["date", LATER]]),
    ],
    [
      response([]),
      ...cacheControl(
        "public",
        "s-maxage=0, max-age=60",
        "s-maxage=60, max-age=0",
        "max-age=0",
        "max-age=-1",
        "max-age=1.5",
      ),
      ...cacheControl("max-age", "max-age=soon", "max-age=0x10", "max-age=99999999999"),
      ...cacheControl("max-age=60, max-age=0", "max-age=0, max-age=60", "s-maxage=60, s-maxage=9"),
      response([
        ["expires", DATE],
        ["date", LATER],
      ]),
      response([
        ["expires", DATE],
        ["date", DATE],
      ]),
      response([
        ["expires", "0"],
        ["date", DATE],
      ]),
      response([
        ["expires", "never"],
        ["date", DATE],
      ]),
      response([["expires", LATER]]),
      response([
        ["last-modified", DATE],
        ["date", LATER],
      ]),
    ],
  ],
  ["S8: no Set-Cookie", [fresh()], [fresh(["set-cookie", "a=b"])]],
  ["S8: no challenge", [fresh()], [fresh(["www-authenticate", "Basic"])]],
  [
    "S9: Vary names nothing but Origin and Accept-Encoding",
    [
      ...["Origin", "accept-encoding", "Accept-Encoding, Origin", "", " , origin ,"].map((value) =>
        fresh(["vary", value]),
      ),
      fresh(["vary", "origin"], ["vary", "accept-encoding"]),
    ],
    [
      ...["*", "Cookie", "Origin, User-Agent", "origin,*", "accept"].map((v) => fresh(["vary", v])),
      fresh(["vary", "origin"], ["vary", "cookie"]),
    ],
  ],
  [
    "S10: status 200 and 206 only",
    [
      ...[200, 206].map((status) => ({ ...fresh(), status })),
      { ...fresh(["content-range", "bytes 0-9/10"]), status: 206 },
    ],
    [
      fresh(["content-range", "bytes 0-9/10"]),
      ...[0, 201, 203, 204, 301, 304, 404, 416, 500].map((status) => ({ ...fresh(), status })),
    ],
  ],
  [
    "S11: nothing past its freshness",
    [
      fresh(["age", "59"]),
      fresh(["age", "0"]),
      fresh(["date", DATE]),
      { ...fresh(["date", DATE]), nowMs: Date.parse(DATE) + 59_000 },
      { ...fresh(["date", LATER]), nowMs: Date.parse(DATE) },
      { ...fresh(["date", "never"]), nowMs: Date.parse(DATE) },
    ],
    [
      fresh(["age", "60"]),
      fresh(["age", "86400"]),
      fresh(["age", "soon"]),
      { ...fresh(["date", DATE]), nowMs: Date.parse(LATER) },
      { ...fresh(["date", DATE], ["age", "0"]), nowMs: Date.parse(LATER) },
    ],
  ],
  [
    "S11: nothing past its freshness, whatever allows a cache to be stale",
    cacheControl("max-age=60, must-revalidate", "max-age=60, proxy-revalidate"),
    [
      "max-age=60, immutable",
      "max-age=60, stale-if-error=600",
      "max-age=60, stale-while-revalidate=600",
    ].map((value) =>
      response([
        ["cache-control", value],
        ["age", "61"],
      ]),
    ),
  ],
  [
    "S12: no content coding",
    [fresh(), fresh(["content-encoding", "identity"]), ...cacheControl("no-transform, max-age=60")],
    ["gzip", "br", "GZIP", "identity, gzip"].map((value) => fresh(["content-encoding", value])),
  ],
  [
    "active content and playlists are not shared, whatever their URL",
    typed(
      "video/mp4",
      "audio/mpeg",
      "image/png",
      "font/woff2",
      "application/octet-stream",
      "text/vtt",
      "",
    ),
    typed(
      ...["text/html", "TEXT/HTML; charset=utf-8", "text/css", "text/xml", "application/xml"],
      ...["application/xhtml+xml", "application/javascript", "application/x-javascript"],
      ...["text/javascript", "application/json", "application/wasm", "image/svg+xml"],
      ...["application/ld+json", "application/vnd.apple.mpegurl", "audio/x-mpegurl"],
      "application/dash+xml",
    ),
  ],
  [
    "another origin's bytes only where CORS lets the site read them",
    [cors("*"), cors("https://site.example"), { ...cors(), crossOrigin: false }],
    [
      cors(),
      cors("https://other.example"),
      cors("null"),
      cors("https://site.example, *"),
      { status: 200, headers: [FRESH], crossOrigin: true },
    ],
  ],
];

describe("sharing-policy", () => {
  for (const [rule, accelerated, passedThrough] of requestRules) {
    it(`mayAccelerate() follows ${rule}`, () => {
      for (const change of accelerated) {
        expect(mayAccelerate(request(change)), JSON.stringify(change)).to.equal(true);
      }
      for (const change of passedThrough) {
        expect(mayAccelerate(request(change)), JSON.stringify(change)).to.equal(false);
      }
    });
  }

  for (const [rule, shared, refused] of responseRules) {
    it(`decideSharing() follows ${rule}`, () => {
      for (const facts of shared) {
        expect(decideSharing(facts).shared, JSON.stringify(facts)).to.equal(true);
      }
      for (const facts of refused) {
        expect(decideSharing(facts).shared, JSON.stringify(facts)).to.equal(false);
      }
    });
  }

  it("decideSharing() says how long the response is fresh", () => {
    const table: [ResponseFacts, freshMs: number][] = [
      [fresh(), 60_000],
      [fresh(["age", "20"]), 40_000],
      [response([["cache-control", "s-maxage=10, max-age=60"]]), 10_000],
      [
        response([
          ["expires", LATER],
          ["date", DATE],
        ]),
        60_000,
      ],
      [
        response([
          ["expires", LATER],
          ["date", DATE],
          ["age", "10"],
        ]),
        50_000,
      ],
    ];
    for (const [facts, freshMs] of table) {
      expect(decideSharing(facts), JSON.stringify(facts)).to.deep.equal({ shared: true, freshMs });
    }
  });

  it("decideSharing() takes the default only where the response states no freshness", () => {
    expect(decideSharing(response([]), 1_000)).to.deep.equal({ shared: true, freshMs: 1_000 });
    expect(decideSharing(response([]), 0).shared).to.equal(false);
    expect(decideSharing(fresh(), 1_000)).to.deep.equal({ shared: true, freshMs: 60_000 });
    const stale = response([["cache-control", "max-age=0"]]);
    expect(decideSharing(stale, 1_000).shared).to.equal(false);
    const secret = response([["cache-control", "private"]]);
    expect(decideSharing(secret, 1_000).shared).to.equal(false);
  });

  it("decideSharing() names its reason", () => {
    const table: [ResponseFacts, reason: string][] = [
      [{ ...fresh(), status: 404 }, "status 404"],
      [response([["cache-control", "no-store"]]), "Cache-Control: no-store"],
      [fresh(["set-cookie", "a=b"]), "Set-Cookie"],
      [fresh(["www-authenticate", "Basic"]), "WWW-Authenticate"],
      [fresh(["vary", "Origin, Cookie"]), "Vary: cookie"],
      [fresh(["content-encoding", "br"]), "Content-Encoding: br"],
      [cors(), "Access-Control-Allow-Origin"],
      [response([]), "no explicit freshness"],
      [fresh(["age", "60"]), "stale"],
    ];
    for (const [facts, reason] of table) {
      expect(decideSharing(facts)).to.deep.equal({ shared: false, reason });
    }
  });

  it("decideSharing() reads a header that comes in several lines", () => {
    const facts = response([
      ["cache-control", "max-age=60"],
      ["cache-control", "private"],
    ]);
    expect(decideSharing(facts)).to.have.property("reason", "Cache-Control: private");
  });

  it("parseCacheControl() reads names, tokens and quoted strings; duplicates that disagree say nothing", () => {
    const parsed = parseCacheControl(
      'Public,MAX-AGE=5 , max-age=5, b=1, B=2,x="a, no-store",y="q\\"r", z=',
    );
    expect([...(parsed ?? [])]).to.deep.equal([
      ["public", ""],
      ["max-age", "5"],
      ["b", ""],
      ["x", "a, no-store"],
      ["y", 'q\\"r'],
      ["z", ""],
    ]);
    expect(parseCacheControl("")?.size).to.equal(0);
  });

  it("parseCacheControl() finds a directive wherever it stands in the list", () => {
    const anyDirective = fc.constantFrom("public", "max-age=5", 'x="a, b"', "immutable", "y=z");
    fc.assert(
      fc.property(fc.array(anyDirective), fc.array(anyDirective), (before, after) => {
        const text = [...before, "no-store", ...after].join(", ");
        expect(parseCacheControl(text)?.has("no-store")).to.equal(true);
        expect(parseCacheControl([...before, ...after].join(","))?.has("no-store")).to.equal(false);
      }),
    );
  });
});
