/**
 * Orders from the origin: pieces that nobody else brings (rule 2 of the planner), and those that peers would bring too
 * late (rule 3). This module is pure.
 * @module
 */
import type { PieceRange } from "../../protocol/asset.js";
import type { AssetSupply } from "../planning/asset-supply.js";
import type { Command } from "../planning/command.js";
import type { RequestState } from "../planning/request-state.js";
import { type ClaimRelay, runsOf } from "./claim-relay.js";
import type { OriginTurns } from "./origin-turns.js";

export class OriginOrders {
  readonly #turns: OriginTurns;
  readonly #relay: ClaimRelay;
  readonly #hopeful: () => boolean;

  /** @param options.hopeful Whether new links or holders are on their way. */
  constructor(options: { turns: OriginTurns; relay: ClaimRelay; hopeful: () => boolean }) {
    this.#turns = options.turns;
    this.#relay = options.relay;
    this.#hopeful = options.hopeful;
  }

  /** Rule 2, for pieces that only the origin can bring. */
  orphaned(request: RequestState, orphans: readonly number[], nowMs: number): Command[] {
    if (nowMs < request.asked.patientUntilMs && this.#hopeful()) {
      request.hopedMs = nowMs;
      return [];
    }
    if (!request.originUsable) return [{ type: "fail", requestId: request.asked.id }];
    const { announced, confirmed, ordered } = this.#turns.ownOf(request, orphans, nowMs);
    return [
      ...this.#relay.claimEach(request.asked.assetId, announced),
      ...runsOf(confirmed).map((run) => order(request, run, nowMs)),
      ...this.#claimed(request, ordered, nowMs),
    ];
  }

  /** Rule 3, for all pieces that are missing. */
  late(
    request: RequestState,
    supply: AssetSupply,
    options: { missing: readonly number[]; nowMs: number },
  ): Command[] {
    const late = this.#turns.latePieces(request, supply, options);
    return this.#claimed(request, late, options.nowMs);
  }

  /** Orders pieces, and lets neighbours know. */
  #claimed(request: RequestState, pieces: readonly number[], nowMs: number): Command[] {
    return [
      ...runsOf(pieces).map((run) => order(request, run, nowMs)),
      ...this.#relay.claimEach(request.asked.assetId, pieces),
    ];
  }
}

function order(request: RequestState, run: PieceRange, nowMs: number): Command {
  request.originOrdered(run, nowMs);
  return { type: "fetch", requestId: request.asked.id, ...run };
}
