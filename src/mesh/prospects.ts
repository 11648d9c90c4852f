/**
 * Whether anybody is there to ask, or may be in a moment: what a request that nobody can serve yet may wait for.
 * @module
 */
import type { Planner } from "../engine/planning/planner.js";
import type { HaveGossip } from "./links/have-gossip.js";
import type { Neighbours } from "./links/neighbours.js";
import type { Membership } from "./membership.js";

export interface ProspectsOptions {
  readonly planner: Planner;
  readonly gossip: HaveGossip;
  readonly neighbours: () => Neighbours;
  readonly membership: () => Membership;
  readonly now: () => number;
  /** The worker was told that nobody is there, and that is over. */
  readonly onCompany: () => void;
}

export class Prospects {
  readonly #options: ProspectsOptions;
  #saidAlone = false;

  constructor(options: ProspectsOptions) {
    this.#options = options;
  }

  /** Whether links or answers are on their way that may change who holds what. */
  get hopeful(): boolean {
    const { planner, gossip, membership, now } = this.#options;
    const { reachable, index } = membership();
    if (!reachable) return false;
    // With one link open the election can begin: who is linked later hears the claims that stand (5.2 copies of a
    // crowd's second segment when all were waited for, then 2.4).
    const unlinked = !planner.linked;
    return (unlinked && this.#expectsLinks) || (index?.asking ?? false) || gossip.fresh(now());
  }

  /** Whether nobody is linked, and no link is on its way; the worker is told so. */
  sayAlone(): boolean {
    this.#saidAlone = !this.#options.planner.linked && !this.#expectsLinks;
    return this.#saidAlone;
  }

  /** A link is on its way. */
  linking(): void {
    if (!this.#saidAlone) return;
    this.#saidAlone = false;
    this.#options.onCompany();
  }

  /** The server may still say who is there, or a link is on its way. */
  get #expectsLinks(): boolean {
    const { reachable, newcomer } = this.#options.membership();
    return reachable && (newcomer || this.#options.neighbours().pending);
  }
}
