import { expect } from "chai";
import { ByteReader, ByteWriter } from "../../../src/core/byte-cursor.js";
import { anyU32, fc } from "../../support/properties.js";

describe("byte-cursor", () => {
  it("ByteWriter writes big-endian without padding", () => {
    const bytes = new ByteWriter(10)
      .u8(1)
      .u16(0x0203)
      .u32(0x04050607)
      .raw(Uint8Array.of(8, 9, 10));
    expect([...bytes.done()]).to.deep.equal([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  });

  it("ByteWriter refuses to write past its size and to finish before it", () => {
    expect(() => new ByteWriter(0).u8(1)).to.throw(RangeError);
    expect(() => new ByteWriter(1).u16(1)).to.throw(RangeError);
    expect(() => new ByteWriter(3).u32(1)).to.throw(RangeError);
    expect(() => new ByteWriter(1).raw(new Uint8Array(2))).to.throw(RangeError);
    expect(() => new ByteWriter(2).u8(1).done()).to.throw(RangeError, "1 of 2 written");
  });

  it("ByteWriter.raw() copies its argument", () => {
    const source = Uint8Array.of(1);
    const written = new ByteWriter(1).raw(source).done();
    source[0] = 2;
    expect([...written]).to.deep.equal([1]);
  });

  it("ByteReader reads what ByteWriter wrote", () => {
    fc.assert(
      fc.property(fc.nat(255), fc.nat(65_535), anyU32(), fc.uint8Array(), (a, b, c, tail) => {
        const bytes = new ByteWriter(7 + tail.byteLength).u8(a).u16(b).u32(c).raw(tail).done();
        const reader = new ByteReader(bytes);
        expect([reader.u8(), reader.u16(), reader.u32()]).to.deep.equal([a, b, c]);
        expect(reader.rest()).to.deep.equal(tail);
        reader.end();
      }),
    );
  });

  it("ByteReader reads a view of a larger buffer from the view's own start", () => {
    const view = Uint8Array.of(9, 9, 0, 1, 2, 9).subarray(2, 5);
    const reader = new ByteReader(view);
    expect(reader.u16()).to.equal(1);
    expect([...reader.rest()]).to.deep.equal([2]);
  });

  it("ByteReader throws protocol/malformed for every short read", () => {
    const reads: ((reader: ByteReader) => unknown)[] = [
      (reader) => reader.u8(),
      (reader) => reader.u16(),
      (reader) => reader.u32(),
      (reader) => reader.raw(5),
    ];
    for (const [index, read] of reads.entries()) {
      const needed = [1, 2, 4, 5][index] ?? 0;
      expect(() => read(new ByteReader(new Uint8Array(needed)))).not.to.throw();
      expect(() => read(new ByteReader(new Uint8Array(needed - 1))))
        .to.throw(`${needed} bytes expected, ${needed - 1} left`)
        .with.property("code", "protocol/malformed");
    }
  });

  it("ByteReader does not see the bytes around its view", () => {
    const view = new Uint8Array(8).subarray(2, 4);
    expect(() => new ByteReader(view).u32())
      .to.throw()
      .with.property("code", "protocol/malformed");
  });

  it("ByteReader.rest() may be empty, and end() accepts nothing left over", () => {
    const reader = new ByteReader(Uint8Array.of(1));
    expect(() => reader.end()).to.throw("1 bytes left over");
    reader.u8();
    expect(reader.rest().byteLength).to.equal(0);
    reader.end();
  });
});
