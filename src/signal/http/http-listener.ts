/**
 * The HTTP server below everything: limits on what may be half open, listening, and an end within two seconds.
 * @module
 */
import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import type { ServerConfig } from "../options.js";
import type { UpgradeGate } from "../sockets/upgrade.js";
import { CLOSE } from "../sockets/viewer-socket.js";
import { localityOf } from "../swarm/locality.js";

/** Time that viewers get to close their sockets. */
const DRAIN_MS = 1_500;

/** Time a client may take to send the head of a request, and how often that is looked at. */
const HEADERS_TIMEOUT_MS = 5_000;
const CHECK_INTERVAL_MS = 1_000;

/** A browser sends some twenty. */
const HEADERS_MAX = 100;

/** Makes the server; it does not listen yet. */
export function createHttpServer(
  { trustProxy, connectionsPerAddressMax }: ServerConfig,
  onRequest: RequestListener,
): Server {
  const limits = {
    headersTimeout: HEADERS_TIMEOUT_MS,
    connectionsCheckingInterval: CHECK_INTERVAL_MS,
  };
  const server = createServer(limits, onRequest);
  server.maxHeadersCount = HEADERS_MAX;
  if (!trustProxy) capConnections(server, connectionsPerAddressMax);
  server.on("clientError", refuse);
  return server;
}

/** What is no HTTP, or too much of it, is told so: a connection that just breaks looks like a server that is down. */
function refuse({ code = "" }: NodeJS.ErrnoException, socket: Duplex): void {
  if (code === "ECONNRESET" || !socket.writable) {
    socket.destroy();
    return;
  }
  const status =
    {
      HPE_HEADER_OVERFLOW: "431 Request Header Fields Too Large",
      ERR_HTTP_REQUEST_TIMEOUT: "408 Request Timeout",
    }[code] ?? "400 Bad Request";
  socket.once("finish", () => socket.destroy());
  socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
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

/** @returns The port that is listened on. */
export function listen(server: Server, { host, port }: ServerConfig): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, () => {
      server.off("error", reject);
      resolve((server.address() as AddressInfo).port);
    });
  });
}

/** Clients come back after a random delay when they see 1012; those that do not answer are cut. */
export async function closeAll(server: Server, gate: UpgradeGate): Promise<void> {
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
