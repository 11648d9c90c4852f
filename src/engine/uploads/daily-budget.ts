/**
 * How much a viewer has uploaded today. This module is pure; days are the viewer's own, by number.
 * @module
 */

/** What is remembered from page to page. */
export interface DayRecord {
  readonly day: number;
  readonly bytes: number;
}

/** Number of the day on the viewer's calendar. @param offsetMinutes As `Date.getTimezoneOffset()` gives it. */
export const dayOf = (unixMs: number, offsetMinutes: number): number =>
  Math.floor((unixMs - offsetMinutes * 60_000) / 86_400_000);

/** The record after `bytes` more; another day begins at zero. */
export function withUpload({ day, bytes }: DayRecord, today: number, more: number): DayRecord {
  return { day: today, bytes: (day === today ? bytes : 0) + more };
}

/** Reads a stored record; whatever is not one counts as nothing uploaded. */
export function parseDay(text: string | undefined): DayRecord {
  const [day, bytes] = (text ?? "").split(" ").map(Number);
  const valid = Number.isInteger(day) && Number.isInteger(bytes) && (bytes as number) >= 0;
  return valid ? { day: day as number, bytes: bytes as number } : { day: 0, bytes: 0 };
}

export const formatDay = ({ day, bytes }: DayRecord): string => `${day} ${bytes}`;
