/**
 * Who takes part: where a site requires join tokens, a viewer that has shown none may say nothing but its
 * token, and not for long; one that has shown a good one is let in for an hour.
 * @module
 */
import type { ServerConfig } from "../options.js";
import type { SiteBook } from "../site-settings.js";
import type { Session } from "../sockets/sessions.js";
import { CLOSE } from "../sockets/viewer-socket.js";
import { JoinDesk, looksLikeJoinToken, type TokenObjection } from "./join-desk.js";

export interface AdmissionOptions {
  readonly config: Pick<ServerConfig, "tokenTimeoutMs" | "admittedMs">;
  /** The settings of the moment. */
  readonly sites: () => SiteBook;
  readonly nowMs: () => number;
}

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
  begin(session: Session, urlToken: string): TokenObjection | undefined {
    if (session.admitted) return undefined; // a new socket of a session that lives
    session.admitted = !this.#siteOf(session).requireToken;
    if (session.admitted) return undefined;
    if (looksLikeJoinToken(urlToken)) return this.show(session, urlToken);
    this.#closeAfter(session, this.#options.config.tokenTimeoutMs);
    return undefined;
  }

  /** Judges the token of a join. @returns Why the join is refused. */
  show(session: Session, token: string | undefined): TokenObjection | undefined {
    const site = this.#siteOf(session);
    const judged = site.joinSecret !== undefined || site.joinKey !== undefined;
    if (session.admitted && (token === undefined || !judged)) return undefined;
    const { siteOrigin } = session;
    const { nowMs, config } = this.#options;
    const objection = this.#desk.admit(token, { siteOrigin, site, nowMs: nowMs() });
    if (objection !== undefined) return objection;
    session.admitted = true;
    if (site.requireToken) this.#closeAfter(session, config.admittedMs);
    return undefined;
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
    session.deadline = setTimeout(() => {
      session.admitted = false;
      session.socket.close(CLOSE.token, "a join token is needed");
    }, ms).unref();
  }
}
