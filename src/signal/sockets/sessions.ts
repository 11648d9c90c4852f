/**
 * Which socket speaks for which peer id. An id has one live socket; whoever shows the same token may
 * replace it, and for a minute after it is gone nobody else may take the id. This module does no I/O.
 * @module
 */
import { createHash } from "node:crypto";
import type { UrlMatcher } from "../../core/url-pattern.js";
import { LruMap } from "../lru-map.js";
import { Introductions } from "../swarm/introductions.js";
import type { Locality } from "../swarm/locality.js";
import { TokenBucket } from "../token-bucket.js";
import { CLOSE, type ViewerSocket } from "./viewer-socket.js";

/** What the server knows about one viewer's connection. */
export interface Session {
  readonly id: string;
  /** `Origin` of the page; `undefined` for a client that is no browser. */
  readonly siteOrigin: string | undefined;
  readonly locality: Locality;
  readonly tokenHash: string;
  socket: ViewerSocket;
  /** OFFERs that may reach this viewer: every one costs its page an RTCPeerConnection. */
  readonly offers: TokenBucket;
  /** The peers that the index named to this viewer. */
  readonly introductions: Introductions;
  pendingWants: number;
  /** Whether it ever joined the index: a stock PeerJS client never does. */
  joined: boolean;
  /** Whether it may take part, see `admission/admission.ts`; `deadline` ends that, or the wait for it. */
  admitted: boolean;
  /** Which sealed URLs its join token names; `undefined`: none. */
  mayOpen: UrlMatcher | undefined;
  /** Its socket is gone, and no other took its place. */
  over: boolean;
  deadline: NodeJS.Timeout | undefined;
}

/** Time an id stays reserved for its token after its socket is gone. */
const RESERVED_MS = 60_000;
const RESERVED_MAX = 100_000;

const OFFERS = { perSecond: 2, burst: 64 };

interface Reserved {
  readonly tokenHash: string;
  readonly joined: boolean;
  readonly untilMs: number;
}

export interface Arrival {
  readonly id: string;
  readonly token: string;
  readonly siteOrigin: string | undefined;
  readonly locality: Locality;
}

/** All live sessions of one server. */
export class Sessions {
  readonly #live = new Map<string, Session>();
  readonly #reserved = new LruMap<string, Reserved>(RESERVED_MAX);

  get size(): number {
    return this.#live.size;
  }

  get(id: string): Session | undefined {
    return this.#live.get(id);
  }

  all(): Iterable<Session> {
    return this.#live.values();
  }

  /** Whether an id is someone else's here. */
  refuses({ id, token, siteOrigin }: Arrival, nowMs: number): boolean {
    const live = this.#live.get(id);
    const owner = live ?? this.#reservationOf(id, nowMs);
    if (owner && owner.tokenHash !== hashOf(token)) return true;
    return live !== undefined && live.siteOrigin !== siteOrigin;
  }

  /** @returns The session that `socket` now speaks for, or `undefined` if the id is someone else's. */
  open(arrival: Arrival, socket: ViewerSocket, nowMs: number): Session | undefined {
    if (this.refuses(arrival, nowMs)) return undefined;
    const { id, token, ...facts } = arrival;
    const live = this.#live.get(id);
    if (live) {
      live.socket.close(CLOSE.replaced, "replaced by a new socket");
      live.socket = socket;
      return live;
    }
    const session: Session = {
      id,
      ...facts,
      tokenHash: hashOf(token),
      socket,
      offers: new TokenBucket(OFFERS),
      introductions: new Introductions(),
      pendingWants: 0,
      joined: this.#reservationOf(id, nowMs)?.joined ?? false,
      admitted: false,
      mayOpen: undefined,
      over: false,
      deadline: undefined,
    };
    this.#live.set(id, session);
    return session;
  }

  /** Ends the session if `socket` is still the one that speaks for it. @returns Whether it was. */
  close(session: Session, socket: ViewerSocket, nowMs: number): boolean {
    if (this.#live.get(session.id) !== session || session.socket !== socket) return false;
    this.#live.delete(session.id);
    session.over = true;
    const { id, tokenHash, joined } = session;
    this.#reserved.set(id, { tokenHash, joined, untilMs: nowMs + RESERVED_MS });
    return true;
  }

  #reservationOf(id: string, nowMs: number): Reserved | undefined {
    const reserved = this.#reserved.get(id);
    return reserved && nowMs < reserved.untilMs ? reserved : undefined;
  }
}

function hashOf(token: string): string {
  return createHash("sha256").update(token).digest("base64url");
}
