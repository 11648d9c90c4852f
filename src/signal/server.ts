/**
 * Composition root of the server: builds every part, hands each socket to them, owns the life of all.
 * @module
 */
import { randomBytes } from "node:crypto";
import { realpath, stat } from "node:fs/promises";
import { Admission } from "./admission/admission.js";
import { Quotas } from "./admission/quotas.js";
import { Attestor } from "./attest/attestor.js";
import { DiskSource } from "./attest/disk-source.js";
import { HttpSource } from "./attest/http-source.js";
import { OriginClient } from "./attest/origin-request.js";
import { SealKeys } from "./attest/seal-keys.js";
import { openSigner, type Signer } from "./attest/signer.js";
import { type ClusterOptions, joinCluster } from "./cluster/cluster.js";
import { ALONE, type ClusterStatus, type OtherNodes } from "./cluster/other-nodes.js";
import { Seal } from "./cluster/seal.js";
import { closeAll, createHttpServer, listen } from "./http/http-listener.js";
import { createRoutes } from "./http/http-routes.js";
import { Metrics } from "./http/metrics.js";
import { invalid } from "./option-checks.js";
import { resolveServerOptions, type ServerConfig, type ServerOptions } from "./options.js";
import { resolveSiteBook, type SettingsOfSites, type SiteBook } from "./site-settings.js";
import { PeerIds } from "./sockets/ids.js";
import { PeerServer } from "./sockets/peerserver.js";
import { Sessions } from "./sockets/sessions.js";
import { allowsSite, UpgradeGate } from "./sockets/upgrade.js";
import { ViewerDesk } from "./sockets/viewer-desk.js";
import { CLOSE } from "./sockets/viewer-socket.js";
import { IndexService } from "./swarm/index-service.js";
import { MemoryIndex } from "./swarm/memory-index.js";
import { Neighbourhoods } from "./swarm/neighbourhoods.js";

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
  const { desk, others } = await openDesk({
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
  const pages = { ids, sites, sessions, others, metrics, neighbourhoods, attestor, gate };
  const server = createHttpServer(config, pagesFor(config, pages));
  server.on("upgrade", (request, socket, head) => gate.handle(request, socket, head));
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

/** What the server answers over HTTP: to viewers, to people, to monitors. */
function pagesFor(
  config: ServerConfig,
  parts: {
    readonly ids: PeerIds;
    readonly sites: () => SiteBook;
    readonly sessions: Sessions;
    readonly others: OtherNodes;
    readonly metrics: Metrics;
    readonly neighbourhoods: Neighbourhoods;
    readonly attestor: Attestor;
    readonly gate: UpgradeGate;
  },
): ReturnType<typeof createRoutes> {
  const { ids, sites, sessions, others, metrics, neighbourhoods, attestor, gate } = parts;
  return createRoutes({
    issueId: () => ids.issue(),
    remoteConfigOf: (siteOrigin) => sites().of(siteOrigin).remote,
    allowsSite: (origin) => allowsSite(config.sites, origin),
    viewerCount: () => sessions.size,
    redisState: () => others.status()?.state,
    metricsText: () =>
      metrics.format({
        nearcast_viewers: sessions.size,
        nearcast_cliques: neighbourhoods.cliqueCount,
        nearcast_attested_windows: attestor.attestedCount,
        ...gaugesOf(others.status()),
      }),
    dashboardData: () => ({
      build: NEARCAST_BUILD,
      uptimeS: process.uptime(),
      viewers: sessions.size,
      attestedWindows: attestor.attestedCount,
      redis: others.status(),
      sites: gate.viewersBySite(SITES_SHOWN_MAX).map(([site, viewers]) => {
        const { requireToken, remote } = sites().of(site);
        const { enabled, rampPercent } = remote;
        return { site, viewers, enabled, rampPercent, requireToken };
      }),
      counters: metrics.snapshot(),
    }),
    onRequest: config.onRequest,
  });
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

interface DeskParts {
  readonly config: ServerConfig;
  readonly signer: Signer;
  readonly sessions: Sessions;
  readonly attestor: Attestor;
  readonly metrics: Metrics;
  readonly ids: PeerIds;
  readonly quotas: Quotas;
  readonly sites: () => SiteBook;
  readonly neighbourhoods: Neighbourhoods;
  readonly signal: AbortSignal;
}

async function openDesk(parts: DeskParts): Promise<{ desk: ViewerDesk; others: OtherNodes }> {
  const { config, sessions, neighbourhoods } = parts;
  const nowMs = Date.now;
  const isAlone = config.redisUrls.length === 0;
  const index = new MemoryIndex({
    random: Math.random,
    onChange: isAlone ? undefined : (change) => others.tell(change),
  });
  let relay: PeerServer | undefined;
  const others = isAlone
    ? ALONE
    : await findOthers(parts, {
        source: index,
        onHop: (hop) => relay?.receiveHop(hop) ?? false,
        onLost: (id) => sessions.get(id)?.socket.close(CLOSE.replaced, "replaced by a new socket"),
      });
  const { lan, stockClients } = config;
  const admission = new Admission({ ...parts, others, nowMs });
  relay = new PeerServer({
    ...{ ...parts, lan, stockClients, others, nowMs },
    neighbours: (idA, idB) => neighbourhoods.related(idA, idB),
  });
  const sealKeys = new SealKeys(parts.signer.deriveSecret("seals"));
  const service = new IndexService({ ...parts, index, admission, sealKeys, others, nowMs });
  const desk = new ViewerDesk({ ...parts, index, admission, others, nowMs, relay, service });
  return { desk, others };
}

/** Nodes with the same key file are one deployment; without one they cannot tell who writes to their Redis. */
function findOthers(
  { config, signer, metrics, signal }: DeskParts,
  ends: Pick<ClusterOptions, "source" | "onHop" | "onLost">,
): Promise<OtherNodes> {
  const { keyFile, redisUrls: urls, log } = config;
  if (keyFile === undefined) {
    log("redis: without a key file that all nodes share, ids are good at one node only");
  }
  const secret = keyFile === undefined ? Buffer.from("nearcast") : signer.deriveSecret("cluster");
  return joinCluster({
    ...{ ...ends, urls, metrics, log, signal },
    scope: keyFile === undefined ? "keyless" : signer.keyId,
    seal: new Seal(secret),
    node: randomBytes(8).toString("hex"),
    nowMs: Date.now,
    random: Math.random,
  });
}

function gaugesOf(status: ClusterStatus | undefined): Record<string, number> {
  if (!status) return {};
  return {
    nearcast_redis_up: status.state === "down" ? 0 : 1,
    nearcast_redis_latency_seconds: status.latencyMs / 1_000,
    nearcast_nodes: status.nodes,
    nearcast_shared_keys: status.keys,
  };
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
