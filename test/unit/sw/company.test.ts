import { expect } from "chai";
import { COPIED_MAX_BYTES, Companies, companyKey } from "../../../src/sw/company.js";

/** A request that remembers what its meter was told. */
function member() {
  const told: (string | number)[] = [];
  const controller = new AbortController();
  const meter = {
    count: (source: string, bytes: number) => void told.push(source, bytes),
    end: async (status: number) => void told.push(status),
  };
  return { meter, signal: controller.signal, told, giveUp: () => controller.abort() };
}

const answer = (body: BodyInit | null, headers: Record<string, string> = {}) =>
  new Response(body, {
    headers: { "content-length": "3", "cache-control": "max-age=60", ...headers },
  });

describe("company", () => {
  it("Companions get copies of the leader's answer, counted as what the viewer had already", async () => {
    const companies = new Companies();
    const [first, second, third] = [member(), member(), member()];
    const company = companies.lead("a", first);
    const copies = [second, third].map((one) => companies.find("a")?.join(one));
    company.count("mesh", 1);
    const response = company.share(answer("abc", { "x-kind": "1" }));
    expect(companies.find("a"), "nobody joins any more").to.equal(undefined);
    company.count("mesh", 2);
    company.end(200);
    for (const one of [response, ...(await Promise.all(copies))]) {
      expect(one?.headers.get("x-kind")).to.equal("1");
      expect(await one?.text()).to.equal("abc");
    }
    expect(first.told).to.deep.equal(["mesh", 1, "mesh", 2, 200]);
    expect(second.told).to.deep.equal(["cache", 1, "cache", 2, 200]);
    expect(third.told).to.deep.equal(second.told);
  });

  it("What the origin sends too late counts for the leader, and for no copy", async () => {
    const companies = new Companies();
    const [first, second] = [member(), member()];
    const company = companies.lead("a", first);
    const copy = company.join(second);
    company.countSurplus(1);
    company.share(answer("abc"));
    company.countSurplus(2);
    company.end(200);
    await copy;
    expect(first.told).to.deep.equal(["origin", 1, "origin", 2, 200]);
    expect(second.told).to.deep.equal(["cache", 0, 200]);
  });

  it("An answer that is over before it is shared is told all the same", async () => {
    const companies = new Companies();
    const [first, second] = [member(), member()];
    const company = companies.lead("a", first);
    const copy = company.join(second);
    company.count("cache", 3);
    company.end(206);
    company.share(answer("abc"));
    await copy;
    expect(second.told).to.deep.equal(["cache", 3, 206]);
  });

  for (const [name, response] of Object.entries({
    "may not be stored": () => answer("abc", { "cache-control": "no-store, max-age=60" }),
    "must be asked for again": () => answer("abc", { "cache-control": "no-cache, max-age=60" }),
    "says nothing of its age": () => answer("abc", { "cache-control": "public" }),
    "is stale": () => answer("abc", { age: "60" }),
    "is of unknown length": () =>
      new Response("abc", { headers: { "cache-control": "max-age=9" } }),
    "is long": () => answer("abc", { "content-length": String(COPIED_MAX_BYTES + 1) }),
    "has no body": () => answer(null),
  })) {
    it(`An answer that ${name} is the leader's alone`, async () => {
      const companies = new Companies();
      const second = member();
      const company = companies.lead("a", member());
      const copy = company.join(second);
      const given = response();
      expect(company.share(given)).to.equal(given);
      expect(await copy, "goes its own way").to.equal(undefined);
      company.count("origin", 3);
      company.end(200);
      expect(second.told).to.deep.equal([]);
    });
  }

  it("A leader that fails lets its companions go", async () => {
    const companies = new Companies();
    const company = companies.lead("a", member());
    const copy = company.join(member());
    company.dismiss();
    expect(await copy).to.equal(undefined);
    expect(companies.find("a")).to.equal(undefined);
  });

  it("The company is gone when all have given up, not before", () => {
    const [first, second] = [member(), member()];
    const company = new Companies().lead("a", first);
    void company.join(second);
    first.giveUp();
    expect(company.gone.aborted).to.equal(false);
    second.giveUp();
    expect(company.gone.aborted).to.equal(true);
  });

  it("A companion that waits in vain for a second goes its own way and gets no copy", async () => {
    const [first, second] = [member(), member()];
    const company = new Companies().lead("a", first);
    expect(await company.join(second)).to.equal(undefined);
    expect(company.accompanied).to.equal(false);
    const given = answer("abc");
    expect(company.share(given)).to.equal(given);
  });

  it("Requests are equal if nothing that anybody sees differs", () => {
    const key = (init: RequestInit = {}, client = "c") =>
      companyKey(new Request("https://a.example/x", init), client);
    expect(key()).to.equal(key());
    for (const other of [
      key({ headers: { range: "bytes=0-9" } }),
      key({ headers: { accept: "image/webp" } }),
      key({ credentials: "include" }),
      key({ mode: "same-origin" }),
      key({ integrity: "sha256-AAAA" }),
      key({ referrerPolicy: "no-referrer" }),
      key({}, "d"),
      companyKey(new Request("https://a.example/x?y"), "c"),
    ])
      expect(other).not.to.equal(key());
  });
});
