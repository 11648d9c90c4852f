/** Numbers as people read them. */

const UNITS = ["B", "kB", "MB", "GB", "TB"];

/** @returns For example "3.4 MB"; three digits at most, decimal units as CDN invoices have them. */
export function formatBytes(bytes) {
  const step = bytes < 1000 ? 0 : Math.min(UNITS.length - 1, Math.floor(Math.log10(bytes) / 3));
  const value = bytes / 1000 ** step;
  return `${value.toFixed(step === 0 || value >= 100 ? 0 : 1)} ${UNITS[step]}`;
}

export const formatRate = (bytesPerS) => `${formatBytes(bytesPerS)}/s`;

/** @returns For example "85 ms" or "1.2 s". */
export const formatDuration = (ms) =>
  ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;

/** @returns For example "one neighbour" or "3 neighbours". */
export const countOf = (count, noun) => (count === 1 ? `one ${noun}` : `${count} ${noun}s`);

/** The three sources of bytes, in the order in which every picture stacks them. */
export const SOURCES = ["mesh", "cache", "origin"];
export const SOURCE_NAMES = { mesh: "Neighbours", cache: "Own cache", origin: "Origin" };
