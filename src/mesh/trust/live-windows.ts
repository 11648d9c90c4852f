/**
 * The attested windows of one asset, without those whose time is over. Whoever holds on to an asset, as a
 * long download does, never sees an expired hash (rule R10).
 * @module
 */
import type { AttestedWindow } from "../../protocol/attestation.js";

export class LiveWindows {
  readonly #windows = new Map<number, AttestedWindow>();
  readonly #nowMs: () => number;

  /** @param nowMs Server time, Unix milliseconds. */
  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** Replaces what was known of the same window. */
  add(window: AttestedWindow): void {
    this.#windows.set(window.attestation.window, window);
  }

  /** The window, if it is attested and has not expired. */
  get(index: number): AttestedWindow | undefined {
    const window = this.#windows.get(index);
    return window && window.attestation.expiresMs > this.#nowMs() ? window : undefined;
  }

  has(index: number): boolean {
    return this.get(index) !== undefined;
  }

  /** Whether any window has not expired. */
  get live(): boolean {
    return !this.values().next().done;
  }

  *keys(): Generator<number, undefined> {
    for (const { attestation } of this.values()) yield attestation.window;
    return undefined;
  }

  *values(): Generator<AttestedWindow, undefined> {
    const nowMs = this.#nowMs();
    for (const window of this.#windows.values()) {
      if (window.attestation.expiresMs > nowMs) yield window;
    }
    return undefined;
  }
}
