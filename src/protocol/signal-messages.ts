/**
 * Index messages between a viewer and the server. They share the WebSocket of the PeerServer protocol:
 * JSON objects whose `type` is lower case, so they never meet PeerJS's upper-case ones, and that carry
 * no `payload`, so PeerJS ignores them. PROTOCOL.md section 3 is the specification.
 * @module
 */
import { type Attestation, isAttestation } from "./attestation.js";
import {
  decodeByType,
  type Guard,
  isArray,
  isBoolean,
  isCount,
  isEither,
  isLiteral,
  isOptional,
  isShape,
  isString,
  isTuple,
} from "./guards.js";
import {
  ANNOUNCE_MAX_ASSETS,
  CLIQUE_BRIDGES_MAX,
  CLIQUE_MEMBERS_MAX,
  CONNECTIONS_MAX,
  GROUPS_MAX,
  PEERS_PER_ANSWER_MAX,
  URL_MAX_LENGTH,
} from "./limits.js";

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
  readonly refused?: Refusal | undefined;
  readonly holders: readonly PeerHint[];
}

/** Why the server does not vouch for an asset, and how long that answer may be kept. */
export interface Refusal {
  readonly reason: string;
  readonly retryMs: number;
}

const isUrl = isString(URL_MAX_LENGTH, /^https?:\/\//);
export const isPeerId: Guard<string> = isString(64, /^[A-Za-z0-9_-]{8,64}$/);
export const isAssetId: Guard<string> = isString(22, /^[A-Za-z0-9_-]{22}$/);
const isQuestion = isCount(2 ** 31);
const isWindow = isCount(2 ** 18);
const isBytes = isCount(2 ** 40);
const isPercent = isCount(100);
const isDistance = isLiteral(0, 1, 2);
const isHint = isTuple<PeerHint>(isPeerId, isDistance, isPercent);
const isClique = isCount(Number.MAX_SAFE_INTEGER);

const isNeighbourhood = isShape<Neighbourhood>({
  clique: isClique,
  epoch: isClique,
  members: isArray(isTuple<NeighbourHint>(isPeerId, isDistance, isBoolean), CLIQUE_MEMBERS_MAX),
  bridges: isArray(
    isTuple<Neighbourhood["bridges"][number]>(isPeerId, isDistance, isBoolean, isClique),
    CLIQUE_BRIDGES_MAX,
  ),
  around: isArray(isClique, CLIQUE_MEMBERS_MAX),
});

const isPatterns = isArray(isString(512, /^(https?:\/\/[^/*]+)?\/(?!\/)/), 64);
export const isRemoteConfig: Guard<RemoteConfig> = isShape<RemoteConfig>({
  enabled: isBoolean,
  rampPercent: isPercent,
  minVersion: isString(32, /^(\d{1,6}\.\d{1,6}\.\d{1,6})?$/),
  include: isPatterns,
  exclude: isPatterns,
  uploadMaxRate: isCount(2 ** 31),
  uploadMaxParallel: isCount(16),
});

const viewerGuards = {
  join: isShape<JoinMessage>({
    type: isLiteral("join"),
    q: isQuestion,
    v: isCount(1_000),
    groups: isArray(isUrl, GROUPS_MAX),
    token: isOptional(isString(1_024)),
  }),
  leave: isShape<Extract<ViewerMessage, { type: "leave" }>>({
    type: isLiteral("leave"),
    groups: isArray(isUrl, GROUPS_MAX),
  }),
  announce: isShape<AnnounceMessage>({
    type: isLiteral("announce"),
    add: isArray(
      isTuple<readonly [string, HeldWindows]>(
        isAssetId,
        isEither(isLiteral("all"), isArray(isWindow, 1_024)),
      ),
      ANNOUNCE_MAX_ASSETS,
    ),
    remove: isArray(isAssetId, ANNOUNCE_MAX_ASSETS),
    loadPercent: isPercent,
  }),
  want: isShape<WantMessage>({
    type: isLiteral("want"),
    q: isQuestion,
    url: isUrl,
    window: isWindow,
    assetId: isOptional(isAssetId),
  }),
  stats: isShape<StatsMessage>({
    type: isLiteral("stats"),
    cache: isBytes,
    mesh: isBytes,
    origin: isBytes,
    uploaded: isBytes,
    rejected: isBytes,
    goodput: isArray(isTuple<readonly [string, number]>(isPeerId, isBytes), CONNECTIONS_MAX),
  }),
  report: isShape<Extract<ViewerMessage, { type: "report" }>>({
    type: isLiteral("report"),
    peerId: isPeerId,
    reason: isLiteral("corrupt", "stalled"),
  }),
};

const serverGuards = {
  joined: isShape<JoinedMessage>({
    type: isLiteral("joined"),
    q: isQuestion,
    v: isCount(1_000),
    id: isPeerId,
    nowMs: isCount(Number.MAX_SAFE_INTEGER),
    keys: isArray(
      isTuple<readonly [string, string]>(isString(64), isString(43, /^[A-Za-z0-9_-]{43}$/)),
      8,
    ),
    iceServers: isArray(
      isShape<IceServer>({
        urls: isString(512, /^(stun|turn)s?:/),
        username: isOptional(isString(256)),
        credential: isOptional(isString(256)),
      }),
      8,
    ),
    neighbourhood: isOptional(isNeighbourhood),
    peers: isArray(isHint, PEERS_PER_ANSWER_MAX),
    config: isRemoteConfig,
  }),
  wanted: isShape<WantedMessage>({
    type: isLiteral("wanted"),
    q: isQuestion,
    url: isUrl,
    window: isWindow,
    attestation: isOptional(isAttestation),
    refused: isOptional(isShape<Refusal>({ reason: isString(256), retryMs: isCount(2 ** 32) })),
    holders: isArray(isHint, PEERS_PER_ANSWER_MAX),
  }),
  attested: isShape<Extract<ServerMessage, { type: "attested" }>>({
    type: isLiteral("attested"),
    attestation: isAttestation,
  }),
  config: isShape<Extract<ServerMessage, { type: "config" }>>({
    type: isLiteral("config"),
    config: isRemoteConfig,
  }),
  retry: isShape<RetryMessage>({ type: isLiteral("retry"), withinMs: isCount(3_600_000) }),
  neighbours: isShape<NeighboursMessage>({
    type: isLiteral("neighbours"),
    neighbourhood: isNeighbourhood,
  }),
  error: isShape<Extract<ServerMessage, { type: "error" }>>({
    type: isLiteral("error"),
    q: isOptional(isQuestion),
    code: isString(64),
    message: isString(512),
  }),
};

/** @throws {NearcastError} `protocol/malformed` for anything that is not a valid message of a viewer. */
export function decodeViewerMessage(value: unknown): ViewerMessage {
  return decodeByType<ViewerMessage>(viewerGuards, value);
}

/** @throws {NearcastError} `protocol/malformed` for anything that is not a valid message of the server. */
export function decodeServerMessage(value: unknown): ServerMessage {
  return decodeByType<ServerMessage>(serverGuards, value);
}
