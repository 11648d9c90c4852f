/**
 * Composition root of the server: builds every part, hands each socket to them, owns the life of all.
 * @module
 */
import { randomBytes } from "node:crypto";
import { realpath, stat } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { Admission } from "./admission/admission.js";
import { Quotas } from "./admission/quotas.js";
import { Attestor } from "./attest/attestor.js";
import { DiskSource } from "./attest/disk-source.js";
import { HttpSource } from "./attest/http-source.js";
import { OriginClient } from "./attest/origin-request.js";
import { openSigner, type Signer } from "./attest/signer.js";
import { createRoutes } from "./http-routes.js";
import { IndexService } from "./index-service.js";
import { localityOf } from "./locality.js";
import { MemoryIndex } from "./memory-index.js";
import { Metrics } from "./metrics.js";
import { Neighbourhoods } from "./neighbourhoods.js";
import { invalid } from "./option-checks.js";
import { resolveServerOptions, type ServerConfig, type ServerOptions } from "./options.js";
import { resolveSiteBook, type SettingsOfSites, type SiteBook } from "./site-settings.js";
import { PeerIds } from "./sockets/ids.js";
import { PeerServer } from "./sockets/peerserver.js";
import { Sessions } from "./sockets/sessions.js";
import { allowsSite, UpgradeGate } from "./sockets/upgrade.js";
import { ViewerDesk } from "./sockets/viewer-desk.js";
import { CLOSE } from "./sockets/viewer-socket.js";

/** A running server. */
export interface NearcastServer {
  /** `http://host:port`. */
  readonly url: string;
  readonly port: number;
  /**
   * Replaces the settings of all sites while the server runs; open pages hear of it at once.
   *
   * @throws {NearcastError} `config/invalid`; nothing has changed then.
   */
  configure(settings: SettingsOfSites): void;
  /** Sends every viewer away with code 1012 and ends within two seconds; harmless when repeated. */
  close(): Promise<void>;
}

/** Sites on the dashboard. */
const SITES_SHOWN_MAX = 50;

/** Time that viewers get to close their sockets. */
const DRAIN_MS = 1_500;

/** Time a client may take to send the head of a request, and how often that is looked at. */
const HEADERS_TIMEOUT_MS = 5_000;
const CHECK_INTERVAL_MS = 1_000;

/** A browser sends some twenty. */
const HEADERS_MAX = 100;

/**
 * Starts signaling server and index; resolves when it listens.
 *
 * @throws {NearcastError} `config/invalid` for options that cannot be used.
 * @throws {Error} What Node reports if the address cannot be listened on.
 */
export async function startServer(options: ServerOptions): Promise<NearcastServer> {
  const config = resolveServerOptions(options);
  const root = config.root === undefined ? undefined : await resolveRoot(config.root);
  const signer = await openSigner(config.keyFile);
  const lifetime = new AbortController();
  const client = new OriginClient({ mayBePrivate: config.privateOrigins });
  const metrics = new Metrics();
  const sessions = new Sessions();
  const attestor = createAttestor({
    config,
    root,
    signer,
    client,
    metrics,
    signal: lifetime.signal,
  });
  const ids = new PeerIds(signer.deriveSecret("peer ids"), randomBytes);
  const neighbourhoods = new Neighbourhoods({ random: Math.random });
  const quotas = new Quotas(config);
  let siteBook = config.siteBook;
  const sites = () => siteBook;
  const desk = createDesk({
    ...{ config, signer, sessions, attestor, metrics, ids, quotas, sites, neighbourhoods },
    signal: lifetime.signal,
  });
  const gate = new UpgradeGate({
    config,
    metrics,
    quotas,
    nowMs: Date.now,
    onSocket: (upgraded) => desk.welcome(upgraded),
  });
  const server = createServer(
    { headersTimeout: HEADERS_TIMEOUT_MS, connectionsCheckingInterval: CHECK_INTERVAL_MS },
    createRoutes({
      issueId: () => ids.issue(),
      remoteConfigOf: (siteOrigin) => sites().of(siteOrigin).remote,
      allowsSite: (origin) => allowsSite(config.sites, origin),
      viewerCount: () => sessions.size,
      metricsText: () =>
        metrics.format({
          nearcast_viewers: sessions.size,
          nearcast_cliques: neighbourhoods.cliqueCount,
          nearcast_attested_windows: attestor.attestedCount,
        }),
      dashboardData: () => ({
        build: NEARCAST_BUILD,
        uptimeS: process.uptime(),
        viewers: sessions.size,
        attestedWindows: attestor.attestedCount,
        sites: gate.viewersBySite(SITES_SHOWN_MAX).map(([site, viewers]) => {
          const { requireToken, remote } = sites().of(site);
          const { enabled, rampPercent } = remote;
          return { site, viewers, enabled, rampPercent, requireToken };
        }),
        counters: metrics.snapshot(),
      }),
      onRequest: config.onRequest,
    }),
  );
  server.maxHeadersCount = HEADERS_MAX;
  if (!config.trustProxy) capConnections(server, config.connectionsPerAddressMax);
  server.on("upgrade", (request, socket, head) => gate.handle(request, socket, head));
  server.on("clientError", (_error, socket) => socket.destroy());
  const port = await listen(server, config);
  server.on("error", (error) => config.log(`server error: ${error.message}`));
  const pings = setInterval(() => desk.pingAll(), config.pingIntervalMs);
  const url = `http://${config.host.includes(":") ? `[${config.host}]` : config.host}:${port}`;
  config.log(`listening on ${url}`);

  const drain = async () => {
    clearInterval(pings);
    gate.close();
    lifetime.abort(new Error("Cannot go on: the server closes"));
    desk.sayRetry();
    await closeAll(server, gate);
    client.close();
    config.log("closed");
  };
  let closing: Promise<void> | undefined;
  const close = () => {
    closing ??= drain();
    return closing;
  };
  const configure = (settings: SettingsOfSites) => {
    siteBook = resolveSiteBook(settings);
    desk.tellConfig();
  };
  return { url, port, configure, close };
}

function createAttestor(parts: {
  config: ServerConfig;
  root: string | undefined;
  signer: Signer;
  client: OriginClient;
  metrics: Metrics;
  signal: AbortSignal;
}): Attestor {
  const { config, root, signer, client, metrics, signal } = parts;
  const count = (source: "disk" | "http") => (bytes: number) =>
    metrics.add("nearcast_attested_bytes_total", source, bytes);
  const { freshMs, attestTimeoutMs: timeoutMs } = config;
  const nowMs = Date.now;
  return new Attestor({
    config,
    signer,
    metrics,
    nowMs,
    http: new HttpSource({ client, timeoutMs, signal, nowMs, onBytes: count("http") }),
    disk:
      root === undefined
        ? undefined
        : new DiskSource({ root, freshMs, client, signal, nowMs, onBytes: count("disk") }),
  });
}

function createDesk(parts: {
  config: ServerConfig;
  signer: Signer;
  sessions: Sessions;
  attestor: Attestor;
  metrics: Metrics;
  ids: PeerIds;
  quotas: Quotas;
  sites: () => SiteBook;
  neighbourhoods: Neighbourhoods;
  signal: AbortSignal;
}): ViewerDesk {
  const index = new MemoryIndex({ random: Math.random });
  const nowMs = Date.now;
  const { lan, stockClients } = parts.config;
  const admission = new Admission({ ...parts, nowMs });
  return new ViewerDesk({
    ...parts,
    index,
    admission,
    nowMs,
    relay: new PeerServer({
      ...{ ...parts, lan, stockClients, nowMs },
      neighbours: (idA, idB) => parts.neighbourhoods.related(idA, idB),
    }),
    service: new IndexService({ ...parts, index, admission, nowMs }),
  });
}

async function resolveRoot(root: string): Promise<string> {
  try {
    const path = await realpath(root);
    if ((await stat(path)).isDirectory()) return path;
  } catch {
    // told below
  }
  throw invalid("root", "must be a folder that exists", root);
}

/** Half-open connections cost memory long before they are viewers (threat E7). */
function capConnections(server: Server, max: number): void {
  const perAddress = new Map<string, number>();
  server.on("connection", (socket) => {
    const { address } = localityOf(socket.remoteAddress ?? "unknown");
    const open = perAddress.get(address) ?? 0;
    if (open >= max) {
      socket.destroy();
      return;
    }
    perAddress.set(address, open + 1);
    socket.once("close", () => {
      const left = (perAddress.get(address) ?? 1) - 1;
      if (left > 0) perAddress.set(address, left);
      else perAddress.delete(address);
    });
  });
}

function listen(server: Server, { host, port }: ServerConfig): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, () => {
      server.off("error", reject);
      resolve((server.address() as AddressInfo).port);
    });
  });
}

/** Clients come back after a random delay when they see 1012; those that do not answer are cut. */
async function closeAll(server: Server, gate: UpgradeGate): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  for (const ws of gate.sockets) ws.close(CLOSE.restart, "server restarts");
  server.closeIdleConnections();
  const cut = setTimeout(() => {
    for (const ws of gate.sockets) ws.terminate();
    server.closeAllConnections();
  }, DRAIN_MS);
  await closed;
  clearTimeout(cut);
}
