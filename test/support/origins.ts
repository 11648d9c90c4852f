/**
 * An origin that is a function: it answers ranges of a test asset as well or as badly as asked.
 * @module
 */
import type { ByteRange } from "../../src/protocol/asset.js";
import { formatContentRange } from "../../src/sw/request/byte-range.js";

export interface OriginOptions {
  readonly chunkBytes?: number;
  /** Answers 200 with everything, whatever was asked. */
  readonly ignoresRange?: boolean;
  /** Leaves the header out, as another origin's CORS may. */
  readonly hidesContentRange?: boolean;
  /** Ends the body after so many bytes of it. */
  readonly shortAfter?: number;
  /** Fails after so many bytes of the body. */
  readonly failsAfter?: number;
  /** Sends nothing more after so many bytes of the body, and does not end either. */
  readonly stallsAfter?: number;
  /** What each answer waits for, by the number of requests before it. */
  readonly answersAfter?: (asked: number) => Promise<void> | undefined;
  readonly status?: number;
  readonly etag?: string;
  readonly totalLength?: number;
}

export interface FakeOrigin {
  readonly asked: ByteRange[];
  /** Bodies that were cancelled. */
  readonly cancelled: unknown[];
  readonly fetchRange: (range: ByteRange, signal: AbortSignal) => Promise<Response>;
}

/** @param bytes The whole body of the asset. */
export function fakeOrigin(bytes: Uint8Array, options: OriginOptions = {}): FakeOrigin {
  const asked: ByteRange[] = [];
  const cancelled: unknown[] = [];
  return {
    asked,
    cancelled,
    async fetchRange(range, signal) {
      const before = asked.push(range) - 1;
      await options.answersAfter?.(before);
      signal.throwIfAborted();
      const sent = options.ignoresRange ? bytes : bytes.slice(range.start, range.end);
      const body = bodyOf(sent, options, (reason) => cancelled.push(reason));
      const contentRange = formatContentRange(range, options.totalLength ?? bytes.byteLength);
      return new Response(body, {
        status: options.status ?? (options.ignoresRange ? 200 : 206),
        headers: {
          ...(!options.hidesContentRange && { "content-range": contentRange }),
          ...(options.etag !== undefined && { etag: options.etag }),
        },
      });
    },
  };
}

/** A body in chunks of `chunkBytes`. */
export function bodyOf(
  bytes: Uint8Array,
  { chunkBytes = 20_000, shortAfter, failsAfter, stallsAfter }: OriginOptions = {},
  onCancel: (reason: unknown) => void = () => undefined,
): ReadableStream<Uint8Array<ArrayBuffer>> {
  let at = 0;
  const end = Math.min(bytes.byteLength, shortAfter ?? Number.POSITIVE_INFINITY);
  return new ReadableStream({
    pull(controller) {
      if (stallsAfter !== undefined && at >= stallsAfter) return new Promise(() => undefined);
      if (failsAfter !== undefined && at >= failsAfter) {
        return controller.error(new TypeError("the line broke"));
      }
      if (at >= end) return controller.close();
      controller.enqueue(bytes.slice(at, Math.min(at + chunkBytes, end)));
      at += chunkBytes;
    },
    cancel: onCancel,
  });
}
