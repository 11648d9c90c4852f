/**
 * Waiting, but not for long. This module is pure but for its timer.
 * @module
 */

/** @returns What `late` says if the value is not there after `limitMs`; rejects with what the value rejects with. */
export async function within<T, L>(
  value: Promise<T>,
  { limitMs, late }: { limitMs: number; late: () => L },
): Promise<T | L> {
  let timer: NodeJS.Timeout | undefined;
  const tooLate = new Promise<typeof LATE>((resolve) => {
    timer = setTimeout(() => resolve(LATE), limitMs);
  });
  try {
    const first = await Promise.race([value, tooLate]);
    return first === LATE ? late() : (first as T);
  } finally {
    clearTimeout(timer);
  }
}

const LATE = Symbol("late");
