/**
 * A response that comes from the origin as it is, while the host learns from its bytes. What the page
 * receives is the origin's own stream; the copy for the host follows it and can be lost without harm.
 * When peers turn out to have the rest, the host takes the response over in mid-body.
 * @module
 */
import { type AskedRange, type ByteRange, piecesOfBytes } from "../../protocol/asset.js";
import type {
  BytesBySource,
  DeliveryMessage,
  HostMessage,
} from "../../protocol/worker-messages.js";
import type { Delivery } from "../answer/delivery.js";
import { type Pacer, paced } from "../answer/paced.js";
import { parseContentRange } from "../request/byte-range.js";
import { PieceCutter, sameValidators } from "./origin-reader.js";

export type MeshPlan = Extract<HostMessage, { type: "mesh" }>;
export type OriginPlan = Extract<HostMessage, { type: "origin" }>;

/** Statuses of which no Response with a body can be made (Fetch, null body status), though a 204 comes with one. */
const unmakable = (status: number) => [204, 205, 304].includes(status) || status > 599;

/**
 * A body that goes on for longer without having said how long it is has no end (radio): nobody will vouch for it, and a
 * page must not pay for copies of it all day. The host lets 8 MiB wait for their attestation.
 */
const ENDLESS_BYTES = 2 ** 24;

export interface PassThroughOptions {
  /** The host's port, if it wants to learn. */
  readonly port: MessagePort | undefined;
  readonly onBytes: (source: keyof BytesBySource, bytes: number) => void;
  readonly onEnd: () => void;
  /** For what is taken over, if a player may be reading. */
  readonly pacer?: Pacer | undefined;
  /** The host agrees that the origin is right: said only where it was not waited for. */
  readonly onAgreed?: (plan: OriginPlan) => void;
  /** Makes what goes on with the bytes `rest` of the asset; it owns the port from then on and ends the request. */
  readonly takeOver: (asset: MeshPlan, rest: ByteRange) => Delivery;
}

/** Where a body lies within its asset, in bytes. */
interface Place {
  readonly start: number;
  /** Exclusive; `undefined`: at the end of the asset. */
  readonly end: number | undefined;
  /** Of the whole asset; `undefined`: the body's end will show it. */
  readonly length: number | undefined;
}

/**
 * Wraps the origin's response so that its bytes are counted and shown to the host.
 *
 * @returns The response itself if its body cannot be told apart (opaque, empty, of unknown place).
 */
export function observed(response: Response, options: PassThroughOptions): Response {
  const { port, onEnd } = options;
  const { body } = response;
  if (!body || unmakable(response.status) || response.type === "opaque" || response.redirected) {
    // The host closes the port, as it does at each `end`: Firefox loses all of one that is closed on its way there.
    port?.postMessage({ type: "end", complete: false } satisfies DeliveryMessage);
    onEnd();
    return response;
  }
  const { status, statusText, headers } = response;
  const passing = new PassingBody(body.getReader(), response, options);
  return new Response(passing.stream(), { status, statusText, headers });
}

/** Passes a body on chunk by chunk, at the page's pace. */
class PassingBody {
  readonly #response: Response;
  readonly #options: PassThroughOptions;
  readonly #place: Place | undefined;
  #cutter: PieceCutter | undefined;
  #port: MessagePort | undefined;
  #reader: ReadableStreamDefaultReader<Uint8Array>;
  #delivery: Delivery | undefined;
  /** Bytes of the origin's body that the page was given. */
  #passedBytes = 0;
  #ended = false;

  constructor(
    reader: ReadableStreamDefaultReader<Uint8Array>,
    response: Response,
    options: PassThroughOptions,
  ) {
    this.#reader = reader;
    this.#response = response;
    this.#options = options;
    this.#port = options.port;
    this.#place = placeOf(response);
    if (!this.#place) return;
    const { start, length } = this.#place;
    this.#tell({ type: "head", start, length });
    this.#cutter = new PieceCutter({
      start,
      length,
      emit: (piece, bytes) => this.#tell({ type: "origin-piece", piece, bytes }, [bytes.buffer]),
    });
    if (!this.#port) return;
    this.#port.onmessage = ({ data }: MessageEvent<HostMessage>) => {
      if (data.type === "pace") this.#options.pacer?.advise(data);
      else if (this.#delivery) this.#delivery.receive(data);
      else if (data.type === "mesh") this.#takeOver(data);
      else if (data.type === "origin") this.#agreed(data);
    };
  }

  stream(): ReadableStream<Uint8Array> {
    return new ReadableStream<Uint8Array>({
      pull: (controller) => this.#pull(controller),
      cancel: async (reason) => {
        this.#end(false);
        await this.#reader.cancel(reason);
      },
    });
  }

  async #pull(controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> {
    const reader = this.#reader;
    try {
      const { done, value } = await reader.read();
      if (reader !== this.#reader) return await this.#pull(controller); // taken over meanwhile
      if (this.#ended) return;
      if (done) {
        controller.close();
        if (!this.#delivery) this.#cutter?.end();
        return this.#end(true);
      }
      controller.enqueue(value);
      if (!this.#delivery) this.#passed(value);
    } catch (error) {
      if (reader !== this.#reader) return await this.#pull(controller);
      controller.error(error);
      this.#end(false);
    }
  }

  #passed(chunk: Uint8Array): void {
    this.#passedBytes += chunk.byteLength;
    this.#cutter?.push(chunk);
    this.#options.onBytes("origin", chunk.byteLength);
    if (this.#place && !this.#place.length && this.#passedBytes > ENDLESS_BYTES) this.#hide();
  }

  /** Nothing more of it is shown. */
  #hide(): void {
    this.#cutter = undefined;
    this.#tell({ type: "end", complete: false });
    this.#port = undefined;
  }

  #agreed(plan: OriginPlan): void {
    this.#options.onAgreed?.(plan);
    if (plan.observe) return;
    this.#port?.close(); // as the host has done
    this.#port = undefined;
  }

  /** The rest comes from pieces, if it is the rest of the same version (rule R9). */
  #takeOver(asset: MeshPlan): void {
    const place = this.#place;
    const port = this.#port;
    if (this.#ended || !place || !port) return;
    const { end = asset.length, length = asset.length } = place;
    const rest = { start: place.start + this.#passedBytes, end };
    const same = length === asset.length && sameValidators(this.#response.headers, asset.headers);
    if (!same || rest.start >= rest.end) {
      this.#hide();
      port.close();
      return;
    }
    const origin = this.#reader;
    this.#tell({ type: "position", piece: piecesOfBytes(rest).from });
    this.#delivery = this.#options.takeOver(asset, rest);
    const body = this.#delivery.body();
    const { pacer } = this.#options;
    pacer?.restart();
    this.#reader = (pacer ? paced(body, pacer) : body).getReader();
    void origin.cancel().catch(() => undefined);
  }

  #end(complete: boolean): void {
    if (this.#ended) return;
    this.#ended = true;
    if (this.#delivery) return; // it tells both sides itself
    this.#tell({ type: "end", complete });
    this.#options.onEnd();
  }

  #tell(message: DeliveryMessage, transfer: Transferable[] = []): void {
    this.#port?.postMessage(message, transfer);
  }
}

/** Where the body lies within the asset; `undefined` if the response does not say. */
function placeOf({ status, headers }: Response): Place | undefined {
  if (status === 200) {
    // Of what was compressed on its way neither length nor place says anything of the asset.
    if (headers.has("content-encoding")) return undefined;
    const header = headers.get("content-length");
    const length = header === null ? undefined : Number(header);
    return { start: 0, end: length, length };
  }
  if (status !== 206) return undefined;
  const range = parseContentRange(headers.get("content-range"));
  return range?.length === undefined ? undefined : { ...range, length: range.length };
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
