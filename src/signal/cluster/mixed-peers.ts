/**
 * Viewers of this node and of others in one answer. This module is pure.
 * @module
 */
import { PEERS_PER_ANSWER_MAX } from "../../protocol/limits.js";
import type { PeerHint } from "../../protocol/signal-messages.js";

/** Viewers of other nodes that a newcomer is told of at least: it looks for two links beyond its clique. */
const FAR_PEERS = 2;

/** Those of this node first, then others as far as there is room. */
export function filledUp(here: readonly PeerHint[], elsewhere: readonly PeerHint[]): PeerHint[] {
  return [...here, ...elsewhere].slice(0, PEERS_PER_ANSWER_MAX);
}

/** The same with some places kept for viewers of other nodes: they tie the cliques of the nodes together. */
export function mixed(here: readonly PeerHint[], elsewhere: readonly PeerHint[]): PeerHint[] {
  const kept = Math.min(FAR_PEERS, elsewhere.length);
  return filledUp(here.slice(0, PEERS_PER_ANSWER_MAX - kept), elsewhere);
}
