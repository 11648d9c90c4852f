/**
 * What a viewer gives to others: an ask that has reached it waits in its uplink, a first-in first-out of pieces, and
 * is held back by the link's loss. Admission is the engine's UploadPolicy, counted as src/mesh/uploads/uploader.ts
 * counts. Holder and receiver (sim/page/asks.ts) know of each other what is told on the way, as they may belong to
 * different shards.
 * @module
 */
import type { Link, Viewer } from "../audience/viewer.js";
import { KIND, MESSAGE, type World } from "../run/world.js";

/** An ask on its way to its holder. */
export interface Ask {
  holder: number;
  receiver: number;
  askId: number;
  asset: number;
  piece: number;
}

/** An ask at its holder. */
interface Job extends Ask {
  bytes: number;
  /** The link at the holder's end, once the request is accepted. */
  link: Link | undefined;
  /** The receiver does not wait for it any more. */
  cancelled: boolean;
  genuine: boolean;
}

const DISABLED_RETRY_MS = 60_000;
const REFUSER_RETRY_MS = 200;

export class Uploads {
  readonly #world: World;
  readonly #jobs: Job[] = [];
  readonly #free: number[] = [];

  constructor(world: World) {
    this.#world = world;
  }

  /** An ask sets out, and reaches its holder at `atMs`. */
  send(shard: number, atMs: number, ask: Ask): void {
    const { holder, receiver, askId, asset, piece } = ask;
    const outbox = this.#world.outboxes[shard];
    if (outbox) outbox.put(MESSAGE.ask, [atMs, holder, receiver, askId, asset, piece]);
    else this.#onItsWay(atMs, ask);
  }

  /** An ask from another shard. */
  arrived(fields: Float64Array): void {
    const at = (place: number) => fields[place] as number;
    const ask = { holder: at(1), receiver: at(2), askId: at(3), asset: at(4), piece: at(5) };
    this.#onItsWay(at(0), ask);
  }

  #onItsWay(atMs: number, ask: Ask): void {
    const { catalogue, queue } = this.#world;
    const bytes = catalogue.bytesOf(catalogue.at(ask.asset), ask.piece);
    queue.push(atMs, KIND.request, this.#open({ ...ask, bytes }));
  }

  /** A link is gone: what was to go over it is queued no more. */
  linkClosed(viewer: Viewer, link: Link): void {
    this.#account(viewer, link, -link.outBytes);
  }

  /** A viewer left with what it was to send. */
  left({ uploadQueue: queue }: Viewer): void {
    if (queue.serving >= 0) this.#release(queue.serving);
    for (const index of queue.jobs.slice(queue.head)) this.#release(index);
    queue.jobs.length = 0;
    queue.head = 0;
    queue.serving = -1;
  }

  /** A request reached the holder. */
  requested(index: number): void {
    const job = this.#jobs[index] as Job;
    const holder = this.#world.alive(job.holder);
    const link = holder?.links.get(job.receiver);
    // The receiver has yet to notice, and to take it back.
    if (!holder || !link) return this.#release(index);
    const { manner, uploads } = holder.traits;
    if (manner === "stall") return this.#release(index); // it never answers
    if (manner === "refuse") return this.#reject(index, holder, link, REFUSER_RETRY_MS);
    const busyMs = uploads
      ? holder.policy.busyMs({
          queuedBytes: holder.queuedBytes,
          peers: holder.peersServed,
          known: link.outBytes > 0,
          hidden: false,
          nowMs: this.#world.nowMs,
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
      this.#done(holder, job, link);
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
    holder.planner.election.uplinkBytesPerMs = holder.policy.rateBytesPerMs;
    // Most links let a piece through as fast as the uplink sends it.
    if (link.freeMs === nowMs) this.pieceOut(index);
    else queue.push(link.freeMs, KIND.pieceOut, index);
    this.#serve(holder);
  }

  /** A piece has left the holder: it is on its way to the receiver's downlink. */
  pieceOut(index: number): void {
    const { receiver, askId, bytes, genuine, holder: from, ...job } = this.#jobs[index] as Job;
    const { nowMs, stats } = this.#world;
    const link = job.link as Link;
    const holder = this.#world.alive(from);
    if (holder && link.open) {
      holder.uploadedBytes += bytes;
      this.#done(holder, this.#jobs[index] as Job, link);
    }
    this.#release(index);
    stats.sentBytes += bytes;
    const atMs = nowMs + link.rttMs / 2;
    const sent = 2 * bytes + (genuine ? 1 : 0);
    this.#world.send(link.peerShard, atMs, KIND.pieceNear, receiver, askId, sent);
  }

  /** The receiver of a job took it back; what waits is dropped when its turn comes. */
  cancelled(holder: Viewer, receiver: number, askId: number): void {
    const { jobs, head } = holder.uploadQueue;
    for (let at = head; at < jobs.length; at++) {
      const job = this.#jobs[jobs[at] as number] as Job;
      if (job.receiver === receiver && job.askId === askId) job.cancelled = true;
    }
  }

  #reject(index: number, holder: Viewer, link: Link, retryMs: number): void {
    const { receiver, askId } = this.#jobs[index] as Job;
    const atMs = this.#world.nowMs + this.#world.controlMs(holder, link.rttMs);
    this.#release(index);
    this.#world.send(link.peerShard, atMs, KIND.reject, receiver, askId, Math.round(retryMs));
  }

  #done(holder: Viewer, job: Job, link: Link): void {
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
  #open(spec: Omit<Job, "link" | "cancelled" | "genuine">): number {
    const index = this.#free.pop() ?? this.#jobs.length;
    const job = this.#jobs[index];
    if (!job) {
      this.#jobs[index] = { ...spec, link: undefined, cancelled: false, genuine: true };
      return index;
    }
    job.holder = spec.holder;
    job.receiver = spec.receiver;
    job.askId = spec.askId;
    job.asset = spec.asset;
    job.piece = spec.piece;
    job.bytes = spec.bytes;
    job.cancelled = false;
    job.genuine = true;
    return index;
  }

  /** A job has one event on its way at most, or waits in the queue of its holder: its number may be used again. */
  #release(index: number): void {
    const job = this.#jobs[index] as Job;
    job.link = undefined;
    this.#free.push(index);
  }
}
