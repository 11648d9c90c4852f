/**
 * Questions that wait for the server's answer, by their number `q`. Each ends: with its answer, an error, silence
 * for too long, or the end of the socket.
 * @module
 */
import { NearcastError } from "../../core/errors.js";
import type {
  JoinedMessage,
  ViewerMessage,
  WantedMessage,
} from "../../protocol/signal-messages.js";

export type Question = Extract<ViewerMessage, { q: number }>;
export type Answer = JoinedMessage | WantedMessage;

interface Waiting {
  resolve(answer: Answer): void;
  reject(error: NearcastError): void;
}

export const ANSWER_TIMEOUT_MS = 5_000;
const NUMBERS = 2 ** 31;

export class Questions {
  readonly #send: (message: Question) => boolean;
  readonly #waiting = new Map<number, Waiting>();
  #last = 0;

  /** @param send Whether the message left. */
  constructor(send: (message: Question) => boolean) {
    this.#send = send;
  }

  /** The number of the next question. */
  next(): number {
    this.#last = (this.#last + 1) % NUMBERS;
    return this.#last;
  }

  /** @throws {NearcastError} `index/closed` or `index/refused` (no answer in time, or an error). */
  async ask(message: Question): Promise<Answer> {
    const { promise, resolve, reject } = Promise.withResolvers<Answer>();
    this.#waiting.set(message.q, { resolve, reject });
    const timer = setTimeout(
      () => reject(new NearcastError("index/refused", "Cannot ask index: no answer in time")),
      ANSWER_TIMEOUT_MS,
    );
    if (!this.#send(message)) {
      reject(new NearcastError("index/closed", "Cannot ask index: the socket is not open"));
    }
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
      this.#waiting.delete(message.q);
    }
  }

  /** An answer that nobody waits for came too late. */
  answered(answer: Answer): void {
    this.#waiting.get(answer.q)?.resolve(answer);
  }

  /** @returns Whether somebody waited for it. */
  refused(q: number | undefined, error: NearcastError): boolean {
    const waiting = q === undefined ? undefined : this.#waiting.get(q);
    waiting?.reject(error);
    return waiting !== undefined;
  }

  /** The socket closed: nobody will answer. */
  closed(): void {
    const error = new NearcastError("index/closed", "Cannot ask index: the socket closed");
    for (const { reject } of this.#waiting.values()) reject(error);
  }
}
