import { expect } from "chai";
import { equalBytes, fromBase64Url, sha256, toBase64Url, utf8 } from "../../../src/core/digest.js";
import { fc } from "../../support/properties.js";

describe("digest", () => {
  it("sha256() gives the vectors of FIPS 180-4", async () => {
    const hex = async (text: string) =>
      [...(await sha256(utf8(text)))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    expect(await hex("")).to.equal(
      "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    );
    expect(await hex("abc")).to.equal(
      "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    );
  });

  it("utf8() encodes beyond ASCII", () => {
    expect([...utf8("é€")]).to.deep.equal([0xc3, 0xa9, 0xe2, 0x82, 0xac]);
  });

  it("toBase64Url() uses the URL alphabet without padding (RFC 4648 sections 5 and 10)", () => {
    expect(toBase64Url(Uint8Array.of(0xfb, 0xff, 0xbf))).to.equal("-_-_");
    expect(["", "f", "fo", "foo"].map((text) => toBase64Url(utf8(text)))).to.deep.equal([
      "",
      "Zg",
      "Zm8",
      "Zm9v",
    ]);
  });

  it("fromBase64Url() is the inverse of toBase64Url()", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
        expect(fromBase64Url(toBase64Url(bytes))).to.deep.equal(bytes);
      }),
    );
  });

  it("fromBase64Url() is undefined for anything that is not base64url without padding", () => {
    for (const text of ["A", "AAAAA", "Zg==", "Zg=", "+/+/", "Zm9v\n", " Zg", "Zé", "Z.g"]) {
      expect(fromBase64Url(text), JSON.stringify(text)).to.equal(undefined);
    }
  });

  it("equalBytes() tells whether length and every byte are the same", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 1 }),
        fc.nat(),
        fc.integer({ min: 1, max: 255 }),
        (bytes, at, flip) => {
          const other = bytes.slice();
          expect(equalBytes(bytes, other)).to.equal(true);
          const index = at % bytes.byteLength;
          other[index] = (other[index] ?? 0) ^ flip;
          expect(equalBytes(bytes, other)).to.equal(false);
          expect(equalBytes(bytes, bytes.subarray(1))).to.equal(false);
        },
      ),
    );
    expect(equalBytes(new Uint8Array(), new Uint8Array())).to.equal(true);
  });
});
