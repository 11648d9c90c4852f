/**
 * Index messages between a viewer and the server. They share the WebSocket of the PeerServer protocol:
 * JSON objects whose `type` is lower case, so they never meet PeerJS's upper-case ones, and that carry
 * no `payload`, so PeerJS ignores them. PROTOCOL.md section 3 is the specification; what arrives is decoded
 * by `signal-decoder.ts`.
 * @module
 */
import type { Attestation } from "./attestation.js";

/** Windows of one asset that a viewer holds completely: all of them, or a list of indices. */
export type HeldWindows = "all" | readonly number[];

/** Distance of a holder: 0 same public address, 1 same /24 or /48, 2 the rest. */
export type Distance = 0 | 1 | 2;

/** A peer to turn to: id, distance, load in percent of its upload allowance. */
export type PeerHint = readonly [peerId: string, distance: Distance, loadPercent: number];

/** Viewer → server. `q` numbers a question; the answer repeats it. */
export type ViewerMessage =
  | JoinMessage
  | { readonly type: "leave"; readonly groups: readonly string[] }
  | AnnounceMessage
  | WantMessage
  | StatsMessage
  | { readonly type: "report"; readonly peerId: string; readonly reason: "corrupt" | "stalled" };

/**
 * Enters groups (added to those already entered) and asks for neighbours. The first group is the one that
 * matters most to the viewer: it decides on its clique.
 */
export interface JoinMessage {
  readonly type: "join";
  readonly q: number;
  readonly v: number;
  readonly groups: readonly string[];
  /** The site's permission to join, where it gives any: once per socket, in the first join. */
  readonly token?: string | undefined;
}

/** Changes of what the viewer holds since its last announcement on this socket; never answered. */
export interface AnnounceMessage {
  readonly type: "announce";
  readonly add: readonly (readonly [assetId: string, windows: HeldWindows])[];
  readonly remove: readonly string[];
  readonly loadPercent: number;
}

/** Asks for the attestation of one window of an asset and for holders of it. */
export interface WantMessage {
  readonly type: "want";
  readonly q: number;
  readonly url: string;
  readonly window: number;
  /** Holders of this asset are wanted: what a publisher's manifest says the URL is. */
  readonly assetId?: string | undefined;
}

/**
 * Bytes since the viewer's last such message, by where they came from. The server adds them up for its
 * operator; they are a viewer's word. Never answered.
 */
export interface StatsMessage {
  readonly type: "stats";
  readonly cache: number;
  readonly mesh: number;
  readonly origin: number;
  readonly uploaded: number;
  readonly rejected: number;
  /** What linked peers sent while they were busy for this viewer: it weighs where others are placed. */
  readonly goodput: readonly (readonly [peerId: string, bytesPerSecond: number])[];
}

/** Server → viewer. */
export type ServerMessage =
  | JoinedMessage
  | WantedMessage
  | { readonly type: "attested"; readonly attestation: Attestation }
  | { readonly type: "config"; readonly config: RemoteConfig }
  | RetryMessage
  | NeighboursMessage
  | {
      readonly type: "error";
      readonly q?: number | undefined;
      readonly code: string;
      readonly message: string;
    };

export interface JoinedMessage {
  readonly type: "joined";
  readonly q: number;
  readonly v: number;
  /** The viewer's own id, as the server issued it. */
  readonly id: string;
  /** Server time, Unix milliseconds: expiry is judged by it, never by the viewer's clock. */
  readonly nowMs: number;
  /** Ed25519 public keys (raw, base64url) that sign attestations. */
  readonly keys: readonly (readonly [keyId: string, publicKey: string])[];
  readonly iceServers: readonly IceServer[];
  /** Whom to link with; absent before the first group. */
  readonly neighbourhood?: Neighbourhood | undefined;
  /** Others of these groups, for what the clique cannot do. */
  readonly peers: readonly PeerHint[];
  readonly config: RemoteConfig;
}

/** A neighbour: `dials` says that this viewer begins, `false` that the other one does. */
export type NeighbourHint = readonly [peerId: string, distance: Distance, dials: boolean];

/** The clique that the server put a viewer into, and the links to others. */
export interface Neighbourhood {
  /** Number of the clique; never used twice by one server process. */
  readonly clique: number;
  /** Equal epochs mean equal members. */
  readonly epoch: number;
  /** All members but the viewer itself. */
  readonly members: readonly NeighbourHint[];
  /** Members of other cliques that this viewer is to hold a link to, each with its clique. */
  readonly bridges: readonly (readonly [...NeighbourHint, clique: number])[];
  /** The cliques that any member of this one has a bridge to. */
  readonly around: readonly number[];
}

/** The neighbourhood of a viewer changed; replaces what was said before. At most one a second. */
export interface NeighboursMessage {
  readonly type: "neighbours";
  readonly neighbourhood: Neighbourhood;
}

export interface IceServer {
  readonly urls: string;
  readonly username?: string | undefined;
  readonly credential?: string | undefined;
}

/** What the site's operator may change without a new build. */
export interface RemoteConfig {
  /** `false` is the kill switch: everything from the origin. @default true */
  readonly enabled: boolean;
  /** Share of the viewers that take part, by a number that each of them drew. @default 100 */
  readonly rampPercent: number;
  /** Oldest build that takes part, `major.minor.patch`; empty for any. @default "" */
  readonly minVersion: string;
  /** URL patterns instead of the page's own; none: the page's own. @default [] */
  readonly include: readonly string[];
  /** URL patterns in addition to the page's own. @default [] */
  readonly exclude: readonly string[];
  /** What is sealed, see `seal.ts`: it is shared with the key that the index gives, or not at all. @default [] */
  readonly sealed: readonly string[];
  /** Caps below the page's own, 0 for none: bytes per second, other viewers served at a time. @default 0 */
  readonly uploadMaxRate: number;
  readonly uploadMaxParallel: number;
}

/** The server is about to close the socket: come back at a random moment of the given time. */
export interface RetryMessage {
  readonly type: "retry";
  readonly withinMs: number;
}

export interface WantedMessage {
  readonly type: "wanted";
  readonly q: number;
  readonly url: string;
  readonly window: number;
  /** Present, or `refused` is. */
  readonly attestation?: Attestation | undefined;
  /** Key of a sealed asset: of the one that was asked for by its id, else of what is attested here. */
  readonly seal?: string | undefined;
  readonly refused?: Refusal | undefined;
  readonly holders: readonly PeerHint[];
}

/** Why the server does not vouch for an asset, and how long that answer may be kept. */
export interface Refusal {
  readonly reason: string;
  readonly retryMs: number;
}
