/**
 * Playback of all pages of this profile, as their tabs tell it: whose requests are urgent, and whether anything
 * plays at all.
 * @module
 */
import type { PlaybackState } from "../../engine/playback/deadline.js";

export class AllPlayback {
  /** By client id; only pages with a media element. */
  readonly #states = new Map<string, PlaybackState>();
  #own: { clientId: string; read: () => PlaybackState | undefined } | undefined;

  /** This page's own is read at the moment it is asked for. */
  own(clientId: string, read: () => PlaybackState | undefined): void {
    this.#own = { clientId, read };
  }

  /** @param state `undefined` if the page has no media element (any more). */
  set(clientId: string, state: PlaybackState | undefined): void {
    if (state) this.#states.set(clientId, state);
    else this.#states.delete(clientId);
  }

  get playing(): boolean {
    return [...this.#states.values()].some(({ paused }) => !paused);
  }

  /** A report may be a moment old, and in that moment the first segment may have come. */
  of(clientId: string): PlaybackState | undefined {
    const own = this.#own;
    if (own?.clientId === clientId) return own.read();
    // A frame's own client says nothing of itself; the page round it sees its player.
    const framed = () => [...this.#states.values()].find((state) => state.framed);
    return this.#states.get(clientId) ?? (own?.read()?.framed ? own.read() : framed());
  }
}
