/**
 * What one node of the server needs of the others. A server that is alone uses {@link ALONE}: every answer is
 * there at once, and nothing is sent anywhere.
 * @module
 */
import type { PeerHint } from "../../protocol/signal-messages.js";
import type { IndexChange } from "../swarm/index-change.js";
import type { Locality } from "../swarm/locality.js";
import type { Hop } from "./hop.js";

/** A socket that asks for an id. */
export interface Claimant {
  readonly id: string;
  readonly token: string;
  readonly siteOrigin: string | undefined;
}

/** What the operator is told. */
export interface ClusterStatus {
  readonly state: "up" | "slow" | "down";
  readonly latencyMs: number;
  /** Nodes that were heard of lately, this one included. */
  readonly nodes: number;
  /** Keys that this node keeps in the shared index. */
  readonly keys: number;
}

/** None of it throws or rejects; without Redis a node answers for itself. */
export interface OtherNodes {
  /** `undefined`: there are no others by configuration. */
  status(): ClusterStatus | undefined;
  /** @returns Whether the id may be used: not if another viewer has it anywhere. */
  claim(claimant: Claimant): true | Promise<boolean>;
  /** The viewer's socket is gone. */
  release(id: string): void;
  /** @returns Whether no node has seen this token before. */
  takeToken(jti: string, lifeMs: number): true | Promise<boolean>;
  /** Something changed that others may want to know. */
  tell(change: IndexChange): void;
  /** Viewers elsewhere that hold one window; `undefined` if those here suffice. */
  holders(
    asker: Locality,
    assetId: string,
    window: number,
    found: number,
  ): Promise<PeerHint[]> | undefined;
  /** Viewers elsewhere in one of these groups. */
  members(asker: Locality, groups: readonly string[]): Promise<PeerHint[]> | undefined;
  /** Passes a message on to a viewer elsewhere. @returns Whether it can have arrived. */
  send(hop: Hop): false | Promise<boolean>;
}

/** The only node. */
export const ALONE: OtherNodes = {
  status: () => undefined,
  claim: () => true,
  release: () => {},
  takeToken: () => true,
  tell: () => {},
  holders: () => undefined,
  members: () => undefined,
  send: () => false,
};

/**
 * Goes on at once with what is there, and later with what is not: a server that is alone answers in order.
 *
 * @param onBug Hears of what `then` throws later; without it the promise rejects.
 */
export function whenKnown<T, R>(
  value: T | Promise<T>,
  then: (value: T) => R,
  onBug?: () => void,
): R | Promise<Awaited<R>> {
  if (!(value instanceof Promise)) return then(value);
  const later = value.then(then) as Promise<Awaited<R>>;
  if (onBug) later.catch(onBug);
  return later;
}
