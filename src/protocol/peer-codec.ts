/**
 * Frames that two peers exchange. Two channels: *control* (ordered, small messages) and *bulk* (ordered,
 * only blocks), so that a HAVE never waits behind a segment. Big-endian, no padding, one frame a message:
 *
 *     control  1 hello    version:u8
 *              2 have     asset:16 pieceCount:u32 from:u32 bits[*]     adds to what the sender holds
 *              3 drop     asset:16                                     the sender holds none of it any more
 *              4 request  id:u32 asset:16 piece:u32                    asks for one piece
 *              5 cancel   id:u32                                       takes a request back
 *              6 reject   id:u32 reason:u8 retryMs:u16                 will not be answered
 *              7 ping     token:u32
 *              8 pong     token:u32
 *             10 claim    asset:16 from:u32 to:u32 hops:u8             pieces are on their way from the origin
 *     bulk     9 block    id:u32 offset:u32 data[*]                    some bytes of the piece asked for
 *
 * PROTOCOL.md section 1 is the specification. This module is pure: it never touches a channel.
 * @module
 */
import { ByteReader, ByteWriter } from "../core/byte-cursor.js";
import { fromBase64Url, toBase64Url } from "../core/digest.js";
import { NearcastError } from "../core/errors.js";
import {
  ASSET_ID_BYTES,
  BLOCK_BYTES,
  CLAIM_HOPS_MAX,
  CONTROL_MESSAGE_MAX_BYTES,
  HAVE_MAX_PIECES,
} from "./limits.js";

const REJECT_REASONS = ["busy", "absent"] as const;
export type RejectReason = (typeof REJECT_REASONS)[number];

export type ControlFrame = Readonly<
  | { type: "hello"; version: number }
  | { type: "have"; assetId: string; pieceCount: number; from: number; bits: Uint8Array }
  | { type: "drop"; assetId: string }
  | { type: "request"; id: number; assetId: string; piece: number }
  | { type: "cancel"; id: number }
  | { type: "reject"; id: number; reason: RejectReason; retryMs: number }
  | { type: "ping"; token: number }
  | { type: "pong"; token: number }
  | { type: "claim"; assetId: string; from: number; to: number; hops: number }
>;

/** Bytes `[offset, offset + data.byteLength)` of the piece that request `id` asked for. */
export interface BlockFrame {
  readonly id: number;
  readonly offset: number;
  readonly data: Uint8Array;
}

/**
 * Encodes one control frame.
 *
 * @throws {RangeError} If a HAVE breaks the rules that `decodeControl` checks, or an asset id is malformed.
 */
export function encodeControl(frame: ControlFrame): Uint8Array<ArrayBuffer> {
  switch (frame.type) {
    case "hello":
      return begin(1, 1).u8(frame.version).done();
    case "have":
      assertHave(frame);
      return begin(2, ASSET_ID_BYTES + 8 + frame.bits.byteLength)
        .raw(assetBytes(frame.assetId))
        .u32(frame.pieceCount)
        .u32(frame.from)
        .raw(frame.bits)
        .done();
    case "drop":
      return begin(3, ASSET_ID_BYTES).raw(assetBytes(frame.assetId)).done();
    case "request":
      return begin(4, 8 + ASSET_ID_BYTES)
        .u32(frame.id)
        .raw(assetBytes(frame.assetId))
        .u32(frame.piece)
        .done();
    case "cancel":
      return begin(5, 4).u32(frame.id).done();
    case "reject":
      return begin(6, 7)
        .u32(frame.id)
        .u8(REJECT_REASONS.indexOf(frame.reason))
        .u16(Math.min(0xffff, frame.retryMs))
        .done();
    case "ping":
      return begin(7, 4).u32(frame.token).done();
    case "pong":
      return begin(8, 4).u32(frame.token).done();
    case "claim":
      if (!isClaimRange(frame)) throw new RangeError("Cannot encode frame: it claims no range");
      return begin(10, ASSET_ID_BYTES + 9)
        .raw(assetBytes(frame.assetId))
        .u32(frame.from)
        .u32(frame.to)
        .u8(frame.hops)
        .done();
  }
}

/**
 * Decodes one untrusted control message. `have.bits` is a view of `bytes`, not a copy.
 *
 * @throws {NearcastError} `protocol/malformed` for every input that `encodeControl` cannot produce.
 */
export function decodeControl(bytes: Uint8Array): ControlFrame {
  if (bytes.byteLength > CONTROL_MESSAGE_MAX_BYTES) {
    throw malformed(`${bytes.byteLength} bytes, maximum is ${CONTROL_MESSAGE_MAX_BYTES}`);
  }
  const reader = new ByteReader(bytes);
  const frame = readControl(reader);
  reader.end();
  return frame;
}

// Object literals evaluate their fields in source order, so this reads like the table above.
function readControl(r: ByteReader): ControlFrame {
  const type = r.u8();
  switch (type) {
    case 1:
      return { type: "hello", version: r.u8() };
    case 2:
      return checkedHave({
        type: "have",
        assetId: readAsset(r),
        pieceCount: r.u32(),
        from: r.u32(),
        bits: r.rest(),
      });
    case 3:
      return { type: "drop", assetId: readAsset(r) };
    case 4:
      return { type: "request", id: r.u32(), assetId: readAsset(r), piece: r.u32() };
    case 5:
      return { type: "cancel", id: r.u32() };
    case 6:
      return { type: "reject", id: r.u32(), reason: rejectReason(r.u8()), retryMs: r.u16() };
    case 7:
      return { type: "ping", token: r.u32() };
    case 8:
      return { type: "pong", token: r.u32() };
    case 10:
      return checkedClaim({
        ...{ type: "claim", assetId: readAsset(r), from: r.u32(), to: r.u32() },
        hops: r.u8(),
      });
    default:
      throw malformed(`type ${type}`);
  }
}

/** Bytes of a block frame before its data: type, id, offset. */
const BLOCK_HEADER_BYTES = 9;

/** Encodes one block. `data` is copied. @throws {RangeError} If it is empty or above `BLOCK_BYTES`. */
export function encodeBlock({ id, offset, data }: BlockFrame): Uint8Array<ArrayBuffer> {
  if (data.byteLength < 1 || data.byteLength > BLOCK_BYTES) {
    throw new RangeError(
      `Cannot encode block as \`data\` must be 1 to ${BLOCK_BYTES} bytes: current value is ${data.byteLength}`,
    );
  }
  return new ByteWriter(BLOCK_HEADER_BYTES + data.byteLength)
    .u8(9)
    .u32(id)
    .u32(offset)
    .raw(data)
    .done();
}

/**
 * Decodes one untrusted message of the bulk channel. `data` is a view of `bytes`, not a copy.
 *
 * @throws {NearcastError} `protocol/malformed` for every input that `encodeBlock` cannot produce.
 */
export function decodeBlock(bytes: Uint8Array): BlockFrame {
  if (bytes.byteLength > BLOCK_HEADER_BYTES + BLOCK_BYTES) {
    throw malformed(`a block of ${bytes.byteLength} bytes`);
  }
  const reader = new ByteReader(bytes);
  const type = reader.u8();
  if (type !== 9) throw malformed(`type ${type} on the bulk channel`);
  const block = { id: reader.u32(), offset: reader.u32(), data: reader.rest() };
  if (block.data.byteLength === 0) throw malformed("an empty block");
  return block;
}

function begin(type: number, bodyBytes: number): ByteWriter {
  const size = 1 + bodyBytes;
  if (size > CONTROL_MESSAGE_MAX_BYTES) {
    throw new RangeError(
      `Cannot encode frame of ${size} bytes: maximum is ${CONTROL_MESSAGE_MAX_BYTES}`,
    );
  }
  return new ByteWriter(size).u8(type);
}

function assetBytes(assetId: string): Uint8Array {
  const bytes = fromBase64Url(assetId);
  if (bytes?.byteLength === ASSET_ID_BYTES) return bytes;
  throw new RangeError(`Cannot encode asset id "${assetId}": it must be ${ASSET_ID_BYTES} bytes`);
}

function readAsset(r: ByteReader): string {
  return toBase64Url(r.raw(ASSET_ID_BYTES));
}

type HaveFrame = Extract<ControlFrame, { type: "have" }>;

/** What is wrong with a HAVE, or `undefined`: its bits lie within the asset and no bit past the last piece. */
function faultOf({ pieceCount, from, bits }: HaveFrame): string | undefined {
  const fits =
    pieceCount <= 2 ** 24 &&
    from % 8 === 0 &&
    bits.byteLength >= 1 &&
    bits.byteLength * 8 <= HAVE_MAX_PIECES &&
    from + (bits.byteLength - 1) * 8 < pieceCount;
  if (!fits) return `a HAVE of ${bits.byteLength} bytes from ${from} of ${pieceCount}`;
  const spare = Math.max(0, from + bits.byteLength * 8 - pieceCount);
  const stray = (bits[bits.byteLength - 1] ?? 0) & ((1 << spare) - 1);
  return stray === 0 ? undefined : `a HAVE past the last of ${pieceCount} pieces`;
}

function checkedHave(frame: HaveFrame): HaveFrame {
  const fault = faultOf(frame);
  if (fault !== undefined) throw malformed(fault);
  return frame;
}

type ClaimFrame = Extract<ControlFrame, { type: "claim" }>;

const isClaimRange = ({ from, to, hops }: ClaimFrame) =>
  from <= to && to <= 2 ** 24 && hops >= 0 && hops <= CLAIM_HOPS_MAX;

function checkedClaim(frame: ClaimFrame): ClaimFrame {
  if (isClaimRange(frame)) return frame;
  throw malformed(`a claim of pieces ${frame.from} to ${frame.to}, ${frame.hops} hops`);
}

function assertHave(frame: HaveFrame): void {
  const fault = faultOf(frame);
  if (fault !== undefined) throw new RangeError(`Cannot encode frame: it has ${fault}`);
}

function rejectReason(code: number): RejectReason {
  const reason = REJECT_REASONS[code];
  if (reason !== undefined) return reason;
  throw malformed(`reject reason ${code}`);
}

function malformed(what: string): NearcastError {
  return new NearcastError("protocol/malformed", `Cannot decode frame: it has ${what}`);
}
