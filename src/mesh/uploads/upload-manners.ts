/**
 * Whether this viewer serves others now, and why not: it is paused, today's budget is spent, or line,
 * battery and visibility speak against it (`engine/uploads/manners.ts` has the rule).
 * @module
 */
import { type DeviceFacts, type UploadRule, uploadBarrier } from "../../engine/uploads/manners.js";
import { UploadLedger } from "./upload-ledger.js";

export interface UploadMannersOptions {
  readonly rule: UploadRule;
  /** Upload cap of one profile and day; 0 for none. */
  readonly dailyMaxBytes: number;
  /** Whether the uplink proved too weak to be of use. */
  readonly poor: () => boolean;
  /** Something may have changed. */
  readonly onReview: () => void;
  /** Unix milliseconds. */
  readonly wallNow: () => number;
  readonly signal: AbortSignal;
}

export class UploadManners {
  readonly #options: UploadMannersOptions;
  readonly #ledger: UploadLedger;
  #enabled = true;
  #device: string | undefined;
  #frugal = false;

  constructor(options: UploadMannersOptions) {
    this.#options = options;
    this.#ledger = new UploadLedger(options.dailyMaxBytes, options.wallNow, options.signal);
  }

  /** Why this viewer uploads nothing now; `undefined` if it does. */
  get barrier(): string | undefined {
    if (!this.#enabled) return "paused";
    if (this.#ledger.spent) return "daily budget";
    const poor = this.#options.rule === "auto" && this.#options.poor();
    return this.#device ?? (poor ? "poor uplink" : undefined);
  }

  /** Line or battery are dear, whatever the site says: nothing is fetched before somebody asks for it. */
  get frugal(): boolean {
    return this.#frugal;
  }

  set enabled(enabled: boolean) {
    this.#enabled = enabled;
    this.#options.onReview();
  }

  /** What the browser tells of line, battery and visibility. */
  set device(facts: DeviceFacts) {
    this.#device = uploadBarrier(this.#options.rule, facts);
    this.#frugal = uploadBarrier("auto", facts) !== undefined;
    this.#options.onReview();
  }

  /** Bytes left for another viewer. */
  uploaded(bytes: number): void {
    this.#ledger.add(bytes);
    if (this.#ledger.spent) this.#options.onReview();
  }
}
