/**
 * Hands a body to the page no faster than the host advises (`engine/playback/pace.ts`). A body is due as if it came
 * over a line of that rate since the page asked; what is late anyway is never held up. The end of one that a player
 * starts with may be held back.
 * @module
 */
import type { PaceAdvice } from "../../protocol/worker-messages.js";

/**
 * A host that says nothing for so long lets the body go. It is mostly the very page that waits: while that starts its
 * player it answers late, and could not use the bytes either.
 */
const ADVICE_MS = 250;
/** No timer is more exact. */
const TIMER_MS = 1;
/** Small steps look like a line, and a player that gives up has not waited for a whole piece. */
const SLICE_BYTES = 16_384;

export class Pacer {
  /** When everything admitted so far was due. */
  #dueMs: number;
  #bytesPerMs: number | undefined;
  /** The body ends so long after its last byte. */
  #holdMs = 0;
  #heard = false;
  #wake = Promise.withResolvers<void>();
  readonly #advised: Promise<void>;

  readonly #now: () => number;

  /** The page asked just now. */
  constructor(now = () => performance.now()) {
    this.#now = now;
    this.#dueMs = now();
    this.#advised = Promise.race([this.#wake.promise, elapsed(ADVICE_MS)]);
  }

  /** Whether there is nothing to wait for. */
  get free(): boolean {
    return this.#heard && this.#bytesPerMs === undefined;
  }

  /** Bytes before now came by another way: what follows is due from now on. */
  restart(): void {
    this.#dueMs = this.#now();
  }

  advise({ bytesPerMs, holdMs = 0 }: PaceAdvice): void {
    this.#heard = true;
    this.#holdMs = holdMs;
    this.#bytesPerMs = bytesPerMs;
    this.#wake.resolve();
    this.#wake = Promise.withResolvers<void>();
  }

  /** Resolves when the next `bytes` are due. */
  async admit(bytes: number): Promise<void> {
    await this.#advised;
    let left = bytes;
    while (left > 0 && this.#bytesPerMs !== undefined) {
      const rate = this.#bytesPerMs;
      const wake = this.#wake.promise;
      const fromMs = this.#dueMs;
      const waitMs = fromMs + left / rate - this.#now();
      if (waitMs >= TIMER_MS) await Promise.race([wake, elapsed(waitMs)]);
      const overMs = this.#now() - fromMs + TIMER_MS;
      // Advice that came meanwhile holds for what was not due yet.
      const due = Math.min(left, Math.max(0, overMs) * rate);
      this.#dueMs = fromMs + due / rate;
      left -= due;
    }
  }

  /** Resolves when the body may end, whose last byte left just now. */
  async ended(): Promise<void> {
    if (this.#holdMs > 0) await elapsed(this.#holdMs);
  }
}

/** The same bytes, at the pace; it ends, errors and is cancelled like `body`. */
export function paced(
  body: ReadableStream<Uint8Array>,
  pacer: Pacer,
  onEnd: () => void = () => undefined,
): ReadableStream<Uint8Array> {
  const reader = body.getReader();
  let rest: Uint8Array | undefined;
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          if (!rest) {
            const { done, value } = await reader.read();
            if (done) {
              await pacer.ended();
              controller.close();
              return onEnd();
            }
            rest = value;
          }
          const slice = pacer.free ? rest : rest.subarray(0, SLICE_BYTES);
          rest = slice.byteLength < rest.byteLength ? rest.subarray(slice.byteLength) : undefined;
          await pacer.admit(slice.byteLength);
          controller.enqueue(slice);
        } catch (error) {
          onEnd();
          controller.error(error);
        }
      },
      async cancel(reason) {
        onEnd();
        await reader.cancel(reason);
      },
    },
    { highWaterMark: 0 },
  );
}

function elapsed(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
