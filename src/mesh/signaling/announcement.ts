/**
 * What the index is still to be told of this viewer's holdings: assets that changed, told in batches that fit a
 * message. What is held of them is looked up when a batch leaves. This module is pure.
 * @module
 */
import { ANNOUNCE_MAX_ASSETS, SIGNAL_MESSAGE_MAX_BYTES } from "../../protocol/limits.js";
import type { AnnounceMessage, HeldWindows } from "../../protocol/signal-messages.js";

/** The complete windows of one asset; `undefined` if there are none. */
type Held = (assetId: string) => HeldWindows | undefined;

export class Announcement {
  readonly #changed = new Set<string>();
  /** Of these less is held than was announced: the server forgets them before it adds. */
  readonly #lost = new Set<string>();

  /** Whether there is anything to tell. */
  get pending(): boolean {
    return this.#changed.size > 0;
  }

  changed(assetId: string, { lost }: { readonly lost: boolean }): void {
    this.#changed.add(assetId);
    if (lost) this.#lost.add(assetId);
  }

  /** A new socket: the server knows nothing. */
  restart(assetIds: Iterable<string>): void {
    this.#changed.clear();
    for (const assetId of assetIds) this.#changed.add(assetId);
  }

  /**
   * Tells one batch.
   *
   * @param send Whether it left.
   * @returns The same; what did not leave is told again.
   */
  tell(held: Held, send: (batch: Pick<AnnounceMessage, "add" | "remove">) => boolean): boolean {
    const batch = fitting(
      [...this.#changed]
        .slice(0, ANNOUNCE_MAX_ASSETS)
        .map((assetId) => [assetId, held(assetId)] as const),
      (entry) => JSON.stringify(entry).length,
    );
    const left = send({
      add: batch.flatMap(([assetId, windows]) => (windows ? [[assetId, windows] as const] : [])),
      remove: batch
        .filter(([assetId, windows]) => !windows || this.#lost.has(assetId))
        .map(([assetId]) => assetId),
    });
    if (!left) return false;
    for (const [assetId] of batch) {
      this.#changed.delete(assetId);
      this.#lost.delete(assetId);
    }
    return true;
  }
}

/** As many entries as fit one message with room for the rest of it; always at least one. */
export function fitting<T>(entries: readonly T[], lengthOf: (entry: T) => number): T[] {
  let left = SIGNAL_MESSAGE_MAX_BYTES - 2_048;
  return entries.filter((entry, at) => {
    left -= lengthOf(entry) + 3;
    return at === 0 || left > 0;
  });
}
