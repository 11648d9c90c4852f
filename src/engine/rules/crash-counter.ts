/**
 * When Nearcast takes itself out of a browser: after failures that nobody caught, close together. This
 * module is pure; the page keeps the record in `localStorage`.
 * @module
 */

/** What is remembered of crashes. Times are Unix milliseconds. */
export interface CrashRecord {
  readonly crashes: readonly number[];
  /** Off until then; 0 if it is not. */
  readonly offUntilMs: number;
}

/** So many within so long are too many (rule R40). */
const CRASHES_MAX = 3;
const WITHIN_MS = 5 * 60_000;
const OFF_MS = 24 * 3_600_000;

const NO_CRASHES: CrashRecord = { crashes: [], offUntilMs: 0 };

/** The record after one more crash. */
export function withCrash({ crashes }: CrashRecord, nowMs: number): CrashRecord {
  const recent = [...crashes.filter((ms) => ms <= nowMs && nowMs - ms < WITHIN_MS), nowMs];
  return recent.length < CRASHES_MAX
    ? { crashes: recent, offUntilMs: 0 }
    : { crashes: [], offUntilMs: nowMs + OFF_MS };
}

/** Whether Nearcast must stay off. A clock that was set back must not make it a year. */
export function isOff({ offUntilMs }: CrashRecord, nowMs: number): boolean {
  return offUntilMs > nowMs && offUntilMs - nowMs <= OFF_MS;
}

/** Reads a stored record; whatever is not one counts as none. */
export function parseCrashes(text: string | undefined): CrashRecord {
  try {
    const { crashes, offUntilMs } = JSON.parse(text ?? "null") as Record<string, unknown>;
    const valid = Array.isArray(crashes) && crashes.every(Number.isFinite);
    if (valid && crashes.length <= CRASHES_MAX && Number.isFinite(offUntilMs)) {
      return { crashes, offUntilMs: offUntilMs as number };
    }
  } catch {
    // As if nothing had been stored.
  }
  return NO_CRASHES;
}
