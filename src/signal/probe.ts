/**
 * Asks a server as a page of a site would: opens a socket, joins, wants one attestation. For `nearcast doctor`.
 * @module
 */
import { randomUUID } from "node:crypto";
import { WebSocket } from "ws";
import { PROTOCOL_VERSION } from "../protocol/limits.js";
import { decodeServerMessage } from "../protocol/signal-decoder.js";
import type { ServerMessage } from "../protocol/signal-messages.js";

export interface ProbeOptions {
  /** The server as `data-server` names it; its path ends with a slash. */
  readonly serverUrl: URL;
  /** Origin of the pages. */
  readonly siteOrigin: string;
  /** The asset to ask for, if any. */
  readonly assetUrl: string | undefined;
  readonly timeoutMs: number;
}

/** What came of it: the first thing that failed, or how the server judges the asset. */
export type ProbeResult =
  | { readonly failed: "id" | "socket" | "join"; readonly reason: string }
  | { readonly attested: boolean | undefined; readonly reason: string };

/** Never rejects. */
export async function probeServer(options: ProbeOptions): Promise<ProbeResult> {
  const { serverUrl, siteOrigin, timeoutMs } = options;
  const http = new URL("peerjs/id", serverUrl);
  http.protocol = http.protocol.replace("ws", "http");
  let id: string;
  try {
    const signal = AbortSignal.timeout(timeoutMs);
    const response = await fetch(http, { headers: { origin: siteOrigin }, signal });
    if (!response.ok) return { failed: "id", reason: `status ${response.status}` };
    id = await response.text();
  } catch (error) {
    return { failed: "id", reason: reasonOf(error) };
  }
  const address = new URL(`peerjs?key=peerjs&id=${id}&token=${randomUUID()}`, serverUrl);
  address.protocol = address.protocol.replace("http", "ws");
  const ws = new WebSocket(address, { origin: siteOrigin, handshakeTimeout: timeoutMs });
  try {
    return await converse(ws, options);
  } finally {
    ws.terminate();
  }
}

function converse(ws: WebSocket, { assetUrl, timeoutMs }: ProbeOptions): Promise<ProbeResult> {
  const { promise, resolve } = withResolvers<ProbeResult>();
  const say = (message: object) => ws.send(JSON.stringify(message));
  const timer = setTimeout(
    () => resolve({ failed: "join", reason: "no answer in time" }),
    timeoutMs,
  );
  ws.on("error", (error) => resolve({ failed: "socket", reason: reasonOf(error) }));
  ws.on("close", (code) => resolve({ failed: "join", reason: `closed with ${code}` }));
  ws.on("message", (data) => {
    const frame = JSON.parse(String(data)) as { type: string };
    if (frame.type === "OPEN") say({ type: "join", q: 1, v: PROTOCOL_VERSION, groups: [] });
    if (frame.type !== frame.type.toLowerCase()) return;
    const message: ServerMessage = decodeServerMessage(frame);
    if (message.type === "error") resolve({ failed: "join", reason: message.message });
    if (message.type === "joined" && assetUrl === undefined) {
      resolve({ attested: undefined, reason: "" });
    } else if (message.type === "joined") say({ type: "want", q: 2, url: assetUrl, window: 0 });
    if (message.type === "wanted") {
      const { attestation, refused } = message;
      resolve({ attested: attestation !== undefined, reason: refused?.reason ?? "" });
    }
  });
  return promise.finally(() => clearTimeout(timer));
}

/** `Promise.withResolvers`, which Node 20 does not have. */
function withResolvers<T>() {
  let resolve: (value: T) => void = () => {};
  const promise = new Promise<T>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}

function reasonOf(error: unknown): string {
  const { message, cause } = error as Error;
  return cause instanceof Error ? cause.message : message;
}
