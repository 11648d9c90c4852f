/**
 * Messages between pages and the service worker. Both are the site's own code, yet versions can meet
 * that were never built together, so a page and a worker of another protocol version leave each other
 * alone and every request goes to the origin. PROTOCOL.md section 2 is the specification.
 * @module
 */
import type { AskedRange } from "./asset.js";
import type { Header } from "./attestation.js";
import { PROTOCOL_VERSION } from "./limits.js";

/** Marks our messages among those of the site's own code. */
export interface Envelope {
  readonly nearcast: typeof PROTOCOL_VERSION;
}

/** What the worker needs to decide, synchronously, whether a request is ours. */
export interface WorkerConfig {
  /** `false` (consent missing, paused, kill switch): the worker touches nothing. */
  readonly enabled: boolean;
  /** URL patterns (see `core/url-pattern.ts`), absolute. */
  readonly include: readonly string[];
  readonly exclude: readonly string[];
  /** Folders (URLs ending with `/`) below which the publisher signs: active content may be asked for there. */
  readonly signed: readonly string[];
  /** Query parameters that only authorise: keys leave them out, and the origin is asked before pieces are shown. */
  readonly stripParams: readonly string[];
}

/** Page → worker: introduces the page and brings the configuration. */
export interface PageHello extends Envelope {
  readonly type: "hello";
  readonly build: string;
  readonly config: WorkerConfig;
}

/** Worker → page: answers a {@link PageHello}; `clientId` is how the worker knows the page. */
export interface WorkerHello extends Envelope {
  readonly type: "hello";
  readonly build: string;
  readonly clientId: string;
}

/** Host tab → worker: its last plan said that it is `alone`, and somebody comes: its plans are worth waiting for. */
export interface CompanyReport extends Envelope {
  readonly type: "company";
}

/** Bytes that one request delivered to the page, by where they came from. */
export interface BytesBySource {
  readonly cache: number;
  readonly mesh: number;
  readonly origin: number;
}

/** Worker → the page that asked: bytes it was given since the last such message of the same request. */
export interface ProgressReport extends Envelope {
  readonly type: "progress";
  readonly bytes: BytesBySource;
}

/** Worker → the page that asked: how one accelerated request went; its bytes came as progress before. */
export interface RequestReport extends Envelope {
  readonly type: "request";
  readonly url: string;
  readonly status: number;
  readonly durationMs: number;
  readonly bytes: BytesBySource;
}

/** Worker → host tab: pieces `[from, to)` were served from the store (least recently used order). */
export interface UsedReport extends Envelope {
  readonly type: "used";
  readonly assetId: string;
  readonly from: number;
  readonly to: number;
}

/** Worker → host tab: a page changes what the URL (canonical) stands for (RFC 9111 section 4.4). */
export interface ChangedReport extends Envelope {
  readonly type: "changed";
  readonly url: string;
}

/** Worker → every page: something in the worker failed and nobody caught it. */
export interface WorkerCrash extends Envelope {
  readonly type: "crash";
}

/** Worker → every page: the site has withdrawn Nearcast; this worker removes itself and the databases. */
export interface WorkerRemoved extends Envelope {
  readonly type: "removed";
}

/** Worker → host tab: a playlist went by on its way to a player. */
export interface PlaylistReport extends Envelope {
  readonly type: "playlist";
  /** Where it came from in the end: its relative URLs start there. */
  readonly url: string;
  readonly text: string;
}

/**
 * Worker → host tab, with a fresh MessagePort: a body comes from the store and may have to be paced. The
 * host answers with {@link PaceAdvice} until the worker says `end`.
 */
export interface PaceQuestion extends Envelope {
  readonly type: "pace";
  readonly url: string;
  readonly clientId: string;
  /** Length of the body. */
  readonly bytes: number;
  readonly contentType: string;
}

/** Host → worker, at once and whenever it changes; without a rate: as fast as possible. */
export interface PaceAdvice {
  readonly type: "pace";
  readonly bytesPerMs: number | undefined;
  /** The body ends so long after its last byte. */
  readonly holdMs?: number;
}

/** Worker → host tab, with a fresh MessagePort on which the rest of the exchange runs. */
export interface Want extends Envelope {
  readonly type: "want";
  readonly url: string;
  /** The page that made the request, for its playback state. */
  readonly clientId: string;
  /** `Request.destination`: a script's request has none. */
  readonly destination: string;
  /** `undefined` is the whole body. */
  readonly range: AskedRange | undefined;
  /** The bytes will act in the page: only the publisher's signature will do (rule R7). */
  readonly active: boolean;
  /**
   * The origin was asked so many milliseconds ago and answers: by the host's last word nobody was there to help. The
   * response passes through, and may be taken over.
   */
  readonly passingMs?: number;
}

/**
 * Host tab → worker, with a fresh MessagePort: a page will ask for this next. The host orders pieces of it
 * ({@link AheadOrder}); the worker reads them from the origin and answers with `origin-piece` and `origin-end`.
 */
export interface Ahead extends Envelope {
  readonly type: "ahead";
  readonly url: string;
  /** The page that will ask: the bytes count as its own. */
  readonly clientId: string;
  readonly length: number;
  /** Response headers of the attested version. */
  readonly headers: readonly Header[];
}

/** Host → worker on the port of one {@link Ahead}. */
export type AheadOrder =
  | Extract<HostMessage, { type: "fetch" }>
  /** Nothing more is wanted, nor what is on its way. */
  | { readonly type: "end" };

/** Host → worker on the port of one {@link Want}. */
export type HostMessage =
  /** The host lives and thinks; a plan follows. Said again once a second while bytes are awaited and there is time. */
  | { readonly type: "accept" }
  /**
   * Pass the request through; with `observe`, show the host what the origin sends, and ask for at most
   * `openMaxBytes` of an open-ended range: the mesh may be ready for the next part. `alone`: nobody is linked or about
   * to be, so for the next requests the worker need not wait for a plan.
   */
  | {
      readonly type: "origin";
      readonly observe: boolean;
      readonly openMaxBytes: number;
      readonly alone: boolean;
    }
  /** Answer from pieces: status and headers come from `asset`. */
  | {
      readonly type: "mesh";
      readonly assetId: string;
      readonly length: number;
      readonly headers: readonly Header[];
    }
  /** Hashes of the pieces from `firstPiece` on; needed before origin bytes may join peers' bytes. */
  | {
      readonly type: "hashes";
      readonly firstPiece: number;
      readonly hashes: readonly Uint8Array[];
    }
  /** A verified piece; the buffer is transferred. */
  | {
      readonly type: "piece";
      readonly piece: number;
      readonly bytes: Uint8Array<ArrayBuffer>;
      readonly source: "mesh" | "cache";
    }
  /** How fast the page is to get the body. */
  | PaceAdvice
  /** Fetch pieces `[from, to)` from the origin. */
  | { readonly type: "fetch"; readonly from: number; readonly to: number }
  /** The host cannot go on: finish from the origin alone. */
  | { readonly type: "fail" };

/** How one order of the origin ended: `changed` if it has another version than the attested one by now. */
export type OriginOutcome = "complete" | "failed" | "changed";

/** Worker → host on the same port. */
export type DeliveryMessage =
  /** Answer to `origin` with `observe`: what the origin's response is about; without a length if it does not say. */
  | { readonly type: "head"; readonly start: number; readonly length: number | undefined }
  /** A whole piece as the origin sent it, unverified; a copy, transferred. */
  | {
      readonly type: "origin-piece";
      readonly piece: number;
      readonly bytes: Uint8Array<ArrayBuffer>;
    }
  /** The origin's part of `fetch` is over. */
  | { readonly type: "origin-end"; readonly outcome: OriginOutcome }
  /** The page has taken everything before `piece`. */
  | { readonly type: "position"; readonly piece: number }
  /** The request is over, or no more of it is shown; nothing follows on this port. */
  | { readonly type: "end"; readonly complete: boolean };

/** Whether `data` is one of our messages, of our version. */
export function isEnvelope(data: unknown): data is Envelope & { readonly type: string } {
  return (
    typeof data === "object" &&
    data !== null &&
    (data as Partial<Envelope>).nearcast === PROTOCOL_VERSION &&
    typeof (data as { type?: unknown }).type === "string"
  );
}

/** The lock that the one host tab of a profile holds; the others wait in its queue. */
export const HOST_LOCK = "nearcast-host";

/**
 * A second lock, named after the host's client id: it tells the worker who the host is, without any
 * memory, and is free the moment that page dies, however it dies.
 */
export const HOST_ALIVE_PREFIX = "nearcast-host:";
