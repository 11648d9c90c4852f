/**
 * Where an accepted WebSocket becomes a viewer: checks key, id and token, opens the session, and sends
 * each frame to the one who understands it.
 * @module
 */
import type { Admission } from "../admission/admission.js";
import type { TokenObjection } from "../admission/join-desk.js";
import { type OtherNodes, whenKnown } from "../cluster/other-nodes.js";
import type { Metrics } from "../http/metrics.js";
import type { ServerConfig } from "../options.js";
import type { IndexService } from "../swarm/index-service.js";
import type { MemoryIndex } from "../swarm/memory-index.js";
import type { PeerIds } from "./ids.js";
import {
  ID_TAKEN_FRAME,
  INVALID_ID_FRAME,
  INVALID_KEY_FRAME,
  INVALID_TOKEN_FRAME,
  OPEN_FRAME,
  type PeerServer,
} from "./peerserver.js";
import type { Arrival, Session, Sessions } from "./sessions.js";
import type { Upgraded } from "./upgrade.js";
import { CLOSE, ViewerSocket } from "./viewer-socket.js";

const KEY = "peerjs";
const TOKEN_MAX_LENGTH = 1_024;

/** A hundred viewers come back in a second, as far as that is possible in half a minute. */
const RETRY_MIN_MS = 1_000;
const RETRY_MAX_MS = 30_000;

/** What a viewer may say before it has shown its join token. */
const BEFORE_ADMISSION: ReadonlySet<string> = new Set(["join", "HEARTBEAT", "LEAVE"]);

export interface ViewerDeskOptions {
  readonly config: Pick<ServerConfig, "messagesPerSecond" | "messagesBurst">;
  readonly ids: PeerIds;
  readonly sessions: Sessions;
  readonly admission: Admission;
  readonly index: MemoryIndex;
  readonly relay: PeerServer;
  readonly service: IndexService;
  /** They must not have the same viewer. */
  readonly others: Pick<OtherNodes, "claim" | "release">;
  readonly metrics: Metrics;
  readonly nowMs: () => number;
}

/** Welcomes viewers and routes what they say. */
export class ViewerDesk {
  readonly #options: ViewerDeskOptions;

  constructor(options: ViewerDeskOptions) {
    this.#options = options;
  }

  /** Takes ownership of a WebSocket. */
  welcome({ ws, parameters, siteOrigin, locality }: Upgraded): void {
    const { config, others, metrics, nowMs } = this.#options;
    const { messagesPerSecond, messagesBurst } = config;
    metrics.add("nearcast_sockets_total");
    let session: Session | undefined;
    let ended = false;
    /** What PeerJS says before it has heard `OPEN`; no more than the budget of messages lets through. */
    const early: string[] = [];
    const socket = new ViewerSocket(ws, {
      metrics,
      nowMs,
      messagesPerSecond,
      messagesBurst,
      onText: (text) => (session ? this.#receive(session, text) : early.push(text)),
      onEnd: () => {
        ended = true;
        if (session) this.#leave(session, socket);
      },
    });
    const id = parameters.get("id") ?? "";
    const token = parameters.get("token") ?? "";
    const arrival = { id, token, siteOrigin, locality };
    const objection = this.#objectionTo(parameters.get("key"), arrival);
    if (objection !== undefined) {
      turnAway(socket, objection);
      return;
    }
    const begin = (isOurs: boolean) => {
      if (ended && isOurs && !this.#options.sessions.get(id)) others.release(id);
      if (ended) return;
      session = isOurs ? this.#open(arrival, socket) : undefined;
      if (!session) turnAway(socket, ID_TAKEN_FRAME);
      else for (const text of early) this.#receive(session, text);
    };
    void whenKnown(others.claim(arrival), begin, () => socket.terminate());
  }

  #open(arrival: Arrival, socket: ViewerSocket): Session | undefined {
    const { sessions, admission, index, nowMs } = this.#options;
    const session = sessions.open(arrival, socket, nowMs());
    if (!session) return undefined;
    const judged = (objection: TokenObjection | undefined) => {
      if (session.over || session.socket !== socket) return;
      if (objection !== undefined) {
        turnAway(socket, INVALID_TOKEN_FRAME);
        return;
      }
      index.add(arrival.id, arrival.locality);
      socket.send(OPEN_FRAME);
    };
    const verdict = admission.begin(session, arrival.token);
    void whenKnown(verdict, judged, () => socket.terminate());
    return session;
  }

  #leave(session: Session, socket: ViewerSocket): void {
    const { sessions, admission, index, service, others, nowMs } = this.#options;
    if (!sessions.close(session, socket, nowMs())) return;
    admission.end(session);
    index.remove(session.id);
    service.gone(session.id);
    others.release(session.id);
  }

  /** The server is about to close: viewers shall come back, but not all at once (rule R70). */
  sayRetry(): void {
    const { sessions, service } = this.#options;
    const withinMs = Math.min(RETRY_MAX_MS, Math.max(RETRY_MIN_MS, 10 * sessions.size));
    for (const session of sessions.all()) service.tellRetry(session, withinMs);
  }

  /** The settings of the sites have changed. */
  tellConfig(): void {
    for (const session of this.#options.sessions.all()) this.#options.service.tellConfig(session);
  }

  /** Called at a steady pace: finds the sockets that died without a word. */
  pingAll(): void {
    for (const { socket } of this.#options.sessions.all()) socket.ping();
  }

  #objectionTo(key: string | null, arrival: Arrival): string | undefined {
    const { ids, sessions, nowMs } = this.#options;
    const { id, token } = arrival;
    if (key !== KEY) return INVALID_KEY_FRAME;
    if (!ids.recognises(id)) return INVALID_ID_FRAME;
    if (token === "" || token.length > TOKEN_MAX_LENGTH) return INVALID_TOKEN_FRAME;
    return sessions.refuses(arrival, nowMs()) ? ID_TAKEN_FRAME : undefined;
  }

  /** PeerJS's types are upper case, the index's lower case: they never meet. */
  #receive(session: Session, text: string): void {
    const { relay, service, metrics } = this.#options;
    const frame = parseJson(text);
    const type = typeOf(frame);
    if (type === undefined) metrics.add("nearcast_rejected_total", "json");
    else if (!session.admitted && !BEFORE_ADMISSION.has(type)) {
      metrics.add("nearcast_rejected_total", "token");
    } else if (/^[A-Z]/.test(type)) relay.receive(session, frame);
    else service.receive(session, frame);
  }
}

function turnAway(socket: ViewerSocket, frame: string): void {
  socket.send(frame);
  socket.close(CLOSE.normal, "not accepted");
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // dropped by the caller like anything without a type
  }
}

function typeOf(frame: unknown): string | undefined {
  if (typeof frame !== "object" || frame === null || !Object.hasOwn(frame, "type"))
    return undefined;
  const { type } = frame as { type: unknown };
  return typeof type === "string" ? type : undefined;
}
