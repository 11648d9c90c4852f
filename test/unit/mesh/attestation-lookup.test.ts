import { expect } from "chai";
import { toBase64Url } from "../../../src/core/digest.js";
import { AttestationLookup } from "../../../src/mesh/trust/attestation-lookup.js";
import { Manifests } from "../../../src/mesh/trust/manifests.js";
import { Trust } from "../../../src/mesh/trust/trust.js";
import type { Attestation } from "../../../src/protocol/attestation.js";
import { PIECE_BYTES } from "../../../src/protocol/limits.js";
import { isSealedId, sealedIdOf } from "../../../src/protocol/seal.js";
import type { WantedMessage } from "../../../src/protocol/signal-messages.js";
import { makeAsset, makeKey } from "../../support/assets.js";
import { MANIFEST_URL, makePublisher } from "../../support/manifests.js";
import { bytesFrom } from "../../support/random.js";

const NOW_MS = 1_700_000_000_000;
const SEAL = toBase64Url(bytesFrom(1, 32));
const REFUSED = { reason: "sealed", retryMs: 60_000 };
const url = new URL("film.bin", MANIFEST_URL).href;
const BODY = bytesFrom(5, 2 * PIECE_BYTES);

/** A lookup whose index says what it is told to; `file`: the publisher signs it as well. */
async function setUp({ file = false, sealed = ["/**"] as readonly string[] } = {}) {
  const publisher = await makePublisher(() => NOW_MS);
  if (file) await publisher.publish({ "film.bin": BODY });
  const memory = { getItem: () => null, setItem: () => undefined };
  const manifests = new Manifests({
    ...{ urls: [MANIFEST_URL], publicKey: publisher.publicKey, nowMs: () => NOW_MS },
    ...{ fetch: publisher.fetch, memory: () => memory },
  });
  const key = await makeKey();
  const trust = new Trust({ pinnedKey: undefined, nowMs: () => NOW_MS });
  if (file) trust.publisher = manifests;
  await trust.meetServer(NOW_MS, [[key.keyId, key.publicKey]]);
  trust.sealed = sealed;
  const fields = { url, issuedMs: NOW_MS, expiresMs: NOW_MS + 60_000 };
  const [attestation] = (await makeAsset(BODY.byteLength, { seed: 5, sign: key.sign, fields }))
    .attestations as [Attestation];
  const asked: (string | undefined)[] = [];
  const errors: unknown[] = [];
  const find = async (answer: Partial<WantedMessage> | undefined) => {
    const lookup = new AttestationLookup({
      trust,
      manifests: file ? manifests : undefined,
      ask: (_url, _window, assetId) => {
        asked.push(assetId);
        if (!answer) return undefined;
        return Promise.resolve({ type: "wanted", q: 1, url, window: 0, holders: [], ...answer });
      },
      onHolders: () => undefined,
      onError: (error) => void errors.push(error),
    });
    await lookup.find(url, 0);
    return trust.find(url);
  };
  return { trust, attestation, asked, errors, find, manifests };
}

describe("attestation-lookup", () => {
  it("C4: AttestationLookup.find() takes the index's word of what is sealed with its key only", async () => {
    const { attestation, find, errors } = await setUp();
    expect(await find({ attestation })).to.equal(undefined);
    expect(errors).to.have.length(1);
    const asset = await find({ attestation, seal: SEAL });
    expect(asset && isSealedId(asset.assetId)).to.equal(true);
  });

  it("C4: AttestationLookup.find() takes what the publisher signed with the index's key only, if it is sealed", async () => {
    const { trust, asked, attestation, find } = await setUp({ file: true });
    expect(await find(undefined), "no index").to.equal(undefined);
    expect(await find({ attestation }), "an index without a key").to.equal(undefined);
    const [, published] = asked;
    if (published === undefined) throw new Error("the manifest's own id is asked for");
    // The key is that of the publisher's version, whatever the index attests.
    const asset = await find({ attestation, seal: SEAL });
    expect(asset?.assetId).to.equal(await sealedIdOf(published, SEAL));
    expect(asset?.headers, "of the index").to.deep.equal(attestation.headers);
    expect(trust.refused(url)).to.equal(false);
  });

  it("C4: AttestationLookup.find() goes without an attestation of the index, but not without its key", async () => {
    const sealed = await setUp({ file: true });
    expect(await sealed.find({ refused: REFUSED, seal: SEAL })).to.not.equal(undefined);
    expect(sealed.trust.refused(url)).to.equal(false);
    const barred = await setUp({ file: true });
    expect(await barred.find({ refused: REFUSED })).to.equal(undefined);
    expect(barred.trust.refused(url), "not asked again at once").to.equal(true);
  });

  it("AttestationLookup.find() needs no index for what the publisher signed and nobody sealed", async () => {
    const { trust, find } = await setUp({ file: true, sealed: ["/other/**"] });
    const asset = await find(undefined);
    expect(asset && isSealedId(asset.assetId)).to.equal(false);
    expect(await find({ refused: REFUSED })).to.equal(asset);
    expect(trust.refused(url)).to.equal(false);
  });
});
