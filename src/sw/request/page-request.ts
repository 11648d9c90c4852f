/**
 * A page's request together with what is fixed for it, whichever way it is answered.
 * @module
 */
import type { StrategyHandler } from "workbox-strategies";
import { needsSignature } from "../../engine/rules/sharing-policy.js";
import { type AskedRange, canonicalUrl } from "../../protocol/asset.js";
import { PROTOCOL_VERSION } from "../../protocol/limits.js";
import type { Want } from "../../protocol/worker-messages.js";
import { Pacer } from "../answer/paced.js";
import { corsAllows, type responseHead } from "../answer/response-head.js";
import { WHOLE_MAX_BYTES } from "../answer/whole-body.js";
import type { Company } from "../company.js";
import { Authorisation } from "../origin/authorisation.js";
import { findHost, type HostTab } from "../pages/host-tab.js";
import { parseRange } from "./byte-range.js";

declare const self: ServiceWorkerGlobalScope;

export interface PageRequest {
  readonly request: Request;
  readonly handler: StrategyHandler;
  readonly url: string;
  readonly range: AskedRange | undefined;
  readonly crossOrigin: boolean;
  /** Only what the publisher signed may answer it (rule R7). */
  readonly active: boolean;
  readonly company: Company;
  readonly authorisation: Authorisation;
  readonly pacer: Pacer;
  /** Looked for beside the store, not after it. */
  readonly host: Promise<HostTab | undefined>;
}

export function pageRequest(
  request: Request,
  handler: StrategyHandler,
  { company, stripParams }: { company: Company; stripParams: readonly string[] },
): PageRequest {
  return {
    request,
    handler,
    range: parseRange(request.headers.get("range") ?? ""),
    company,
    pacer: new Pacer(),
    host: findHost().catch(() => undefined),
    url: canonicalUrl(request.url, stripParams),
    authorisation: new Authorisation(request, stripParams.length > 0),
    crossOrigin: new URL(request.url).origin !== self.location.origin,
    active: needsSignature(request),
  };
}

/** What the host is asked. */
export function wantOf({ request, handler, url, range, active }: PageRequest): Want {
  return {
    nearcast: PROTOCOL_VERSION,
    type: "want",
    url,
    clientId: (handler.event as FetchEvent).clientId,
    destination: request.destination,
    range,
    active,
  };
}

/**
 * Whether a host may see the answer without having planned it: who reads a body with a digest waits for all of it, and
 * an open range says nothing of what is to come.
 */
export function showable({ request, range }: PageRequest): boolean {
  return request.integrity === "" && (!range || range.end !== undefined);
}

/** Whether the worker may make the answer: another origin's only where that lets the site read it (rules R35, R36). */
export function maySynthesise(
  { crossOrigin, request }: PageRequest,
  { headers, length }: Parameters<typeof responseHead>[0],
): boolean {
  if (request.integrity !== "" && length > WHOLE_MAX_BYTES) return false;
  return !crossOrigin || corsAllows(headers, self.location.origin);
}
