/**
 * Attestations that viewers get unasked, as a question saved is a round trip saved: what is known of a group to whoever
 * enters it, what is new to the group, and what comes next in the folder, which is attested for that alone.
 * @module
 */
import { groupOf } from "../../protocol/asset.js";
import type { Attestation } from "../../protocol/attestation.js";
import { WINDOW_BYTES } from "../../protocol/limits.js";
import type { ServerMessage } from "../../protocol/signal-messages.js";
import type { Quotas } from "../admission/quotas.js";
import type { Attestor, WantOutcome } from "../attest/attestor.js";
import type { Metrics } from "../http/metrics.js";
import type { SiteBook } from "../site-settings.js";
import type { Session, Sessions } from "../sockets/sessions.js";
import type { MemoryIndex } from "./memory-index.js";

/** Attestations that a viewer gets when it joins. */
const JOIN_ATTESTATIONS_MAX = 64;

/** Files that are attested ahead of what was wanted; groups in which that happens at once. */
const LOOK_AHEAD_FILES = 32;
const LOOK_AHEADS_MAX = 64;

/** Members of a group that a new attestation is pushed to; the others ask when they need it. */
const PUSH_MEMBERS_MAX = 2_000;

type Attested = Exclude<WantOutcome, { refused: unknown }>;

export interface AttestationNewsOptions {
  readonly index: Pick<MemoryIndex, "members">;
  readonly attestor: Attestor;
  readonly sessions: Sessions;
  readonly metrics: Metrics;
  readonly quotas: Quotas;
  /** The settings of the moment. */
  readonly sites: () => SiteBook;
  readonly nowMs: () => number;
}

export class AttestationNews {
  readonly #lookingAhead = new Set<string>();
  readonly #options: AttestationNewsOptions;

  constructor(options: AttestationNewsOptions) {
    this.#options = options;
  }

  /** Tells a viewer the newest of the groups that it enters, but nothing sealed. */
  greet(to: Session, groups: readonly string[]): void {
    const { attestor, sites } = this.#options;
    const known = attestor.recent(groups, to.siteOrigin, JOIN_ATTESTATIONS_MAX);
    const { isSealed } = sites();
    for (const attestation of known) {
      if (!isSealed(attestation.url)) this.#push(to, frameOf(attestation));
    }
  }

  /** A want has caused an attestation to be made: its reading is counted, its group hears of it and of what follows. */
  async spread(made: Attested, asker: Session): Promise<void> {
    this.#publish(made, asker.siteOrigin, asker);
    await this.#lookAhead(made.attestation.url, asker.siteOrigin);
  }

  /** Attests what follows in the folder, one file after another, once per group and kind at a time. */
  async #lookAhead(url: string, siteOrigin: string | undefined): Promise<void> {
    const { attestor, quotas, nowMs } = this.#options;
    const key = `${groupOf(url)} ${url.slice(url.lastIndexOf("."))}`;
    if (this.#lookingAhead.has(key) || this.#lookingAhead.size >= LOOK_AHEADS_MAX) return;
    this.#lookingAhead.add(key);
    try {
      for (const next of await attestor.following(url, LOOK_AHEAD_FILES)) {
        const mayRead = quotas.mayRead(siteOrigin, nowMs());
        const outcome = await attestor.want(next, 0, siteOrigin, { mayRead });
        if ("refused" in outcome) return;
        if (outcome.isNew) this.#publish(outcome, siteOrigin);
      }
    } finally {
      this.#lookingAhead.delete(key);
    }
  }

  #publish(
    { attestation, audience }: Attested,
    siteOrigin: string | undefined,
    asker?: Session,
  ): void {
    const { quotas, nowMs } = this.#options;
    quotas.countRead(siteOrigin, Math.min(attestation.length, WINDOW_BYTES), nowMs());
    this.#pushToGroup(attestation, audience, asker);
  }

  /** A query may carry a viewer's own token, so only URLs without one are told to others unasked; and nothing sealed. */
  #pushToGroup(attestation: Attestation, audience: string, asker?: Session): void {
    const { index, sessions, sites } = this.#options;
    if (attestation.url.includes("?") || sites().isSealed(attestation.url)) return;
    const frame = frameOf(attestation);
    for (const id of index.members(groupOf(attestation.url), PUSH_MEMBERS_MAX)) {
      const member = sessions.get(id);
      const mayRead = audience === "*" || audience === (member?.siteOrigin ?? "");
      if (member && member !== asker && mayRead) this.#push(member, frame);
    }
  }

  #push(to: Session, frame: string): void {
    this.#options.metrics.add("nearcast_pushed_total");
    to.socket.send(frame);
  }
}

function frameOf(attestation: Attestation): string {
  return JSON.stringify({ type: "attested", attestation } satisfies ServerMessage);
}
