/**
 * The only module that knows the client library, which is loaded when there is a Redis to talk to: finds out
 * what is behind a URL, and keeps connections to it that come back by themselves.
 * @module
 */
import { backoffMs } from "../../core/backoff.js";
import { NearcastError } from "../../core/errors.js";

/** A connection over which nothing came for so long is made anew. */
const SILENT_MAX_MS = 2_000;
const CONNECT_MAX_MS = 2_000;
export const RETRY_MS = { minMs: 100, maxMs: 1_000 };

/** A connection that only listens shows this way that it lives. */
const PING_INTERVAL_MS = SILENT_MAX_MS / 4;

/** Commands that the library keeps; the caller's own limit is lower. */
const QUEUE_MAX = 20_000;

/** Keys that lie all over a cluster; nothing is there. */
const PROBED_KEYS = Array.from({ length: 8 }, (_, place) => `nearcast:{${place}}`);

/** Nothing waits for a connection to come back: what is late is worth nothing. */
const SETTINGS = {
  disableOfflineQueue: true,
  commandsQueueMaxLength: QUEUE_MAX,
  maintNotifications: "disabled",
  disableClientInfo: true,
} as const;

export type Library = typeof import("@redis/client");

/** What was found to be behind a URL. */
interface Kind {
  readonly cluster: boolean;
  /** Whether channels have a slot, like keys (Redis 7, Valkey). */
  readonly sharded: boolean;
}

/** Connections to one server, or to all of a cluster. */
export interface Connection {
  /** Whether channels are published to with SPUBLISH. */
  readonly sharded: boolean;
  /** Whether publishing tells if anybody listens. */
  readonly countsListeners: boolean;
  /** Whether what others publish is heard. */
  readonly isListening: () => boolean;
  /** Asks for a sign of life; of a cluster any part of it will do. */
  readonly probe: () => Promise<unknown>;
  /** Sends one command about one key; rejects at once while the connection is gone. */
  readonly send: (key: string, args: readonly string[]) => Promise<unknown>;
  readonly close: () => void;
}

export interface ConnectionOptions {
  /** One server, or some of a cluster's. */
  readonly urls: readonly string[];
  /** Is listened to. */
  readonly channel: string;
  readonly onText: (text: string) => void;
  readonly onFailure: () => void;
  /** In [0, 1). */
  readonly random: () => number;
}

/**
 * Loads the client library, an optional dependency.
 *
 * @throws {NearcastError} `config/invalid` if it is not installed.
 */
export async function loadLibrary(): Promise<Library> {
  try {
    return await import("@redis/client");
  } catch (cause) {
    const message = "Cannot use `redis` as the package @redis/client is not installed";
    throw new NearcastError("config/invalid", message, { cause });
  }
}

/** @throws {Error} If nothing answers there, or it cannot be used. */
export async function connectRedis(
  library: Library,
  url: string,
  options: ConnectionOptions,
): Promise<Connection> {
  const kind = await kindOf(library, url, options);
  return kind.cluster
    ? connectCluster(library, kind, options)
    : connectServer(library, kind, { ...options, url });
}

async function kindOf(
  { createClient }: Library,
  url: string,
  options: ConnectionOptions,
): Promise<Kind> {
  const socket = { ...socketFor(options), reconnectStrategy: false } as const;
  const probe = createClient({ url, ...SETTINGS, socket });
  probe.on("error", () => {}); // what is awaited says it too
  try {
    await probe.connect();
    const info = String(await probe.sendCommand(["INFO", "cluster"]));
    const [sharded] = (await probe.sendCommand(["COMMAND", "INFO", "SPUBLISH"])) as unknown[];
    return { cluster: /cluster_enabled:1/.test(info), sharded: Array.isArray(sharded) };
  } finally {
    if (probe.isOpen) probe.destroy();
  }
}

async function connectServer(
  { createClient }: Library,
  { sharded }: Kind,
  options: ConnectionOptions & { readonly url: string },
): Promise<Connection> {
  const { url, channel, onText, onFailure } = options;
  const client = createClient({ url, ...SETTINGS, socket: socketFor(options) });
  const ears = client.duplicate({ pingInterval: PING_INTERVAL_MS });
  for (const each of [client, ears]) each.on("error", onFailure);
  const close = () => {
    for (const each of [client, ears]) if (each.isOpen) each.destroy();
  };
  await orClose(close, async () => {
    await Promise.all([client.connect(), ears.connect()]);
    await (sharded ? ears.sSubscribe(channel, onText) : ears.subscribe(channel, onText));
  });
  return {
    sharded,
    countsListeners: true,
    isListening: () => ears.isReady,
    probe: () => client.sendCommand(["PING"]),
    send: (_key, args) => client.sendCommand(args),
    close,
  };
}

async function connectCluster(
  { createCluster }: Library,
  { sharded }: Kind,
  options: ConnectionOptions,
): Promise<Connection> {
  const { urls, channel, onText, onFailure } = options;
  const cluster = createCluster({
    rootNodes: urls.map((url) => ({ url })),
    // The cluster's own list of servers lacks who we are and whether to encrypt.
    defaults: {
      ...SETTINGS,
      ...credentialsOf(urls),
      pingInterval: PING_INTERVAL_MS,
      socket: { ...socketFor(options), ...(isEncrypted(urls) && { tls: true }) },
    },
  });
  cluster.on("error", onFailure);
  const close = () => {
    if (cluster.isOpen) cluster.destroy();
  };
  await orClose(close, async () => {
    await cluster.connect();
    await (sharded ? cluster.sSubscribe(channel, onText) : cluster.subscribe(channel, onText));
  });
  return {
    sharded,
    // Without slots for channels each server of a cluster knows of its own listeners only.
    countsListeners: sharded,
    // The library keeps the subscription to itself, and moves it with its slot.
    isListening: () => true,
    probe: () =>
      Promise.any(PROBED_KEYS.map((key) => cluster.sendCommand(key, false, ["EXISTS", key]))),
    send: (key, args) => cluster.sendCommand(key, false, [...args]),
    close,
  };
}

async function orClose(close: () => void, open: () => Promise<void>): Promise<void> {
  try {
    await open();
  } catch (error) {
    close();
    throw error;
  }
}

function socketFor({ random }: ConnectionOptions) {
  return {
    connectTimeout: CONNECT_MAX_MS,
    socketTimeout: SILENT_MAX_MS,
    reconnectStrategy: (attempt: number) => backoffMs(attempt, { ...RETRY_MS, random }),
  };
}

function credentialsOf([url = ""]: readonly string[]) {
  const { username, password } = new URL(url);
  return {
    ...(username !== "" && { username: decodeURIComponent(username) }),
    ...(password !== "" && { password: decodeURIComponent(password) }),
  };
}

function isEncrypted([url = ""]: readonly string[]): boolean {
  return url.startsWith("rediss:");
}
