/**
 * Both sides of the piece protocol over one connection: requests go out, blocks come in, and the other
 * way round. A peer that breaks the protocol loses the link; one that is merely slow or empty does not.
 * Nothing that arrives here is trusted: verification is the receiver's next step.
 * @module
 */
import { NearcastError } from "../../core/errors.js";
import {
  BLOCK_BYTES,
  BULK_BUFFERED_MAX_BYTES,
  LINK_REQUESTS_MAX,
  PROTOCOL_VERSION,
} from "../../protocol/limits.js";
import {
  type ControlFrame,
  decodeBlock,
  decodeControl,
  encodeBlock,
  encodeControl,
  type RejectReason,
} from "../../protocol/peer-codec.js";
import type { Connection } from "../signaling/peerjs-peer.js";
import { Downloads } from "./downloads.js";
import { PING_INTERVAL_MS, RoundTrips } from "./round-trips.js";

export interface LinkHandlers {
  onOpen(link: PeerLink): void;
  onHave(link: PeerLink, have: Extract<ControlFrame, { type: "have" }>): void;
  onDrop(link: PeerLink, assetId: string): void;
  onClaim(link: PeerLink, claim: Extract<ControlFrame, { type: "claim" }>): void;
  onRequest(link: PeerLink, request: Extract<ControlFrame, { type: "request" }>): void;
  onCancel(link: PeerLink, requestId: number): void;
  /** `bytes` are the receiver's own, and unverified. */
  onPiece(link: PeerLink, askId: number, bytes: Uint8Array<ArrayBuffer>): void;
  onReject(link: PeerLink, askId: number, reason: RejectReason, retryMs: number): void;
  onRtt(link: PeerLink, rttMs: number): void;
}

export class PeerLink {
  readonly peerId: string;
  readonly initiator: boolean;
  readonly sinceMs: number;
  readonly #connection: Connection;
  readonly #handlers: LinkHandlers;
  readonly #lifetime = new AbortController();
  readonly #downloads = new Downloads();
  readonly #roundTrips: RoundTrips;
  #greeted = false;
  #bytesReceived = 0;
  #bytesSent = 0;

  /** Takes ownership of `connection`; opens when both channels are open and the hellos crossed. */
  constructor(options: {
    readonly connection: Connection;
    readonly handlers: LinkHandlers;
    readonly now: () => number;
    readonly openTimeoutMs: number;
  }) {
    this.#connection = options.connection;
    this.#handlers = options.handlers;
    this.#roundTrips = new RoundTrips(options.now);
    this.peerId = options.connection.peerId;
    this.initiator = options.connection.initiator;
    this.sinceMs = options.now();
    this.#listen(options.openTimeoutMs);
  }

  /** Aborts once, when the link ends; `reason` says why. */
  get closed(): AbortSignal {
    return this.#lifetime.signal;
  }

  get open(): boolean {
    return this.#greeted && !this.closed.aborted;
  }

  /** Whether the link was open at any time. */
  get everOpen(): boolean {
    return this.#greeted;
  }

  get rttMs(): number | undefined {
    return this.#roundTrips.minMs;
  }

  /** By how much the latest round trip was longer than the shortest; `undefined` if that was long ago. */
  get extraRttMs(): number | undefined {
    return this.#roundTrips.extraMs;
  }

  get bytesReceived(): number {
    return this.#bytesReceived;
  }

  get bytesSent(): number {
    return this.#bytesSent;
  }

  /** Bulk bytes handed to the browser and not sent yet. */
  get bufferedBytes(): number {
    return this.#connection.bulk.bufferedAmount;
  }

  close(
    reason: unknown = new NearcastError("peer/closed", "Cannot use link: it was closed"),
  ): void {
    if (this.closed.aborted) return;
    this.#lifetime.abort(reason);
    this.#connection.close();
  }

  /** Asks for one piece of `lengthBytes`. */
  request(
    askId: number,
    { assetId, piece }: { assetId: string; piece: number },
    lengthBytes: number,
  ): void {
    this.#downloads.begin(askId, lengthBytes);
    this.send({ type: "request", id: askId, assetId, piece });
  }

  /** Takes a request back; blocks that are on their way are ignored. */
  cancel(askId: number): void {
    if (this.#downloads.cancel(askId)) this.send({ type: "cancel", id: askId });
  }

  send(frame: ControlFrame): void {
    if (this.closed.aborted || this.#connection.control.readyState !== "open") return;
    try {
      this.#connection.control.send(encodeControl(frame));
    } catch (error) {
      this.close(error);
    }
  }

  /**
   * Sends one piece in blocks, waiting while `BULK_BUFFERED_MAX_BYTES` are unsent.
   *
   * @throws The link's closing reason, or `signal.reason`.
   */
  async sendPiece(requestId: number, bytes: Uint8Array, signal: AbortSignal): Promise<void> {
    const { bulk } = this.#connection;
    const stop = AbortSignal.any([signal, this.closed]);
    for (let offset = 0; offset < bytes.byteLength; offset += BLOCK_BYTES) {
      if (bulk.bufferedAmount > BULK_BUFFERED_MAX_BYTES) await drained(bulk, stop);
      stop.throwIfAborted();
      const data = bytes.subarray(offset, offset + BLOCK_BYTES);
      bulk.send(encodeBlock({ id: requestId, offset, data }));
      this.#bytesSent += data.byteLength;
    }
  }

  #listen(openTimeoutMs: number): void {
    const { control, bulk, peerConnection } = this.#connection;
    const { signal } = this.#lifetime;
    const gone = () => this.close(new NearcastError("peer/closed", "Cannot reach peer: it left"));
    const greet = () => {
      if (control.readyState !== "open" || bulk.readyState !== "open") return;
      this.send({ type: "hello", version: PROTOCOL_VERSION });
      this.#ping();
    };
    control.addEventListener("open", greet, { signal });
    bulk.addEventListener("open", greet, { signal });
    control.addEventListener("message", ({ data }) => this.#guarded(() => this.#control(data)), {
      signal,
    });
    bulk.addEventListener("message", ({ data }) => this.#guarded(() => this.#bulk(data)), {
      signal,
    });
    for (const channel of [control, bulk]) channel.addEventListener("close", gone, { signal });
    peerConnection.addEventListener(
      "connectionstatechange",
      () => {
        if (["failed", "closed"].includes(peerConnection.connectionState)) gone();
      },
      { signal },
    );
    const timer = setTimeout(() => {
      if (!this.#greeted) {
        this.close(new NearcastError("peer/unreachable", "Cannot reach peer: it did not answer"));
      }
    }, openTimeoutMs);
    const pinger = setInterval(() => this.#ping(), PING_INTERVAL_MS);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      clearInterval(pinger);
    });
  }

  #ping(): void {
    const token = this.#roundTrips.ping();
    if (token !== undefined) return this.send({ type: "ping", token });
    this.close(new NearcastError("peer/closed", "Cannot reach peer: pings were lost"));
  }

  #guarded(receive: () => void): void {
    if (this.closed.aborted) return;
    try {
      receive();
    } catch (error) {
      this.close(error);
    }
  }

  #control(data: unknown): void {
    if (!(data instanceof ArrayBuffer)) throw violation("a text message");
    const frame = decodeControl(new Uint8Array(data));
    if (frame.type === "hello") return this.#hello(frame.version);
    if (!this.#greeted) throw violation(`"${frame.type}" before "hello"`);
    this.#dispatch(frame);
  }

  #hello(version: number): void {
    if (version !== PROTOCOL_VERSION) {
      throw new NearcastError("protocol/version", `Cannot talk to peer of version ${version}`);
    }
    if (this.#greeted) throw violation('a second "hello"');
    this.#greeted = true;
    this.#handlers.onOpen(this);
  }

  #dispatch(frame: Exclude<ControlFrame, { type: "hello" }>): void {
    switch (frame.type) {
      case "have":
        return this.#handlers.onHave(this, frame);
      case "drop":
        return this.#handlers.onDrop(this, frame.assetId);
      case "claim":
        return this.#handlers.onClaim(this, frame);
      case "request":
        return this.#handlers.onRequest(this, frame);
      case "cancel":
        return this.#handlers.onCancel(this, frame.id);
      case "reject":
        if (!this.#downloads.reject(frame.id)) return; // it crossed our cancel
        return this.#handlers.onReject(this, frame.id, frame.reason, frame.retryMs);
      case "ping":
        return this.send({ type: "pong", token: frame.token });
      case "pong":
        return this.#pong(frame.token);
    }
  }

  #pong(token: number): void {
    const rttMs = this.#roundTrips.pong(token);
    if (rttMs === undefined) throw violation("an unasked pong");
    this.#handlers.onRtt(this, rttMs);
  }

  #bulk(data: unknown): void {
    if (!(data instanceof ArrayBuffer)) throw violation("a text message");
    const block = decodeBlock(new Uint8Array(data));
    this.#bytesReceived += block.data.byteLength;
    const piece = this.#downloads.receive(block);
    if (typeof piece === "string") throw violation(piece);
    if (piece) this.#handlers.onPiece(this, block.id, piece);
  }
}

/** Most requests that one peer may have open with us. */
export const INBOUND_REQUESTS_MAX = LINK_REQUESTS_MAX;

function violation(what: string): NearcastError {
  return new NearcastError("protocol/violation", `Cannot go on with peer: it sent ${what}`);
}

async function drained(channel: RTCDataChannel, signal: AbortSignal): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const settled = new AbortController();
    const done = () => {
      settled.abort();
      resolve();
    };
    const stop = () => {
      settled.abort();
      reject(signal.reason);
    };
    channel.addEventListener("bufferedamountlow", done, { signal: settled.signal });
    channel.addEventListener("close", stop, { signal: settled.signal });
    signal.addEventListener("abort", stop, { signal: settled.signal });
    if (signal.aborted) stop();
  });
}
