import { expect } from "chai";
import {
  BLOCK_BYTES,
  CLAIM_HOPS_MAX,
  CONTROL_MESSAGE_MAX_BYTES,
  HAVE_MAX_PIECES,
} from "../../../src/protocol/limits.js";
import {
  type ControlFrame,
  decodeBlock,
  decodeControl,
  encodeBlock,
  encodeControl,
} from "../../../src/protocol/peer-codec.js";
import { anyAssetId, anyU32, fc } from "../../support/properties.js";

/** The bytes 0 … 15 as base64url. */
const ASSET_ID = "AAECAwQFBgcICQoLDA0ODw";
const ASSET_BYTES = Array.from({ length: 16 }, (_, index) => index);

type HaveFrame = Extract<ControlFrame, { type: "have" }>;

function have(frame: Partial<HaveFrame>): Uint8Array {
  const whole = { pieceCount: 8, from: 0, bits: Uint8Array.of(0xff), ...frame };
  return encodeControl({ type: "have", assetId: ASSET_ID, ...whole });
}

/** The bytes of a HAVE that `encodeControl()` may refuse to write. */
function rawHave(frame: Partial<HaveFrame>): Uint8Array {
  const { pieceCount, from, bits } = {
    ...{ pieceCount: 8, from: 0, bits: Uint8Array.of(0xff) },
    ...frame,
  };
  const bytes = new Uint8Array(25 + bits.byteLength);
  bytes.set([2, ...ASSET_BYTES]);
  new DataView(bytes.buffer).setUint32(17, pieceCount);
  new DataView(bytes.buffer).setUint32(21, from);
  bytes.set(bits, 25);
  return bytes;
}

/** HAVE frames that obey every rule: whole bytes, `from` at a byte, no bit past the last piece. */
const anyHave = (): fc.Arbitrary<ControlFrame> =>
  fc
    .tuple(anyAssetId(), fc.nat(1_000), fc.uint8Array({ minLength: 1, maxLength: 40 }), fc.nat(7))
    .map(([assetId, byte, bits, spare]) => {
      const last = bits.byteLength - 1;
      bits[last] = (bits[last] ?? 0) & (0xff << spare);
      const from = byte * 8;
      return { type: "have", assetId, from, bits, pieceCount: from + bits.byteLength * 8 - spare };
    });

const typed = <const T extends string>(type: T) => fc.constant(type);

const anyControl = (): fc.Arbitrary<ControlFrame> =>
  fc.oneof(
    fc.record({ type: typed("hello"), version: fc.nat(255) }),
    anyHave(),
    fc.record({ type: typed("drop"), assetId: anyAssetId() }),
    fc.record({ type: typed("request"), id: anyU32(), assetId: anyAssetId(), piece: anyU32() }),
    fc.record({ type: typed("cancel"), id: anyU32() }),
    fc.record({
      type: typed("reject"),
      id: anyU32(),
      reason: fc.constantFrom("busy", "absent"),
      retryMs: fc.nat(65_535),
    }),
    fc.record({ type: typed("ping"), token: anyU32() }),
    fc.record({ type: typed("pong"), token: anyU32() }),
  );

/** Counts how many random messages decode; each must then encode to the very same bytes. */
function countCanonical(
  recode: (message: Uint8Array) => Uint8Array,
  anyMessage: fc.Arbitrary<Uint8Array>,
): number {
  let accepted = 0;
  fc.assert(
    fc.property(anyMessage, (message) => {
      let recoded: Uint8Array;
      try {
        recoded = recode(message);
      } catch (error) {
        expect(error).to.have.property("code", "protocol/malformed");
        return;
      }
      expect(recoded).to.deep.equal(message);
      accepted++;
    }),
    { numRuns: 20_000 },
  );
  return accepted;
}

/** Most inputs get past the type byte; lengths around those of real frames come often. */
const anyMessage = (types: number[]) =>
  fc
    .tuple(
      fc.oneof({ weight: 9, arbitrary: fc.constantFrom(...types) }, fc.nat(255)),
      fc.oneof(
        fc
          .constantFrom(1, 4, 7, 16, 24, 25)
          .chain((size) => fc.uint8Array({ minLength: size, maxLength: size })),
        fc.uint8Array({ maxLength: 40 }),
      ),
    )
    .map(([type, body]) => Uint8Array.of(type, ...body));

describe("peer-codec", () => {
  const printed: [ControlFrame, number[]][] = [
    [{ type: "hello", version: 1 }, [1, 1]],
    [
      {
        type: "have",
        assetId: ASSET_ID,
        pieceCount: 0x0102,
        from: 0xf8,
        bits: Uint8Array.of(0xaa, 0xc0),
      },
      [2, ...ASSET_BYTES, 0, 0, 1, 2, 0, 0, 0, 0xf8, 0xaa, 0xc0],
    ],
    [{ type: "drop", assetId: ASSET_ID }, [3, ...ASSET_BYTES]],
    [
      { type: "request", id: 1, assetId: ASSET_ID, piece: 0x01020304 },
      [4, 0, 0, 0, 1, ...ASSET_BYTES, 1, 2, 3, 4],
    ],
    [{ type: "cancel", id: 0xfffefdfc }, [5, 0xff, 0xfe, 0xfd, 0xfc]],
    [{ type: "reject", id: 2, reason: "busy", retryMs: 0x0102 }, [6, 0, 0, 0, 2, 0, 1, 2]],
    [{ type: "reject", id: 2, reason: "absent", retryMs: 0 }, [6, 0, 0, 0, 2, 1, 0, 0]],
    [{ type: "reject", id: 2, reason: "absent", retryMs: 0 }, [6, 0, 0, 0, 2, 1, 0, 0]],
    [{ type: "ping", token: 3 }, [7, 0, 0, 0, 3]],
    [{ type: "pong", token: 4 }, [8, 0, 0, 0, 4]],
  ];
  for (const [frame, bytes] of printed) {
    const name = frame.type === "reject" ? `reject as ${frame.reason}` : frame.type;
    it(`encodeControl() writes ${name} as the header table prints it`, () => {
      expect([...encodeControl(frame)]).to.deep.equal(bytes);
      expect(decodeControl(Uint8Array.from(bytes))).to.deep.equal(frame);
    });
  }

  it("encodeBlock() writes a block as the header table prints it", () => {
    const block = { id: 1, offset: 0x4000, data: Uint8Array.of(7, 8) };
    const bytes = [9, 0, 0, 0, 1, 0, 0, 0x40, 0, 7, 8];
    expect([...encodeBlock(block)]).to.deep.equal(bytes);
    expect(decodeBlock(Uint8Array.from(bytes))).to.deep.equal(block);
  });

  it("decodeControl() reads back every frame that encodeControl() writes", () => {
    fc.assert(
      fc.property(anyControl(), (frame) => {
        expect(decodeControl(encodeControl(frame))).to.deep.equal(frame);
      }),
      { numRuns: 2_000 },
    );
  });

  it("decodeBlock() reads back every block that encodeBlock() writes", () => {
    const anyData = fc.uint8Array({ minLength: 1, maxLength: 200 });
    fc.assert(
      fc.property(fc.record({ id: anyU32(), offset: anyU32(), data: anyData }), (block) => {
        expect(decodeBlock(encodeBlock(block))).to.deep.equal(block);
      }),
    );
  });

  it("decodeControl() accepts exactly the messages that encodeControl() produces", () => {
    const recode = (message: Uint8Array) => encodeControl(decodeControl(message));
    const accepted = countCanonical(recode, anyMessage([1, 2, 3, 4, 5, 6, 7, 8]));
    expect(accepted).to.be.within(500, 19_500);
  });

  it("decodeBlock() accepts exactly the messages that encodeBlock() produces", () => {
    const recode = (message: Uint8Array) => encodeBlock(decodeBlock(message));
    expect(countCanonical(recode, anyMessage([9]))).to.be.within(500, 19_500);
  });

  it("decodeControl() rejects a frame that is one byte short or long, unless bits are its tail", () => {
    fc.assert(
      fc.property(anyControl(), (frame) => {
        fc.pre(frame.type !== "have");
        const bytes = encodeControl(frame);
        const longer = Uint8Array.of(...bytes, 0);
        for (const wrong of [bytes.subarray(0, -1), longer]) {
          expect(() => decodeControl(wrong))
            .to.throw()
            .with.property("code", "protocol/malformed");
        }
      }),
    );
  });

  it("decodeControl() and decodeBlock() reject each other's frames and the empty message", () => {
    const block = encodeBlock({ id: 1, offset: 0, data: Uint8Array.of(1) });
    const ping = encodeControl({ type: "ping", token: 1 });
    for (const decode of [
      () => decodeControl(block),
      () => decodeBlock(ping),
      () => decodeControl(new Uint8Array()),
      () => decodeBlock(new Uint8Array()),
    ]) {
      expect(decode).to.throw().with.property("code", "protocol/malformed");
    }
  });

  it("decodeControl() rejects an unknown type and an unknown reject reason", () => {
    for (const bytes of [[0], [9], [255], [6, 0, 0, 0, 2, 3, 0, 0], [6, 0, 0, 0, 2, 255, 0, 0]]) {
      expect(() => decodeControl(Uint8Array.from(bytes)))
        .to.throw()
        .with.property("code", "protocol/malformed");
    }
  });

  it("decodeControl() rejects, and encodeControl() refuses, a HAVE that breaks a rule of the bit map", () => {
    expect(rawHave({})).to.deep.equal(have({}));
    const broken: [string, Partial<HaveFrame>][] = [
      ["from is no multiple of 8", { pieceCount: 100, from: 4 }],
      ["no bits", { bits: new Uint8Array() }],
      ["starts at the end", { pieceCount: 8, from: 8 }],
      ["a whole byte past the end", { pieceCount: 8, bits: Uint8Array.of(0xff, 0) }],
      ["a bit past the end", { pieceCount: 7 }],
      ["no pieces", { pieceCount: 0, bits: Uint8Array.of(0) }],
      ["more pieces than an asset has", { pieceCount: 2 ** 24 + 1 }],
      ["from beyond 32 bits of pieces", { pieceCount: 2 ** 24, from: 0xffff_fff8 }],
    ];
    for (const [rule, frame] of broken) {
      expect(() => have(frame), rule).to.throw(RangeError);
      expect(() => decodeControl(rawHave(frame)), rule)
        .to.throw()
        .with.property("code", "protocol/malformed");
    }
  });

  it("decodeControl() accepts a HAVE of HAVE_MAX_PIECES pieces and no more", () => {
    const bits = (pieces: number) => new Uint8Array(pieces / 8).fill(0xff);
    const most = have({ pieceCount: 2 ** 24, bits: bits(HAVE_MAX_PIECES) });
    expect(most.byteLength).to.be.at.most(CONTROL_MESSAGE_MAX_BYTES);
    expect(decodeControl(most)).to.have.property("from", 0);
    const more = { pieceCount: 2 ** 24, bits: bits(HAVE_MAX_PIECES + 8) };
    expect(() => have(more)).to.throw(RangeError);
    expect(() => decodeControl(rawHave(more)))
      .to.throw()
      .with.property("code", "protocol/malformed");
  });

  it("decodeControl() accepts the last pieces of the largest asset", () => {
    const last = have({ pieceCount: 2 ** 24, from: 2 ** 24 - 8 });
    expect(decodeControl(last)).to.have.property("from", 2 ** 24 - 8);
  });

  it("encodeControl() and decodeControl() know a claim of the largest asset, and one of nothing", () => {
    const claim = (from: number, to: number, hops = 2) =>
      encodeControl({ type: "claim", assetId: ASSET_ID, from, to, hops });
    expect([...claim(1, 0x01020304 & 0xffffff)]).to.deep.equal([
      ...[10, ...ASSET_BYTES, 0, 0, 0, 1, 0, 2, 3, 4, 2],
    ]);
    expect(decodeControl(claim(0, 2 ** 24))).to.deep.equal({
      ...{ type: "claim", assetId: ASSET_ID, from: 0, to: 2 ** 24, hops: 2 },
    });
    expect(decodeControl(claim(3, 3))).to.deep.equal({
      ...{ type: "claim", assetId: ASSET_ID, from: 3, to: 3, hops: 2 },
    });
    expect(() => claim(0, 1, CLAIM_HOPS_MAX + 1)).to.throw(RangeError);
    const tooFar = claim(0, 1);
    tooFar[25] = CLAIM_HOPS_MAX + 1;
    expect(() => decodeControl(tooFar))
      .to.throw()
      .with.property("code", "protocol/malformed");
    for (const [from, to] of [
      [4, 3],
      [0, 2 ** 24 + 1],
    ] as const) {
      expect(() => claim(from, to)).to.throw(RangeError);
      const bytes = claim(0, 1);
      new DataView(bytes.buffer).setUint32(17, from);
      new DataView(bytes.buffer).setUint32(21, to);
      expect(() => decodeControl(bytes))
        .to.throw()
        .with.property("code", "protocol/malformed");
    }
  });

  it("encodeControl() refuses an asset id that is not 16 bytes of base64url", () => {
    for (const assetId of ["", "AAAA", `${ASSET_ID}AA`, `${ASSET_ID.slice(1)}+`, `${ASSET_ID}==`]) {
      expect(() => encodeControl({ type: "drop", assetId }), assetId).to.throw(RangeError);
    }
  });

  it("decodeControl() rejects a message above the maximum without reading it", () => {
    expect(() => decodeControl(new Uint8Array(CONTROL_MESSAGE_MAX_BYTES + 1)))
      .to.throw(/maximum is 16384/)
      .with.property("code", "protocol/malformed");
  });

  it("encodeBlock() accepts 1 to BLOCK_BYTES of data, and decodeBlock() the same", () => {
    const block = (size: number) => encodeBlock({ id: 0, offset: 0, data: new Uint8Array(size) });
    expect(decodeBlock(block(BLOCK_BYTES)).data.byteLength).to.equal(BLOCK_BYTES);
    expect(decodeBlock(block(1)).data.byteLength).to.equal(1);
    expect(() => block(0)).to.throw(RangeError);
    expect(() => block(BLOCK_BYTES + 1)).to.throw(RangeError);

    const handMade = (size: number) => Uint8Array.of(9, ...new Uint8Array(8 + size));
    for (const size of [0, BLOCK_BYTES + 1]) {
      expect(() => decodeBlock(handMade(size)))
        .to.throw()
        .with.property("code", "protocol/malformed");
    }
  });

  it("decodeBlock() and decodeControl() give views, encodeBlock() a copy", () => {
    const data = Uint8Array.of(1);
    const bytes = encodeBlock({ id: 0, offset: 0, data });
    data[0] = 2;
    expect(bytes.at(-1)).to.equal(1);
    expect(decodeBlock(bytes).data.buffer).to.equal(bytes.buffer);
    const message = have({});
    expect((decodeControl(message) as HaveFrame).bits.buffer).to.equal(message.buffer);
  });

  it("decodeControl() and decodeBlock() read a view of a larger buffer", () => {
    const inside = (bytes: Uint8Array) => Uint8Array.of(9, 9, ...bytes, 9).subarray(2, -1);
    const block = { id: 5, offset: 6, data: Uint8Array.of(7) };
    expect(decodeBlock(inside(encodeBlock(block)))).to.deep.equal(block);
    const ping = { type: "ping", token: 5 } as const;
    expect(decodeControl(inside(encodeControl(ping)))).to.deep.equal(ping);
  });
});
