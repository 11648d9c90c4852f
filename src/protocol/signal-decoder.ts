/**
 * Decodes index messages, which come from a machine that nobody vouches for: every field of every message is
 * checked and bounded, and what is not described here is malformed. This module is pure.
 * @module
 */
import { isAttestation } from "./attestation.js";
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
  JOIN_TOKEN_MAX_LENGTH,
  PEERS_PER_ANSWER_MAX,
  URL_MAX_LENGTH,
} from "./limits.js";
import { isSealPatterns } from "./seal.js";
import type {
  AnnounceMessage,
  HeldWindows,
  IceServer,
  JoinedMessage,
  JoinMessage,
  NeighbourHint,
  Neighbourhood,
  NeighboursMessage,
  PeerHint,
  Refusal,
  RemoteConfig,
  RetryMessage,
  ServerMessage,
  StatsMessage,
  ViewerMessage,
  WantedMessage,
  WantMessage,
} from "./signal-messages.js";

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
  sealed: isSealPatterns,
  uploadMaxRate: isCount(2 ** 31),
  uploadMaxParallel: isCount(16),
});

const viewerGuards = {
  join: isShape<JoinMessage>({
    type: isLiteral("join"),
    q: isQuestion,
    v: isCount(1_000),
    groups: isArray(isUrl, GROUPS_MAX),
    token: isOptional(isString(JOIN_TOKEN_MAX_LENGTH)),
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
    seal: isOptional(isString(43, /^[A-Za-z0-9_-]{43}$/)),
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
