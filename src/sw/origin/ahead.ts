/**
 * Reads pieces that a page will ask for next, at the host's order: nothing is answered with them here, so they are not
 * looked at either. The host learns from them, as from what passes through.
 * @module
 */
import { type PieceRange, pieceCountOf } from "../../protocol/asset.js";
import type { Ahead, AheadOrder, DeliveryMessage } from "../../protocol/worker-messages.js";
import { RequestMeter } from "../answer/request-meter.js";
import { requestFor } from "../request/range-request.js";
import { OriginRuns } from "./origin-runs.js";

/** The page has asked long since, or never will; a host that is gone says no `end`. */
const AHEAD_MAX_MS = 60_000;

/** Carries out the orders on the port, which is owned here; resolves when there will be no more. */
export async function readAhead(ahead: Ahead, port: MessagePort): Promise<void> {
  const { url, clientId, length, headers } = ahead;
  const over = new AbortController();
  const meter = new RequestMeter(clientId, url);
  const here = new Set<number>();
  const tell = (message: DeliveryMessage, transfer: Transferable[] = []) =>
    port.postMessage(message, transfer);
  const request = new Request(url);
  const runs = new OriginRuns(
    { length, headers, fetchRange: (range, signal) => fetch(requestFor(request, range, signal)) },
    {
      missing: ({ from, to }) => missingOf({ from, to: Math.min(to, pieceCountOf(length)) }, here),
      onPiece: async (piece, bytes) => {
        here.add(piece);
        meter.count("origin", bytes.byteLength);
        tell({ type: "origin-piece", piece, bytes }, [bytes.buffer]);
      },
    },
    over.signal,
  );
  const read = async (pieces: PieceRange) => {
    const outcome = await runs.read(pieces).then(
      () => "complete" as const,
      () => "failed" as const,
    );
    await meter.flush();
    tell({ type: "origin-end", outcome });
  };
  const { promise: ended, resolve: end } = Promise.withResolvers<void>();
  port.onmessage = ({ data }: MessageEvent<AheadOrder>) => {
    if (data.type === "fetch") void read(data);
    else end();
  };
  const timer = setTimeout(end, AHEAD_MAX_MS);
  await ended;
  clearTimeout(timer);
  over.abort();
  port.close();
  await meter.flush();
}

/** Of the pieces, those from the first to the last one that is not here. */
function missingOf(pieces: PieceRange, here: ReadonlySet<number>): PieceRange | undefined {
  let { from, to } = pieces;
  while (from < to && here.has(from)) from++;
  while (from < to && here.has(to - 1)) to--;
  return from < to ? { from, to } : undefined;
}
