/**
 * Patience with the disk: a read that no request waits for long, and none at all while the disk hangs.
 * @module
 */
import { within } from "../within.js";

/** A disk that says nothing for so long is left out until it does. */
export const DISK_MS = 200;

export class DiskPatience {
  #hangs = false;

  /** Resolves like `read()`, or to `undefined` if that takes too long or another read still does. */
  async read<T>(read: () => Promise<T>): Promise<T | undefined> {
    if (this.#hangs) return undefined;
    const reading = read();
    return within(reading, DISK_MS, () => {
      this.#hangs = true;
      const answered = () => {
        this.#hangs = false;
      };
      reading.then(answered, answered);
    });
  }
}
