/**
 * A clock that only moves when a test says so: replaces `setTimeout` and `setInterval` of the page.
 * @module
 */
import { settle } from "./waiting.js";

interface Timer {
  readonly id: number;
  readonly action: () => void;
  readonly everyMs: number | undefined;
  dueMs: number;
}

export interface FakeTimers {
  /** Milliseconds since the clock was made. */
  readonly nowMs: number;
  /** Timers that are set. */
  readonly pending: number;
  /** Lets time pass; promises and messages settle after every timer. */
  advance(ms: number): Promise<void>;
}

/** Runs `action` with a fake clock and puts the real one back, whatever happens. */
export async function withFakeTimers(action: (timers: FakeTimers) => Promise<void>): Promise<void> {
  const { setTimeout, setInterval, clearTimeout, clearInterval } = globalThis;
  const timers = new Map<number, Timer>();
  let nowMs = 0;
  let lastId = 1_000_000;
  const add = (callback: () => void, ms = 0, repeats = false): number => {
    const id = ++lastId;
    const everyMs = repeats ? ms : undefined;
    timers.set(id, { id, action: callback, everyMs, dueMs: nowMs + ms });
    return id;
  };
  const nextBefore = (endMs: number) =>
    [...timers.values()]
      .filter((timer) => timer.dueMs <= endMs)
      .sort((a, b) => a.dueMs - b.dueMs || a.id - b.id)[0];
  Object.assign(globalThis, {
    setTimeout: (callback: () => void, ms?: number) => add(callback, ms),
    setInterval: (callback: () => void, ms?: number) => add(callback, ms, true),
    clearTimeout: (id: number) => timers.delete(id),
    clearInterval: (id: number) => timers.delete(id),
  });
  try {
    await action({
      get nowMs() {
        return nowMs;
      },
      get pending() {
        return timers.size;
      },
      async advance(ms) {
        const endMs = nowMs + ms;
        await settle(1);
        for (let next = nextBefore(endMs); next; next = nextBefore(endMs)) {
          nowMs = next.dueMs;
          if (next.everyMs === undefined) timers.delete(next.id);
          else next.dueMs += next.everyMs;
          next.action();
          await settle(1);
        }
        nowMs = endMs;
      },
    });
  } finally {
    Object.assign(globalThis, { setTimeout, setInterval, clearTimeout, clearInterval });
  }
}
