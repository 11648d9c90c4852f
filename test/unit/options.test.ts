import { expect } from "chai";
import { OPTIONS } from "../../src/option-table.js";
import { type NearcastOptions, optionsFromData, resolveConfig } from "../../src/options.js";

const AROUND = {
  pageUrl: "https://site.example/films/1.html",
  scriptUrl: "https://mesh.example/nearcast.js",
};
const resolve = (options: object) => resolveConfig(options as NearcastOptions, AROUND);
type Name = keyof typeof OPTIONS;
const names = Object.keys(OPTIONS) as Name[];

/** Wrong values for each kind of option, beyond its bounds. */
const WRONG: Record<(typeof OPTIONS)[Name]["kind"], readonly unknown[]> = {
  url: ["nonsense", "ftp://a.example/", "", "//a.example"],
  names: ["a&b", "token=", ["ok", ""], "x".repeat(65), 7],
  urls: ["ftp://a.example/m.json", ["http://"], 7],
  patterns: ["a/**", "*.example/**", "//cdn.example/**", ["/a", 5], 7],
  path: ["https://other.example/sw.js", "//other.example/", "http://[", 7],
  choice: ["", "yes", "AUTO", true],
  ice: ["http://a.example", "turn.example", [7]],
  boolean: ["true", 1, "yes"],
  token: ["", "token", 7, {}],
  key: ["", "A".repeat(42), "A".repeat(44), `${"A".repeat(42)}+`],
  text: ["", "  ", "x".repeat(1_001), 7],
  link: ["javascript:alert(1)", "https://", "data:text/html,x", 7],
  number: [1.5, Number.NaN, Number.POSITIVE_INFINITY, "8", true],
};

describe("options", () => {
  it("resolveConfig() fills in every default and freezes the result", () => {
    const config = resolve({});
    expect(config.serverUrl.href).to.equal("https://mesh.example/");
    expect({ ...config, serverUrl: undefined }).to.deep.equal({
      serverUrl: undefined,
      include: ["https://site.example/**"],
      exclude: [],
      workerUrl: "https://site.example/nearcast-sw.js",
      prompt: {
        text: OPTIONS.consentText.default,
        ...{ yes: "Allow", no: "No, thanks", link: undefined, linkText: "Read more", lang: "en" },
      },
      ...{ scope: undefined, consent: "auto", iceServers: [], lan: false },
      ...{ joinToken: undefined, tokenUrl: undefined, privacy: "direct" },
      ...{ attestationKey: undefined, manifestUrls: [], manifestKey: undefined },
      stripParams: [],
      ...{
        cacheMaxBytes: 536_870_912,
        linksMax: 20,
        upload: "auto",
        uploadMaxRate: 0,
        uploadMaxParallel: 8,
        uploadDailyMaxBytes: 4_294_967_296,
      },
      controlTimeoutMs: 2_000,
    });
    expect(Object.isFrozen(config)).to.equal(true);
  });

  it("resolveConfig() takes a manifest only together with its key, relative to the page", () => {
    const manifestKey = "A".repeat(43);
    const { manifestUrls } = resolve({ manifest: "/m.json b/m.json", manifestKey });
    expect(manifestUrls).to.deep.equal([
      "https://site.example/m.json",
      "https://site.example/films/b/m.json",
    ]);
    expect(() => resolve({ manifest: "/m.json" })).to.throw("`manifestKey` must be set");
    expect(() => resolve({ manifestKey })).to.throw("`manifest` must be set");
  });

  for (const name of names) {
    it(`resolveConfig() refuses a wrong \`${name}\`, naming option, value and rule`, () => {
      const { kind, min = 0, max = 0 } = OPTIONS[name];
      const outside = kind === "number" ? [min - 1, max + 1] : [];
      for (const value of [...WRONG[kind], ...outside]) {
        expect(() => resolve({ [name]: value }), String(value))
          .to.throw(/must .*: current value is /)
          .with.property("code", "config/invalid");
      }
      const [wrong] = [...outside, ...WRONG[kind]];
      const shown = typeof wrong === "string" ? `"${wrong}"` : String(wrong);
      for (const text of [`\`${name}\``, shown])
        expect(() => resolve({ [name]: wrong })).to.throw(text);
    });

    if (OPTIONS[name].kind === "number") {
      it(`resolveConfig() takes \`${name}\` at both of its bounds, and its default`, () => {
        const { min, max, default: fallback } = OPTIONS[name];
        for (const value of [min, max, fallback]) {
          expect(resolve({ [name]: value })).to.have.property(name, value);
        }
        expect(resolve({ [name]: undefined })).to.have.property(name, fallback);
      });
    }
  }

  it("resolveConfig() refuses what is no object", () => {
    for (const options of [null, "server", 7]) {
      expect(() => resolveConfig(options as unknown as NearcastOptions, AROUND))
        .to.throw("`options` must be an object")
        .with.property("code", "config/invalid");
    }
  });

  it("resolveConfig() refuses unknown names, inherited ones too", () => {
    for (const name of ["peersMax", "toString", "__proto__x", "constructor"]) {
      expect(() => resolve({ [name]: 1 }), name).to.throw(name);
    }
  });

  it("resolveConfig() takes lists as text or as arrays, and makes paths absolute", () => {
    const config = resolve({
      include: " /a/**  https://cdn.example/** ",
      exclude: ["/a/secret/*"],
      ice: "stun:a.example turns:b.example:443",
      stripParams: " token X-Amz-Signature",
      worker: "/app/sw.js",
      scope: "./",
      server: "wss://mesh.example/base/",
    });
    expect(config.include).to.deep.equal(["https://site.example/a/**", "https://cdn.example/**"]);
    expect(config.exclude).to.deep.equal(["https://site.example/a/secret/*"]);
    expect(config.stripParams).to.deep.equal(["token", "X-Amz-Signature"]);
    expect(config.iceServers).to.deep.equal([
      { urls: "stun:a.example" },
      { urls: "turns:b.example:443" },
    ]);
    expect(config.workerUrl).to.equal("https://site.example/app/sw.js");
    expect(config.scope).to.equal("https://site.example/films/");
    expect(config.serverUrl.href).to.equal("wss://mesh.example/base/");
  });

  it("resolveConfig() asks the page's own origin when there is no script tag", () => {
    const config = resolveConfig({}, { pageUrl: AROUND.pageUrl });
    expect(config.serverUrl.href).to.equal("https://site.example/");
  });

  it("optionsFromData() reads attributes as `dataset` has them", () => {
    const tag = document.createElement("script");
    const attributes = {
      "data-server": "wss://mesh.example",
      "data-include": "/a/** /b/**",
      "data-upload-max-rate": "250000",
      "data-links-max": " 4 ",
      "data-lan": "",
      "data-consent": "required",
      "data-other-library": "x",
    };
    for (const [name, value] of Object.entries(attributes)) tag.setAttribute(name, value);
    const options = optionsFromData({ ...tag.dataset });
    expect(options).to.deep.equal({
      ...{ server: "wss://mesh.example", include: "/a/** /b/**", uploadMaxRate: 250_000 },
      ...{ linksMax: 4, lan: true, consent: "required" },
    });
    expect(resolve(options)).to.include({ linksMax: 4, lan: true, uploadMaxRate: 250_000 });
  });

  it("optionsFromData() converts what it can and leaves the rest to be refused by name", () => {
    expect(optionsFromData({ lan: "true" })).to.deep.equal({ lan: true });
    expect(optionsFromData({ lan: "false" })).to.deep.equal({ lan: false });
    expect(optionsFromData({ lan: undefined, toString: "x" })).to.deep.equal({});
    const wrong: Record<string, string>[] = [
      { lan: "1" },
      { linksMax: "" },
      { linksMax: "many" },
      { linksMax: "4.5" },
      { cacheMaxBytes: "1GB" },
    ];
    for (const data of wrong) {
      const [[name, text] = ["", ""]] = Object.entries(data);
      expect(() => resolve(optionsFromData(data)), name).to.throw(name);
      expect(() => resolve(optionsFromData(data)), name)
        .to.throw(text)
        .with.property("code", "config/invalid");
    }
  });

  it("OPTIONS has a meaning for every option, and defaults within their bounds", () => {
    for (const name of names) {
      const { kind, meaning, default: fallback, shown, min, max } = OPTIONS[name];
      expect(meaning, name).to.match(/\S/);
      expect(fallback !== undefined || shown !== undefined, name).to.equal(true);
      if (kind === "number") expect(fallback, name).to.be.within(min ?? 0, max ?? 0);
    }
  });
});
