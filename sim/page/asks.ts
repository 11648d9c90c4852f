/**
 * What a viewer asks of others, at its own end (src/mesh/delivery/exchange.ts): an ask goes to a holder, and its piece,
 * once out, shares the viewer's downlink, or a refusal comes. What the holder does is in sim/page/uploads.ts.
 * @module
 */
import { PieceSet } from "../../src/core/piece-set.js";
import type { Command } from "../../src/engine/planning/command.js";
import type { Asset } from "../audience/catalogue.js";
import type { Link, Viewer } from "../audience/viewer.js";
import { KIND, type World } from "../run/world.js";
import type { Ask } from "./uploads.js";

type AskCommand = Extract<Command, { type: "ask" }>;

/** Asks of a flooder to each neighbour, with every tick: 20 Mbit/s and more. */
const FLOOD_ASKS = 4;
/** What a flooder asks for it never wanted. */
const UNWANTED = -1;

export class Asks {
  readonly #world: World;

  constructor(world: World) {
    this.#world = world;
  }

  ask(viewer: Viewer, { peerId, askId, assetId, piece }: AskCommand): void {
    const { guard, stats, config } = this.#world;
    const link = viewer.links.get(Number(peerId));
    guard.asked(viewer, peerId, link?.open === true && config.plant !== "ask-closed");
    if (!link) return;
    guard.window(viewer, link.source);
    viewer.asks.set(askId, link);
    stats.asks++;
    this.#world.trace(viewer, `asks ${peerId} for ${assetId}/${piece}`);
    this.#send(viewer, link, { askId, asset: Number(assetId), piece });
  }

  /** A flooder asks all its neighbours for pieces that it throws away. */
  flood(viewer: Viewer, asset: Asset): void {
    for (const link of viewer.links.values()) {
      for (let count = 0; count < FLOOD_ASKS; count++) {
        const piece = Math.floor(viewer.random() * asset.pieceCount);
        this.#send(viewer, link, { askId: UNWANTED, asset: asset.index, piece });
      }
    }
  }

  #send(
    viewer: Viewer,
    { peer, peerShard, rttMs }: Link,
    { askId, asset, piece }: Pick<Ask, "askId" | "asset" | "piece">,
  ): void {
    const atMs = this.#world.nowMs + this.#world.controlMs(viewer, rttMs);
    const ask = { holder: peer, receiver: viewer.index, askId, asset, piece };
    this.#world.uploads.send(peerShard, atMs, ask);
  }

  /** The viewer takes an ask back. */
  cancel(viewer: Viewer, askId: number): void {
    const link = viewer.asks.get(askId);
    if (!link) return;
    viewer.asks.delete(askId);
    this.#world.stats.cancels++;
    const { peer, peerShard, rttMs, open } = link;
    if (!open) return;
    const atMs = this.#world.nowMs + this.#world.controlMs(viewer, rttMs);
    this.#world.send(peerShard, atMs, KIND.cancel, peer, viewer.index, askId);
  }

  /** A link is gone: its asks are forgotten; the planner hears of it elsewhere. */
  linkClosed(viewer: Viewer, link: Link): void {
    for (const [askId, over] of viewer.asks) if (over === link) viewer.asks.delete(askId);
  }

  /** The last bit of a piece would be here if the downlink were free. */
  pieceNear(receiver: Viewer, askId: number, sent: number): void {
    const { nowMs, queue } = this.#world;
    const receiveMs = (sent >> 1) / receiver.traits.downlink;
    const freeMs = Math.max(
      nowMs,
      Math.max(receiver.downlinkFreeMs, nowMs - receiveMs) + receiveMs,
    );
    receiver.downlinkFreeMs = freeMs;
    if (freeMs === nowMs) this.pieceIn(receiver, askId, sent);
    else queue.push(freeMs, KIND.pieceIn, receiver.index, askId, sent);
  }

  pieceIn(receiver: Viewer, askId: number, sent: number): void {
    const bytes = sent >> 1;
    const link = receiver.asks.get(askId);
    if (!link) {
      this.#world.stats.duplicateBytes += bytes;
      return;
    }
    receiver.asks.delete(askId);
    this.#world.deliveries.peerPiece(receiver, link, { askId, bytes, genuine: sent % 2 === 1 });
  }

  /** @param retryMs When the holder may be asked again; negative: it does not hold the piece. */
  rejected(viewer: Viewer, askId: number, retryMs: number): void {
    const link = viewer.asks.get(askId);
    if (!link) return;
    viewer.asks.delete(askId);
    const { nowMs, stats, catalogue, shell } = this.#world;
    if (retryMs < 0) stats.absent++;
    else stats.busy++;
    const { planner } = viewer;
    const { peerId } = link;
    const ask = planner.askOf(peerId, askId);
    if (!ask) return;
    const asset = catalogue.at(Number(ask.assetId));
    if (retryMs < 0 && planner.holdingsOf(peerId, asset.id) === asset.all) {
      // The planner strikes the piece off its own copy.
      const copy = new PieceSet(asset.pieceCount);
      copy.addRange(0, asset.pieceCount);
      shell.run(viewer, planner.setHoldings(peerId, asset.id, copy, nowMs));
    }
    const busyMs = retryMs < 0 ? undefined : retryMs;
    shell.run(viewer, planner.pieceRefused(peerId, askId, { busyMs, nowMs }));
  }
}
