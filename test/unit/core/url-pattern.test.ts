import { expect } from "chai";
import { absolutePattern, urlMatcher } from "../../../src/core/url-pattern.js";
import { fc } from "../../support/properties.js";

const SITE = "https://site.example";

describe("url-pattern", () => {
  it("absolutePattern() puts the site before a path and leaves an absolute URL alone", () => {
    expect(absolutePattern("/media/**", SITE)).to.equal("https://site.example/media/**");
    for (const pattern of ["https://cdn.example/**", "http://cdn.example:8080/a/*.ts"]) {
      expect(absolutePattern(pattern, SITE)).to.equal(pattern);
    }
  });

  it("absolutePattern() writes hosts and letters as URLs have them", () => {
    for (const [pattern, url] of [
      ["/фильмы/**", "/фильмы/1 ü.ts?x=ü"],
      ["/a b/*.ts", "/a b/1.ts"],
      ["/a?x=ü", "/a?x=ü"],
      ["HTTPS://CDN.Example:443/**", "https://cdn.example/1.ts"],
      ["https://bücher.example/*", "https://bücher.example/1.ts"],
    ] as const) {
      const matches = urlMatcher([absolutePattern(pattern, SITE)]);
      expect(matches(new URL(url, SITE).href), pattern).to.equal(true);
    }
  });

  it("absolutePattern() throws config/invalid for anything else", () => {
    const wrong = [
      "/half-a-character-\ud800/**",
      "",
      "media/**",
      "//cdn.example/**",
      "https://cdn.example",
      "ftp://a/",
      "**",
    ];
    for (const pattern of [
      ...wrong,
      "https://*.example/**",
      "https:///a",
      "http://[/a",
      "javascript:/a/",
    ]) {
      expect(() => absolutePattern(pattern, SITE), pattern)
        .to.throw(`current value is "${pattern}"`)
        .with.property("code", "config/invalid");
    }
  });

  const table: [pattern: string, matching: string[], other: string[]][] = [
    [
      "/a/*.ts",
      ["/a/1.ts", "/a/.ts", "/a/1.ts?x=1", "/a/1.ts#x"],
      ["/a/b/1.ts", "/a/1.ts/x", "/b/1.ts"],
    ],
    ["/a/**", ["/a/", "/a/1.ts", "/a/b/1.ts", "/a/b?x=/c"], ["/a", "/ab/1.ts", "/b/a/1.ts"]],
    ["/**/1.ts", ["/a/1.ts", "/a/b/1.ts"], ["/1.ts", "/a/1.tsx", "/a/2.ts?y=/1.ts"]],
    ["/a.b/(c)[d]{2}+$^|", ["/a.b/(c)[d]{2}+$^|"], ["/axb/(c)[d]{2}+$^|", "/a.b/c"]],
    ["/a?x=*", ["/a?x=1", "/a?x="], ["/a", "/a?y=1", "/a?x=1/2", "/?x=1"]],
    ["/a/***", ["/a/b/c"], ["/b"]],
  ];
  for (const [pattern, matching, other] of table) {
    it(`urlMatcher() of "${pattern}" matches what the pattern says`, () => {
      const matches = urlMatcher([absolutePattern(pattern, SITE)]);
      for (const path of matching) expect(matches(SITE + path), path).to.equal(true);
      for (const path of other) expect(matches(SITE + path), path).to.equal(false);
    });
  }

  it("urlMatcher() matches nothing of another origin, and nothing at all without patterns", () => {
    const matches = urlMatcher([`${SITE}/**`]);
    for (const url of [
      "https://other.example/",
      "http://site.example/",
      "https://site.example.evil/",
    ]) {
      expect(matches(url), url).to.equal(false);
    }
    expect(matches(`https://evil.example/${SITE}/`)).to.equal(false);
    expect(urlMatcher([])(`${SITE}/`)).to.equal(false);
  });

  it("urlMatcher() matches if any pattern does", () => {
    const matches = urlMatcher([`${SITE}/a/*`, `${SITE}/b/*`]);
    expect(["/a/1", "/b/1", "/c/1"].map((path) => matches(SITE + path))).to.deep.equal([
      true,
      true,
      false,
    ]);
  });

  it("urlMatcher() takes a pattern without wildcards literally", () => {
    fc.assert(
      fc.property(fc.webUrl(), fc.webUrl(), (url, other) => {
        fc.pre(!url.includes("*"));
        expect(urlMatcher([url])(url)).to.equal(true);
        expect(urlMatcher([url])(other)).to.equal(url === other);
      }),
    );
  });
});
