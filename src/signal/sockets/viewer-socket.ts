/**
 * One WebSocket of one viewer with everything that keeps a bad one from hurting the others: a message
 * budget, a cut-off for those who do not read, liveness, and no exception that leaves a handler.
 * @module
 */
import type { WebSocket } from "ws";
import type { Metrics } from "../http/metrics.js";
import { TokenBucket } from "../token-bucket.js";

/** Bytes that may wait for a viewer; above that it reads too slowly to be served. */
const BUFFERED_MAX_BYTES = 1_048_576;

/** Bytes that may not wait for longer than this time (rule R61). */
const BACKLOG_MAX_BYTES = 262_144;
const BACKLOG_MAX_MS = 4_000;

/** Messages dropped in a row for being too many before the socket is closed. */
const DROPPED_MAX = 600;

/** Time a closing handshake may take. */
const CLOSE_TIMEOUT_MS = 2_000;

/** Pings that may stay unanswered. */
const MISSED_PINGS_MAX = 2;

/** Codes with which the server closes sockets. */
export const CLOSE = {
  normal: 1000,
  policy: 1008,
  restart: 1012,
  busy: 1013,
  replaced: 4001,
  /** A join token is missing, or the time it bought is over. */
  token: 4003,
} as const;

export interface ViewerSocketOptions {
  readonly metrics: Metrics;
  readonly nowMs: () => number;
  readonly messagesPerSecond: number;
  readonly messagesBurst: number;
  /** Gets every text frame within the budget; what it throws closes the socket. */
  readonly onText: (text: string) => void;
  /** Called once, however the socket ends. */
  readonly onEnd: () => void;
}

/** Takes ownership of an open WebSocket. */
export class ViewerSocket {
  readonly #ws: WebSocket;
  readonly #options: ViewerSocketOptions;
  readonly #budget: TokenBucket;
  #closing = false;
  #dropped = 0;
  #missedPings = 0;
  #backlog: NodeJS.Timeout | undefined;

  constructor(ws: WebSocket, options: ViewerSocketOptions) {
    this.#ws = ws;
    this.#options = options;
    const { messagesPerSecond: perSecond, messagesBurst: burst } = options;
    this.#budget = new TokenBucket({ perSecond, burst });
    ws.on("message", (data, isBinary) => this.#receive(String(data), isBinary));
    ws.on("pong", () => this.#alive());
    ws.on("error", () => options.metrics.add("nearcast_rejected_total", "frame"));
    ws.once("close", () => {
      this.#closing = true;
      clearTimeout(this.#backlog);
      options.onEnd();
    });
  }

  /** Sends one text frame; does nothing once the socket closes. */
  send(text: string): void {
    if (this.#closing) return;
    if (this.#ws.bufferedAmount > BUFFERED_MAX_BYTES) {
      this.#cutSlow();
      return;
    }
    if (this.#ws.bufferedAmount > BACKLOG_MAX_BYTES) this.#watchBacklog();
    this.#ws.send(text, () => {
      // A failed write ends in the "close" event, which is where it is handled.
    });
  }

  /** Starts the closing handshake; nothing is received any more. */
  close(code: number, reason: string): void {
    if (this.#closing) return;
    this.#closing = true;
    this.#ws.close(code, reason);
    setTimeout(() => this.#ws.terminate(), CLOSE_TIMEOUT_MS).unref();
  }

  terminate(): void {
    this.#closing = true;
    this.#ws.terminate();
  }

  /** To be called at a steady pace; a socket that answers nothing for two calls is dead. */
  ping(): void {
    if (this.#missedPings >= MISSED_PINGS_MAX) {
      this.terminate();
    } else if (!this.#closing) {
      this.#missedPings++;
      this.#ws.ping();
    }
  }

  /** Whoever still has as much to read when the time is over does not read. */
  #watchBacklog(): void {
    this.#backlog ??= setTimeout(() => {
      this.#backlog = undefined;
      if (!this.#closing && this.#ws.bufferedAmount > BACKLOG_MAX_BYTES) this.#cutSlow();
    }, BACKLOG_MAX_MS).unref();
  }

  #cutSlow(): void {
    this.#options.metrics.add("nearcast_slow_consumers_total");
    this.terminate();
  }

  #alive(): void {
    this.#missedPings = 0;
  }

  #receive(text: string, isBinary: boolean): void {
    if (this.#closing) return;
    this.#alive();
    const { metrics, nowMs, onText } = this.#options;
    if (!this.#budget.take(nowMs())) {
      metrics.add("nearcast_rejected_total", "rate");
      if (++this.#dropped > DROPPED_MAX) this.close(CLOSE.policy, "too many messages");
      return;
    }
    this.#dropped = Math.max(0, this.#dropped - 1);
    if (isBinary) {
      metrics.add("nearcast_rejected_total", "binary");
      return;
    }
    try {
      onText(text);
    } catch {
      // A bug of ours, not of the viewer's: the others must not notice it.
      metrics.add("nearcast_rejected_total", "internal");
      this.close(1011, "internal error");
    }
  }
}
