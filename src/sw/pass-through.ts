/**
 * A response that comes from the origin as it is, while the host learns from its bytes. What the page
 * receives is the origin's own stream; the copy for the host follows it and can be lost without harm.
 * @module
 */
import type { BytesBySource, DeliveryMessage } from "../protocol/worker-messages.js";
import { type AskedRange, parseContentRange } from "./byte-range.js";
import { PieceCutter } from "./origin-reader.js";

export interface PassThroughOptions {
  /** The host's port, if it wants to learn. */
  readonly port: MessagePort | undefined;
  readonly onEnd: (outcome: { complete: boolean; bytes: BytesBySource }) => void;
}

/**
 * Wraps the origin's response so that its bytes are counted and shown to the host.
 *
 * @returns The response itself if its body cannot be told apart (opaque, empty, of unknown place).
 */
export function observed(response: Response, options: PassThroughOptions): Response {
  const place = placeOf(response);
  const body = response.body;
  if (!body || response.type === "opaque" || response.redirected) {
    options.port?.close();
    return response;
  }
  const tell = (message: DeliveryMessage, transfer: Transferable[] = []) =>
    options.port?.postMessage(message, transfer);
  if (place) tell({ type: "head", start: place.start, length: place.length });
  const cutter =
    place &&
    new PieceCutter({
      ...place,
      emit: (piece, bytes) => tell({ type: "origin-piece", piece, bytes }, [bytes.buffer]),
    });
  return new Response(
    counted(body, cutter, (complete, origin) => {
      tell({ type: "end", complete });
      options.port?.close();
      options.onEnd({ complete, bytes: { cache: 0, mesh: 0, origin } });
    }),
    {
      status: response.status,
      statusText: response.statusText,
      headers: response.headers,
    },
  );
}

/** Passes a body on chunk by chunk, at the page's pace. */
function counted(
  body: ReadableStream<Uint8Array>,
  cutter: PieceCutter | undefined,
  onEnd: (complete: boolean, bytes: number) => void,
): ReadableStream<Uint8Array> {
  const reader = body.getReader();
  let bytes = 0;
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      try {
        const { done, value } = await reader.read();
        if (done) {
          controller.close();
          onEnd(true, bytes);
          return;
        }
        bytes += value.byteLength;
        cutter?.push(value);
        controller.enqueue(value);
      } catch (error) {
        controller.error(error);
        onEnd(false, bytes);
      }
    },
    async cancel(reason) {
      onEnd(false, bytes);
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
