/**
 * What the browser tells of the line before this origin was measured: how fast the page itself came, else what
 * the network interface estimates. Hearsay: the origin may be slower than the line, and is believed once it was asked.
 * @module
 */
import { LineRate } from "../../engine/planning/line-rate.js";

/** One body that came over the line; times in milliseconds. */
export interface Transfer {
  /** From the question to the first byte: a round trip or more. */
  readonly waitedMs: number;
  readonly startMs: number;
  readonly endMs: number;
  readonly bytes: number;
}

/** A body that fits the first flights of a connection comes at the speed of the last hop, whatever the line. */
const TRANSFER_MIN_BYTES = 2 ** 15;
/** What a new connection sends in its first round trip; each one after it takes twice as much (RFC 6928, RFC 5681). */
const FIRST_FLIGHT_BYTES = 14_600;
/** The network interface counts in steps of 25 kbit/s up to 10 Mbit/s; so little says that it knows nothing. */
const DOWNLINK_MIN_MBITS = 0.1;

/**
 * The rate of bodies that shared one line, in bytes per millisecond: bytes over the time in which any came. Bodies
 * that the start of their own connection held up, and not the line, do not count.
 *
 * @returns `undefined` if too little came.
 */
export function rateOfTransfers(transfers: readonly Transfer[]): number | undefined {
  const rate = new LineRate();
  const gusts: { startMs: number; endMs: number; bytes: number }[] = [];
  const rttMs = Math.min(...transfers.map(({ waitedMs }) => waitedMs));
  for (const transfer of [...transfers].sort((a, b) => a.startMs - b.startMs)) {
    if (transfer.bytes < TRANSFER_MIN_BYTES || !isLimitedByLine(transfer, rttMs)) continue;
    const last = gusts.at(-1);
    if (!last || transfer.startMs > last.endMs) gusts.push({ ...transfer });
    else {
      last.bytes += transfer.bytes;
      last.endMs = Math.max(last.endMs, transfer.endMs);
    }
  }
  for (const { startMs, endMs, bytes } of gusts) rate.add(bytes, endMs - startMs);
  return rate.bytesPerMs;
}

/** Whether it took clearly longer than a connection without a bottleneck takes to speed up. */
function isLimitedByLine({ startMs, endMs, bytes }: Transfer, rttMs: number): boolean {
  const roundTrips = Math.log2(1 + bytes / FIRST_FLIGHT_BYTES);
  return endMs - startMs > 2 * roundTrips * rttMs;
}

/** @returns Bytes per millisecond; `undefined` if the browser tells nothing. */
export function lineHearsay(): number | undefined {
  const entries = ["navigation", "resource"].flatMap((type) => performance.getEntriesByType(type));
  return rateOfTransfers(entries.filter(cameOverLine).map(transferOf)) ?? downlink();
}

/** What a worker answered, or had a hand in, says nothing of the line; what a cache answered has no size. */
function cameOverLine(entry: PerformanceEntry): entry is PerformanceResourceTiming {
  const { workerStart, transferSize, responseStart } = entry as PerformanceResourceTiming;
  return workerStart === 0 && transferSize > 0 && responseStart > 0;
}

function transferOf(entry: PerformanceResourceTiming): Transfer {
  const { requestStart, responseStart, responseEnd, transferSize } = entry;
  return {
    waitedMs: responseStart - requestStart,
    startMs: responseStart,
    endMs: responseEnd,
    bytes: transferSize,
  };
}

function downlink(): number | undefined {
  const { connection } = navigator as { connection?: { readonly downlink?: number } };
  const mbits = connection?.downlink ?? 0;
  return mbits >= DOWNLINK_MIN_MBITS ? mbits * 125 : undefined;
}
