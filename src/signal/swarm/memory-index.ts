/**
 * The map of who is here, in which groups, and who holds what. Entries live as long as their viewer's
 * socket; whatever is lost comes back with the next announcement. This module is pure: it does no I/O,
 * time and randomness are arguments.
 * @module
 */

import { BagMap, type RandomBag, shuffled } from "../../core/random-bag.js";
import { ANNOUNCED_PER_PEER_MAX, GROUPS_MAX, PEERS_PER_ANSWER_MAX } from "../../protocol/limits.js";
import type { AnnounceMessage, HeldWindows, PeerHint } from "../../protocol/signal-messages.js";
import type { IndexChange, Presence } from "./index-change.js";
import { distanceOf, type Locality, mixCandidates } from "./locality.js";

interface Viewer {
  readonly id: string;
  locality: Locality;
  /** In order of entry, the newest last. */
  readonly groups: Set<string>;
  /** In order of announcement, the newest last. */
  readonly held: Map<string, "all" | Set<number>>;
  /** Entries of all window lists of `held`. */
  heldWindows: number;
  loadPercent: number;
  /** How often the viewer was named lately; decays with `HAND_OUT_FADE_MS`. */
  handOuts: number;
  handOutsAtMs: number;
}

/** Viewers that are looked at for one answer, from the neighbourhood and from everywhere. */
const SAMPLE_MAX = 128;

/** Entries of window lists that one viewer may announce: 64 GiB in 4 MiB windows. */
const WINDOWS_PER_PEER_MAX = 16_384;

/** Load that one hand-out is expected to add until the viewer says itself how busy it is. */
const HAND_OUT_LOAD_PERCENT = 10;
const HAND_OUT_FADE_MS = 10_000;

/** The index of one server process. Every method ignores viewers that it does not know. */
export class MemoryIndex {
  readonly #random: () => number;
  readonly #onChange: ((change: IndexChange) => void) | undefined;
  readonly #viewers = new Map<string, Viewer>();
  readonly #byPrefix = new BagMap<Viewer>();
  readonly #byGroup = new BagMap<Viewer>();
  readonly #byAsset = new BagMap<Viewer>();

  /**
   * @param random In [0, 1).
   * @param onChange Hears of what other nodes may want to know.
   */
  constructor({
    random,
    onChange,
  }: {
    random: () => number;
    onChange?: ((change: IndexChange) => void) | undefined;
  }) {
    this.#random = random;
    this.#onChange = onChange;
  }

  get viewerCount(): number {
    return this.#viewers.size;
  }

  /** Lets a viewer in; a known one (its socket was replaced) keeps what it announced, and may move. */
  add(id: string, locality: Locality): void {
    const known = this.#viewers.get(id);
    if (known) {
      this.#byPrefix.delete(known.locality.prefix, known);
      known.locality = locality;
      this.#byPrefix.add(locality.prefix, known);
      return;
    }
    const viewer: Viewer = {
      id,
      locality,
      groups: new Set(),
      held: new Map(),
      heldWindows: 0,
      loadPercent: 0,
      handOuts: 0,
      handOutsAtMs: 0,
    };
    this.#viewers.set(id, viewer);
    this.#byPrefix.add(locality.prefix, viewer);
  }

  /** Forgets a viewer and all it announced. */
  remove(id: string): void {
    const viewer = this.#viewers.get(id);
    if (!viewer) return;
    this.#viewers.delete(id);
    this.#byPrefix.delete(viewer.locality.prefix, viewer);
    for (const group of viewer.groups) {
      this.#byGroup.delete(group, viewer);
      this.#tell("left", viewer, group);
    }
    for (const [assetId, held] of viewer.held) {
      this.#byAsset.delete(assetId, viewer);
      this.#tell("dropped", viewer, assetId, held);
    }
  }

  /** Enters groups; beyond `GROUPS_MAX` the oldest ones are left. @returns Peers of these groups. */
  join(id: string, groups: readonly string[], nowMs: number): PeerHint[] {
    const viewer = this.#viewers.get(id);
    if (!viewer) return [];
    for (const group of groups) {
      if (!viewer.groups.delete(group)) this.#tell("entered", viewer, group);
      viewer.groups.add(group);
      this.#byGroup.add(group, viewer);
    }
    const surplus = [...viewer.groups].slice(0, Math.max(0, viewer.groups.size - GROUPS_MAX));
    this.leave(id, surplus);

    const bags = groups.flatMap((group) => this.#byGroup.get(group) ?? []);
    const shares = (other: Viewer) => groups.some((group) => other.groups.has(group));
    return this.#choose(viewer, bags, shares, nowMs);
  }

  isIn(id: string, group: string): boolean {
    return this.#viewers.get(id)?.groups.has(group) ?? false;
  }

  leave(id: string, groups: readonly string[]): void {
    const viewer = this.#viewers.get(id);
    for (const group of groups) {
      if (!viewer?.groups.delete(group)) continue;
      this.#byGroup.delete(group, viewer);
      this.#tell("left", viewer, group);
    }
  }

  /** Applies changes of what a viewer holds; beyond the caps the oldest assets are forgotten. */
  announce(id: string, { add, remove, loadPercent }: Omit<AnnounceMessage, "type">): void {
    const viewer = this.#viewers.get(id);
    if (!viewer) return;
    viewer.loadPercent = loadPercent;
    for (const assetId of remove) this.#forget(viewer, assetId);
    for (const [assetId, windows] of add) this.#hold(viewer, assetId, windows);
  }

  /** Peers that hold one window of an asset; never the asker itself. */
  holders(id: string, assetId: string, window: number, nowMs: number): PeerHint[] {
    const viewer = this.#viewers.get(id);
    const bag = this.#byAsset.get(assetId);
    if (!viewer || !bag) return [];
    const holds = (other: Viewer) => {
      const held = other.held.get(assetId);
      return held === "all" || (held?.has(window) ?? false);
    };
    return this.#choose(viewer, [bag], holds, nowMs);
  }

  /** Ids of a group's members, a random `max` of them if there are more. */
  members(group: string, max: number): string[] {
    return (this.#byGroup.get(group)?.sample(max, this.#random) ?? []).map(({ id }) => id);
  }

  /** Who holds any of an asset, a random `max` of them if there are more. */
  holdersOf(assetId: string, max: number): Presence[] {
    const bag = this.#byAsset.get(assetId);
    return (bag ? shuffled(bag.sample(max, this.#random), this.#random) : []).flatMap((viewer) => {
      const held = viewer.held.get(assetId);
      return held === undefined ? [] : [{ ...presenceOf(viewer), held }];
    });
  }

  /** Who is in a group, a random `max` of them if there are more. */
  membersOf(group: string, max: number): Presence[] {
    return (this.#byGroup.get(group)?.sample(max, this.#random) ?? []).map(presenceOf);
  }

  /** Samples the neighbourhood and the bags, mixes, and counts who was handed out. */
  #choose(
    viewer: Viewer,
    bags: readonly RandomBag<Viewer>[],
    fits: (other: Viewer) => boolean,
    nowMs: number,
  ): PeerHint[] {
    const each = Math.max(PEERS_PER_ANSWER_MAX, Math.ceil(SAMPLE_MAX / Math.max(1, bags.length)));
    const near = this.#byPrefix.get(viewer.locality.prefix)?.sample(SAMPLE_MAX, this.#random) ?? [];
    const seen = new Set([...near, ...bags.flatMap((bag) => bag.sample(each, this.#random))]);
    const candidates = [...seen]
      .filter((other) => other !== viewer && fits(other))
      .map((other) => ({
        item: other,
        distance: distanceOf(viewer.locality, other.locality),
        prefix: other.locality.prefix,
        expectedLoad: other.loadPercent + HAND_OUT_LOAD_PERCENT * handOutsNow(other, nowMs),
      }));
    const chosen = mixCandidates(candidates, { count: PEERS_PER_ANSWER_MAX, random: this.#random });
    return chosen.map(({ item, distance }) => {
      item.handOuts = handOutsNow(item, nowMs) + 1;
      item.handOutsAtMs = nowMs;
      return [item.id, distance, item.loadPercent];
    });
  }

  #hold(viewer: Viewer, assetId: string, windows: HeldWindows): void {
    const before = viewer.held.get(assetId);
    viewer.held.delete(assetId); // so that it comes last again
    if (before === "all" || windows === "all") {
      viewer.heldWindows -= sizeOf(before);
      viewer.held.set(assetId, "all");
    } else {
      viewer.held.set(assetId, this.#withWindows(viewer, before ?? new Set(), windows));
    }
    this.#byAsset.add(assetId, viewer);
    if (windows === "all" && before instanceof Set) this.#tell("dropped", viewer, assetId, before);
    if (before !== "all") this.#tell("holds", viewer, assetId, windows);
    const [oldest] = viewer.held.keys();
    if (viewer.held.size > ANNOUNCED_PER_PEER_MAX && oldest !== undefined) {
      this.#forget(viewer, oldest);
    }
  }

  /** Adds in place, up to the viewer's cap: a copy for each announcement would cost its whole length. */
  #withWindows(viewer: Viewer, held: Set<number>, windows: readonly number[]): Set<number> {
    for (const window of windows) {
      if (held.has(window) || viewer.heldWindows >= WINDOWS_PER_PEER_MAX) continue;
      held.add(window);
      viewer.heldWindows++;
    }
    return held;
  }

  #forget(viewer: Viewer, assetId: string): void {
    const held = viewer.held.get(assetId);
    if (held === undefined) return;
    viewer.heldWindows -= sizeOf(held);
    viewer.held.delete(assetId);
    this.#byAsset.delete(assetId, viewer);
    this.#tell("dropped", viewer, assetId, held);
  }

  #tell(
    kind: IndexChange["kind"],
    viewer: Viewer,
    name: string,
    windows: "all" | Iterable<number> = "all",
  ): void {
    if (!this.#onChange) return;
    const list: HeldWindows = typeof windows === "string" ? windows : [...windows];
    this.#onChange({ kind, viewer, name, windows: list });
  }
}

function presenceOf({ id, locality, loadPercent }: Viewer): Presence {
  return { id, locality, loadPercent, held: "all" };
}

function sizeOf(held: "all" | Set<number> | undefined): number {
  return held === undefined || held === "all" ? 0 : held.size;
}

function handOutsNow({ handOuts, handOutsAtMs }: Viewer, nowMs: number): number {
  return handOuts * Math.exp(-Math.max(0, nowMs - handOutsAtMs) / HAND_OUT_FADE_MS);
}
