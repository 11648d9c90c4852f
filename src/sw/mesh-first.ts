/**
 * The way of one request, as a Workbox strategy: own store, then the mesh with the origin beside it, and
 * in every failure the origin alone. We are an optimisation: whatever store and mesh do, the page gets
 * the answer it would have got without us. So their failures are reported, never thrown; only the network
 * can reject.
 * @module
 */
import { Strategy, type StrategyHandler } from "workbox-strategies";
import { needsSignature } from "../engine/rules/sharing-policy.js";
import { type ByteRange, canonicalUrl, piecesOfBytes } from "../protocol/asset.js";
import { OPEN_RANGE_MAX_BYTES, PROTOCOL_VERSION } from "../protocol/limits.js";
import { isFromManifest } from "../protocol/manifest.js";
import type { HostMessage, PaceQuestion, Want } from "../protocol/worker-messages.js";
import { PieceReader } from "../store/piece-store.js";
import { Delivery } from "./answer/delivery.js";
import { DiskPatience } from "./answer/disk-patience.js";
import { storedBody } from "./answer/from-store.js";
import { Pacer, paced } from "./answer/paced.js";
import { RequestMeter } from "./answer/request-meter.js";
import { corsAllows, type ResponseHead, responseHead } from "./answer/response-head.js";
import { WHOLE_MAX_BYTES, wholeIf } from "./answer/whole-body.js";
import { Companies, type Company, companyKey } from "./company.js";
import { Authorisation } from "./origin/authorisation.js";
import { cappedRange, type MeshPlan, type OriginPlan, observed } from "./origin/pass-through.js";
import {
  ACCEPT_MS,
  askPace,
  findHost,
  firstPlan,
  type HostTab,
  sendWant,
  sendWantLater,
  tellUsed,
} from "./pages/host-tab.js";
import { keepAlive } from "./pages/pages.js";
import { type AskedRange, coveredRange, parseRange } from "./request/byte-range.js";
import { requestFor } from "./request/range-request.js";
import { hasUnusualRange } from "./request/request-facts.js";
import { Solitude } from "./solitude.js";
import { within } from "./within.js";

declare const self: ServiceWorkerGlobalScope;

/** Options of {@link MeshFirst}. */
export interface MeshFirstOptions {
  /** Told about every failure of store or mesh. Must not throw. */
  readonly onError?: (error: unknown) => void;
  /**
   * Query parameters that only authorise, as the pages' option of that name; asked anew for each request.
   *
   * @default None
   */
  readonly stripParams?: () => readonly string[];
}

/** A host and the port that one request is handled on. */
interface Line {
  readonly host: HostTab;
  readonly port: MessagePort;
}

/** What is fixed for one request. */
interface Exchange {
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

/** Cache, then mesh, then network; see the module's description. */
export class MeshFirst extends Strategy {
  readonly #onError: (error: unknown) => void;
  readonly #store: PieceReader;
  readonly #stripParams: () => readonly string[];
  readonly #disk = new DiskPatience();
  readonly #solitude = new Solitude();
  readonly #companies = new Companies();

  constructor({ onError = () => undefined, stripParams = () => [] }: MeshFirstOptions = {}) {
    super();
    this.#onError = onError;
    this.#stripParams = stripParams;
    this.#store = new PieceReader({ onError });
  }

  protected override async _handle(request: Request, handler: StrategyHandler): Promise<Response> {
    // Suffixes and several ranges are the origin's business.
    if (hasUnusualRange(request)) return fetch(request);
    const { clientId } = handler.event as FetchEvent;
    const meter = new RequestMeter(clientId, request.url);
    void handler.waitUntil(keepAlive.until(meter.ended));
    const { signal } = request;
    signal.addEventListener("abort", () => void meter.end(0), { once: true });
    const key = companyKey(request, clientId);
    const copy = await this.#companies.find(key)?.join({ meter, signal });
    if (copy) {
      keepAlive.unseen();
      return copy;
    }
    const company = this.#companies.lead(key, { meter, signal });
    try {
      return company.share(await this.#answer(this.#exchange(request, handler, company)));
    } finally {
      company.dismiss();
    }
  }

  async #answer(exchange: Exchange): Promise<Response> {
    return (
      (await this.#attempt(() => this.#fromStore(exchange))) ??
      (await this.#attempt(() => this.#fromMesh(exchange))) ??
      this.#unplanned(exchange)
    );
  }

  #exchange(request: Request, handler: StrategyHandler, company: Company): Exchange {
    const stripParams = this.#stripParams();
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

  async #fromStore(exchange: Exchange): Promise<Response | undefined> {
    const asset = await this.#disk.read(() => this.#store.findAsset(exchange.url, Date.now()));
    const covered = asset && coveredRange(exchange.range, asset.length, OPEN_RANGE_MAX_BYTES);
    if (!asset || !covered || !this.#maySynthesise(exchange, asset)) return undefined;
    const { from, to } = piecesOfBytes(covered);
    const windows = await this.#disk.read(() => this.#store.holds(asset, { from, to }, Date.now()));
    if (!windows) return undefined;
    if (exchange.active && !windows.every(({ attestation }) => isFromManifest(attestation))) {
      return undefined;
    }
    if (!(await exchange.authorisation.grants(asset))) return undefined;
    const head = responseHead(asset, {
      ...exchange,
      covered,
      ranged: exchange.range !== undefined,
    });
    void tellUsed(asset.assetId, from, to);
    const body = storedBody({
      reader: this.#store,
      asset,
      windows,
      covered,
      fetchRange: (bytes, signal) => fetch(requestFor(exchange.request, bytes, signal)),
      onBytes: (source, bytes) => exchange.company.count(source, bytes),
      onEnd: () => exchange.company.end(head.status),
    });
    const { integrity } = exchange.request;
    if (integrity !== "") return wholeIf(integrity, new Response(body, head));
    return new Response(this.#pacedFromStore(exchange, body, head), head);
  }

  /** A script's request may be an adaptive player's, which measures how fast its segments come. */
  #pacedFromStore(
    { request, handler, host, url, pacer }: Exchange,
    body: ReadableStream<Uint8Array>,
    { headers }: ResponseHead,
  ): ReadableStream<Uint8Array> {
    if (request.destination !== "") return body;
    const value = (name: string) => headers.find(([header]) => header === name)?.[1] ?? "";
    const question: PaceQuestion = {
      nearcast: PROTOCOL_VERSION,
      type: "pace",
      url,
      clientId: (handler.event as FetchEvent).clientId,
      bytes: Number(value("content-length")),
      contentType: value("content-type"),
    };
    const ended = Promise.withResolvers<void>();
    void host.then((tab) => {
      if (!tab) return pacer.advise({ type: "pace", bytesPerMs: undefined });
      void ended.promise.then(askPace(tab, question, (advice) => pacer.advise(advice)));
    });
    return paced(body, pacer, ended.resolve);
  }

  async #fromMesh(exchange: Exchange): Promise<Response | undefined> {
    let late = false;
    const host = await within(exchange.host, ACCEPT_MS, () => {
      late = true;
    });
    if (exchange.authorisation.denied) return undefined;
    if (!host) return late ? this.#unplanned(exchange, { untold: exchange.host }) : undefined;
    const { range, url } = exchange;
    const alone = this.#solitude.covers(host.client.id, url, range, performance.now());
    if (alone && showable(exchange)) return this.#unplanned(exchange, { untold: exchange.host });
    const line = { host, port: sendWant(host, wantOf(exchange)) };
    const plan = await firstPlan(line.port, host, exchange.company.gone);
    if (plan?.type === "origin") return this.#shown(exchange, line, plan);
    if (plan?.type === "mesh") return this.#deliver(exchange, line, plan);
    line.port.postMessage({ type: "end", complete: false });
    line.port.close();
    // Once its page is free again, the host may take over what passes until then.
    return plan?.type === "silent"
      ? this.#unplanned(exchange, { untold: exchange.host })
      : undefined;
  }

  /**
   * The origin's answer where no host has made a plan. A media element asks again where an answer ends, and meets a
   * host then; else a film in the page's markup, which is asked for before any script runs, would be one answer to
   * its end, and shared with nobody.
   *
   * @param untold A host that hears of the request with its answer, if that may be shown to it.
   */
  #unplanned(
    exchange: Exchange,
    { untold }: { untold?: Promise<HostTab | undefined> } = {},
  ): Promise<Response> {
    const media = /^(audio|video)$/.test(exchange.request.destination);
    const capped = media ? cappedRange(exchange.range, OPEN_RANGE_MAX_BYTES) : exchange.range;
    const range = capped === exchange.range ? undefined : capped;
    const asked = { ...exchange, range: capped };
    return this.#fromOrigin(asked, { range, untold: showable(asked) ? untold : undefined });
  }

  /** The origin's answer; the host sees a copy if it wants to. */
  #shown(exchange: Exchange, line: Line, plan: OriginPlan): Promise<Response> {
    const { observe, openMaxBytes } = plan;
    this.#agreed(line.host, plan);
    const range = observe ? cappedRange(exchange.range, openMaxBytes) : undefined;
    const shown = observe && exchange.request.integrity === "";
    if (observe && !shown) line.port.postMessage({ type: "end", complete: false });
    return this.#fromOrigin(exchange, { range, line: shown ? line : undefined });
  }

  async #deliver(exchange: Exchange, line: Line, asset: MeshPlan): Promise<Response | undefined> {
    const { port } = line;
    const covered = coveredRange(exchange.range, asset.length, OPEN_RANGE_MAX_BYTES);
    const allowed = covered && this.#maySynthesise(exchange, asset);
    if (!allowed) {
      port.postMessage({ type: "end", complete: false });
      return undefined;
    }
    const head = responseHead(asset, {
      ...exchange,
      covered,
      ranged: exchange.range !== undefined,
    });
    let promised = false;
    const delivery = this.#delivery(exchange, line, asset, covered, () => {
      // Before the first piece nothing was promised: the caller goes on with the origin.
      if (promised) exchange.company.end(head.status);
    });
    port.onmessage = ({ data }: MessageEvent<HostMessage>) => {
      if (data.type === "pace") exchange.pacer.advise(data);
      else delivery.receive(data);
    };
    const abandon = () => delivery.abandon();
    exchange.company.gone.addEventListener("abort", abandon, { once: true });
    if (!(await exchange.authorisation.grants(asset))) {
      delivery.abandon();
      return undefined;
    }
    await delivery.firstPiece;
    promised = true;
    const { integrity, destination } = exchange.request;
    const body = delivery.body();
    if (integrity !== "") return wholeIf(integrity, new Response(body, head));
    return new Response(destination === "" ? paced(body, exchange.pacer) : body, head);
  }

  #delivery(
    exchange: Exchange,
    { host, port }: Line,
    asset: MeshPlan,
    covered: ByteRange,
    onEnd: () => void,
  ): Delivery {
    return new Delivery({
      length: asset.length,
      headers: asset.headers,
      covered,
      port,
      hostGone: host.gone,
      fetchRange: (bytes, signal) => fetch(requestFor(exchange.request, bytes, signal)),
      fetchWhole: exchange.range
        ? undefined
        : (signal) => fetch(requestFor(exchange.request, undefined, signal)),
      onBytes: (source, bytes) => exchange.company.count(source, bytes),
      onSurplus: (bytes) => exchange.company.countSurplus(bytes),
      onEnd,
    });
  }

  /**
   * The network's answer, whatever it is; only this may reject.
   *
   * @param range Asked for instead of the page's own.
   * @param line To the host that is shown the answer.
   * @param untold A host that hears of the request with its answer.
   */
  async #fromOrigin(
    exchange: Exchange,
    {
      range,
      line: given,
      untold,
    }: {
      readonly range?: AskedRange | undefined;
      readonly line?: Line | undefined;
      readonly untold?: Promise<HostTab | undefined> | undefined;
    } = {},
  ): Promise<Response> {
    const { request, company } = exchange;
    const askedMs = performance.now();
    let line = given;
    try {
      // Only what outlives the page's own request can have companions; else the origin sees that very request.
      if (!company.accompanied) company.dismiss();
      const asIs = !range && !company.accompanied;
      const response = await fetch(asIs ? request : requestFor(request, range, company.gone));
      const passingMs = performance.now() - askedMs;
      const port = untold ? sendWantLater(untold, { ...wantOf(exchange), passingMs }) : line?.port;
      void untold?.then((host) => {
        if (host && port) line = { host, port };
      });
      const onEnd = () => company.end(response.status);
      return observed(response, {
        port,
        onBytes: (source, bytes) => company.count(source, bytes),
        onEnd,
        onAgreed: (plan) => line && this.#agreed(line.host, plan),
        pacer: request.destination === "" ? exchange.pacer : undefined,
        takeOver: (asset, rest) => this.#delivery(exchange, line as Line, asset, rest, onEnd),
      });
    } catch (error) {
      line?.port.postMessage({ type: "end", complete: false });
      company.end(0);
      throw error;
    }
  }

  #agreed({ client }: HostTab, { alone }: OriginPlan): void {
    this.#solitude.heard(client.id, alone, performance.now());
  }

  /** Another origin's bytes only where that origin lets the site read them (rules R35, R36). */
  #maySynthesise(
    { crossOrigin, request }: Exchange,
    { headers, length }: Parameters<typeof responseHead>[0],
  ): boolean {
    if (request.integrity !== "" && length > WHOLE_MAX_BYTES) return false;
    return !crossOrigin || corsAllows(headers, self.location.origin);
  }

  /** Resolves like `source`, or to `undefined` after reporting its failure. */
  async #attempt(source: () => Promise<Response | undefined>): Promise<Response | undefined> {
    try {
      return await source();
    } catch (error) {
      this.#onError(error);
      return undefined;
    }
  }
}

/**
 * Whether a host may see the answer without having planned it: who reads a body with a digest waits for all of it, and
 * an open range says nothing of what is to come.
 */
function showable({ request, range }: Pick<Exchange, "request" | "range">): boolean {
  return request.integrity === "" && (!range || range.end !== undefined);
}

function wantOf({ request, handler, url, range, active }: Exchange): Want {
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
