/**
 * A response from this viewer's own store, read a few pieces at a time. A piece that is gone or rotten by
 * the time its turn comes is fetched from the origin, checked against the stored attestation like any other.
 * @module
 */
import { fromBase64Url } from "../../core/digest.js";
import { NearcastError } from "../../core/errors.js";
import { type ByteRange, bytesOfPiece, piecesOfBytes, windowOf } from "../../protocol/asset.js";
import { WINDOW_PIECES } from "../../protocol/limits.js";
import { matchesHash } from "../../protocol/verify.js";
import type { PieceReader, StoredAsset, StoredWindow } from "../../store/piece-reader.js";
import { bodyStartOf, PieceCutter, readRange } from "../origin/origin-reader.js";

/** Pieces read in one transaction: 512 KiB. */
const BATCH_PIECES = 8;

export interface StoredBodyOptions {
  readonly reader: PieceReader;
  readonly asset: StoredAsset;
  readonly windows: readonly StoredWindow[];
  readonly covered: ByteRange;
  readonly fetchRange: (range: ByteRange, signal: AbortSignal) => Promise<Response>;
  /** The page was given bytes. */
  readonly onBytes: (source: "cache" | "origin", bytes: number) => void;
  readonly onEnd: () => void;
}

/** A body of exactly `covered`; it errors, and never ends short, if a piece cannot be had. */
export function storedBody(options: StoredBodyOptions): ReadableStream<Uint8Array> {
  const { reader, asset, covered, onBytes, onEnd } = options;
  const { from, to } = piecesOfBytes(covered);
  const cancelled = new AbortController();
  let next = from;

  const deliver = (
    controller: ReadableStreamDefaultController<Uint8Array>,
    bytes: Uint8Array,
    source: "cache" | "origin",
  ) => {
    const { start } = bytesOfPiece(next, asset.length);
    const part = bytes.subarray(Math.max(0, covered.start - start), covered.end - start);
    onBytes(source, part.byteLength);
    controller.enqueue(part);
    next++;
  };

  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const batchEnd = Math.min(to, next + BATCH_PIECES);
          const { assetId, length } = asset;
          for (const { piece, bytes } of await reader.readPieces(assetId, length, next, batchEnd)) {
            // A disk forgets bits: what is rotten counts as gone.
            if (piece !== next || !(await genuine(options.windows, piece, bytes))) break;
            deliver(controller, bytes, "cache");
          }
          if (next < batchEnd) {
            await fillFromOrigin(options, next, to, cancelled.signal, (bytes) =>
              deliver(controller, bytes, "origin"),
            );
          }
          if (next < to) return;
          controller.close();
          onEnd();
        } catch (error) {
          if (cancelled.signal.aborted) return; // `cancel` has told of the end
          onEnd();
          controller.error(error);
        }
      },
      cancel() {
        cancelled.abort();
        onEnd();
      },
    },
    new ByteLengthQueuingStrategy({ highWaterMark: 262_144 }),
  );
}

/** Reads `[from, to)` from the origin, in order, each piece verified before it is emitted. */
async function fillFromOrigin(
  { asset, windows, fetchRange }: StoredBodyOptions,
  from: number,
  to: number,
  signal: AbortSignal,
  emit: (bytes: Uint8Array) => void,
): Promise<void> {
  const range = {
    start: bytesOfPiece(from, asset.length).start,
    end: bytesOfPiece(to - 1, asset.length).end,
  };
  const response = await fetchRange(range, signal);
  const whole: { piece: number; bytes: Uint8Array }[] = [];
  const cutter = new PieceCutter({
    length: asset.length,
    start: range.start,
    emit: (piece, bytes) => whole.push({ piece, bytes }),
  });
  const bodyStart = bodyStartOf(response, range, asset.length);
  await readRange(
    response,
    { ...range, bodyStart },
    async (chunk) => {
      cutter.push(chunk);
      for (const { piece, bytes } of whole.splice(0)) {
        if (!(await genuine(windows, piece, bytes))) {
          throw new NearcastError("integrity/mismatch", `Cannot use piece ${piece} of the origin`);
        }
        emit(bytes);
      }
    },
    signal,
  );
}

/** Whether a piece is the one that its stored attestation names. */
async function genuine(
  windows: readonly StoredWindow[],
  piece: number,
  bytes: Uint8Array,
): Promise<boolean> {
  const window = windows.find(({ attestation }) => attestation.window === windowOf(piece));
  const hash = fromBase64Url(window?.attestation.hashes[piece % WINDOW_PIECES] ?? "");
  return hash !== undefined && matchesHash(hash, piece, bytes);
}
