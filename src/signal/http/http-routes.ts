/**
 * The server's own HTTP paths: an id for PeerJS, health, metrics. Everything else is the embedder's.
 * @module
 */
import { randomBytes } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { ServerOptions } from "../options.js";
import { type DashboardData, dashboardPage, dashboardPolicy } from "./dashboard.js";

export interface RouteOptions {
  /** What the pages of a site shall do, as JSON. */
  readonly remoteConfigOf: (siteOrigin: string | undefined) => object;
  readonly issueId: () => string;
  readonly allowsSite: (origin: string) => boolean;
  readonly viewerCount: () => number;
  /** `undefined` without Redis. */
  readonly redisState: () => "up" | "slow" | "down" | undefined;
  readonly metricsText: () => string;
  readonly dashboardData: () => DashboardData;
  readonly onRequest: ServerOptions["onRequest"];
}

type Route = (request: IncomingMessage, response: ServerResponse) => void;

/** Nothing is changed by HTTP. */
const READING: ReadonlySet<string | undefined> = new Set(["GET", "HEAD", "OPTIONS"]);

/** Makes the handler of every HTTP request; it never throws. */
export function createRoutes(options: RouteOptions): Route {
  const routes = new Map<string, Route>([
    [
      "/peerjs/id",
      (request, response) =>
        answerPage(request, response, options, "text/plain; charset=utf-8", options.issueId),
    ],
    [
      "/peerjs/config",
      (request, response) =>
        answerPage(request, response, options, "application/json", (siteOrigin) =>
          JSON.stringify(options.remoteConfigOf(siteOrigin ?? siteOf(request.url))),
        ),
    ],
    ["/dashboard", (_request, response) => answerDashboard(response)],
    [
      "/dashboard/data",
      (_request, response) =>
        answer(response, 200, "application/json", JSON.stringify(options.dashboardData())),
    ],
    ["/healthz", (_request, response) => answerHealth(response, options)],
    [
      "/metrics",
      (_request, response) =>
        answer(response, 200, "text/plain; version=0.0.4; charset=utf-8", options.metricsText()),
    ],
  ]);
  return (request, response) => {
    request.on("error", () => {}); // the response's own events say what became of it
    response.on("error", () => {});
    const route = routes.get(pathOf(request.url));
    if (route && !READING.has(request.method)) answerUnreadable(response);
    else if (route) route(request, response);
    else handOver(request, response, options.onRequest);
  };
}

/** The path of a request target, without its query. */
export function pathOf(target: string | undefined): string {
  return (target ?? "").replace(/[?#].*$/s, "");
}

/** Answers what pages of an allowed site may read. */
function answerPage(
  { method, headers: { origin } }: IncomingMessage,
  response: ServerResponse,
  { allowsSite }: RouteOptions,
  type: string,
  bodyFor: (siteOrigin: string | undefined) => string,
): void {
  // A same-origin GET carries no Origin; an id alone is worth nothing before the upgrade's own check.
  if (origin !== undefined) {
    if (!allowsSite(origin)) {
      answer(response, 403, "text/plain", "this site is not allowed");
      return;
    }
    response.setHeader("access-control-allow-origin", origin);
  }
  response.setHeader("vary", "origin");
  if (method === "OPTIONS") {
    response.setHeader("access-control-allow-methods", "GET");
    response.setHeader("access-control-max-age", "86400");
    answer(response, 204, "text/plain", "");
  } else {
    answer(response, 200, type, bodyFor(origin));
  }
}

function answerUnreadable(response: ServerResponse): void {
  response.setHeader("allow", [...READING].join(", "));
  answer(response, 405, "text/plain", "use GET");
}

/** A page on the server's own origin sends no `Origin`, so it names itself. */
function siteOf(target: string | undefined): string | undefined {
  return new URLSearchParams(/\?(.*)$/s.exec(target ?? "")?.[1]).get("site") ?? undefined;
}

function answerDashboard(response: ServerResponse): void {
  const nonce = randomBytes(16).toString("base64url");
  response.setHeader("content-security-policy", dashboardPolicy(nonce));
  response.setHeader("referrer-policy", "no-referrer");
  answer(response, 200, "text/html; charset=utf-8", dashboardPage(nonce));
}

/** Without its Redis a node still serves its own viewers: whoever asks must not take it out of service. */
function answerHealth(response: ServerResponse, options: RouteOptions): void {
  const redis = options.redisState();
  const status = redis === undefined || redis === "up" ? "ok" : "degraded";
  const body = JSON.stringify({ status, viewers: options.viewerCount(), redis });
  answer(response, 200, "application/json", body);
}

function answer(response: ServerResponse, status: number, type: string, body: string): void {
  response.writeHead(status, {
    "content-type": type,
    ...(status !== 204 && { "content-length": Buffer.byteLength(body) }),
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
  });
  response.end(body);
}

/** What the embedder's handler throws or rejects with ends its own request only. */
function handOver(
  request: IncomingMessage,
  response: ServerResponse,
  onRequest: ServerOptions["onRequest"],
): void {
  if (!onRequest) {
    answer(response, 404, "text/plain", "not found");
    return;
  }
  const fail = () => {
    if (response.headersSent) response.destroy();
    else answer(response, 500, "text/plain", "internal error");
  };
  try {
    Promise.resolve(onRequest(request, response)).catch(fail);
  } catch {
    fail();
  }
}
