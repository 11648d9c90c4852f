/**
 * Serves pieces to peers: one queue per link, the links in turn, each link one piece at a time. What the
 * queue cannot take is answered BUSY at once. Pieces are read ahead of their turn, so that the network
 * and not the disk sets the pace.
 * @module
 */
import {
  LATE_MS,
  queueMsOf,
  UplinkRecord,
  UploadGovernor,
} from "../../engine/uploads/upload-governor.js";
import { UploadPolicy } from "../../engine/uploads/upload-policy.js";
import { PIECE_BYTES } from "../../protocol/limits.js";
import type { OutgoingPiece } from "../../protocol/seal.js";
import { INBOUND_REQUESTS_MAX, type PeerLink } from "../links/peer-link.js";

/** Shorter measurements show the channels' buffers, not the line. */
const MEASURE_MS = 100;

/** As often as links measure their round trip: to take the same one for two would give way twice. */
const GOVERN_MS = 2_500;

interface Job {
  readonly id: number;
  readonly sinceMs: number;
  readonly piece: Promise<OutgoingPiece | undefined>;
  readonly stop: AbortController;
}

interface LinkQueue {
  readonly jobs: Map<number, Job>;
  serving: boolean;
}

export interface UploaderOptions {
  readonly maxBytesPerS: number;
  readonly maxParallel: number;
  readonly random: () => number;
  readonly now: () => number;
  /** The piece if it is held, verified, and sealed if its asset is; `undefined` if it is not held. */
  readonly read: (assetId: string, piece: number) => Promise<OutgoingPiece | undefined>;
  readonly onUploaded: (bytes: number) => void;
  /** Whether the page waits for bytes that it needs soon. */
  readonly urgent?: () => boolean;
  /** Whether the page is hidden, and its timers late. */
  readonly hidden?: () => boolean;
}

export class Uploader {
  readonly #options: UploaderOptions;
  readonly #policy: UploadPolicy;
  readonly #governor = new UploadGovernor();
  readonly #record = new UplinkRecord();
  #governed: { readonly atMs: number; readonly sentBytes: number };
  readonly #queues = new Map<PeerLink, LinkQueue>();
  #queuedBytes = 0;
  #sentBytes = 0;
  /** Since when the uplink is measured, what had left by then, and whether it ran empty meanwhile. */
  #busy:
    | { readonly sinceMs: number; readonly leftBytes: number; readonly idled: boolean }
    | undefined;
  /** `false`: nothing is served (paused, data saver, hidden too long). */
  enabled = true;

  constructor(options: UploaderOptions) {
    this.#options = options;
    this.#policy = new UploadPolicy({ ...options, nowMs: options.now() });
    this.#governed = { atMs: options.now(), sentBytes: 0 };
  }

  /** Whether others would be served better without this viewer, for the time being. */
  get poor(): boolean {
    return this.#record.poor(this.#options.now());
  }

  /** Other caps from now on: bytes per second (0 for none), peers served at the same time. */
  limit(caps: { maxBytesPerS: number; maxParallel: number }): void {
    this.#policy.limit(caps);
  }

  /** Upload rate that can be counted on, in bytes per millisecond. */
  get rateBytesPerMs(): number {
    return this.#policy.rateBytesPerMs;
  }

  /** Share of the upload allowance in use, in percent. */
  get loadPercent(): number {
    const queueMs = this.#waitingBytes / this.#policy.rateBytesPerMs;
    return this.enabled ? Math.min(100, Math.round(queueMs / 3)) : 100;
  }

  accept(link: PeerLink, id: number, assetId: string, piece: number): void {
    if (link.closed.aborted) return;
    const queue = this.#queueOf(link);
    if (queue.jobs.has(id)) return;
    const busyMs = this.enabled
      ? this.#policy.busyMs({
          queuedBytes: this.#waitingBytes,
          peers: [...this.#queues.values()].filter(({ jobs }) => jobs.size > 0).length,
          known: queue.jobs.size > 0,
          hidden: this.#options.hidden?.() ?? false,
          nowMs: this.#options.now(),
        })
      : 60_000;
    if (busyMs > 0 || queue.jobs.size >= INBOUND_REQUESTS_MAX) {
      return link.send({ type: "reject", id, reason: "busy", retryMs: Math.min(busyMs, 65_535) });
    }
    if (this.#waitingBytes === 0) this.#measureIdle();
    this.#govern();
    const stop = new AbortController();
    this.#queuedBytes += PIECE_BYTES;
    queue.jobs.set(id, {
      id,
      sinceMs: this.#options.now(),
      piece: this.#options.read(assetId, piece).catch(() => undefined),
      stop,
    });
    if (!queue.serving) void this.#serve(link, queue);
  }

  cancel(link: PeerLink, id: number): void {
    const job = this.#queues.get(link)?.jobs.get(id);
    if (!job || job.stop.signal.aborted) return;
    const nowMs = this.#options.now();
    if (nowMs - job.sinceMs >= LATE_MS) this.#record.count("late", nowMs);
    job.stop.abort();
  }

  #queueOf(link: PeerLink): LinkQueue {
    let queue = this.#queues.get(link);
    if (!queue) {
      queue = { jobs: new Map(), serving: false };
      this.#queues.set(link, queue);
      link.closed.addEventListener("abort", () => this.#queues.delete(link), { once: true });
    }
    return queue;
  }

  async #serve(link: PeerLink, queue: LinkQueue): Promise<void> {
    queue.serving = true;
    for (const job of queue.jobs.values()) {
      try {
        await this.#send(link, job);
      } catch {
        // The link closed or the peer took the request back: both end the job, nothing else.
      }
      queue.jobs.delete(job.id);
      this.#queuedBytes -= PIECE_BYTES;
    }
    queue.serving = false;
  }

  async #send(link: PeerLink, { id, piece, stop }: Job): Promise<void> {
    const outgoing = await piece;
    if (stop.signal.aborted || link.closed.aborted) return;
    if (!outgoing) return link.send({ type: "reject", id, reason: "absent", retryMs: 0 });
    const { now, onUploaded } = this.#options;
    const waitMs = this.#policy.spend(outgoing.bytes.byteLength, now());
    if (waitMs > 0) await delay(waitMs, AbortSignal.any([stop.signal, link.closed]));
    await link.sendPiece(id, outgoing.bytes, stop.signal);
    onUploaded(outgoing.bytes.byteLength);
    this.#sentBytes += outgoing.bytes.byteLength;
    this.#record.count("served", now());
    this.#measure();
    this.#govern();
  }

  /** Once a second while there is something to serve: gives way to what the page itself does. */
  #govern(): void {
    const nowMs = this.#options.now();
    const { atMs, sentBytes } = this.#governed;
    if (nowMs - atMs < GOVERN_MS) return;
    const extras = [...this.#queues.keys()].map((link) => link.extraRttMs);
    const known = extras.filter((extra) => extra !== undefined);
    this.#governor.tick({
      extraMs:
        known.length > 0 ? queueMsOf(Math.min(...known), this.#policy.rateBytesPerMs) : undefined,
      urgent: this.#options.urgent?.() ?? false,
      rateBytesPerMs: Math.max(
        (this.#sentBytes - sentBytes) / (nowMs - atMs),
        this.#policy.rateBytesPerMs,
      ),
    });
    this.#policy.giveWay(this.#governor.limitBytesPerMs);
    this.#governed = { atMs: nowMs, sentBytes: this.#sentBytes };
  }

  /** Accepted and not on the line yet: what waits in the browser's channels waits as well. */
  get #waitingBytes(): number {
    return this.#queuedBytes + this.#bufferedBytes;
  }

  get #bufferedBytes(): number {
    let bytes = 0;
    for (const link of this.#queues.keys()) bytes += link.bufferedBytes;
    return bytes;
  }

  /** How fast a queue that never ran empty drains: what was sent, less what still waits in the channels. */
  #measure(): void {
    const nowMs = this.#options.now();
    const bufferedBytes = this.#bufferedBytes;
    const leftBytes = this.#sentBytes - bufferedBytes;
    const {
      sinceMs,
      leftBytes: before,
      idled,
    } = this.#busy ?? {
      ...{ sinceMs: nowMs, leftBytes, idled: false },
    };
    const drained = bufferedBytes === 0;
    const durationMs = nowMs - sinceMs;
    if (durationMs >= MEASURE_MS && leftBytes > before) {
      if (drained || idled) this.#policy.sampleAtLeast(leftBytes - before, durationMs);
      else this.#policy.sample(leftBytes - before, durationMs);
      this.#busy = { sinceMs: nowMs, leftBytes, idled: false };
    } else {
      this.#busy = { sinceMs, leftBytes: before, idled };
    }
  }

  /**
   * Nothing waits: all that was sent has left, and the line took it in this time at most. One that was slow once, and
   * is asked for single pieces since, would never be busy enough to be measured again (it went on to refuse every
   * second piece at 1 Mbit/s of 5).
   */
  #measureIdle(): void {
    const nowMs = this.#options.now();
    const { sinceMs, leftBytes } = this.#busy ?? { sinceMs: nowMs, leftBytes: this.#sentBytes };
    const durationMs = nowMs - sinceMs;
    if (durationMs > 0 && durationMs < MEASURE_MS) {
      this.#busy = { sinceMs, leftBytes, idled: true };
      return;
    }
    this.#policy.sampleAtLeast(this.#sentBytes - leftBytes, durationMs);
    this.#busy = { sinceMs: nowMs, leftBytes: this.#sentBytes, idled: false };
  }
}

async function delay(ms: number, signal: AbortSignal): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener(
      "abort",
      () => {
        clearTimeout(timer);
        reject(signal.reason);
      },
      { once: true },
    );
  });
}
