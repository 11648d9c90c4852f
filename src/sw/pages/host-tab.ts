/**
 * Finds the host tab and talks to it: the host holds a lock that is named after its client id. The same lock tells, the
 * moment it is free, that the host is gone; until then it is the host. Nothing here must be remembered.
 * @module
 */
import { PROTOCOL_VERSION } from "../../protocol/limits.js";
import {
  HOST_ALIVE_PREFIX,
  type HostMessage,
  type PaceAdvice,
  type PaceQuestion,
  type Want,
} from "../../protocol/worker-messages.js";
import { within } from "../within.js";

declare const self: ServiceWorkerGlobalScope;

/** The host's first sign of life, and its plan; without them the origin is asked (rule R16). */
export const ACCEPT_MS = 100;
const PLAN_MS = 2_500;

/** The first plan for a request; a host whose page is busy is silent. */
type Plan = Extract<HostMessage, { type: "origin" | "mesh" }> | { readonly type: "silent" };

/** The host tab of this profile, as the worker sees it. */
export interface HostTab {
  readonly client: Client;
  /** Aborts when the tab closes, crashes or stops being host. */
  readonly gone: AbortSignal;
}

/** One watch per host: a lock request that waits for the host's own lock to come free. */
const watches = new Map<string, AbortSignal>();

/** Found before: a browser whose processors are busy takes more than {@link ACCEPT_MS} to say it again. */
let known: HostTab | undefined;

/** @returns The host, or `undefined` if no tab is host right now. */
export async function findHost(): Promise<HostTab | undefined> {
  if (known && !known.gone.aborted) return known;
  const { held } = await navigator.locks.query();
  const name = held?.find((lock) => lock.name?.startsWith(HOST_ALIVE_PREFIX))?.name;
  if (name === undefined) return undefined;
  const client = await self.clients.get(name.slice(HOST_ALIVE_PREFIX.length));
  known = client && { client, gone: watch(name) };
  return known;
}

function watch(name: string): AbortSignal {
  const known = watches.get(name);
  if (known) return known;
  const controller = new AbortController();
  watches.set(name, controller.signal);
  const gone = () => {
    watches.delete(name);
    controller.abort();
  };
  navigator.locks.request(name, { mode: "shared" }, gone).catch(gone);
  return controller.signal;
}

/** Hands the host one request and the port that the rest of the exchange runs on. */
export function sendWant({ client }: HostTab, want: Want | PaceQuestion): MessagePort {
  const { port1, port2 } = new MessageChannel();
  client.postMessage(want, [port2]);
  return port1;
}

/** By then a page has its first bytes. */
const LATER_MS = 20;
/** What passes until the host is found waits in memory. */
const FOUND_MAX_MS = 2_000;

/**
 * The same a moment later, to a host that is still being looked for: posted at once, a want costs worker and page some
 * milliseconds just when they pass bytes on.
 */
export function sendWantLater(host: Promise<HostTab | undefined>, want: Want): MessagePort {
  const { port1, port2 } = new MessageChannel();
  setTimeout(async () => {
    const tab = await within(host, FOUND_MAX_MS);
    if (tab) tab.client.postMessage(want, [port2]);
    else port1.close();
  }, LATER_MS);
  return port1;
}

/**
 * Asks the host how fast a body may reach its player.
 *
 * @returns Ends the advice.
 */
export function askPace(
  host: HostTab,
  question: PaceQuestion,
  onAdvice: (advice: PaceAdvice) => void,
): () => void {
  const port = sendWant(host, question);
  port.onmessage = ({ data }: MessageEvent<PaceAdvice>) => onAdvice(data);
  return () => {
    port.postMessage({ type: "end" });
    port.close();
  };
}

/** Waits for the host's plan; `undefined` if it is gone or gives up, or the request is. */
export async function firstPlan(
  port: MessagePort,
  host: HostTab,
  signal: AbortSignal,
): Promise<Plan | undefined> {
  const { promise, resolve } = Promise.withResolvers<Plan | undefined>();
  const giveUp = () => resolve(undefined);
  const silent = () => resolve({ type: "silent" });
  let timer = setTimeout(silent, ACCEPT_MS);
  for (const end of [host.gone, signal]) end.addEventListener("abort", giveUp, { once: true });
  port.onmessage = ({ data }: MessageEvent<HostMessage>) => {
    if (data.type === "accept") {
      clearTimeout(timer);
      timer = setTimeout(silent, PLAN_MS);
    } else if (data.type === "origin" || data.type === "mesh") {
      // What follows on this port waits for its next listener.
      port.onmessage = null;
      resolve(data);
    } else if (data.type === "fail") giveUp();
  };
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
    for (const end of [host.gone, signal]) end.removeEventListener("abort", giveUp);
  }
}

/** Windows were served from the store: they are the last to be evicted. */
export async function tellUsed(assetId: string, from: number, to: number): Promise<void> {
  const host = await findHost();
  host?.client.postMessage({ nearcast: PROTOCOL_VERSION, type: "used", assetId, from, to });
}
