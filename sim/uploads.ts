/**
 * Pieces between viewers: an ask travels to the holder, waits in its uplink, a first-in first-out of
 * pieces, is held back by the link's loss, and shares the receiver's downlink. Admission is the engine's
 * UploadPolicy, counted as src/mesh/uploads/uploader.ts counts.
 * @module
 */
import { PieceSet } from "../src/core/piece-set.js";
import type { Command } from "../src/engine/planner.js";
import type { Asset } from "./catalogue.js";
import type { Link, Viewer } from "./viewer.js";
import { KIND, type World } from "./world.js";

type AskCommand = Extract<Command, { type: "ask" }>;

interface Job {
  generation: number;
  from: number;
  to: number;
  askId: number;
  asset: number;
  piece: number;
  bytes: number;
  /** The link at the holder's end, once the request is accepted. */
  link: Link | undefined;
  /** The receiver does not wait for it any more. */
  cancelled: boolean;
  /** A flooder asked, who never wanted it. */
  unwanted: boolean;
  genuine: boolean;
}

const DISABLED_RETRY_MS = 60_000;
const REFUSER_RETRY_MS = 200;
/** Asks of a flooder to each neighbour, with every tick: 20 Mbit/s and more. */
const FLOOD_ASKS = 4;

export class Uploads {
  readonly #world: World;
  readonly #jobs: Job[] = [];
  readonly #free: number[] = [];

  constructor(world: World) {
    this.#world = world;
  }

  ask(viewer: Viewer, { peerId, askId, assetId, piece }: AskCommand): void {
    const { guard, catalogue, stats, config } = this.#world;
    const to = Number(peerId);
    const link = viewer.links.get(to);
    guard.asked(viewer, peerId, link?.open === true && config.plant !== "ask-closed");
    if (!link) return;
    const asset = catalogue.at(Number(assetId));
    const bytes = catalogue.bytesOf(asset, piece);
    const index = this.#open({
      from: to,
      to: viewer.index,
      askId,
      asset: asset.index,
      piece,
      bytes,
    });
    const job = this.#jobs[index] as Job;
    viewer.asks.set(askId, index);
    stats.asks++;
    this.#world.trace(viewer, `asks ${to} for ${assetId}/${piece}`);
    this.#world.after(
      this.#world.controlMs(viewer, link.rttMs),
      KIND.request,
      index,
      job.generation,
    );
  }

  /** A flooder asks all its neighbours for pieces that it throws away. */
  flood(viewer: Viewer, asset: Asset): void {
    for (const end of viewer.hearers.ends) {
      for (let count = 0; count < FLOOD_ASKS; count++) {
        const piece = Math.floor(viewer.random() * asset.pieceCount);
        const bytes = this.#world.catalogue.bytesOf(asset, piece);
        const spec = { from: end.owner.index, to: viewer.index, askId: -1, asset: asset.index };
        const index = this.#open({ ...spec, piece, bytes });
        const job = this.#jobs[index] as Job;
        job.unwanted = true;
        this.#world.after(
          this.#world.controlMs(viewer, end.rttMs),
          KIND.request,
          index,
          job.generation,
        );
      }
    }
  }

  /** The receiver takes an ask back. */
  cancel(viewer: Viewer, askId: number): void {
    const index = viewer.asks.get(askId);
    if (index === undefined) return;
    viewer.asks.delete(askId);
    const job = this.#jobs[index] as Job;
    job.cancelled = true;
    this.#world.stats.cancels++;
    const link = viewer.links.get(job.from);
    const delayMs = link ? this.#world.controlMs(viewer, link.rttMs) : 0;
    this.#world.after(delayMs, KIND.cancel, index, job.generation);
  }

  /** A link is gone: its asks are forgotten; the planner hears of it elsewhere. */
  linkClosed(viewer: Viewer, link: Link): void {
    for (const [askId, index] of viewer.asks) {
      const job = this.#jobs[index] as Job;
      if (job.from !== link.peer) continue;
      viewer.asks.delete(askId);
      job.cancelled = true;
    }
    this.#account(viewer, link, -link.outBytes);
  }

  /** A request reached the holder. */
  requested(index: number, generation: number): void {
    const job = this.#job(index, generation);
    if (!job) return;
    const holder = this.#world.alive(job.from);
    const link = holder?.links.get(job.to);
    if (job.cancelled) return this.#release(index);
    if (!holder || !link) return; // the receiver has yet to notice, and to take it back
    const { manner, uploads } = holder.traits;
    if (manner === "stall") return; // it never answers
    if (manner === "refuse") return this.#reject(index, holder, link, REFUSER_RETRY_MS);
    const busyMs = uploads
      ? holder.policy.busyMs({
          queuedBytes: holder.queuedBytes,
          peers: holder.peersServed,
          known: link.outBytes > 0,
        })
      : DISABLED_RETRY_MS;
    if (busyMs > 0) return this.#reject(index, holder, link, busyMs);
    if (!holder.have.get(job.asset)?.has(job.piece)) return this.#reject(index, holder, link, -1);
    this.#accept(index, job, holder, link);
  }

  #accept(index: number, job: Job, holder: Viewer, link: Link): void {
    link.jobs++;
    this.#account(holder, link, job.bytes);
    job.link = link;
    job.genuine = holder.genuine && !holder.wrong.has(`${job.asset} ${job.piece}`);
    this.#world.guard.uploadQueue(holder, link.jobs);
    holder.uploadQueue.jobs.push(index);
    if (holder.uploadQueue.serving < 0) this.#serve(holder);
  }

  /** Sends the next piece of the uplink's queue. */
  #serve(holder: Viewer): void {
    const queue = holder.uploadQueue;
    queue.serving = -1;
    while (queue.head < queue.jobs.length) {
      const index = queue.jobs[queue.head++] as number;
      const job = this.#jobs[index] as Job;
      const link = job.link as Link;
      if (link.open && !job.cancelled) {
        queue.serving = index;
        const waitMs = holder.policy.spend(job.bytes, this.#world.nowMs);
        const sendMs = job.bytes / holder.traits.uplink;
        this.#world.after(waitMs + sendMs, KIND.uplinkFree, holder.index);
        break;
      }
      this.#left(holder, job, link);
      this.#release(index);
    }
    if (queue.head > 64 && 2 * queue.head > queue.jobs.length) {
      queue.jobs.splice(0, queue.head);
      queue.head = 0;
    }
  }

  /** The uplink has sent a piece; loss may let it crawl on the link for longer. */
  uplinkFree(holder: Viewer): void {
    const { nowMs, queue } = this.#world;
    const index = holder.uploadQueue.serving;
    const job = this.#jobs[index] as Job;
    const link = job.link as Link;
    const sendMs = job.bytes / holder.traits.uplink;
    const onLinkMs = job.bytes / link.capBytesPerMs;
    link.freeMs = Math.max(nowMs, Math.max(link.freeMs, nowMs - sendMs) + onLinkMs);
    holder.policy.sample(job.bytes, sendMs);
    holder.planner.uplinkBytesPerMs = holder.policy.rateBytesPerMs;
    // Most links let a piece through as fast as the uplink sends it.
    if (link.freeMs === nowMs) this.pieceOut(index, job.generation);
    else queue.push(link.freeMs, KIND.pieceOut, index, job.generation);
    this.#serve(holder);
  }

  /** A piece has left the holder: it is on its way to the receiver's downlink. */
  pieceOut(index: number, generation: number): void {
    const job = this.#job(index, generation);
    if (!job) return;
    const { nowMs, queue, stats } = this.#world;
    const link = job.link as Link;
    const holder = this.#world.alive(job.from);
    if (holder && link.open) {
      holder.uploadedBytes += job.bytes;
      this.#left(holder, job, link);
    }
    const receiver = this.#world.alive(job.to);
    if (!receiver) return this.#release(index);
    stats.sentBytes += job.bytes;
    const receiveMs = job.bytes / receiver.traits.downlink;
    const lastBitMs = nowMs + link.rttMs / 2;
    receiver.downlinkFreeMs = Math.max(
      lastBitMs,
      Math.max(receiver.downlinkFreeMs, lastBitMs - receiveMs) + receiveMs,
    );
    queue.push(receiver.downlinkFreeMs, KIND.pieceIn, index, generation);
  }

  pieceIn(index: number, generation: number): void {
    const job = this.#job(index, generation);
    if (!job) return;
    this.#release(index);
    const { stats, deliveries } = this.#world;
    const receiver = this.#world.alive(job.to);
    if (!receiver || job.cancelled || job.unwanted || !receiver.links.has(job.from)) {
      stats.duplicateBytes += job.bytes;
      return;
    }
    receiver.asks.delete(job.askId);
    deliveries.peerPiece(receiver, job);
  }

  cancelled(index: number, generation: number): void {
    const job = this.#job(index, generation);
    if (!job || job.link) return; // the queue drops it when its turn comes
    this.#release(index);
  }

  rejected(index: number, generation: number, retryMs: number): void {
    const job = this.#job(index, generation);
    if (!job) return;
    this.#release(index);
    const viewer = this.#world.alive(job.to);
    if (!viewer || job.cancelled || job.unwanted || !viewer.links.has(job.from)) return;
    viewer.asks.delete(job.askId);
    const { nowMs, stats, catalogue, shell } = this.#world;
    if (retryMs < 0) stats.absent++;
    else stats.busy++;
    const asset = catalogue.at(job.asset);
    const { id: peerId } = this.#world.viewer(job.from);
    if (retryMs < 0 && viewer.planner.holdingsOf(peerId, asset.id) === asset.all) {
      // The planner strikes the piece off its own copy.
      const copy = new PieceSet(asset.pieceCount);
      copy.addRange(0, asset.pieceCount);
      shell.run(viewer, viewer.planner.setHoldings(peerId, asset.id, copy, nowMs));
    }
    const busyMs = retryMs < 0 ? undefined : retryMs;
    shell.run(viewer, viewer.planner.pieceRefused(peerId, job.askId, { busyMs, nowMs }));
  }

  #reject(index: number, holder: Viewer, link: Link, retryMs: number): void {
    const job = this.#jobs[index] as Job;
    const delayMs = this.#world.controlMs(holder, link.rttMs);
    this.#world.after(delayMs, KIND.reject, index, job.generation, Math.round(retryMs));
  }

  #left(holder: Viewer, job: Job, link: Link): void {
    link.jobs--;
    if (link.open) this.#account(holder, link, -job.bytes);
  }

  #account(holder: Viewer, link: Link, bytes: number): void {
    const before = link.outBytes;
    link.outBytes += bytes;
    holder.queuedBytes += bytes;
    if (before === 0) holder.peersServed++;
    if (link.outBytes === 0) holder.peersServed--;
  }

  /** Takes a job from those that are over: millions of them come and go. @returns Its number. */
  #open(spec: Pick<Job, "from" | "to" | "askId" | "asset" | "piece" | "bytes">): number {
    const index = this.#free.pop() ?? this.#jobs.length;
    const job = this.#jobs[index];
    if (!job) {
      const rest = { link: undefined, cancelled: false, unwanted: false, genuine: true };
      this.#jobs[index] = { generation: 1, ...spec, ...rest };
      return index;
    }
    job.generation++;
    job.from = spec.from;
    job.to = spec.to;
    job.askId = spec.askId;
    job.asset = spec.asset;
    job.piece = spec.piece;
    job.bytes = spec.bytes;
    job.cancelled = false;
    job.unwanted = false;
    job.genuine = true;
    return index;
  }

  #job(index: number, generation: number): Job | undefined {
    const job = this.#jobs[index];
    return job?.generation === generation ? job : undefined;
  }

  /** The job's number may be given to another one; late events see that by its generation. */
  #release(index: number): void {
    const job = this.#jobs[index] as Job;
    job.generation++;
    job.link = undefined;
    this.#free.push(index);
  }
}
