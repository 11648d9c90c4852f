/**
 * One node among others: builds what it needs to share its index, its viewers' ids, tokens and signaling
 * through Redis, and answers for itself when Redis does not.
 * @module
 */
import type { Metrics } from "../http/metrics.js";
import { RedisLink } from "../redis/redis-link.js";
import { Claims } from "./claims.js";
import { FarViewers } from "./far-viewers.js";
import type { Hop } from "./hop.js";
import { Hops } from "./hops.js";
import { Marks } from "./marks.js";
import { Names } from "./names.js";
import type { OtherNodes } from "./other-nodes.js";
import type { Seal } from "./seal.js";
import { SharedIndex, type SharedIndexOptions } from "./shared-index.js";

export interface ClusterOptions {
  readonly urls: readonly string[];
  /** Nodes of one scope share everything. */
  readonly scope: string;
  readonly seal: Seal;
  /** Name of this node: 16 hexadecimal digits, never used before. */
  readonly node: string;
  readonly source: SharedIndexOptions["source"];
  readonly metrics: Metrics;
  readonly log: (line: string) => void;
  readonly nowMs: () => number;
  /** In [0, 1). */
  readonly random: () => number;
  readonly signal: AbortSignal;
  /** A message for a viewer of this node. @returns Whether it was delivered. */
  readonly onHop: (hop: Hop) => boolean;
  /** A viewer of this node has a newer socket at another one. */
  readonly onLost: (id: string) => void;
}

/** With so many holders here nobody else is asked. */
const ENOUGH_HOLDERS = 4;

/** Resolves after the first attempt to reach Redis. */
export async function joinCluster(options: ClusterOptions): Promise<OtherNodes> {
  const { scope, seal, node, metrics, nowMs, random } = options;
  const names = new Names(scope, seal);
  const far = new FarViewers(random);
  const marks = new Marks(seal);
  const common = { ...options, names, far, marks };
  let ears: Hops | undefined;
  let whenUp = () => {};
  const link = await RedisLink.open({
    ...options,
    channel: names.node(node),
    onText: (text) => ears?.receive(text),
    onUp: () => whenUp(),
    onFailure: () => metrics.add("nearcast_redis_failures_total"),
  });
  const index = new SharedIndex({ ...common, link });
  const lose = (id: string) => {
    claims.forget(id);
    options.onLost(id);
  };
  const claims = new Claims({
    ...{ ...common, link },
    onLost: lose,
    onMoved: (id, from) =>
      void hops.sendTo(from, { kind: "REPLACED", src: id, dst: id, stock: false }),
  });
  const onHop = (hop: Hop) => {
    if (hop.kind !== "REPLACED") return options.onHop(hop);
    lose(hop.dst);
    return true;
  };
  const hops = new Hops({ ...common, link, claims, onHop });
  ears = hops;
  whenUp = () => {
    index.writeAll();
    claims.renewAll();
  };
  return {
    status: () => ({
      state: link.state,
      latencyMs: link.latencyMs,
      nodes: 1 + far.nodeCount(nowMs()),
      keys: index.keyCount,
    }),
    claim: (claimant) => claims.claim(claimant),
    release: (id) => claims.release(id),
    takeToken: (jti, lifeMs) =>
      link.setIfAbsent(names.token(jti), "1", lifeMs).catch(() => {
        metrics.add("nearcast_shared_index_total", "token alone");
        return true;
      }),
    tell: (change) => index.tell(change),
    holders: (asker, assetId, window, found) =>
      found >= ENOUGH_HOLDERS ? undefined : index.holders(marks.of(asker), assetId, window),
    members: (asker, groups) => index.members(marks.of(asker), groups),
    send: (hop) => (link.state === "down" ? false : hops.send(hop)),
  };
}
