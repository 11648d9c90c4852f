/**
 * The way of one request, as a Workbox strategy: own store, then the mesh with the origin beside it, and
 * in every failure the origin alone. We are an optimisation: whatever store and mesh do, the page gets
 * the answer it would have got without us. So their failures are reported, never thrown; only the network
 * can reject.
 * @module
 */
import { Strategy, type StrategyHandler } from "workbox-strategies";
import { type AskedRange, type ByteRange, coveredRange } from "../protocol/asset.js";
import { OPEN_RANGE_MAX_BYTES } from "../protocol/limits.js";
import type { HostMessage } from "../protocol/worker-messages.js";
import { Delivery } from "./answer/delivery.js";
import { paced } from "./answer/paced.js";
import { RequestMeter } from "./answer/request-meter.js";
import { responseHead } from "./answer/response-head.js";
import { StoredAnswers } from "./answer/stored-answers.js";
import { wholeIf } from "./answer/whole-body.js";
import { changes } from "./changes.js";
import { Companies, companyKey } from "./company.js";
import { cappedRange, type MeshPlan, type OriginPlan, observed } from "./origin/pass-through.js";
import { ACCEPT_MS, firstPlan, type HostTab, sendWant, sendWantLater } from "./pages/host-tab.js";
import { keepAlive } from "./pages/pages.js";
import {
  maySynthesise,
  type PageRequest,
  pageRequest,
  showable,
  wantOf,
} from "./request/page-request.js";
import { requestFor } from "./request/range-request.js";
import { hasUnusualRange } from "./request/request-facts.js";
import { solitude } from "./solitude.js";
import { within } from "./within.js";

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

/** Cache, then mesh, then network; see the module's description. */
export class MeshFirst extends Strategy {
  readonly #onError: (error: unknown) => void;
  readonly #stored: StoredAnswers;
  readonly #stripParams: () => readonly string[];
  readonly #companies = new Companies();

  constructor({ onError = () => undefined, stripParams = () => [] }: MeshFirstOptions = {}) {
    super();
    this.#onError = onError;
    this.#stripParams = stripParams;
    this.#stored = new StoredAnswers({ onError });
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
      return company.share(
        await this.#answer(
          pageRequest(request, handler, { company, stripParams: this.#stripParams() }),
        ),
      );
    } finally {
      company.dismiss();
    }
  }

  async #answer(asked: PageRequest): Promise<Response> {
    if (changes.recent(asked.url)) return this.#fromOrigin(asked);
    return (
      (await this.#attempt(() => this.#stored.answer(asked))) ??
      (await this.#attempt(() => this.#fromMesh(asked))) ??
      this.#unplanned(asked)
    );
  }

  async #fromMesh(asked: PageRequest): Promise<Response | undefined> {
    let late = false;
    const host = await within(asked.host, ACCEPT_MS, () => {
      late = true;
    });
    if (asked.authorisation.denied) return undefined;
    if (!host) return late ? this.#unplanned(asked, { untold: asked.host }) : undefined;
    const { range, url } = asked;
    const alone = solitude.covers(host.client.id, url, range, performance.now());
    if (alone && showable(asked)) return this.#unplanned(asked, { untold: asked.host });
    const line = { host, port: sendWant(host, wantOf(asked)) };
    const plan = await firstPlan(line.port, host, asked.company.gone);
    if (plan?.type === "origin") return this.#shown(asked, line, plan);
    if (plan?.type === "mesh") return this.#deliver(asked, line, plan);
    line.port.postMessage({ type: "end", complete: false });
    line.port.close();
    // Once its page is free again, the host may take over what passes until then.
    return plan?.type === "silent" ? this.#unplanned(asked, { untold: asked.host }) : undefined;
  }

  /**
   * The origin's answer where no host has made a plan. A media element asks again where an answer ends, and meets a
   * host then; else a film in the page's markup, which is asked for before any script runs, would be one answer to
   * its end, and shared with nobody.
   *
   * @param untold A host that hears of the request with its answer, if that may be shown to it.
   */
  #unplanned(
    asked: PageRequest,
    { untold }: { untold?: Promise<HostTab | undefined> } = {},
  ): Promise<Response> {
    const media = /^(audio|video)$/.test(asked.request.destination);
    const capped = media ? cappedRange(asked.range, OPEN_RANGE_MAX_BYTES) : asked.range;
    const range = capped === asked.range ? undefined : capped;
    const shorter = { ...asked, range: capped };
    return this.#fromOrigin(shorter, { range, untold: showable(shorter) ? untold : undefined });
  }

  /** The origin's answer; the host sees a copy if it wants to. */
  #shown(asked: PageRequest, line: Line, plan: OriginPlan): Promise<Response> {
    const { observe, openMaxBytes } = plan;
    this.#agreed(line.host, plan);
    const range = observe ? cappedRange(asked.range, openMaxBytes) : undefined;
    const shown = observe && asked.request.integrity === "";
    if (observe && !shown) line.port.postMessage({ type: "end", complete: false });
    return this.#fromOrigin(asked, { range, line: shown ? line : undefined });
  }

  async #deliver(asked: PageRequest, line: Line, asset: MeshPlan): Promise<Response | undefined> {
    const { port } = line;
    const covered = coveredRange(asked.range, asset.length, OPEN_RANGE_MAX_BYTES);
    const allowed = covered && maySynthesise(asked, asset);
    if (!allowed) {
      port.postMessage({ type: "end", complete: false });
      return undefined;
    }
    const head = responseHead(asset, {
      ...asked,
      covered,
      ranged: asked.range !== undefined,
    });
    let promised = false;
    const delivery = this.#delivery(asked, line, asset, covered, () => {
      // Before the first piece nothing was promised: the caller goes on with the origin.
      if (promised) asked.company.end(head.status);
    });
    port.onmessage = ({ data }: MessageEvent<HostMessage>) => {
      if (data.type === "pace") asked.pacer.advise(data);
      else delivery.receive(data);
    };
    const abandon = () => delivery.abandon();
    asked.company.gone.addEventListener("abort", abandon, { once: true });
    if (!(await asked.authorisation.grants(asset))) {
      delivery.abandon();
      return undefined;
    }
    await delivery.firstPiece;
    promised = true;
    const { integrity, destination } = asked.request;
    const body = delivery.body();
    if (integrity !== "") return wholeIf(integrity, new Response(body, head));
    return new Response(destination === "" ? paced(body, asked.pacer) : body, head);
  }

  #delivery(
    asked: PageRequest,
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
      fetchRange: (bytes, signal) => fetch(requestFor(asked.request, bytes, signal)),
      fetchWhole: asked.range
        ? undefined
        : (signal) => fetch(requestFor(asked.request, undefined, signal)),
      onBytes: (source, bytes) => asked.company.count(source, bytes),
      onSurplus: (bytes) => asked.company.countSurplus(bytes),
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
    asked: PageRequest,
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
    const { request, company } = asked;
    const askedMs = performance.now();
    let line = given;
    try {
      // Only what outlives the page's own request can have companions; else the origin sees that very request.
      if (!company.accompanied) company.dismiss();
      const asIs = !range && !company.accompanied;
      const response = await fetch(asIs ? request : requestFor(request, range, company.gone));
      const passingMs = performance.now() - askedMs;
      const port = untold ? sendWantLater(untold, { ...wantOf(asked), passingMs }) : line?.port;
      void untold?.then((host) => {
        if (host && port) line = { host, port };
      });
      const onEnd = () => company.end(response.status);
      return observed(response, {
        port,
        onBytes: (source, bytes) => company.count(source, bytes),
        onEnd,
        onAgreed: (plan) => line && this.#agreed(line.host, plan),
        pacer: request.destination === "" ? asked.pacer : undefined,
        takeOver: (asset, rest) => this.#delivery(asked, line as Line, asset, rest, onEnd),
      });
    } catch (error) {
      line?.port.postMessage({ type: "end", complete: false });
      company.end(0);
      throw error;
    }
  }

  #agreed({ client }: HostTab, { alone }: OriginPlan): void {
    solitude.heard(client.id, alone, performance.now());
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
