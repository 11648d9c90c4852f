/**
 * What the operator's settings make of a page's own: whether it takes part at all, which URLs it
 * accelerates, how much it uploads. This module is pure.
 * @module
 */
import type { RemoteConfig } from "../../protocol/signal-messages.js";

/** The settings of a page that the operator can override. Patterns are absolute; caps of 0 are none. */
export interface PageRules {
  readonly include: readonly string[];
  readonly exclude: readonly string[];
  readonly uploadMaxRate: number;
  readonly uploadMaxParallel: number;
}

/** Why the operator keeps a viewer out. */
export type RemoteBarrier = "kill switch" | "version" | "ramp";

export interface ViewerFacts {
  /** `major.minor.patch`, perhaps with something behind it. */
  readonly build: string;
  /** A number in [0, 100) that this viewer drew once; it says nothing about who it is. */
  readonly draw: number;
}

/** Why this viewer takes no part; `undefined` if it does. */
export function remoteBarrier(
  { enabled, minVersion, rampPercent }: RemoteConfig,
  { build, draw }: ViewerFacts,
): RemoteBarrier | undefined {
  if (!enabled) return "kill switch";
  if (minVersion !== "" && isOlder(build, minVersion)) return "version";
  return draw < rampPercent ? undefined : "ramp";
}

/** @param absolute Makes a pattern of the operator absolute; throws if it cannot. */
export function withRemoteRules(
  own: PageRules,
  remote: RemoteConfig,
  absolute: (pattern: string) => string,
): PageRules {
  return {
    include: remote.include.length > 0 ? remote.include.map(absolute) : own.include,
    exclude: [...own.exclude, ...remote.exclude.map(absolute)],
    uploadMaxRate: lowerCap(own.uploadMaxRate, remote.uploadMaxRate),
    uploadMaxParallel: lowerCap(own.uploadMaxParallel, remote.uploadMaxParallel),
  };
}

function lowerCap(own: number, remote: number): number {
  return own === 0 || remote === 0 ? own + remote : Math.min(own, remote);
}

function isOlder(build: string, than: string): boolean {
  const [a, b] = [build, than].map((text) => text.split(/[.+-]/).slice(0, 3).map(Number));
  for (const place of [0, 1, 2]) {
    const difference = (a?.[place] ?? 0) - (b?.[place] ?? 0);
    if (difference !== 0) return difference < 0;
  }
  return false;
}
