/**
 * Which of a request's open pieces are asked of which peers, and in what order (rule 1 of the planner).
 * This module is pure.
 * @module
 */
import { PIECE_BYTES } from "../../protocol/limits.js";
import type { OriginSource } from "../origin/origin-source.js";
import type { Asked, AssetSupply } from "./asset-supply.js";
import type { RequestState } from "./request-state.js";
import type { Suppliers } from "./suppliers.js";

/** With this much time to spare, neighbours' needs decide the order of pieces. */
const RELAXED_MS = 1_000;

export class PeerAsks {
  readonly #suppliers: Suppliers;
  readonly #origin: OriginSource;
  readonly #random: () => number;

  /** @param options.random Uniform in [0, 1). */
  constructor(options: { suppliers: Suppliers; origin: OriginSource; random: () => number }) {
    this.#suppliers = options.suppliers;
    this.#origin = options.origin;
    this.#random = options.random;
  }

  /**
   * Asks for as many pieces as the holders have room for. What the origin owes is asked of peers too once they
   * would be clearly faster.
   *
   * @param missing Pieces of the request that are not here, whoever was asked for them.
   */
  asksFor(
    request: RequestState,
    supply: AssetSupply,
    { open, missing, nowMs }: { open: readonly number[]; missing: number; nowMs: number },
  ): Asked[] {
    const free = supply.freeHolders(open, nowMs);
    if (free.length === 0) return [];
    const originRateBytesPerMs = this.#origin.rateBytesPerMs;
    const inTimeMs = this.#origin.expectedMs(missing * PIECE_BYTES);
    const relaxed = request.deadlineMs - nowMs >= 2 * inTimeMs + RELAXED_MS;
    const asks: Asked[] = [];
    for (const piece of relaxed ? this.#rarestFirst(supply, open) : open) {
      if (free.length === 0) break;
      const limitMs = request.owed.has(piece)
        ? 0.5 * request.originEtaMs(piece, { nowMs, origin: this.#origin })
        : Number.POSITIVE_INFINITY;
      const options = { nowMs, limitMs, originRateBytesPerMs };
      const asked = this.#suppliers.ask(supply, piece, free, options);
      if (asked) asks.push(asked);
    }
    for (const { ask } of asks) ask.sharedPieces = supply.asked.size;
    return asks;
  }

  /**
   * With time to spare the rarest piece goes first, so that neighbours who want the same come to hold
   * different pieces. No exception for the piece that the response waits for: if everybody asks for the same
   * one first, the only holder's uplink sends it to all of them (12.8 instead of 16.4 % from the origin).
   */
  #rarestFirst(supply: AssetSupply, open: readonly number[]): readonly number[] {
    if (open.length < 2) return open;
    // A tie is broken by the fraction.
    const ranked = open.map((piece) => ({
      piece,
      rarity: supply.holderCount(piece) + this.#random(),
    }));
    ranked.sort((a, b) => a.rarity - b.rarity);
    return ranked.map(({ piece }) => piece);
  }
}
