import { expect } from "chai";
import { Trust } from "../../../src/mesh/trust/trust.js";
import type { Attestation } from "../../../src/protocol/attestation.js";
import { WINDOW_BYTES } from "../../../src/protocol/limits.js";
import { makeAsset, makeKey, type SigningKey } from "../../support/assets.js";
import { sampleAttestation } from "../../support/attestations.js";
import { rejection } from "../../support/waiting.js";

const DAY_MS = 86_400_000;
const SERVER_MS = 1_700_000_010_000;

/** A trust that met a server with one key, on a device whose clock is off by `skewMs`. */
async function setUp({ skewMs = 0, pinned = false, meet = true } = {}) {
  const key = await makeKey();
  const device = { nowMs: SERVER_MS + skewMs };
  const trust = new Trust({
    pinnedKey: pinned ? key.publicKey : undefined,
    nowMs: () => device.nowMs,
  });
  const meetServer = (...keys: SigningKey[]) =>
    trust.meetServer(
      SERVER_MS,
      keys.map(({ keyId, publicKey }) => [keyId, publicKey] as const),
    );
  if (meet) await meetServer(key);
  const attest = async (fields: Partial<Attestation> = {}, length = 100_000) => {
    const asset = await makeAsset(length, { fields, sign: key.sign });
    return asset.attestations;
  };
  /** Accepts what must be taken. */
  const accept = async (attestation: Attestation | undefined) => {
    const asset = await trust.accept(attestation as Attestation);
    if (!asset) throw new Error("the index speaks for it");
    return asset;
  };
  return { key, device, trust, meetServer, attest, accept };
}

const codeOf = async (promise: Promise<unknown>) =>
  ((await rejection(promise)) as { code?: string }).code;

describe("trust", () => {
  it("Trust.accept() remembers a signed attestation by URL and by asset", async () => {
    const { trust, attest, accept } = await setUp();
    const [attestation] = await attest();
    if (!attestation) throw new Error("one attestation");
    const asset = await accept(attestation);
    expect(asset).to.deep.include({ url: attestation.url, length: 100_000 });
    expect(asset.windows.get(0)?.attestation).to.deep.equal(attestation);
    expect(trust.find(attestation.url)).to.equal(asset);
    expect(trust.byId(asset.assetId)).to.equal(asset);
    expect(trust.find("https://cdn.example/other.ts")).to.equal(undefined);
  });

  it("Trust.accept() refuses an attestation with any field changed after signing", async () => {
    const { trust, attest } = await setUp();
    const [attestation] = await attest();
    if (!attestation) throw new Error("one attestation");
    const changes: Partial<Attestation>[] = [
      { url: "https://cdn.example/other.ts" },
      { version: '"v2"' },
      { length: 100_001 },
      { headers: [...attestation.headers, ["x-evil", "1"]] },
      { hashes: [...attestation.hashes].reverse() },
      { expiresMs: attestation.expiresMs + 1 },
      { issuedMs: attestation.issuedMs - 1 },
      { keyId: "k2" },
      { signature: "A".repeat(86) },
      { signature: "" },
      { signature: "*" },
    ];
    for (const change of changes) {
      const code = await codeOf(trust.accept({ ...attestation, ...change }));
      expect(code, JSON.stringify(change).slice(0, 60)).to.equal("integrity/signature");
    }
    expect(trust.find(attestation.url)).to.equal(undefined);
  });

  it("Trust.accept() refuses another server's signature under a known key id", async () => {
    const { trust } = await setUp();
    const stranger = await makeKey("k1");
    const { attestations } = await makeAsset(10, { sign: stranger.sign });
    expect(await codeOf(trust.accept(attestations[0] as Attestation))).to.equal(
      "integrity/signature",
    );
  });

  it("Trust.accept() refuses everything before it met the server", async () => {
    const { trust, attest } = await setUp({ meet: false });
    const [attestation] = await attest();
    expect(await codeOf(trust.accept(attestation as Attestation))).to.equal("integrity/signature");
  });

  it("Trust.accept() refuses a signed attestation whose fields disagree", async () => {
    const { trust, key } = await setUp();
    for (const fields of [{ window: 5 }, { hashes: [] }, { url: "https://CDN.example/a.ts#x" }]) {
      const signed = await key.sign(sampleAttestation(fields));
      expect(await codeOf(trust.accept(signed))).to.equal("protocol/malformed");
    }
  });

  it("Trust accepts a pinned key and no other, whatever the server names", async () => {
    const { trust, attest, meetServer, key } = await setUp({ pinned: true });
    const other = await makeKey("k2");
    await meetServer(other, key);
    const [attestation] = await attest();
    await trust.accept(attestation as Attestation);
    const foreign = await makeAsset(10, { seed: 2, sign: other.sign });
    expect(await codeOf(trust.accept(foreign.attestations[0] as Attestation))).to.equal(
      "integrity/signature",
    );
    await meetServer(other);
    expect(await codeOf(trust.accept(attestation as Attestation))).to.equal("integrity/signature");
  });

  it("Trust goes on accepting while it meets the server again", async () => {
    const { trust, attest, meetServer, key } = await setUp();
    const [attestation] = await attest();
    const meeting = meetServer(key);
    await trust.accept(attestation as Attestation);
    await meeting;
  });

  it("Trust judges expiry by the server's clock, however wrong this device's is", async () => {
    for (const skewMs of [-DAY_MS, 0, DAY_MS]) {
      const { trust, attest, device, accept } = await setUp({ skewMs });
      const expiresMs = SERVER_MS + 60_000;
      const [attestation] = await attest({ expiresMs });
      const { url } = await accept(attestation);
      expect(trust.serverNowMs).to.equal(SERVER_MS);
      expect(trust.toLocalMs(expiresMs)).to.equal(device.nowMs + 60_000);
      device.nowMs += 59_999;
      expect(trust.find(url)?.url, `${skewMs}`).to.equal(url);
      device.nowMs += 1;
      expect(trust.find(url), `${skewMs}`).to.equal(undefined);
      expect(await codeOf(trust.accept(attestation as Attestation))).to.equal(
        "integrity/signature",
      );
    }
  });

  it("Trust gathers the windows of one version, and starts anew with the next", async () => {
    const { trust, attest, accept } = await setUp();
    const [first, second] = await attest({}, WINDOW_BYTES + 10);
    const one = await accept(first);
    expect(await trust.accept(second as Attestation)).to.equal(one);
    expect([...one.windows.keys()]).to.deep.equal([0, 1]);
    const [changed] = await attest({ version: '"v2"' }, WINDOW_BYTES + 10);
    const two = await accept(changed);
    expect(two.assetId).to.not.equal(one.assetId);
    expect([...two.windows.keys()]).to.deep.equal([0]);
    expect(trust.find(two.url)).to.equal(two);
    expect(trust.byId(one.assetId)).to.equal(undefined);
  });

  it("Trust lets each window expire by itself, whoever holds the asset, and whatever is newer (R10)", async () => {
    const { trust, key, device } = await setUp();
    const { attestations } = await makeAsset(2 * WINDOW_BYTES + 1, { sign: key.sign });
    const endsMs = [1_000, 60_000, 2_000].map((ms) => SERVER_MS + ms);
    for (const [window, attestation] of attestations.entries()) {
      await trust.accept(await key.sign({ ...attestation, expiresMs: endsMs[window] ?? 0 }));
    }
    const asset = trust.find(attestations[0]?.url ?? "");
    if (!asset) throw new Error("attested");
    const live = () => [...asset.windows.keys()];
    expect(live()).to.deep.equal([0, 1, 2]);
    device.nowMs += 1_000;
    expect(live()).to.deep.equal([1, 2]);
    expect([asset.windows.has(0), asset.windows.get(0)]).to.deep.equal([false, undefined]);
    expect([...asset.windows.values()]).to.have.length(2);
    device.nowMs += 1_000;
    expect(live()).to.deep.equal([1]);
    expect(trust.find(asset.url)).to.equal(asset);
    device.nowMs += 58_000;
    expect([live(), trust.find(asset.url)]).to.deep.equal([[], undefined]);
  });

  it("Trust takes the headers of the latest attestation of a version, in whatever order they come", async () => {
    const { trust, attest, accept } = await setUp();
    const issued = async (issuedMs: number, value: string) => {
      const [attestation] = await attest({ issuedMs, headers: [["x-note", value]] });
      return attestation as Attestation;
    };
    const first = await issued(SERVER_MS - 2_000, "first");
    const asset = await accept(first);
    await accept(await issued(SERVER_MS - 1_000, "as a 304 said"));
    await accept(first);
    expect(trust.find(asset.url)?.assetId).to.equal(asset.assetId);
    expect(trust.find(asset.url)?.headers).to.deep.equal([["x-note", "as a 304 said"]]);
  });

  it("Trust.distrust() forgets the asset and asks nobody about it for ten minutes", async () => {
    const { trust, attest, device, accept } = await setUp();
    const [attestation] = await attest();
    const { url, assetId } = await accept(attestation);
    trust.distrust(url);
    expect([trust.find(url), trust.byId(assetId)]).to.deep.equal([undefined, undefined]);
    expect(trust.refused(url)).to.equal(true);
    device.nowMs += 600_000;
    expect(trust.refused(url)).to.equal(false);
  });

  it("Trust.refused() lasts as long as the server said", async () => {
    const { trust, device } = await setUp();
    trust.refuse("https://a.example/", { reason: "status 404", retryMs: 1_000 });
    expect(trust.refused("https://a.example/")).to.equal(true);
    expect(trust.refused("https://b.example/")).to.equal(false);
    device.nowMs += 1_000;
    expect(trust.refused("https://a.example/")).to.equal(false);
  });

  it("Trust.restore() takes what was stored after accept(), unless it expired or is malformed", async () => {
    const { trust, attest } = await setUp({ meet: false });
    const [attestation] = (await attest()) as [Attestation];
    expect(await trust.restore({ ...attestation, expiresMs: SERVER_MS })).to.equal(undefined);
    expect(await trust.restore({ ...attestation, window: 9 })).to.equal(undefined);
    expect(await trust.restore({ ...attestation, url: "nonsense" })).to.equal(undefined);
    expect(await trust.restore({} as Attestation)).to.equal(undefined);
    expect(await trust.restore(undefined as unknown as Attestation)).to.equal(undefined);
    expect(await trust.restore(attestation)).to.have.property("url", attestation.url);
  });

  it("Trust is bounded: the oldest of 2 000 assets is forgotten", async () => {
    const { trust } = await setUp();
    const restore = (index: number) =>
      trust.restore(sampleAttestation({ url: `https://cdn.example/${index}.ts`, length: 10 }));
    const first = await restore(0);
    for (let index = 1; index <= 2_000; index++) await restore(index);
    expect(trust.find("https://cdn.example/0.ts")).to.equal(undefined);
    expect(trust.byId(first?.assetId ?? "")).to.equal(undefined);
    expect(trust.find("https://cdn.example/1.ts")).to.not.equal(undefined);
  });

  it("C4: Trust takes nothing of what is sealed without its key, and knows it by another name with it", async () => {
    const { trust, attest, accept } = await setUp();
    const [attestation] = (await attest()) as [Attestation];
    const open = await accept(attestation);
    const { url } = attestation;
    // The operator seals it while it is held: whoever is asked for it by its open name knows it no more.
    trust.sealed = ["https://cdn.example/**"];
    expect([trust.find(url), trust.byId(open.assetId)]).to.deep.equal([undefined, undefined]);
    expect(await codeOf(trust.accept(attestation))).to.equal("integrity/mismatch");
    expect(await trust.restore(attestation)).to.equal(undefined);
    expect(trust.find(url)).to.equal(undefined);

    const seal = "k".repeat(43);
    const sealed = await trust.accept(attestation, seal);
    expect(sealed?.assetId).to.not.equal(open.assetId);
    expect(trust.find(url)).to.equal(sealed);
    expect(sealed?.windows.get(0)?.seal?.text).to.equal(seal);
    expect(await trust.restore(attestation, seal)).to.equal(sealed);
    // The same patterns once more: what came with its key stays.
    trust.sealed = ["https://cdn.example/**", "/other/*"];
    expect(trust.find(url)).to.equal(sealed);
    expect(trust.mustSeal("https://a.example/other/1")).to.equal(true);
    expect(trust.mustSeal("https://a.example/open/1")).to.equal(false);
  });
});
