/**
 * Where an accepted WebSocket becomes a viewer: checks key, id and token, opens the session, and sends
 * each frame to the one who understands it.
 * @module
 */
import type { Admission } from "../admission/admission.js";
import type { IndexService } from "../index-service.js";
import type { MemoryIndex } from "../memory-index.js";
import type { Metrics } from "../metrics.js";
import type { ServerConfig } from "../options.js";
import type { PeerIds } from "./ids.js";
import {
  ID_TAKEN_FRAME,
  INVALID_ID_FRAME,
  INVALID_KEY_FRAME,
  INVALID_TOKEN_FRAME,
  OPEN_FRAME,
  type PeerServer,
} from "./peerserver.js";
import type { Session, Sessions } from "./sessions.js";
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
    const { config, sessions, admission, index, service, metrics, nowMs } = this.#options;
    const { messagesPerSecond, messagesBurst } = config;
    metrics.add("nearcast_sockets_total");
    let session: Session | undefined;
    const socket = new ViewerSocket(ws, {
      metrics,
      nowMs,
      messagesPerSecond,
      messagesBurst,
      onText: (text) => session && this.#receive(session, text),
      onEnd: () => {
        if (!session || !sessions.close(session, socket, nowMs())) return;
        admission.end(session);
        index.remove(session.id);
        service.gone(session.id);
      },
    });
    const id = parameters.get("id") ?? "";
    const token = parameters.get("token") ?? "";
    const objection = this.#objectionTo(parameters.get("key"), id, token);
    if (objection !== undefined) {
      turnAway(socket, objection);
      return;
    }
    session = sessions.open({ id, token, siteOrigin, locality }, socket, nowMs());
    if (!session) {
      turnAway(socket, ID_TAKEN_FRAME);
      return;
    }
    if (admission.begin(session, token) !== undefined) {
      turnAway(socket, INVALID_TOKEN_FRAME);
      return;
    }
    index.add(id, locality);
    socket.send(OPEN_FRAME);
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

  #objectionTo(key: string | null, id: string, token: string): string | undefined {
    if (key !== KEY) return INVALID_KEY_FRAME;
    if (!this.#options.ids.recognises(id)) return INVALID_ID_FRAME;
    return token === "" || token.length > TOKEN_MAX_LENGTH ? INVALID_TOKEN_FRAME : undefined;
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
