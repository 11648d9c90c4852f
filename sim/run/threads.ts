/**
 * A run with a thread for each of its shards. After every window a shard writes what it has to tell into shared
 * memory, waits until the others have done so too, and reads what is for it. Nobody is ever more than a window ahead,
 * so two buffers for each direction are enough.
 * @module
 */
import { totalmem } from "node:os";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import type { SimConfig } from "../config.js";
import { InvariantError } from "./guard.js";
import { check, type Result, resultOf, type ShardReport } from "./result.js";
import { Shard } from "./shard.js";
import { type Progress, shardCount, windows } from "./simulation.js";

/** What one shard may tell another in one window: 16 MiB. */
const WORDS_MAX = 2 ** 21;
/** Looks at the other thread before a thread sleeps until it is woken: about the time that waking takes. */
const SPINS = 2_000;
/** A thread may take so much of the machine's memory: a hundred thousand viewers need gigabytes. */
const HEAP_MAX_SHARE = 0.45;
const YOUNG_MIB = 192;

interface Order {
  readonly nearcastShard: number;
  readonly shards: number;
  readonly config: SimConfig;
  readonly everyS: number;
  /** By shard: windows that it has told the others of. */
  readonly told: SharedArrayBuffer;
  /** Buffers, by window of two, teller and hearer: a length, then words. */
  readonly words: readonly SharedArrayBuffer[];
}

interface Said {
  readonly report?: ShardReport;
  readonly reportMs?: number | undefined;
  readonly violation?: string;
}

/** As `simulate()`, with a thread a shard. @throws {InvariantError} If anything happens that must not. */
export async function simulateInThreads(config: SimConfig, progress?: Progress): Promise<Result> {
  const shards = shardCount(config);
  const order = {
    ...{ shards, config, everyS: progress?.everyS ?? Number.POSITIVE_INFINITY },
    told: new SharedArrayBuffer(4 * shards),
    words: Array.from({ length: 2 * shards * shards }, () => new SharedArrayBuffer(8 * WORDS_MAX)),
  };
  const reports = new Map<number, ShardReport[]>();
  const threads: Worker[] = [];
  const ended = Array.from({ length: shards }, (_, nearcastShard) => {
    const thread = new Worker(new URL(import.meta.url), {
      workerData: { ...order, nearcastShard } satisfies Order,
      resourceLimits: {
        maxOldGenerationSizeMb: Math.round((HEAP_MAX_SHARE * totalmem()) / 2 ** 20),
        maxYoungGenerationSizeMb: YOUNG_MIB,
      },
    });
    threads.push(thread);
    return reportOf(thread, (reportMs, report) => {
      const sofar = reports.get(reportMs) ?? [];
      reports.set(reportMs, sofar);
      sofar[nearcastShard] = report;
      if (sofar.filter(Boolean).length < shards) return;
      reports.delete(reportMs);
      progress?.onReport(reportMs / 1_000, resultOf(config, sofar));
    });
  });
  try {
    const result = resultOf(config, await Promise.all(ended));
    check(config, result);
    return result;
  } finally {
    await Promise.all(threads.map((thread) => thread.terminate()));
  }
}

/** What a thread says at its end. @param onReport Hears what it says before. */
function reportOf(
  thread: Worker,
  onReport: (reportMs: number, report: ShardReport) => void,
): Promise<ShardReport> {
  return new Promise((resolve, reject) => {
    thread.on("error", reject);
    thread.on("exit", () => reject(new Error("Cannot go on as a thread has ended")));
    thread.on("message", ({ report, reportMs, violation }: Said) => {
      if (violation !== undefined) reject(new InvariantError(violation));
      else if (report && reportMs !== undefined) onReport(reportMs, report);
      else if (report) resolve(report);
    });
  });
}

/** Runs one shard in this thread. */
function runShard({ nearcastShard: own, shards, config, everyS, told, words }: Order): void {
  const say = (said: Said) => parentPort?.postMessage(said);
  const shard = new Shard(config, { shard: own, shards });
  const counts = new Int32Array(told);
  const buffers = words.map((buffer) => new Float64Array(buffer));
  const bufferOf = (window: number, from: number, to: number) =>
    buffers[((window & 1) * shards + from) * shards + to] as Float64Array;
  let window = 0;
  for (const { endMs, reportMs } of windows(config, everyS)) {
    shard.advance(endMs);
    for (const [to, outbox] of shard.outboxes.entries()) {
      if (!outbox) continue;
      write(bufferOf(window, own, to), outbox.words);
      outbox.clear();
    }
    Atomics.store(counts, own, window + 1);
    Atomics.notify(counts, own);
    for (let from = 0; from < shards; from++) {
      if (from === own) continue;
      waitFor(counts, from, window);
      const buffer = bufferOf(window, from, own);
      shard.receive(buffer.subarray(1, 1 + (buffer[0] as number)));
    }
    window++;
    if (reportMs !== undefined) say({ report: shard.report(), reportMs });
  }
  shard.end();
  say({ report: shard.report() });
}

function write(buffer: Float64Array, words: Float64Array): void {
  if (words.length >= buffer.length) {
    throw new RangeError(`Cannot tell more in one window: it is ${words.length} numbers`);
  }
  buffer[0] = words.length;
  buffer.set(words, 1);
}

/** Returns once another shard has told what it had to tell of a window. */
function waitFor(counts: Int32Array, shard: number, window: number): void {
  for (let spin = 0; spin < SPINS; spin++) if (Atomics.load(counts, shard) > window) return;
  for (;;) {
    const count = Atomics.load(counts, shard);
    if (count > window) return;
    Atomics.wait(counts, shard, count);
  }
}

const order = workerData as Partial<Order> | undefined;
if (!isMainThread && order?.nearcastShard !== undefined) {
  try {
    runShard(order as Order);
  } catch (error) {
    if (!(error instanceof InvariantError)) throw error;
    parentPort?.postMessage({ violation: error.message } satisfies Said);
  }
}
