/**
 * Who may open a WebSocket: path, site, address and capacity are checked before anything is allocated.
 * @module
 */
import type { IncomingMessage } from "node:http";
import { isIP } from "node:net";
import type { Duplex } from "node:stream";
import { type WebSocket, WebSocketServer } from "ws";
import { SIGNAL_MESSAGE_MAX_BYTES } from "../../protocol/limits.js";
import type { Quotas } from "../admission/quotas.js";
import { pathOf } from "../http/http-routes.js";
import type { Metrics } from "../http/metrics.js";
import type { ServerConfig } from "../options.js";
import { type Locality, localityOf } from "../swarm/locality.js";

/** An accepted WebSocket and what its request said. */
export interface Upgraded {
  readonly ws: WebSocket;
  readonly parameters: URLSearchParams;
  readonly siteOrigin: string | undefined;
  readonly locality: Locality;
}

export interface UpgradeOptions {
  readonly config: ServerConfig;
  readonly metrics: Metrics;
  readonly quotas: Quotas;
  readonly nowMs: () => number;
  /** Owns the socket from then on. */
  readonly onSocket: (upgraded: Upgraded) => void;
}

const STATUS = {
  404: "Not Found",
  403: "Forbidden",
  429: "Too Many Requests",
  503: "Service Unavailable",
} as const;

/** The only door to the server's WebSocket. */
export class UpgradeGate {
  readonly #options: UpgradeOptions;
  readonly #sockets = new WebSocketServer({
    noServer: true,
    maxPayload: SIGNAL_MESSAGE_MAX_BYTES,
    perMessageDeflate: false,
    maxFragments: 16,
    maxBufferedChunks: 64,
  });
  readonly #perAddress = new Map<string, number>();
  readonly #perSite = new Map<string, number>();
  #closed = false;

  constructor(options: UpgradeOptions) {
    this.#options = options;
    this.#sockets.on("wsClientError", (_error, socket) => socket.destroy());
  }

  /** WebSockets that are open or closing. */
  get sockets(): ReadonlySet<WebSocket> {
    return this.#sockets.clients;
  }

  /** Sockets by site, the most first. */
  viewersBySite(max: number): [site: string, viewers: number][] {
    return [...this.#perSite].sort(([, a], [, b]) => b - a).slice(0, max);
  }

  /** Refuses every upgrade from now on. */
  close(): void {
    this.#closed = true;
  }

  /** Handles one `upgrade` event of the HTTP server. */
  handle(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    socket.on("error", () => socket.destroy());
    const { config, quotas, nowMs } = this.#options;
    if (pathOf(request.url).replace(/\/$/, "") !== "/peerjs") {
      this.#handOver(request, socket, head);
      return;
    }
    const siteOrigin = request.headers.origin;
    const locality = localityOf(addressOf(request, config.trustProxy));
    if (!allowsSite(config.sites, siteOrigin)) {
      this.#refuse(socket, 403, "site");
    } else if (this.#closed || this.#sockets.clients.size >= config.viewersMax) {
      this.#refuse(socket, 503, "full");
    } else if ((this.#perAddress.get(locality.address) ?? 0) >= config.socketsPerAddressMax) {
      this.#refuse(socket, 429, "address");
    } else if ((this.#perSite.get(siteOrigin ?? "") ?? 0) >= config.viewersPerSiteMax) {
      this.#refuse(socket, 429, "quota");
    } else if (quotas.join({ address: locality.address, siteOrigin }, nowMs()) !== undefined) {
      this.#refuse(socket, 429, "quota");
    } else {
      const parameters = parametersOf(request.url ?? "");
      this.#sockets.handleUpgrade(request, socket, head, (ws) => {
        count(ws, this.#perAddress, locality.address);
        count(ws, this.#perSite, siteOrigin ?? "");
        this.#options.onSocket({ ws, parameters, siteOrigin, locality });
      });
    }
  }

  #handOver(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const { onUpgrade } = this.#options.config;
    if (!onUpgrade) {
      this.#refuse(socket, 404, "path");
      return;
    }
    try {
      Promise.resolve(onUpgrade(request, socket, head)).catch(() => socket.destroy());
    } catch {
      socket.destroy();
    }
  }

  #refuse(
    socket: Duplex,
    status: keyof typeof STATUS,
    reason: "path" | "site" | "full" | "address" | "quota",
  ): void {
    this.#options.metrics.add("nearcast_upgrades_refused_total", reason);
    socket.once("finish", () => socket.destroy());
    socket.end(
      `HTTP/1.1 ${status} ${STATUS[status]}\r\nConnection: close\r\nContent-Length: 0\r\n` +
        `${status === 429 || status === 503 ? "Retry-After: 60\r\n" : ""}\r\n`,
    );
  }
}

/** Counts a socket under a name for as long as it lives. */
function count(ws: WebSocket, counts: Map<string, number>, name: string): void {
  counts.set(name, (counts.get(name) ?? 0) + 1);
  ws.once("close", () => {
    const left = (counts.get(name) ?? 1) - 1;
    if (left > 0) counts.set(name, left);
    else counts.delete(name);
  });
}

/** A client without `Origin` is no browser: it may only connect where everybody may. */
export function allowsSite(sites: readonly string[], origin: string | undefined): boolean {
  return sites.includes("*") || (origin !== undefined && sites.includes(origin));
}

/** The last entry of X-Forwarded-For is the one that the trusted proxy itself wrote. */
function addressOf({ headers, socket }: IncomingMessage, trustProxy: boolean): string {
  const forwarded = [headers["x-forwarded-for"] ?? []].flat().join(",").split(",").at(-1)?.trim();
  if (trustProxy && forwarded !== undefined && isIP(forwarded) !== 0) return forwarded;
  return socket.remoteAddress ?? "unknown";
}

function parametersOf(target: string): URLSearchParams {
  const at = target.indexOf("?");
  return new URLSearchParams(at < 0 ? "" : target.slice(at + 1));
}
