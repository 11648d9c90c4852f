/**
 * The day's upload of this profile, kept from page to page. Only the host writes, so nothing is counted twice.
 * @module
 */
import {
  type DayRecord,
  dayOf,
  formatDay,
  parseDay,
  withUpload,
} from "../../engine/uploads/daily-budget.js";
import { recall, remember } from "../tabs/memory.js";

const UPLOADED_KEY = "nearcast-uploaded";
/** How much may be lost when the page dies. */
const UNSAVED_MAX_BYTES = 4 * 2 ** 20;

export class UploadLedger {
  readonly #maxBytes: number;
  readonly #today: () => number;
  #record: DayRecord = parseDay(recall(UPLOADED_KEY));
  #savedBytes = this.#record.bytes;

  /** @param maxBytes Of one day; 0 for no limit. @param wallNow Unix milliseconds. */
  constructor(maxBytes: number, wallNow: () => number, signal: AbortSignal) {
    this.#maxBytes = maxBytes;
    this.#today = () => dayOf(wallNow(), new Date(wallNow()).getTimezoneOffset());
    addEventListener("pagehide", () => this.#save(), { signal });
    signal.addEventListener("abort", () => this.#save(), { once: true });
  }

  /** Whether the day's budget is used up. */
  get spent(): boolean {
    return this.#maxBytes > 0 && this.#uploadedBytes >= this.#maxBytes;
  }

  add(bytes: number): void {
    this.#record = withUpload(this.#record, this.#today(), bytes);
    const unsaved = this.#record.bytes - this.#savedBytes;
    if (unsaved > UNSAVED_MAX_BYTES || unsaved < 0 || this.spent) this.#save();
  }

  get #uploadedBytes(): number {
    return withUpload(this.#record, this.#today(), 0).bytes;
  }

  #save(): void {
    this.#savedBytes = this.#record.bytes;
    remember(UPLOADED_KEY, formatDay(this.#record));
  }
}
