/**
 * The only module that knows PeerJS. It uses PeerJS for what it is good at, the dance of offers, answers
 * and candidates over one WebSocket, and treats it as an untrusted pipe for everything else: serializer
 * `raw` only, every frame filtered before PeerJS sees it, no default server, STUN or TURN ever contacted.
 * Our own bytes travel on two negotiated channels of the same RTCPeerConnection, never through PeerJS.
 * @module
 */
import { type DataConnection, Peer } from "peerjs";
import { backoffMs } from "../../core/backoff.js";
import { BULK_BUFFERED_MAX_BYTES, CONNECTIONS_MAX } from "../../protocol/limits.js";
import type { IceServer } from "../../protocol/signal-messages.js";
import { harmless, type RelayedFrame } from "./frame-filter.js";

/** One RTCPeerConnection with our two channels; who closes it closes all of it. */
export interface Connection {
  readonly peerId: string;
  readonly initiator: boolean;
  readonly control: RTCDataChannel;
  readonly bulk: RTCDataChannel;
  readonly peerConnection: RTCPeerConnection;
  close(): void;
}

export interface SignalingHandlers {
  /** The socket is open (again); `id` is this viewer's id. */
  onOpen(id: string): void;
  onClosed(): void;
  /** An index message, not yet checked. */
  onMessage(message: unknown): void;
  onConnection(connection: Connection): void;
  onError(error: unknown): void;
}

/** Stream ids of the negotiated channels; PeerJS's own channel has 0 or 1. */
const CONTROL_CHANNEL = 100;
const BULK_CHANNEL = 101;

const INBOUND_PENDING_MAX = 8;
/** A server that is back after however long has its viewers again within 15 s. */
const RECONNECT = { minMs: 250, maxMs: 12_000 };

const SERVER_ONLY: ReadonlySet<string> = new Set([
  "OPEN",
  "ERROR",
  "ID-TAKEN",
  "INVALID-KEY",
  "EXPIRE",
]);

/** What we use of PeerJS beyond its types; checked by a test against the pinned version. */
interface PeerInternals {
  readonly _serializers: Record<string, unknown>;
  _handleMessage(message: unknown): void;
}

/** The socket to the server and the connections made over it; reconnects for ever until `signal` aborts. */
export class Signaling {
  readonly #url: URL;
  readonly #lan: boolean;
  readonly #relayOnly: boolean;
  readonly #now: () => number;
  readonly #random: () => number;
  readonly #handlers: SignalingHandlers;
  readonly #signal: AbortSignal;
  readonly #connections = new Set<DataConnection>();
  /** Survives reconnects: it proves to the server that the id is ours. */
  readonly #token = crypto.randomUUID();
  #peer: Peer | undefined;
  #iceServers: readonly IceServer[];
  #attempt = 0;
  /** Nobody calls the server before that moment, by `now`. */
  #restUntilMs = 0;

  constructor(options: {
    readonly url: URL;
    readonly iceServers: readonly IceServer[];
    readonly lan: boolean;
    /** Whether links may only go over a TURN relay, which hides this viewer's address from others. */
    readonly relayOnly: boolean;
    /** Monotonic, milliseconds. */
    readonly now: () => number;
    readonly random: () => number;
    readonly handlers: SignalingHandlers;
    readonly signal: AbortSignal;
  }) {
    this.#url = options.url;
    this.#iceServers = options.iceServers;
    this.#lan = options.lan;
    this.#relayOnly = options.relayOnly;
    this.#now = options.now;
    this.#random = options.random;
    this.#handlers = options.handlers;
    this.#signal = options.signal;
    this.#signal.addEventListener("abort", () => this.#peer?.destroy(), { once: true });
    this.#start();
  }

  get open(): boolean {
    return this.#peer?.open ?? false;
  }

  /** Used for connections made from now on. */
  set iceServers(servers: readonly IceServer[]) {
    this.#iceServers = servers;
    if (this.#peer) this.#peer.options.config = this.#rtcConfiguration();
  }

  /** The server took us in: the next loss of the socket is a new one. */
  joined(): void {
    this.#attempt = 0;
  }

  /** Closes the socket, links live on, and leaves the server alone for a while. */
  rest(ms: number): void {
    this.#restUntilMs = this.#now() + ms;
    this.#peer?.disconnect();
  }

  /** @returns Whether the message left; PeerJS drops silently what is sent while the socket is down. */
  send(message: object): boolean {
    if (!this.open) return false;
    this.#peer?.socket.send(message);
    return true;
  }

  /** Starts a connection; it is not open yet. `undefined` while the socket is down or all places are taken. */
  dial(peerId: string): Connection | undefined {
    const peer = this.#peer;
    if (!peer?.open || this.#connections.size >= CONNECTIONS_MAX) return undefined;
    const connection = peer.connect(peerId, { serialization: "raw", reliable: true });
    return connection && this.#adopt(connection, true);
  }

  #start(): void {
    const { hostname, port, protocol, pathname } = this.#url;
    const secure = protocol === "wss:" || protocol === "https:";
    const peer = new Peer(undefined as unknown as string, {
      host: hostname,
      port: port === "" ? (secure ? 443 : 80) : Number(port),
      path: pathname.endsWith("/") ? pathname : `${pathname}/`,
      key: "peerjs",
      secure,
      token: this.#token,
      // The server's WebSocket pings keep the socket open; a throttled tab's timer would not.
      pingInterval: 55_000,
      debug: 0,
      config: this.#rtcConfiguration(),
    });
    this.#peer = peer;
    this.#guard(peer);
    let known = false;
    peer.on("open", (id) => {
      known = true;
      this.#handlers.onOpen(id);
    });
    peer.on("error", (error) => this.#failed(peer, error, known));
    peer.on("disconnected", () => {
      this.#handlers.onClosed();
      this.#retry(peer);
    });
    peer.on("close", () => this.#retry(peer));
    peer.on("connection", (connection) => this.#inbound(connection));
  }

  /** @param known Whether the server once knew this peer's id. */
  #failed(peer: Peer, error: Error & { type?: string }, known: boolean): void {
    // One viewer that is gone is no fault of ours; the link's own time-out deals with it.
    if (error.type === "peer-unavailable" || error.type === "network") return;
    this.#handlers.onError(error);
    if (error.type === "unavailable-id" || error.type === "server-error") {
      // The server does not know our id any more (it restarted without its key): take a new one, and at once, for it is
      // there. PeerJS itself would disconnect next, and we would show the same id for ever.
      if (known) this.#attempt = 0;
      if (!peer.destroyed) peer.destroy();
    }
  }

  /** Reconnects with the same id, so that links live on; a destroyed peer is replaced. */
  #retry(peer: Peer): void {
    if (this.#signal.aborted || peer !== this.#peer) return;
    const backoff = backoffMs(this.#attempt++, { ...RECONNECT, random: this.#random });
    const delayMs = Math.max(backoff, this.#restUntilMs - this.#now());
    const timer = setTimeout(() => {
      if (this.#signal.aborted || peer !== this.#peer) return;
      if (peer.destroyed) this.#start();
      else if (peer.disconnected) peer.reconnect();
    }, delayMs);
    this.#signal.addEventListener("abort", () => clearTimeout(timer), { once: true });
  }

  /** Puts our filter between the socket and PeerJS, and leaves it one serializer. */
  #guard(peer: Peer): void {
    const { _serializers: serializers } = internalsOf(peer);
    Object.setPrototypeOf(serializers, null);
    for (const name of Object.keys(serializers)) if (name !== "raw") delete serializers[name];
    peer.socket.removeAllListeners("message");
    peer.socket.on("message", (message: unknown) => {
      try {
        this.#receive(peer, message);
      } catch (error) {
        this.#handlers.onError(error);
      }
    });
  }

  #receive(peer: Peer, message: unknown): void {
    if (typeof message !== "object" || message === null) return;
    const { type } = message as { type?: unknown };
    if (typeof type !== "string") return;
    if (type === type.toLowerCase()) return this.#handlers.onMessage(message);
    if (SERVER_ONLY.has(type)) return internalsOf(peer)._handleMessage(message);
    const frame = harmless(message as RelayedFrame, {
      lan: this.#lan,
      mayAccept: () =>
        this.#inboundPending() < INBOUND_PENDING_MAX && this.#connections.size < CONNECTIONS_MAX,
      knows: (peerId, connectionId) => Boolean(peer.getConnection(peerId, connectionId)),
    });
    if (frame) internalsOf(peer)._handleMessage(frame);
  }

  #inboundPending(): number {
    let pending = 0;
    for (const connection of this.#connections) {
      const state = connection.peerConnection?.connectionState;
      if (state === "new" || state === "connecting") pending++;
    }
    return pending;
  }

  #inbound(connection: DataConnection): void {
    const adopted = this.#adopt(connection, false);
    if (adopted) this.#handlers.onConnection(adopted);
  }

  #adopt(connection: DataConnection, initiator: boolean): Connection | undefined {
    const { peerConnection } = connection;
    if (!peerConnection) return undefined;
    this.#connections.add(connection);
    connection.on("error", (error) => this.#handlers.onError(error));
    refuseExtraChannels(peerConnection, initiator ? 0 : 1);
    const channel = (label: string, id: number) => {
      const made = peerConnection.createDataChannel(label, { negotiated: true, id });
      made.binaryType = "arraybuffer";
      return made;
    };
    const bulk = channel("bulk", BULK_CHANNEL);
    bulk.bufferedAmountLowThreshold = BULK_BUFFERED_MAX_BYTES / 4;
    return {
      peerId: connection.peer,
      initiator,
      control: channel("control", CONTROL_CHANNEL),
      bulk,
      peerConnection,
      close: () => {
        this.#connections.delete(connection);
        connection.close();
        // PeerJS does not close a connection that never opened.
        peerConnection.close();
      },
    };
  }

  #rtcConfiguration(): RTCConfiguration {
    return {
      iceServers: this.#iceServers.map(toRtcIceServer),
      ...(this.#relayOnly && { iceTransportPolicy: "relay" }),
    };
  }
}

/** PeerJS would take any further channel a peer opens for the connection's own. */
function refuseExtraChannels(peerConnection: RTCPeerConnection, expected: number): void {
  const accept = peerConnection.ondatachannel;
  let seen = 0;
  peerConnection.ondatachannel = (event) => {
    if (seen++ < expected) accept?.call(peerConnection, event);
    else event.channel.close();
  };
}

function internalsOf(peer: Peer): PeerInternals {
  return peer as unknown as PeerInternals;
}

function toRtcIceServer({ urls, username, credential }: IceServer): RTCIceServer {
  return {
    urls,
    ...(username !== undefined && { username }),
    ...(credential !== undefined && { credential }),
  };
}
