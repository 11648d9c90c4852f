/**
 * Tells viewers what became of their neighbourhoods: at once or as soon as they may be told again, and never
 * more names than their introductions allow.
 * @module
 */
import type { Neighbourhood, NeighboursMessage } from "../../protocol/signal-messages.js";
import type { Metrics } from "../http/metrics.js";
import type { Session, Sessions } from "../sockets/sessions.js";
import type { Neighbourhoods } from "./neighbourhoods.js";

/** How often it is looked who may be told of changes again. */
const TELL_INTERVAL_MS = 100;

export interface NeighbourNewsOptions {
  readonly neighbourhoods: Neighbourhoods;
  readonly sessions: Sessions;
  readonly metrics: Metrics;
  readonly nowMs: () => number;
  readonly signal: AbortSignal;
}

export class NeighbourNews {
  readonly #options: NeighbourNewsOptions;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(options: NeighbourNewsOptions) {
    this.#options = options;
    options.signal.addEventListener("abort", () => clearTimeout(this.#timer), { once: true });
  }

  /** What a viewer may be told of its neighbourhood now; what is withheld follows as soon as it may. */
  of({ id, introductions }: Session): Neighbourhood | undefined {
    const { neighbourhoods, nowMs } = this.#options;
    const whole = neighbourhoods.take(id, nowMs());
    if (!whole) return undefined;
    const members = introductions.introduce(whole.members, nowMs());
    const bridges = introductions.introduce(whole.bridges, nowMs());
    const told = members.length + bridges.length;
    if (told < whole.members.length + whole.bridges.length) neighbourhoods.remind(id);
    return { ...whole, members, bridges };
  }

  /** Sends neighbourhoods that changed, now or when their viewers may be told again; a burst is one round. */
  tell(): void {
    if (this.#timer !== undefined) return;
    const { neighbourhoods, sessions, metrics, nowMs, signal } = this.#options;
    for (const id of neighbourhoods.due(nowMs())) {
      const session = sessions.get(id);
      const neighbourhood = session && this.of(session);
      if (!neighbourhood) continue;
      metrics.add("nearcast_neighbours_total");
      const message: NeighboursMessage = { type: "neighbours", neighbourhood };
      session.socket.send(JSON.stringify(message));
    }
    if (!neighbourhoods.waiting || signal.aborted) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.tell();
    }, TELL_INTERVAL_MS);
  }
}
