/**
 * A response that comes from the origin as it is, while the host learns from its bytes. What the page
 * receives is the origin's own stream; the copy for the host follows it and can be lost without harm.
 * @module
 */
import type { DeliveryMessage } from "../protocol/worker-messages.js";
import { type AskedRange, parseContentRange } from "./byte-range.js";
import { PieceCutter } from "./origin-reader.js";

export interface PassThroughOptions {
  /** The host's port, if it wants to learn. */
  readonly port: MessagePort | undefined;
  readonly onBytes: (source: "origin", bytes: number) => void;
  readonly onEnd: () => void;
}

/**
 * Wraps the origin's response so that its bytes are counted and shown to the host.
 *
 * @returns The response itself if its body cannot be told apart (opaque, empty, of unknown place).
 */
export function observed(response: Response, options: PassThroughOptions): Response {
  const { port, onBytes, onEnd } = options;
  const tell = (message: DeliveryMessage, transfer: Transferable[] = []) =>
    port?.postMessage(message, transfer);
  const end = (complete: boolean) => {
    tell({ type: "end", complete });
    port?.close();
    onEnd();
  };
  const { body } = response;
  if (!body || response.type === "opaque" || response.redirected) {
    end(false);
    return response;
  }
  const place = placeOf(response);
  if (place) tell({ type: "head", start: place.start, length: place.length });
  const cutter =
    place &&
    new PieceCutter({
      ...place,
      emit: (piece, bytes) => tell({ type: "origin-piece", piece, bytes }, [bytes.buffer]),
    });
  const onChunk = (chunk: Uint8Array) => {
    cutter?.push(chunk);
    onBytes("origin", chunk.byteLength);
  };
  const { status, statusText, headers } = response;
  return new Response(watched(body, onChunk, end), { status, statusText, headers });
}

/** Passes a body on chunk by chunk, at the page's pace. */
function watched(
  body: ReadableStream<Uint8Array>,
  onChunk: (chunk: Uint8Array) => void,
  onEnd: (complete: boolean) => void,
): ReadableStream<Uint8Array> {
  const reader = body.getReader();
  let cancelled = false;
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      try {
        const { done, value } = await reader.read();
        if (cancelled) return;
        if (done) {
          controller.close();
          onEnd(true);
          return;
        }
        onChunk(value);
        controller.enqueue(value);
      } catch (error) {
        controller.error(error);
        onEnd(false);
      }
    },
    async cancel(reason) {
      cancelled = true;
      onEnd(false);
      await reader.cancel(reason);
    },
  });
}

/** Where the body lies within the asset; `undefined` if the response does not say. */
function placeOf(response: Response): { start: number; length: number } | undefined {
  if (response.status === 200) {
    const length = response.headers.get("content-length");
    const encoded = response.headers.has("content-encoding");
    return length !== null && !encoded ? { start: 0, length: Number(length) } : undefined;
  }
  if (response.status !== 206) return undefined;
  const range = parseContentRange(response.headers.get("content-range"));
  return range?.length === undefined ? undefined : { start: range.start, length: range.length };
}

/**
 * An open-ended range asked of the origin piecewise, so that no stream of a worker runs for minutes and
 * the mesh can serve the next part. Players ask on from where a 206 ends.
 */
export function cappedRange(
  range: AskedRange | undefined,
  maxBytes: number,
): AskedRange | undefined {
  return range && range.end === undefined
    ? { start: range.start, end: range.start + maxBytes }
    : range;
}
