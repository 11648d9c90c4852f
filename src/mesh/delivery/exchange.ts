/**
 * Carries the planner's commands to links and sessions, and what links bring back to the planner and the
 * library. A peer's bytes become pieces here, by verification, before anybody else sees them (rule R1).
 * @module
 */
import { NearcastError } from "../../core/errors.js";
import type { Command } from "../../engine/planning/command.js";
import type { Planner } from "../../engine/planning/planner.js";
import { bytesOfPiece, pieceCountOf, windowOf } from "../../protocol/asset.js";
import { CLAIM_HOPS_MAX } from "../../protocol/limits.js";
import { fromPeer } from "../../protocol/seal.js";
import { type VerifiedPiece, verifyPiece } from "../../protocol/verify.js";
import type { HaveGossip } from "../links/have-gossip.js";
import type { NeighbourHandlers, Neighbours } from "../links/neighbours.js";
import type { PeerLink } from "../links/peer-link.js";
import type { Trust, TrustedAsset } from "../trust/trust.js";
import type { Uploader } from "../uploads/uploader.js";
import type { DeliverySession } from "./delivery-session.js";
import type { PieceLibrary } from "./piece-library.js";

export interface ExchangeOptions {
  readonly planner: Planner;
  readonly trust: Trust;
  readonly library: PieceLibrary;
  readonly gossip: HaveGossip;
  readonly uploader: Uploader;
  readonly now: () => number;
  readonly onLink: (link: PeerLink, state: "open" | "closed") => void;
  /** Bytes of a peer did not verify and were thrown away. */
  readonly onRejected: (peerId: string, bytes: number) => void;
  /** The planner orders pieces for a request that no page has made yet. */
  readonly onFetchAhead: (order: Extract<Command, { type: "fetch" }>) => void;
  /** A peer's piece that no page waits for yet. */
  readonly onAhead: (bytes: number) => void;
  readonly onError: (error: unknown) => void;
}

const TICK_MS = 50;
/** A deadline that is nearer than this is urgent. */
const URGENT_MS = 4_000;
/** Assumed until the first pong. */
const RTT_MS = 50;

export class Exchange {
  readonly #options: ExchangeOptions;
  readonly #sessions = new Map<number, DeliverySession>();
  #neighbours: Neighbours | undefined;
  #ticker: ReturnType<typeof setInterval> | undefined;

  constructor(options: ExchangeOptions) {
    this.#options = options;
  }

  /** The links that commands go to; set once, as links need {@link linkHandlers} first. */
  set neighbours(neighbours: Neighbours) {
    this.#neighbours = neighbours;
  }

  /** A request of the worker; leaves by itself when it ends. */
  add(session: DeliverySession): void {
    this.#sessions.set(session.id, session);
    session.closed.addEventListener("abort", () => this.#sessions.delete(session.id), {
      once: true,
    });
    this.#keepTicking();
  }

  /** Whether a page waits for something that it needs soon. */
  get urgent(): boolean {
    const soonMs = this.#options.now() + URGENT_MS;
    return [...this.#sessions.values()].some(({ deadlineMs }) => deadlineMs < soonMs);
  }

  /** Whether no page waits for anything. */
  get idle(): boolean {
    return this.#sessions.size === 0;
  }

  /** Whether a body passes through: what it needs of the origin's line is not planned. */
  get passing(): boolean {
    return [...this.#sessions.values()].some(({ asset }) => asset === undefined);
  }

  run(commands: readonly Command[]): void {
    for (const command of commands) this.#execute(command);
    if (!this.#options.planner.idle) this.#keepTicking();
  }

  /** Nothing runs after it. */
  stop(): void {
    clearInterval(this.#ticker);
  }

  /** What links tell. */
  linkHandlers(): NeighbourHandlers {
    const { planner, trust, gossip, uploader, now, onLink, onError } = this.#options;
    return {
      onOpen: (link) => {
        planner.addPeer(link.peerId, link.rttMs ?? RTT_MS);
        gossip.greet(link, now());
        for (const session of this.#sessions.values()) {
          for (const claim of session.claims()) {
            link.send({ type: "claim", ...claim, hops: CLAIM_HOPS_MAX });
          }
        }
        onLink(link, "open");
      },
      onClosed: (link) => {
        gossip.heard(link);
        this.run(planner.removePeer(link.peerId, now()));
        if (link.everOpen) onLink(link, "closed");
      },
      onRtt: (link, rttMs) => {
        gossip.heard(link);
        planner.setRtt(link.peerId, rttMs);
      },
      onHave: (link, { assetId, pieceCount, from, bits }) => {
        const trusted = trust.byId(assetId);
        if (trusted && pieceCountOf(trusted.length) !== pieceCount) {
          return link.close(
            new NearcastError(
              "protocol/violation",
              "Cannot go on with peer: it lied of an asset's length",
            ),
          );
        }
        const held = { pieceCount, from, bits };
        this.run(planner.addHoldings(link.peerId, assetId, held, now()));
      },
      onDrop: (link, assetId) =>
        this.run(planner.setHoldings(link.peerId, assetId, undefined, now())),
      onClaim: (link, claim) => {
        if (!this.#holds(claim)) this.run(planner.claimed(link.peerId, claim, now()));
      },
      onRequest: (link, { id, assetId, piece }) => uploader.accept(link, id, assetId, piece),
      onCancel: (link, id) => uploader.cancel(link, id),
      onPiece: (link, askId, bytes) => void this.#received(link, askId, bytes).catch(onError),
      onReject: (link, askId, reason, retryMs) => {
        const busyMs = reason === "absent" ? undefined : retryMs;
        this.run(planner.pieceRefused(link.peerId, askId, { busyMs, nowMs: now() }));
      },
    };
  }

  async #received(link: PeerLink, askId: number, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    const { planner, library, now, onRejected } = this.#options;
    const asked = planner.askOf(link.peerId, askId);
    const asset = asked && this.#assetOf(asked.assetId);
    const window = asked && asset?.windows.get(windowOf(asked.piece));
    if (!asked || !asset || !window) return; // taken back, or its attestation expired meanwhile
    const plain = await fromPeer(window, asked.piece, bytes);
    const verified = await verifyPiece(window, asked.piece, plain);
    if (!verified) {
      onRejected(link.peerId, bytes.byteLength);
      this.run(planner.pieceCorrupt(link.peerId, now()));
      return;
    }
    library.add(asset, verified);
    const waiting = this.#deliver(asset, verified, "mesh");
    if (!waiting) this.#options.onAhead(bytes.byteLength);
    this.run(planner.pieceArrived(link.peerId, askId, bytes.byteLength, now()));
  }

  /** A piece came from the origin for one request: all others that wait for it get it too. */
  learned(asset: TrustedAsset, piece: VerifiedPiece): void {
    this.#deliver(asset, piece, "cache");
  }

  /** @returns Whether any request waits for it. */
  #deliver({ assetId }: TrustedAsset, piece: VerifiedPiece, source: "mesh" | "cache"): boolean {
    const waiting = [...this.#sessions.values()].filter(({ asset }) => asset?.assetId === assetId);
    for (const session of waiting) session.deliver(piece, source);
    return waiting.length > 0;
  }

  /** An answer that has begun ends with the version it began with, whatever its URL stands for by now. */
  #assetOf(assetId: string): TrustedAsset | undefined {
    const { trust } = this.#options;
    const begun = () =>
      [...this.#sessions.values()].find(({ asset }) => asset?.assetId === assetId)?.asset;
    const asset = trust.byId(assetId) ?? begun();
    return asset && trust.mayEnd(asset) ? asset : undefined;
  }

  /** Whether all pieces that are claimed are here: this viewer waits for none, and its neighbours know of them. */
  #holds({ assetId, from, to }: { assetId: string; from: number; to: number }): boolean {
    const { trust, library } = this.#options;
    const asset = trust.byId(assetId);
    return asset !== undefined && from < to && library.have(asset).hasRange(from, to);
  }

  #execute(command: Command): void {
    switch (command.type) {
      case "ask":
        return this.#ask(command);
      case "cancel":
        return this.#neighbours?.get(command.peerId)?.cancel(command.askId);
      case "fetch":
        return this.#fetch(command);
      case "claim": {
        for (const link of this.#neighbours?.open ?? []) link.send(command);
        return;
      }
      case "fail":
        return this.#sessions.get(command.requestId)?.fail();
      case "drop":
        return this.#neighbours?.drop(command.peerId, command.reason);
    }
  }

  #fetch(order: Extract<Command, { type: "fetch" }>): void {
    const session = this.#sessions.get(order.requestId);
    if (session) session.fetch(order);
    else this.#options.onFetchAhead(order);
  }

  #ask({ peerId, askId, assetId, piece }: Extract<Command, { type: "ask" }>): void {
    const asset = this.#assetOf(assetId);
    if (!asset) {
      // Forgotten meanwhile: nobody is to blame.
      const { planner, now } = this.#options;
      this.run(planner.pieceRefused(peerId, askId, { busyMs: undefined, nowMs: now() }));
      return;
    }
    const { start, end } = bytesOfPiece(piece, asset.length);
    this.#neighbours?.get(peerId)?.request(askId, { assetId, piece }, end - start);
  }

  #keepTicking(): void {
    this.#ticker ??= setInterval(() => this.#tick(), TICK_MS);
  }

  /** Runs while requests do, of pages or made ahead: time-outs, hedges, deadlines that moved with the player. */
  #tick(): void {
    const { planner, uploader, now } = this.#options;
    if (this.#sessions.size === 0 && planner.idle) {
      clearInterval(this.#ticker);
      this.#ticker = undefined;
      return;
    }
    for (const session of this.#sessions.values()) {
      session.tick();
      planner.setDeadline(session.id, session.deadlineMs);
    }
    planner.election.uplinkBytesPerMs = uploader.rateBytesPerMs;
    this.run(planner.tick(now()));
  }
}
