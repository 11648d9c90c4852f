/**
 * Who takes part: where a site requires join tokens, a viewer that has shown none may say nothing but its
 * token, and not for long; one that has shown a good one is let in for an hour.
 * @module
 */
import { sealMatcher } from "../../protocol/seal.js";
import { type OtherNodes, whenKnown } from "../cluster/other-nodes.js";
import type { ServerConfig } from "../options.js";
import type { SiteBook } from "../site-settings.js";
import type { Session } from "../sockets/sessions.js";
import { CLOSE } from "../sockets/viewer-socket.js";
import { JoinDesk, looksLikeJoinToken, type TokenObjection } from "./join-desk.js";

export interface AdmissionOptions {
  readonly config: Pick<ServerConfig, "tokenTimeoutMs" | "admittedMs">;
  /** The settings of the moment. */
  readonly sites: () => SiteBook;
  /** They must not take a token again. */
  readonly others: Pick<OtherNodes, "takeToken">;
  readonly nowMs: () => number;
}

/** Why a viewer is not let in; `undefined` if it is. There at once unless other nodes must be asked. */
export type Verdict = TokenObjection | undefined | Promise<TokenObjection | undefined>;

/** The admission of one server. */
export class Admission {
  readonly #options: AdmissionOptions;
  readonly #desk = new JoinDesk();

  constructor(options: AdmissionOptions) {
    this.#options = options;
  }

  /**
   * A new session begins. A stock PeerJS client cannot send a join: its option `token` may be one.
   *
   * @returns Why the client is turned away at once; `undefined` if it may go on.
   */
  begin(session: Session, urlToken: string): Verdict {
    if (session.admitted) return undefined; // a new socket of a session that lives
    session.admitted = !this.#siteOf(session).requireToken;
    if (session.admitted) return undefined;
    if (looksLikeJoinToken(urlToken)) return this.show(session, urlToken);
    this.#closeAfter(session, this.#options.config.tokenTimeoutMs);
    return undefined;
  }

  /** Judges the token of a join. @returns Why the join is refused. */
  show(session: Session, token: string | undefined): Verdict {
    const site = this.#siteOf(session);
    const judged = site.joinSecret !== undefined || site.joinKey !== undefined;
    if (session.admitted && (token === undefined || !judged)) return undefined;
    const { siteOrigin } = session;
    const { nowMs, config, others } = this.#options;
    const taken = this.#desk.admit(token, { siteOrigin, site, nowMs: nowMs() });
    if (typeof taken === "string") return taken;
    return whenKnown(others.takeToken(taken.jti, taken.lifeMs), (isNew) => {
      if (!isNew) return "used before";
      session.admitted = true;
      session.mayOpen = taken.paths.length > 0 ? sealMatcher(taken.paths) : undefined;
      // What a token allows ends with it; its viewer comes back with a fresh one.
      if (site.requireToken || session.mayOpen) this.#closeAfter(session, config.admittedMs);
      return undefined;
    });
  }

  /** A session is over. */
  end(session: Session): void {
    clearTimeout(session.deadline);
  }

  #siteOf({ siteOrigin }: Session) {
    return this.#options.sites().of(siteOrigin);
  }

  #closeAfter(session: Session, ms: number): void {
    clearTimeout(session.deadline);
    if (session.over) return; // it did not wait for the verdict
    session.deadline = setTimeout(() => {
      session.admitted = false;
      session.mayOpen = undefined;
      session.socket.close(CLOSE.token, "a join token is needed");
    }, ms).unref();
  }
}
