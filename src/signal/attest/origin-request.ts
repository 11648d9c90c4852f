/**
 * One anonymous request to an origin: no cookies, no redirects, no compression, bounded in time.
 * @module
 */
import { lookup } from "node:dns";
import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";
import type { LookupFunction } from "node:net";
import type { Header } from "../../protocol/attestation.js";
import { isPrivateAddress } from "../private-addresses.js";
import { refusal } from "./asset-rules.js";

export interface OriginRequest {
  readonly method: "GET" | "HEAD";
  /** Site whose viewers want to share; becomes the `Origin` header. */
  readonly siteOrigin: string | undefined;
  readonly range?: string;
  /** Ends the request and the response's body. */
  readonly signal: AbortSignal;
}

/** Owns the connections to origins. */
export class OriginClient {
  readonly #http: HttpAgent;
  readonly #https: HttpsAgent;

  /**
   * @param mayBePrivate Whether a name may stand for a private address. If not, whoever controls a name
   * of the allow-list cannot lead the server into its own network (threat E11).
   */
  constructor({ mayBePrivate, resolve = lookup }: { mayBePrivate: boolean; resolve?: Lookup }) {
    const agent = {
      keepAlive: true,
      maxSockets: 16,
      lookup: mayBePrivate ? resolve : publicOnly(resolve),
    };
    this.#http = new HttpAgent(agent);
    this.#https = new HttpsAgent(agent);
  }

  /** Resolves with the response's head; rejects if there is none. The caller consumes the body. */
  open(url: URL, { method, siteOrigin, range, signal }: OriginRequest): Promise<IncomingMessage> {
    const headers = {
      accept: "*/*",
      "accept-encoding": "identity",
      "user-agent": "nearcast-attestor",
      ...(range !== undefined && { range }),
      ...(siteOrigin !== undefined && { origin: siteOrigin }),
    };
    const secure = url.protocol === "https:";
    const agent = secure ? this.#https : this.#http;
    return new Promise((resolve, reject) => {
      const send = secure ? httpsRequest : httpRequest;
      send(url, { method, headers, agent, signal }, resolve).on("error", reject).end();
    });
  }

  close(): void {
    this.#http.destroy();
    this.#https.destroy();
  }
}

type Lookup = LookupFunction;

/** The address that is looked at is the one that is connected to: a name cannot change in between. */
function publicOnly(resolve: Lookup): Lookup {
  return (hostname, options, callback) =>
    resolve(hostname, options, (error, address, family) => {
      const found = typeof address === "string" ? [address] : address.map((entry) => entry.address);
      const hidden = hostname !== "localhost" && found.some(isPrivateAddress);
      if (error === null && hidden) {
        callback(refusal("origin's name stands for a private address"), "", 0);
      } else callback(error, address, family);
    });
}

/**
 * Runs `work` with a signal that aborts after a time, or with its owner. A timer of our own, because
 * Node may collect what `AbortSignal.any` made of a time-out before it fires (nodejs/node#54614).
 */
export async function withDeadline<T>(
  { timeoutMs, owner }: { readonly timeoutMs: number; readonly owner: AbortSignal },
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort(new Error("Cannot wait longer")), timeoutMs);
  const end = () => stop.abort(owner.reason);
  owner.addEventListener("abort", end, { once: true });
  if (owner.aborted) end();
  try {
    return await work(stop.signal);
  } finally {
    clearTimeout(timer);
    owner.removeEventListener("abort", end);
  }
}

/** All response headers, names in lower case, repeated ones kept apart. */
export function headersOf({ rawHeaders }: IncomingMessage): Header[] {
  return Array.from({ length: rawHeaders.length / 2 }, (_, index) => [
    (rawHeaders[2 * index] ?? "").toLowerCase(),
    rawHeaders[2 * index + 1] ?? "",
  ]);
}

/** The value of a header that occurs once; `undefined` if it is missing. */
export function headerOf(headers: readonly Header[], wanted: string): string | undefined {
  return headers.find(([name]) => name === wanted)?.[1];
}
