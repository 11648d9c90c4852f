/**
 * What one node tells another about two viewers: a signaling message on its way, that somebody is absent, that
 * a viewer moved. Decoding is total. This module is pure.
 * @module
 */
import {
  type Guard,
  isBoolean,
  isCount,
  isLiteral,
  isOptional,
  isShape,
} from "../../protocol/guards.js";
import { isPeerId } from "../../protocol/signal-decoder.js";
import { isNode, parse } from "./records.js";
import type { Seal } from "./seal.js";

/** `REPLACED`: the viewer `dst` has a new socket elsewhere. */
export type HopKind = "OFFER" | "ANSWER" | "CANDIDATE" | "LEAVE" | "EXPIRE" | "REPLACED";

export interface Hop {
  readonly kind: HopKind;
  readonly src: string;
  readonly dst: string;
  /** The sender never joined the index: it was introduced to nobody. */
  readonly stock: boolean;
  /** As the viewer sent it; whoever delivers it checks it again. */
  readonly payload?: unknown;
}

/** A hop with what tells late and repeated ones. */
export interface Envelope extends Hop {
  /** The node that sent it. */
  readonly node: string;
  /** Grows with every hop of that node. */
  readonly sequence: number;
  readonly sentMs: number;
}

/** A frame of a viewer has at most 16 KiB. */
export const HOP_MAX_LENGTH = 20_480;

/** A client that hears nothing for so long has turned elsewhere, and two offers confuse it. */
export const HOP_MAX_AGE_MS = 5_000;

const isAnything = (value: unknown): value is unknown => value !== null || value === null;

const isEnvelope: Guard<Envelope> = isShape<Envelope>({
  kind: isLiteral("OFFER", "ANSWER", "CANDIDATE", "LEAVE", "EXPIRE", "REPLACED"),
  src: isPeerId,
  dst: isPeerId,
  stock: isBoolean,
  payload: isOptional(isAnything),
  node: isNode,
  sequence: isCount(Number.MAX_SAFE_INTEGER),
  sentMs: isCount(Number.MAX_SAFE_INTEGER),
});

/** @returns `undefined` if it would be too long to be taken. */
export function encodeHop(
  envelope: Envelope,
  { seal, channel }: { seal: Seal; channel: string },
): string | undefined {
  const text = seal.close(channel, JSON.stringify(envelope));
  return text.length > HOP_MAX_LENGTH ? undefined : text;
}

export function decodeHop(
  text: string,
  { seal, channel }: { seal: Seal; channel: string },
): Envelope | undefined {
  if (text.length > HOP_MAX_LENGTH) return undefined;
  const envelope = parse(seal.open(channel, text));
  return isEnvelope(envelope) ? envelope : undefined;
}
