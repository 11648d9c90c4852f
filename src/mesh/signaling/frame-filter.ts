/**
 * What another viewer's frames may say to PeerJS. A frame is rebuilt from the few fields that we use, with only
 * those addresses left that may be dialled; everything else about it is thrown away. This module is pure.
 * @module
 */
import { filterDescription, mayDial } from "./ice-filter.js";

/** A frame of another viewer, as the server hands it on. */
export interface RelayedFrame {
  readonly type: string;
  readonly src: string;
  readonly payload: Record<string, unknown>;
}

export interface FrameFilterOptions {
  /** Private addresses may be dialled. */
  readonly lan: boolean;
  /** Whether one more call may come in. */
  readonly mayAccept: () => boolean;
  /** Whether there is such a connection: PeerJS would keep frames for others for ever. */
  readonly knows: (peerId: string, connectionId: string) => boolean;
}

const RELAYED: ReadonlySet<string> = new Set(["OFFER", "ANSWER", "CANDIDATE"]);
const CONNECTION_ID_MAX_LENGTH = 64;

/**
 * Makes a frame harmless. A LEAVE of another viewer closes nothing: the link itself knows best whether it lives.
 *
 * @returns A new frame; `undefined` if it is not worth keeping.
 */
export function harmless(
  { type, src, payload }: RelayedFrame,
  options: FrameFilterOptions,
): RelayedFrame | undefined {
  if (!RELAYED.has(type) || typeof src !== "string") return undefined;
  if (typeof payload !== "object" || payload === null) return undefined;
  const connectionId = payload["connectionId"];
  if (typeof connectionId !== "string" || connectionId.length > CONNECTION_ID_MAX_LENGTH) {
    return undefined;
  }
  const content = contentOf(type, src, connectionId, payload, options);
  return content && { type, src, payload: { type: "data", connectionId, ...content } };
}

function contentOf(
  type: string,
  src: string,
  connectionId: string,
  payload: Record<string, unknown>,
  { lan, mayAccept, knows }: FrameFilterOptions,
): Record<string, unknown> | undefined {
  if (type === "OFFER") {
    if (payload["type"] !== "data" || payload["serialization"] !== "raw") return undefined;
    const sdp = mayAccept() ? descriptionOf(payload["sdp"], lan) : undefined;
    return sdp && { serialization: "raw", reliable: true, sdp };
  }
  if (!knows(src, connectionId)) return undefined;
  if (type === "ANSWER") {
    const sdp = descriptionOf(payload["sdp"], lan);
    return sdp && { sdp };
  }
  const candidate = payload["candidate"] as RTCIceCandidateInit | undefined;
  if (typeof candidate?.candidate !== "string") return undefined;
  return mayDial(candidate.candidate, { lan }) ? { candidate } : undefined;
}

function descriptionOf(value: unknown, lan: boolean): RTCSessionDescriptionInit | undefined {
  const { type, sdp } = (value ?? {}) as Partial<RTCSessionDescriptionInit>;
  if ((type !== "offer" && type !== "answer") || typeof sdp !== "string") return undefined;
  return { type, sdp: filterDescription(sdp, { lan }) };
}
