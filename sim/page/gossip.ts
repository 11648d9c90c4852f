/**
 * What viewers tell their neighbours: holdings and claims. Mirrors src/mesh/links/have-gossip.ts.
 * @module
 */
import { LEASE_MAX_MS } from "../../src/engine/origin/claims.js";
import type { Command } from "../../src/engine/planning/command.js";
import type { PeerSource as Peer } from "../../src/engine/planning/peer-source.js";
import { CLAIM_HOPS_MAX } from "../../src/protocol/limits.js";
import type { Asset } from "../audience/catalogue.js";
import type { Link, Viewer } from "../audience/viewer.js";
import { KIND, MESSAGE, type World } from "../run/world.js";
import { Hearers } from "./hearers.js";
import { maskOf, rangeMask } from "./held-table.js";

const GATHER_MS = 50;
/** Longer than anything is on its way. */
const HEARD_MAX_MS = 1_000;
/** Links that hear a message at the same time, as the slowest of them does: an event each would be too many. */
const HEARERS = 6;
const EVERYBODY = -1;
/** Fields of a word that goes to another shard; its bits follow. */
const WORD_FIELDS = 11;

/** What one HAVE or claim says. */
interface Word {
  readonly asset: number;
  readonly from: number;
  readonly to: number;
  /** `undefined`: all pieces. */
  readonly bits: Uint8Array | undefined;
  readonly hops: number;
}

/** One that is on its way; shared by all of this shard who hear it. */
interface Message extends Word {
  /** Those who hold all these pieces need not hear it. */
  readonly mask: Uint32Array;
  readonly hearers: Hearers;
  /** Groups of hearers that have not heard it yet. */
  pending: number;
}

/** How a word leaves its viewer. */
interface Sending {
  readonly kind: number;
  readonly sender: number;
  /** The neighbour that it is for, or {@link EVERYBODY}. */
  readonly to: number;
  readonly sentMs: number;
  /** Time that it waits for data on the uplink. */
  readonly busyMs: number;
  /** Whether all who lack any piece of the asset are to hear it. */
  readonly wide: boolean;
}

export class Gossip {
  readonly #world: World;
  readonly #messages: (Message | undefined)[] = [];
  readonly #free: number[] = [];

  constructor(world: World) {
    this.#world = world;
  }

  /** A piece was verified: neighbours will hear of it. */
  added(viewer: Viewer, asset: number, piece: number): void {
    const news = viewer.news.get(asset);
    if (news) {
      news.from = Math.min(news.from, piece);
      news.to = Math.max(news.to, piece + 1);
    } else {
      viewer.news.set(asset, { from: piece, to: piece + 1 });
    }
    if (viewer.flushing) return;
    viewer.flushing = true;
    this.#world.after(GATHER_MS, KIND.flush, viewer.index);
  }

  flush(viewer: Viewer): void {
    viewer.flushing = false;
    for (const [asset, { from, to }] of viewer.news) {
      this.#tell(viewer, EVERYBODY, asset, { from, to });
    }
    viewer.news.clear();
  }

  /** A liar says that it holds what it is only about to ask for. */
  lie(viewer: Viewer, asset: number): void {
    const word = { asset, from: 0, to: 0, bits: undefined, hops: 0 };
    this.#send(viewer, word, { kind: KIND.have, to: EVERYBODY, wide: true });
  }

  claim(viewer: Viewer, { assetId, from, to, hops }: Extract<Command, { type: "claim" }>): void {
    if (this.#world.config.election === 0) return;
    if (hops === CLAIM_HOPS_MAX) this.#claimedItself(viewer);
    const word = { asset: Number(assetId), from, to, hops, bits: undefined };
    this.#send(viewer, word, { kind: KIND.claim, to: EVERYBODY, wide: false });
  }

  /** The other end of a new link hears what its viewer holds. */
  greet({ owner: viewer, peer }: Link): void {
    for (const [asset, have] of viewer.have) {
      if (have.size > 0) this.#tell(viewer, peer, asset, { from: 0, to: have.pieceCount });
    }
    // What the origin is sending, for a neighbour that was not there when it was claimed.
    for (const claim of this.#world.deliveries.claims(viewer)) {
      this.#claimedItself(viewer);
      const word = { ...claim, hops: CLAIM_HOPS_MAX, bits: undefined };
      this.#send(viewer, word, { kind: KIND.claim, to: peer, wide: false });
    }
  }

  #claimedItself(viewer: Viewer): void {
    viewer.claimedUntilMs = this.#world.nowMs + LEASE_MAX_MS + HEARD_MAX_MS;
  }

  /** Who does not upload tells nobody what it holds. */
  #tell(
    viewer: Viewer,
    peer: number,
    asset: number,
    { from, to }: { from: number; to: number },
  ): void {
    const have = viewer.have.get(asset);
    if (!have || !viewer.traits.uploads) return;
    const start = from & ~7;
    const bits = have.complete ? undefined : have.toBits(start, to);
    // Progress with what it claimed is news to whoever lacks anything of the asset.
    const wide = !bits || this.#world.nowMs < viewer.claimedUntilMs;
    const word = { asset, from: start, to, bits, hops: 0 };
    this.#send(viewer, word, { kind: KIND.have, to: peer, wide });
  }

  #send(viewer: Viewer, word: Word, how: Pick<Sending, "kind" | "to" | "wide">): void {
    const { nowMs, shard } = this.#world;
    const { member, links } = viewer;
    const busyMs = this.#world.busyMs(viewer);
    const sending = { ...how, sender: viewer.index, sentMs: nowMs, busyMs };
    if (how.to === EVERYBODY) {
      this.#hear(member.hearers, word, sending);
      if (member.links.size > member.hearers.count) this.#post(word, sending);
    } else if (this.#world.member(how.to).shard === shard) {
      this.#hear(this.#only(how.to, viewer.index), word, sending);
    } else if (links.has(how.to)) {
      this.#post(word, sending);
    }
  }

  #only(viewer: number, peer: number): Hearers {
    const end = this.#world.alive(viewer)?.links.get(peer);
    return end ? new Hearers([end]) : Hearers.NONE;
  }

  #post(word: Word, { kind, sender, to, sentMs, busyMs, wide }: Sending): void {
    const { bits } = word;
    const fields = [kind, sender, to, sentMs, busyMs, wide ? 1 : 0];
    fields.push(word.asset, word.from, word.to, word.hops, bits ? 1 : 0, ...(bits ?? []));
    for (const outbox of this.#world.outboxes) outbox?.put(MESSAGE.word, fields);
  }

  /** A word from another shard: nobody can have heard it before the window in which it was sent has ended. */
  arrived(fields: Float64Array): void {
    // By number, not by a pattern: that would cost an iterator for each of the many words.
    const at = (place: number) => fields[place] as number;
    const [sender, to] = [at(1), at(2)];
    const bits = at(10) === 1 ? Uint8Array.from(fields.subarray(WORD_FIELDS)) : undefined;
    const word = { asset: at(6), from: at(7), to: at(8), hops: at(9), bits };
    const hearers =
      to === EVERYBODY
        ? (this.#world.members[sender]?.hearers ?? Hearers.NONE)
        : this.#only(to, sender);
    const wide = at(5) === 1;
    this.#hear(hearers, word, { kind: at(0), sender, to, sentMs: at(3), busyMs: at(4), wide });
  }

  #hear(hearers: Hearers, word: Word, { kind, sentMs, busyMs, wide }: Sending): void {
    const { count } = hearers;
    if (count === 0) return;
    const at = this.#free.pop() ?? this.#messages.length;
    const pending = Math.ceil(count / HEARERS);
    const { asset, from, to, bits, hops } = word;
    const mask = this.#maskOf(kind, word, wide);
    this.#messages[at] = { asset, from, to, bits, hops, mask, hearers, pending };
    for (let first = 0; first < count; first += HEARERS) {
      const wayMs = hearers.rttMs(Math.min(first + HEARERS, count)) / 2;
      this.#world.queue.push(sentMs + wayMs + busyMs, kind, at, first);
    }
  }

  #maskOf(kind: number, { asset: index, from, to, bits }: Word, wide: boolean): Uint32Array {
    const asset = this.#world.catalogue.at(index);
    if (wide) return asset.allMask;
    if (kind === KIND.claim) return rangeMask(asset.pieceCount, { from, to });
    return maskOf(asset.pieceCount, { from, bits });
  }

  /** A HAVE or a claim reaches some of those it was sent to. */
  heard(kind: number, at: number, first: number): void {
    const message = this.#messages[at] as Message;
    if (--message.pending === 0) {
      this.#messages[at] = undefined;
      this.#free.push(at);
    }
    const asset = this.#world.catalogue.at(message.asset);
    const { hearers } = message;
    const all = this.#world.config.tellAll === 1;
    const end = Math.min(first + HEARERS, hearers.count);
    for (let index = first; index < end; index++) {
      if (!all && !asset.held.lacks(hearers.indices[index] as number, message.mask)) continue;
      const { owner, open, source } = hearers.ends[index] as Link;
      if (!open) continue;
      if (kind === KIND.claim) this.#hearsClaim(owner, source, asset, message);
      else this.#hearsHave(owner, source, asset, message);
    }
  }

  #hearsClaim(viewer: Viewer, peer: Peer, asset: Asset, { from, to, hops }: Message): void {
    const { shell, nowMs } = this.#world;
    const claim = { assetId: asset.id, from, to, hops };
    shell.run(viewer, viewer.planner.claimed(peer, claim, nowMs));
  }

  #hearsHave(viewer: Viewer, peer: Peer, asset: Asset, { bits, from }: Message): void {
    if (asset.index < viewer.pastTo) return;
    const { shell, nowMs } = this.#world;
    const { planner } = viewer;
    if (bits) {
      const held = { pieceCount: asset.pieceCount, from, bits };
      return shell.run(viewer, planner.addHoldings(peer, asset.id, held, nowMs));
    }
    if (planner.holdingsOf(peer, asset.id) === asset.all) return;
    shell.run(viewer, planner.setHoldings(peer, asset.id, asset.all, nowMs));
  }
}
