/**
 * The relay of the PeerServer protocol, as PeerJS 1.5.5 speaks it: OFFER, ANSWER, CANDIDATE and LEAVE pass
 * from viewer to viewer, HEARTBEAT is accepted, everything else is the server's to say and is dropped.
 * The source of a message is stamped here; payloads are rebuilt from the fields that PeerJS reads. Nothing
 * is queued for the absent: their sender gets EXPIRE at once.
 * @module
 */
import { isOptional, isShape, isString } from "../../protocol/guards.js";
import type { Hop } from "../cluster/hop.js";
import { type OtherNodes, whenKnown } from "../cluster/other-nodes.js";
import type { Metrics } from "../http/metrics.js";
import { type SignalPayload, withoutPrivateCandidates } from "./ice-candidates.js";
import type { Session, Sessions } from "./sessions.js";
import { CLOSE } from "./viewer-socket.js";

/** What the server says of itself. */
export const OPEN_FRAME = JSON.stringify({ type: "OPEN" });
export const ID_TAKEN_FRAME = frameWithMessage("ID-TAKEN", "ID is taken");
export const INVALID_KEY_FRAME = frameWithMessage("INVALID-KEY", "Invalid key provided");
export const INVALID_ID_FRAME = frameWithMessage("ERROR", "Invalid id: ask this server for one");
export const INVALID_TOKEN_FRAME = frameWithMessage("ERROR", "No usable token supplied");

/** Serializers of the stock client; any other name throws inside the receiving page. */
const SERIALIZATIONS: ReadonlySet<unknown> = new Set(["raw", "binary", "binary-utf8", "json"]);

/** Fields that PeerJS reads from each kind of payload. */
const PAYLOAD_FIELDS = {
  OFFER: ["sdp", "type", "connectionId", "metadata", "label", "reliable", "serialization"],
  ANSWER: ["sdp", "type", "connectionId"],
  CANDIDATE: ["candidate", "type", "connectionId"],
} as const;

type PayloadType = keyof typeof PAYLOAD_FIELDS;

interface Envelope {
  readonly type: string;
  readonly dst?: string | undefined;
  readonly payload?: unknown;
  /** Whatever the client claims: it is never read. */
  readonly src?: unknown;
}

const isAnything = (value: unknown): value is unknown => value !== null || value === null;

const isEnvelope = isShape<Envelope>({
  type: isString(16),
  dst: isOptional(isString(64)),
  payload: isAnything,
  src: isAnything,
});

const isConnectionId = isOptional(isString(128));

/** Relays for all sessions of one server. */
export class PeerServer {
  readonly #sessions: Sessions;
  readonly #metrics: Metrics;
  readonly #lan: boolean;
  readonly #stockClients: boolean;
  readonly #neighbours: (idA: string, idB: string) => boolean;
  readonly #others: Pick<OtherNodes, "send">;
  readonly #nowMs: () => number;

  constructor(options: {
    readonly sessions: Sessions;
    readonly metrics: Metrics;
    readonly lan: boolean;
    /** Whether viewers that never joined the index may call each other. */
    readonly stockClients: boolean;
    /** Whether two viewers are to be linked now, however long ago they were told so. */
    readonly neighbours: (idA: string, idB: string) => boolean;
    /** Where those are who are not here. */
    readonly others: Pick<OtherNodes, "send">;
    readonly nowMs: () => number;
  }) {
    this.#sessions = options.sessions;
    this.#metrics = options.metrics;
    this.#lan = options.lan;
    this.#stockClients = options.stockClients;
    this.#neighbours = options.neighbours;
    this.#others = options.others;
    this.#nowMs = options.nowMs;
  }

  /** Handles one frame with an upper-case type. */
  receive(from: Session, frame: unknown): void {
    if (!isEnvelope(frame)) {
      this.#reject("envelope");
      return;
    }
    const { type, dst } = frame;
    if (type === "HEARTBEAT") {
      this.#metrics.add("nearcast_messages_total", type);
    } else if (type === "LEAVE") {
      this.#leave(from, dst);
    } else if (!isPayloadType(type) || dst === undefined) {
      this.#reject("type");
    } else {
      const payload = this.#cleanPayload(type, frame.payload);
      if (payload) this.#relay(from, type, dst, payload);
      else this.#reject("payload");
    }
  }

  /** Without `dst` the viewer signs off, which ends its socket and with it all it announced. */
  #leave(from: Session, dst: string | undefined): void {
    this.#metrics.add("nearcast_messages_total", "LEAVE");
    if (dst === undefined) {
      from.socket.close(CLOSE.normal, "left");
    } else {
      const to = this.#sessions.get(dst);
      if (!to && this.#mayHop(from, dst)) void this.#others.send(hopOf("LEAVE", from, dst));
      if (!to || !this.#introduced(from, to)) return;
      to.socket.send(JSON.stringify({ type: "LEAVE", src: from.id, dst }));
    }
  }

  #relay(from: Session, type: PayloadType, dst: string, payload: object): void {
    this.#metrics.add("nearcast_messages_total", type);
    const to = this.#sessions.get(dst);
    const answer = (arrived: boolean) => {
      // A stranger and an absent one get the same answer: nobody learns who is here.
      if (!arrived) sendExpire(from, dst);
    };
    if (to) answer(this.#introduced(from, to) && this.#deliver(to, type, from.id, payload));
    else if (!this.#mayHop(from, dst)) answer(false);
    else {
      const arrived = this.#others.send({ ...hopOf(type, from, dst), payload });
      void whenKnown(arrived, answer, () =>
        this.#metrics.add("nearcast_rejected_total", "internal"),
      );
    }
  }

  /** @returns `false` if the viewer has more offers than it can take. */
  #deliver(to: Session, type: PayloadType, src: string, payload: object): boolean {
    if (type === "OFFER" && !to.offers.take(this.#nowMs())) return false;
    this.#metrics.add("nearcast_relayed_total", type);
    to.socket.send(JSON.stringify({ type, src, dst: to.id, payload }));
    return true;
  }

  /**
   * Handles what a viewer of another node says to one of this node. That node has seen to it that the two
   * are introduced; that they can bear what is said is looked at here, where it counts.
   *
   * @returns Whether it was delivered.
   */
  receiveHop({ kind, src, dst, stock, payload }: Hop): boolean {
    const to = this.#sessions.get(dst);
    if (!to || (stock && !(this.#stockClients && !to.joined))) return false;
    if (kind === "EXPIRE") sendExpire(to, src);
    else if (kind === "LEAVE") to.socket.send(JSON.stringify({ type: kind, src, dst }));
    else if (isPayloadType(kind)) {
      const clean = this.#cleanPayload(kind, payload);
      if (!clean) this.#reject("payload");
      if (!clean || !this.#deliver(to, kind, src, clean)) return false;
      if (!stock) to.introductions.meet(src, this.#nowMs());
    }
    return true;
  }

  /** Whether a viewer that is not here may be spoken to: the index named it, it has called, or all are stock clients. */
  #mayHop(from: Session, dst: string): boolean {
    const nowMs = this.#nowMs();
    const isKnown = from.introductions.knows(dst, nowMs);
    if (isKnown) from.introductions.renew(dst, nowMs);
    return isKnown || (this.#stockClients && !from.joined);
  }

  /** Whether the index named one to the other of late (rule R47), or both are stock clients. */
  #introduced(from: Session, to: Session): boolean {
    const nowMs = this.#nowMs();
    if (from.introductions.knows(to.id, nowMs) || to.introductions.knows(from.id, nowMs)) {
      from.introductions.renew(to.id, nowMs);
      to.introductions.renew(from.id, nowMs);
      return true;
    }
    if (this.#neighbours(from.id, to.id)) return true;
    return this.#stockClients && !from.joined && !to.joined;
  }

  /** @returns The payload with known fields only, or `undefined` if PeerJS could not use it. */
  #cleanPayload(type: PayloadType, payload: unknown): object | undefined {
    if (typeof payload !== "object" || payload === null || Array.isArray(payload)) return undefined;
    const fields = PAYLOAD_FIELDS[type].flatMap((name) =>
      Object.hasOwn(payload, name)
        ? [[name, (payload as Record<string, unknown>)[name]] as const]
        : [],
    );
    const clean: SignalPayload = Object.fromEntries(fields);
    if (!isConnectionId(clean.connectionId)) return undefined;
    // Media calls are not ours to broker: they make the receiving page ask for nothing it wants.
    if (clean.type !== "data" && (type === "OFFER" || clean.type !== undefined)) {
      return undefined;
    }
    if (type === "OFFER" && !SERIALIZATIONS.has(clean.serialization)) return undefined;
    return this.#lan ? clean : withoutPrivateCandidates(clean);
  }

  #reject(reason: "envelope" | "type" | "payload"): void {
    this.#metrics.add("nearcast_rejected_total", reason);
  }
}

function hopOf(kind: Hop["kind"], { id, joined }: Session, dst: string): Hop {
  return { kind, src: id, dst, stock: !joined };
}

function sendExpire(to: Session, absent: string): void {
  to.socket.send(JSON.stringify({ type: "EXPIRE", src: absent, dst: to.id }));
}

function isPayloadType(type: string): type is PayloadType {
  return Object.hasOwn(PAYLOAD_FIELDS, type);
}

function frameWithMessage(type: string, msg: string): string {
  return JSON.stringify({ type, payload: { msg } });
}
