/**
 * Gives the pieces of one request their sources: peers as far as they can, the origin for the rest (rules 1 to 3 of
 * the planner). This module is pure.
 * @module
 */
import type { ClaimRelay } from "../origin/claim-relay.js";
import type { Claims } from "../origin/claims.js";
import type { Election } from "../origin/election.js";
import { OriginOrders } from "../origin/origin-orders.js";
import type { OriginSource } from "../origin/origin-source.js";
import { BUSY_LINE_PIECES, OriginTurns } from "../origin/origin-turns.js";
import type { Asked, AssetSupply } from "./asset-supply.js";
import type { Command } from "./command.js";
import { PeerAsks } from "./peer-asks.js";
import type { RequestState } from "./request-state.js";
import type { RunningRequests } from "./running-requests.js";
import type { Suppliers } from "./suppliers.js";

/** Pieces that are under way for a request that only fetches ahead: what comes next soon has the line. */
const AHEAD_PIECES_MAX = 4;

export interface SourceChoiceOptions {
  readonly suppliers: Suppliers;
  readonly origin: OriginSource;
  readonly claims: Claims;
  readonly election: Election;
  readonly relay: ClaimRelay;
  readonly requests: RunningRequests;
  /** Whether new links or holders are on their way. */
  readonly hopeful: () => boolean;
  /** Uniform in [0, 1). */
  readonly random: () => number;
}

export class SourceChoice {
  readonly #suppliers: Suppliers;
  readonly #requests: RunningRequests;
  readonly #asks: PeerAsks;
  readonly #orders: OriginOrders;

  constructor(options: SourceChoiceOptions) {
    this.#suppliers = options.suppliers;
    this.#requests = options.requests;
    this.#asks = new PeerAsks(options);
    this.#orders = new OriginOrders({ ...options, turns: new OriginTurns(options) });
  }

  /** Adds to `commands` what gets the request's pieces that have no source. */
  choose(request: RequestState, nowMs: number, commands: Command[]): void {
    const { assetId, ahead } = request.asked;
    const supply = this.#suppliers.supplyOf(assetId, request.have);
    const missing = request.missing();
    const { open, orphans } = sortOut(request, supply, missing, nowMs);
    if (ahead === "line") return this.#overIdleLine(request, orphans, nowMs, commands);
    if (ahead === "peers") open.splice(Math.max(0, AHEAD_PIECES_MAX - supply.asked.size));
    if (open.length > 0) {
      const asks = this.#asks.asksFor(request, supply, { open, missing: missing.length, nowMs });
      for (const asked of asks) commands.push(askCommand(asked));
    }
    if (ahead === "peers") return;
    request.linePieces = request.owed.size + orphans.length;
    if (missing.length === 0) return request.satisfied(nowMs);
    if (orphans.length > 0) commands.push(...this.#orders.orphaned(request, orphans, nowMs));
    else request.announcedMs.clear();
    commands.push(...this.#orders.late(request, supply, { missing, nowMs }));
  }

  /** What a page will ask for next has its turns from when no page has anything left for the origin to do. */
  #overIdleLine(
    request: RequestState,
    orphans: readonly number[],
    nowMs: number,
    commands: Command[],
  ): void {
    if (this.#requests.linePieces >= BUSY_LINE_PIECES) request.waitForLine(nowMs);
    else if (orphans.length > 0) commands.push(...this.#orders.orphaned(request, orphans, nowMs));
  }
}

/**
 * Of the pieces that nobody was asked for: `open` are those that peers may bring, `orphans` those that only the
 * origin can.
 */
function sortOut(
  request: RequestState,
  supply: AssetSupply,
  missing: readonly number[],
  nowMs: number,
): { open: number[]; orphans: number[] } {
  const open: number[] = [];
  const orphans: number[] = [];
  for (const piece of missing) {
    if (supply.asked.has(piece)) continue;
    const held = supply.holderCount(piece) > 0;
    if (request.owed.has(piece) ? held : held && !request.overdue(piece, nowMs)) open.push(piece);
    else if (!request.owed.has(piece)) orphans.push(piece);
  }
  return { open, orphans };
}

function askCommand({ peerId, ask }: Asked): Command {
  return { type: "ask", peerId, askId: ask.id, assetId: ask.assetId, piece: ask.piece };
}
